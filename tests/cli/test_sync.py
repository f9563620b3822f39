"""`bitbylaw sync`: the plan, the pass in this process, and the durable way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import events, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from tests.cli.conftest import Office, Terminal

MATTER = sample_firm().of_type("CVmhRumungsklage")[0]
OWNER = f"{MATTER.entity_type}:{MATTER.id}"
DOCUMENT = MATTER.documents[0].id


def test_dry_run_prints_the_plan_and_does_nothing(office: Office) -> None:
    """First the owner has to have a collection, then the document would be brought there."""
    assert "create its collection" in office.run("sync", "collections", OWNER, "--dry-run").output
    assert (
        f"ask for the collection of {OWNER}" in office.run("sync", "documents", DOCUMENT, "--dry-run").output
    )
    assert office.sandbox.xai.state() == {"files": [], "collections": []}


def test_here_works_in_this_process(office: Office) -> None:
    """Collection, then document; the dry run then finds nothing to do."""
    made = office.run("sync", "collections", OWNER, "--here")
    assert made.exit_code == 0, made.output
    assert f"{OWNER}: synced" in made.output
    brought = office.run("sync", "documents", DOCUMENT, "--here")
    assert f"{DOCUMENT}: synced" in brought.output
    assert "uploaded: 1" in brought.output
    assert len(office.sandbox.xai.state()["files"]) == 1
    assert "nothing to do" in office.run("sync", "documents", DOCUMENT, "--dry-run").output


def test_here_tells_a_failure(office: Office) -> None:
    """What is set aside ends with exit code 1 and the reason."""
    result = office.run("sync", "collections", "CNichts:6a1a42a22eb2fc203", "--here")
    assert result.exit_code == 1
    assert "owns no collections" in result.stderr


@contextmanager
def batch(database: Database, *, parks: bool) -> Iterator[None]:
    """Somebody who claims what is wanted, and completes or parks it."""
    stop = threading.Event()

    def work_off(conn: Connection) -> None:
        now = database.now(conn)
        claims = work_queue.claim(conn, now, "documents", limit=5, lease_seconds=9)
        if not parks:
            work_queue.complete(conn, now, claims)
        for one in claims if parks else ():
            work_queue.park(conn, now, one, "too_large", "Permanent: too large.")

    def work() -> None:
        while not stop.wait(0.02):
            database.run_sync(work_off)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_durable_way_waits_until_it_is_done(with_state: tuple[Terminal, Database]) -> None:
    """Wanted with an event that says who asked, and followed to its end."""
    terminal, database = with_state
    with batch(database, parks=False):
        result = terminal.run("sync", "documents", DOCUMENT)
    assert result.exit_code == 0, result.output
    assert f"documents {DOCUMENT}: done" in result.output
    found = database.read(lambda conn: events.listing(conn, entity_id=DOCUMENT))
    assert [(one.source, one.entity_type) for one in found] == [("cli", "CDokumente")]


def test_the_durable_way_tells_what_was_parked(with_state: tuple[Terminal, Database]) -> None:
    """Exit code 1 and the reason."""
    terminal, database = with_state
    with batch(database, parks=True):
        result = terminal.run("sync", "documents", DOCUMENT)
    assert result.exit_code == 1
    assert "parked (too_large): Permanent: too large." in result.stderr


def test_giving_up_leaves_the_work_in_the_queue(with_state: tuple[Terminal, Database]) -> None:
    """Without a running pipeline it ends at its timeout, and says that nothing is lost."""
    terminal, database = with_state
    began = time.monotonic()
    result = terminal.run("sync", "documents", DOCUMENT, "--timeout", "0.5")
    assert time.monotonic() - began < 20
    assert result.exit_code == 1
    assert "it stays in the queue" in result.stderr
    row = database.read(lambda conn: work_queue.get(conn, "documents", DOCUMENT))
    assert row is not None
    assert row.wanted > row.done


@pytest.mark.parametrize(
    ("stream", "key"), [("documents", "a/b"), ("collections", "Account"), ("files", DOCUMENT)]
)
def test_a_bad_key_is_bad_usage(with_state: tuple[Terminal, Database], stream: str, key: str) -> None:
    """Nothing reaches the queue."""
    terminal, database = with_state
    assert terminal.run("sync", stream, key).exit_code == 2
    assert database.read(lambda conn: work_queue.get(conn, stream, key)) is None
