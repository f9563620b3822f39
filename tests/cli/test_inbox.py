"""What `bitbylaw inbox` lists, shows and replays."""

from __future__ import annotations

import re
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.main import cli
from bitbylaw_pipeline.inbox import events, outages, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Terminal

FIRST, SECOND, OWNER = "6a1a42a22eb2fc203", "6a958ab3a24696753", "Account:6aa33b86ee6fcc0e3"


@pytest.fixture
def terminal(with_state: tuple[Terminal, Database]) -> Terminal:
    """Three parked rows of two streams for two reasons, one an hour old, and an event behind each."""
    terminal, database = with_state

    def fill(conn: Connection) -> None:
        now = time.time()
        for stream, key, reason, age in (
            ("documents", FIRST, "too_large", 3600.0),
            ("documents", SECOND, "unreadable_type", 0.0),
            ("collections", OWNER, "no_access", 0.0),
        ):
            entity_type, _, record_id = key.rpartition(":")
            item = (entity_type or "CDokumente", record_id, "update")
            events.record(conn, now - age, "feed", f"{stream}.update", [item], "0" * 64, f"event-{record_id}")
            work_queue.want(conn, now - age, stream, [key])
            claims = work_queue.claim(conn, now - age, stream, limit=1, lease_seconds=60, keys=[key])
            work_queue.park(conn, now - age, claims[0], reason, "Permanent: so it is.")

    database.run_sync(fill)
    return terminal


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ((), {FIRST, SECOND, OWNER}),
        (("--stream", "documents"), {FIRST, SECOND}),
        (("--reason", "too_large"), {FIRST}),
        (("--key", OWNER), {OWNER}),
        (("--since", "30m"), {SECOND, OWNER}),
        (("--since", "30m", "--stream", "documents"), {SECOND}),
        (("--since", "2199-01-01"), set()),
    ],
)
def test_parked_rows_are_listed_by_filter(
    terminal: Terminal, arguments: tuple[str, ...], keys: set[str]
) -> None:
    """Each filter narrows, together they narrow further, and the count stands below."""
    result = terminal.run("inbox", "parked", *arguments)
    assert result.exit_code == 0
    assert {key for key in (FIRST, SECOND, OWNER) if key in result.output} == keys
    assert f"{len(keys)} parked" in result.output


def test_an_error_with_brackets_is_shown_as_it_stands(with_state: tuple[Terminal, Database]) -> None:
    """What looks like a mark of the terminal's is text, and takes no command down."""
    terminal, database = with_state
    says = "Permanent: [/name] and [account] are refused"

    def park(conn: Connection) -> None:
        now = time.time()
        work_queue.want(conn, now, "documents", [FIRST])
        (one,) = work_queue.claim(conn, now, "documents", limit=1, lease_seconds=60)
        work_queue.park(conn, now, one, "refused", says)
        outages.pause(conn, now, "espocrm", 600, "answers [/html]")

    database.run_sync(park)
    assert says in terminal.run("inbox", "parked").stdout
    assert says in terminal.run("inbox", "show", "documents", FIRST).stdout
    assert "paused espocrm: answers [/html], since" in terminal.run("status").stdout


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--key", FIRST), 1),
        (("--stream", "documents"), 2),
        (("--reason", "no_access"), 1),
        (("--since", "30m"), 2),
        (("--all",), 3),
        (("--reason", "nothing_like_it"), 0),
    ],
)
def test_replay_sets_going_what_matches(terminal: Terminal, arguments: tuple[str, ...], count: int) -> None:
    """It prints how many, they are not parked any more, and repeating it finds nothing."""
    assert f"replayed {count}" in terminal.run("inbox", "replay", *arguments).output
    assert f"{3 - count} parked" in terminal.run("inbox", "parked").output
    assert "replayed 0" in terminal.run("inbox", "replay", *arguments).output


def test_replay_without_a_filter_is_bad_usage(terminal: Terminal) -> None:
    """Everything at once has to be said."""
    result = terminal.run("inbox", "replay")
    assert result.exit_code == 2
    assert "--all" in result.stderr
    assert "3 parked" in terminal.run("inbox", "parked").output


def test_events_are_listed_by_filter(terminal: Terminal) -> None:
    """By key, source, topic and time."""
    assert "3 events" in terminal.run("inbox", "list").output
    found = terminal.run("inbox", "list", "--key", FIRST).output
    assert "1 events" in found
    assert f"CDokumente:{FIRST}" in found
    assert "1 events" in terminal.run("inbox", "list", "--key", OWNER, "--source", "feed").output
    assert "0 events" in terminal.run("inbox", "list", "--source", "webhook").output
    assert "2 events" in terminal.run("inbox", "list", "--topic", "documents.update").output
    assert "2 events" in terminal.run("inbox", "list", "--since", "30min").output


def test_one_entity_is_shown_with_its_events(terminal: Terminal) -> None:
    """Its state, generations, attempts, error and events."""
    output = terminal.run("inbox", "show", "documents", FIRST).output
    assert "parked (too_large)" in output
    assert "0 done of 1 wanted" in output
    assert "Permanent: so it is." in output
    assert f"event-{FIRST}" in output
    result = terminal.run("inbox", "show", "documents", "6affffffffffffff0")
    assert result.exit_code == 1
    assert "was never asked for" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "files", FIRST), "There is no stream"),
        (("show", "documents", "../etc"), "A document's key is its id"),
        (("show", "collections", FIRST), "EntityType:id"),
        (("list", "--since", "yesterday"), "is no time"),
    ],
)
def test_bad_input_is_one_sentence(terminal: Terminal, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2, and what to write instead."""
    result = terminal.run("inbox", *arguments)
    assert result.exit_code == 2
    assert says in re.sub(r"\s+", " ", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--key", FIRST), 1),
        (("--stream", "documents"), 2),
        (("--reason", "no_access"), 1),
        (("--since", "30m"), 2),
        (("--all",), 3),
        (("--reason", "nothing_like_it"), 0),
    ],
)
def test_drop_gives_up_what_matches(terminal: Terminal, arguments: tuple[str, ...], count: int) -> None:
    """It is shown first, is not parked any more, and cannot be replayed; the events say who gave it up."""
    result = terminal.run("inbox", "drop", *arguments, "--yes")
    assert f"dropped {count}" in result.output
    assert sum(key in result.output for key in (FIRST, SECOND, OWNER)) == count
    assert f"{3 - count} parked" in terminal.run("inbox", "parked").output
    assert "replayed 0" in terminal.run("inbox", "replay", *arguments).output
    told = terminal.run("inbox", "list", "--source", "cli").output
    assert len(re.findall(r" drop ", told)) == count
    assert f"{count} events" in told


def test_drop_asks_first(terminal: Terminal, with_state: tuple[Terminal, Database]) -> None:
    """A no leaves everything parked; a yes gives up what was shown."""
    settings = terminal.settings
    refused = CliRunner().invoke(cli, ["inbox", "drop", "--stream", "documents"], env=settings, input="n\n")
    assert refused.exit_code == 1
    assert FIRST in refused.output
    assert "3 parked" in terminal.run("inbox", "parked").output
    agreed = CliRunner().invoke(cli, ["inbox", "drop", "--stream", "documents"], env=settings, input="y\n")
    assert "dropped 2" in agreed.output
    assert "1 parked" in terminal.run("inbox", "parked").output


def test_what_was_dropped_comes_back_by_its_next_event(
    terminal: Terminal, with_state: tuple[Terminal, Database]
) -> None:
    """Until then it is given up and no success; then it is ready, as if it had never been parked."""
    database = with_state[1]
    terminal.run("inbox", "drop", "--key", FIRST, "--yes")
    assert "given up at" in terminal.run("inbox", "show", "documents", FIRST).output
    assert database.read(work_queue.last_successes) == {}
    database.run_sync(lambda conn: work_queue.want(conn, time.time(), "documents", [FIRST]))
    assert "waiting since" in terminal.run("inbox", "show", "documents", FIRST).output
    claims = database.run_sync(
        lambda conn: work_queue.claim(conn, time.time(), "documents", limit=5, lease_seconds=60)
    )
    assert [one.key for one in claims] == [FIRST]
    database.run_sync(lambda conn: work_queue.complete(conn, time.time(), claims))
    assert "done" in terminal.run("inbox", "show", "documents", FIRST).output


def test_drop_says_what_to_narrow(terminal: Terminal) -> None:
    """Everything is given up only where that is said."""
    result = terminal.run("inbox", "drop", "--yes")
    assert result.exit_code == 2
    assert "Say what to drop" in result.stderr


def test_what_was_wanted_anew_is_not_dropped(with_state: tuple[Terminal, Database]) -> None:
    """An event that comes in while a person reads the list counts more than the answer."""
    database = with_state[1]

    def park(conn: Connection) -> None:
        work_queue.want(conn, 2.0, "documents", [FIRST])
        claims = work_queue.claim(conn, 2.0, "documents", limit=1, lease_seconds=60)
        work_queue.park(conn, 2.0, claims[0], "too_large", "Permanent: so it is.")

    database.run_sync(park)
    (seen,) = database.read(work_queue.parked)
    database.run_sync(lambda conn: work_queue.want(conn, 1.0, "documents", [FIRST]))
    assert not database.run_sync(lambda conn: work_queue.drop(conn, 2.0, seen))
    assert database.run_sync(lambda conn: work_queue.ready_count(conn, 2.0, "documents")) == 1
    # And parked anew by now: not what the person saw.
    database.run_sync(park)
    assert not database.run_sync(lambda conn: work_queue.drop(conn, 3.0, seen))
    (again,) = database.read(work_queue.parked)
    assert database.run_sync(lambda conn: work_queue.drop(conn, 3.0, again))
