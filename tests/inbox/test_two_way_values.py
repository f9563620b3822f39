"""Field values of the two-way sync stand nowhere in clear, and not longer than they are needed."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Column, Connection, inspect, select, text

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import (
    Advance,
    Conflict,
    Hold,
    Intent,
    Link,
    LinkState,
    LogEntry,
    PastWrite,
    Write,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges
from bitbylaw_pipeline.inbox import retention, two_way_desk, two_way_retention
from bitbylaw_pipeline.inbox.cipher import Cipher, CipherError
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import sync_conflict, sync_link, sync_seen, sync_write_log
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from tests.conftest import FakeClock

MARKER = "Schmidtbauer"
VALUES = {"name": MARKER, "phones": [MARKER]}
DAY = 86_400.0
FULL = Link(
    "left:n1", "n1", "7",
    base_left=VALUES,
    base_right=VALUES,
    archive=VALUES,
    refusals={f"right:{MARKER}": "d"},
    recent=(PastWrite(1.0, MARKER, MARKER),),
    intent=Intent(
        "update", "nonce",
        payload=VALUES,
        source=VALUES,
        writes={Side.LEFT: Write(VALUES, None, "nonce")},
        advances=(Advance("name", VALUES, VALUES, (Side.LEFT,)),),
    ),
)  # fmt: skip
CONFLICTS = (
    Conflict("left:n1", "name", "left", VALUES, VALUES, VALUES),
    Conflict("left:n1", "ort", "none", VALUES, VALUES, VALUES),
)
LOG = (LogEntry("left:n1", Side.LEFT, "update", ("name",), VALUES, "nonce"),)


def dump(database: Database) -> str:
    """Everything that is stored: every row of every table, and on SQLite also the files' bytes."""

    def rows(connection: Connection) -> str:
        tables = inspect(connection).get_table_names()
        return str([connection.execute(text(f'SELECT * FROM "{table}"')).all() for table in tables])  # noqa: S608  # our own tables

    stored = database.run_sync(rows)
    if database.is_sqlite:
        file = Path(str(database.engine.url.database))
        for part in file.parent.glob(f"{file.name}*"):
            stored += part.read_bytes().decode("latin-1")
    return stored


def values_of(conn: Connection, column: Column[Any]) -> list[str]:
    return list(conn.execute(select(column)).scalars())


def put(database: Database, *links: Link, **changes: Any) -> tuple[Link, ...]:
    return asyncio.run(DatabaseLinkStore(database, "bank").commit(Changes(links=links, **changes)))


def load(database: Database) -> dict[str, Link]:
    return {link.link_id: link for link in asyncio.run(DatabaseLinkStore(database, "bank").load()).links}


def clean(database: Database) -> dict[str, int]:
    deleted = retention.delete_older(database, days=30, tombstone_days=90, audit_days=900)
    return {name: number for name, number in deleted.items() if number}


def test_no_value_stands_in_clear(database: Database) -> None:
    """Neither the rows nor the file hold a value of a link, a conflict, the write log or a decision."""
    store = DatabaseLinkStore(database, "bank")
    put(database, FULL, conflicts=CONFLICTS, log=LOG)
    asyncio.run(store.replace_holds(HoldChanges([Hold("left:n1", "x", digest=store.digest(MARKER))])))
    (hold,) = database.run_sync(two_way_desk.list_holds)
    database.run_sync(
        lambda c: two_way_desk.decide(c, 1.0, database.cipher, hold.hold_id, f"link:{MARKER}", "b.muster")
    )
    stored = dump(database)
    assert MARKER not in stored
    assert "left:n1" in stored
    assert load(database)["left:n1"].archive == VALUES


def test_each_value_column_is_one_token(database: Database) -> None:
    """What is stored opens under the key alone, and another key is told apart."""
    put(database, FULL, conflicts=CONFLICTS, log=LOG)
    columns = [sync_link.c[name] for name in ("base_left", "base_right", "intent", "archive", "memory")]
    columns += [sync_conflict.c[name] for name in ("base", "on_left", "on_right")]
    columns.append(sync_write_log.c.before)
    for column in columns:
        for token in database.run_sync(partial(values_of, column=column)):
            assert MARKER in database.cipher.decrypt(token)
    other = Database(
        database.engine, clock=None, encryption_key=Fernet.generate_key().decode(), wait_seconds=5
    )
    with pytest.raises(CipherError):
        load(other)
    digests = {DatabaseLinkStore(one, "bank").digest(MARKER) for one in (database, other)}
    assert len(digests) == 2


def test_digests_are_kept_apart_by_purpose_and_key() -> None:
    """They depend on the first key, the purpose and the text, and on nothing else."""
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    cipher = Cipher(first)
    assert cipher.digest("a", "x") == Cipher(f"{first},{second}").digest("a", "x")
    others = {cipher.digest("b", "x"), cipher.digest("a", "y"), Cipher(f"{second},{first}").digest("a", "x")}
    assert len(others | {cipher.digest("a", "x")}) == 4


def test_what_json_lacks_is_refused(database: Database) -> None:
    """A value that would come back as another one is an error at once, and nothing is stored."""
    with pytest.raises(TypeError):
        put(database, Link("a", "1", "2", base_left={"name": {"a", "set"}}))
    assert load(database) == {}


def test_old_tombstones_are_forgotten(database: Database, clock: FakeClock) -> None:
    """With what was seen of them; not those of unlinked pairs, which keep no value, nor what a person is asked about."""
    store = DatabaseLinkStore(database, "bank")
    asyncio.run(store.note_seen(Side.LEFT, ["1", "3", "5", "9"]))
    asyncio.run(store.note_seen(Side.RIGHT, ["1", "2"]))
    tombstone = LinkState.TOMBSTONE
    put(
        database,
        Link("gone", "1", "2", tombstone, archive=VALUES),
        Link("unlinked", "3", "4", tombstone, base_left=VALUES, refusals={"x": "d"}, is_unlinked=True),
        Link("held", "5", "6", tombstone, base_left=VALUES),
        Link("active", "7", "8", base_left=VALUES),
    )
    asyncio.run(store.replace_holds(HoldChanges([Hold("held", "undelete", "held")])))
    clock.advance(89 * DAY)
    assert clean(database) == {}
    put(database, Link("younger", "9", "10", tombstone, base_left=VALUES))
    clock.advance(2 * DAY)
    assert clean(database) == {"sync_tombstone": 1, "sync_archive": 1}
    left = load(database)
    assert set(left) == {"unlinked", "held", "active", "younger"}
    assert left["unlinked"] == Link("unlinked", "3", "4", tombstone, is_unlinked=True, row_rev=2)
    assert all(left[name].base_left == VALUES for name in ("held", "active", "younger"))
    seen = database.run_sync(
        lambda c: set(c.execute(select(sync_seen.c.side, sync_seen.c.record_id)).tuples())
    )
    assert seen == {("left", "3"), ("left", "5"), ("left", "9"), ("right", "1")}
    assert clean(database) == {}


def test_an_archive_ages_from_the_deletion(database: Database, clock: FakeClock) -> None:
    """Later writes to the link do not make it younger, a new deletion does; one that is under way keeps it."""
    deleting = Intent("delete", "n", Side.RIGHT)
    active, under_way = put(
        database, Link("a", "1", "2", archive=VALUES), Link("b", "3", "4", archive=VALUES, intent=deleting)
    )
    clock.advance(60 * DAY)
    (active,) = put(database, active)
    clock.advance(31 * DAY)
    assert clean(database) == {"sync_archive": 1}
    left = load(database)
    assert (left["a"].archive, left["a"].row_rev) == ({}, active.row_rev + 1)
    assert left["b"] == under_way
    (again,) = put(database, Link("c", "5", "6", archive=VALUES))
    clock.advance(60 * DAY)
    (again,) = put(database, Link("c", "5", "6", LinkState.TOMBSTONE, archive=VALUES, row_rev=again.row_rev))
    clock.advance(60 * DAY)
    assert clean(database) == {}
    assert load(database)["c"].archive == VALUES


def test_old_values_of_conflicts_and_writes_go(database: Database, clock: FakeClock) -> None:
    """Which fields a conflict was about stays; one that is still open and looked at keeps its values."""
    put(database, conflicts=CONFLICTS, log=LOG * 3)
    clock.advance(91 * DAY)
    put(database, conflicts=CONFLICTS[1:], log=LOG)
    assert clean(database) == {"sync_conflict_values": 1, "sync_write_log": 3}
    found = database.run_sync(
        lambda c: two_way_desk.list_conflicts(c, database.cipher, with_values=True, with_closed=True)
    )
    assert [(one.what, one.left) for one in found if one.what == "name"] == [("name", {})]
    assert [(one.what, one.left) for one in found if one.what == "ort"] == [("ort", VALUES)]
    assert len(database.run_sync(lambda c: c.execute(select(sync_write_log)).all())) == 1
    assert clean(database) == {}


def test_more_than_a_portion_goes_at_once(database: Database, clock: FakeClock) -> None:
    """Portions follow each other until nothing old is left."""
    number = two_way_retention.PORTION + 7
    put(database, *(Link(f"l{n}", str(n), None, LinkState.TOMBSTONE) for n in range(number)))
    clock.advance(91 * DAY)
    assert clean(database) == {"sync_tombstone": number}
    assert load(database) == {}
