"""What `bitbylaw inbox` lists, shows and replays."""

from __future__ import annotations

import re
import time

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import events, work_queue
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
