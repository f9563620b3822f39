"""The register of what left the firm: whole, tamper-evident, erasable."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from sqlalchemy import Connection, delete, select, text

from bitbylaw_pipeline.inbox import egress, schema
from bitbylaw_pipeline.inbox.cipher import CipherError
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.egress import EgressEntry
from tests.conftest import ENCRYPTION_KEY, FakeClock

INSERT_COPY = """
    INSERT INTO egress
    SELECT {seq}, at, document_hmac, matter_hmac, file_hmac, system, collection_id, ground, previous_hash, row_hash
    FROM egress WHERE seq = {of}
"""


def entry(document_id: str = "d1", matter: str = "CVmhRumungsklage:r1") -> EgressEntry:
    return EgressEntry(document_id, matter, "ab" * 32, "xai", "collection_1", "collection")


def append(database: Database, *entries: EgressEntry) -> list[int]:
    return database.run_sync(lambda c: egress.append(c, database.now(c), database.cipher, entries))


def verify(database: Database) -> int | None:
    return database.run_sync(egress.verify)


def tamper(database: Database, statement: str) -> None:
    database.run_sync(lambda c: c.execute(text(statement)))


def test_chain_of_appended_rows_is_whole(database: Database, clock: FakeClock) -> None:
    """Rows are numbered without gaps, over matters and calls, and the chain verifies, an empty one too."""
    assert verify(database) is None
    assert append(database, entry("d1"), entry("d2", "Account:a")) == [1, 2]
    clock.advance(0.1 + 1 / 3)
    assert append(database, entry("d3")) == [3]
    assert append(database) == []
    assert verify(database) is None
    assert database.run_sync(egress.head)[0] == 3


def test_ids_stand_in_the_register_only_as_hmacs_per_matter(database: Database) -> None:
    """Neither document, matter nor file hash can be read, and the same file in two matters looks different."""
    append(database, entry("document-1", "Account:a"), entry("document-1", "Account:b"))
    first, second = database.run_sync(lambda c: c.execute(text("SELECT * FROM egress ORDER BY seq")).all())
    assert first.document_hmac != second.document_hmac
    assert first.file_hmac != second.file_hmac
    for secret in ("document-1", "Account", "ab" * 32, "collection_1"):
        assert secret not in str((first, second))
    stored_keys = database.run_sync(lambda c: c.execute(text("SELECT * FROM matter_key")).all())
    assert "Account" not in str(stored_keys)


def test_the_ground_is_kept_so_that_nobody_can_guess_the_reference(database: Database) -> None:
    """The rule stands in clear, the reference's digest as an HMAC under the matter's key; equal ones look equal."""
    given = replace(entry(), ground="field:0123456789abcdef")
    append(database, given, given, replace(given, matter="Account:a"), replace(given, ground="collection"))
    grounds = database.run_sync(lambda c: [row.ground for row in egress.rows_after(c)])
    assert [ground.partition(":")[0] for ground in grounds] == ["field", "field", "field", "collection"]
    assert grounds[0] == grounds[1] != grounds[2]
    assert "0123456789abcdef" not in "".join(grounds)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE egress SET collection_id = 'other' WHERE seq = 3", 3),
        ("UPDATE egress SET at = at + 0.001 WHERE seq = 1", 1),
        ("DELETE FROM egress WHERE seq = 2", 2),
        ("DELETE FROM egress WHERE seq = 1", 1),
        ("DELETE FROM egress WHERE seq = 5", 5),
        ("DELETE FROM egress", 1),
        ("UPDATE egress SET seq = 6 WHERE seq = 5", 5),
        (INSERT_COPY.format(seq=6, of=5), 6),
        (INSERT_COPY.format(seq=0, of=1), 1),
        ("UPDATE egress_head SET seq = 4", 5),
        ("UPDATE egress_head SET row_hash = 'x'", 5),
        ("DELETE FROM egress_head", 6),
    ],
)
def test_changed_removed_and_inserted_rows_are_found(database: Database, statement: str, broken: int) -> None:
    """Whatever was changed, removed, inserted or cut off: the first number that does not fit is named."""
    append(database, *(entry(f"d{number}") for number in range(5)))
    assert verify(database) is None
    tamper(database, statement)
    assert verify(database) == broken


@pytest.mark.parametrize(("seq", "broken"), [(2, 3), (3, 3)])
def test_rehashed_row_breaks_at_its_successor(database: Database, seq: int, broken: int) -> None:
    """A changed row whose own hash was made to fit is found at the row after it, and at the end by the head."""
    append(database, *(entry(f"d{number}") for number in range(3)))
    row = database.run_sync(
        lambda c: c.execute(select(schema.egress).where(schema.egress.c.seq == seq)).one()
    )
    forged = {**row._asdict(), "ground": "forged"}
    forged["row_hash"] = egress._hash(forged)
    database.run_sync(
        lambda c: c.execute(schema.egress.update().where(schema.egress.c.seq == seq).values(forged))
    )
    assert verify(database) == broken


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=strategies.data())
def test_whatever_is_done_to_the_rows_is_found(database: Database, data: strategies.DataObject) -> None:
    """Any field changed, any row removed, inserted or swapped: the chain is broken, never behind the first bad row."""
    database.run_sync(_forget)
    count = data.draw(strategies.integers(2, 6), "rows")
    append(database, *(entry(f"d{number}", f"Account:{number % 2}") for number in range(count)))
    rows = database.run_sync(lambda c: [asdict(row) for row in egress.rows_after(c)])
    assert verify(database) is None
    tampered, first_bad = data.draw(tamperings(rows), "tampering")
    database.run_sync(lambda c: _replace_rows(c, tampered))
    found = verify(database)
    assert found is not None
    assert found <= first_bad
    database.run_sync(lambda c: _replace_rows(c, rows))
    assert verify(database) is None


@strategies.composite
def tamperings(draw: strategies.DrawFn, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The rows with one thing done to them, and the number behind which nothing bad may be overlooked."""
    at = draw(strategies.integers(0, len(rows) - 1))
    kind = draw(strategies.sampled_from(["change", "remove", "insert", "swap", "double"]))
    changed = [dict(row) for row in rows]
    if kind == "remove":
        del changed[at]
        return changed, at + 1
    if kind == "swap":
        other = draw(strategies.integers(0, len(rows) - 1).filter(lambda number: number != at))
        changed[at]["seq"], changed[other]["seq"] = changed[other]["seq"], changed[at]["seq"]
        return changed, max(at, other) + 1
    if kind == "insert":
        # With a right hash and the right predecessor, and everything behind it moved on by one.
        new = dict(rows[at], seq=at + 2, previous_hash=rows[at]["row_hash"], at=rows[at]["at"] + 1)
        new["row_hash"] = egress._hash(new)
        moved = [dict(row, seq=row["seq"] + 1) for row in rows[at + 1 :]]
        return [*changed[: at + 1], new, *moved], at + 3
    if kind == "double":
        return [*changed, dict(rows[at], seq=len(rows) + 1)], len(rows) + 1
    name = draw(strategies.sampled_from(sorted(set(rows[at]) - {"seq"})))
    old = rows[at][name]
    changed[at][name] = (
        old + draw(strategies.sampled_from([0.5, -1.0])) if name == "at" else _other(draw, old)
    )
    if draw(strategies.booleans()) and name != "row_hash":
        changed[at]["row_hash"] = egress._hash(changed[at])  # made to fit: its successor or the head tells
    return changed, at + 2


def _other(draw: strategies.DrawFn, old: str) -> str:
    at = draw(strategies.integers(0, len(old) - 1))
    return old[:at] + ("0" if old[at] != "0" else "1") + old[at + 1 :]


def _forget(conn: Connection) -> None:
    conn.execute(delete(schema.egress))
    conn.execute(schema.egress_head.update().values(seq=0, row_hash=egress.CHAIN_START))


def _replace_rows(conn: Connection, rows: list[dict[str, Any]]) -> None:
    conn.execute(delete(schema.egress))
    conn.execute(schema.egress.insert(), rows)


def test_a_register_rewritten_as_a_whole_is_found_by_an_earlier_head(database: Database) -> None:
    """Chain and head are made to fit anew: only a head that was kept elsewhere tells, and a shorter register, too."""
    append(database, *(entry(f"d{number}") for number in range(3)))
    kept = database.run_sync(egress.head)
    append(database, entry("d3"))
    assert database.run_sync(lambda c: egress.verify(c, kept)) is None
    assert database.run_sync(lambda c: egress.verify(c, (0, egress.CHAIN_START))) is None
    database.run_sync(_forget)
    append(database, *(entry(f"other{number}") for number in range(4)))
    assert verify(database) is None
    assert database.run_sync(lambda c: egress.verify(c, kept)) == 3
    database.run_sync(_forget)
    append(database, entry("d0"))
    assert verify(database) is None
    assert database.run_sync(lambda c: egress.verify(c, kept)) == 2


def test_a_documents_rows_are_found_over_all_matters_with_a_key(database: Database) -> None:
    """Without naming the matter; what was erased is not among them."""
    append(database, entry("d1"), entry("d2"), entry("d1", "Account:a"), entry("d1", "Account:b"))
    database.run_sync(lambda c: egress.destroy_key(c, "Account:a"))
    rows = database.run_sync(lambda c: egress.rows_of_document(c, database.cipher, "d1"))
    assert [row.seq for row in rows] == [1, 4]
    assert [row.seq for row in database.run_sync(lambda c: egress.latest(c, 0.0, 3))] == [2, 3, 4]
    assert database.run_sync(lambda c: egress.latest(c, 1e12, 3)) == []


def test_destroyed_key_erases_the_matter_and_keeps_the_chain(database: Database) -> None:
    """A matter's rows are found by its id until its key is destroyed; other matters and the chain are untouched."""
    append(database, entry("d1"), entry("d2"), entry("d1", "Account:a"))

    def seqs(matter: str, document_id: str | None = None) -> list[int]:
        rows = database.run_sync(lambda c: egress.rows_of(c, database.cipher, matter, document_id))
        return [row.seq for row in rows]

    assert seqs("CVmhRumungsklage:r1") == [1, 2]
    assert seqs("CVmhRumungsklage:r1", "d2") == [2]
    assert database.run_sync(lambda c: egress.destroy_key(c, "CVmhRumungsklage:r1"))
    assert not database.run_sync(lambda c: egress.destroy_key(c, "CVmhRumungsklage:r1"))
    assert seqs("CVmhRumungsklage:r1") == []
    assert seqs("Account:a", "d1") == [3]
    assert verify(database) is None
    append(database, entry("d1"))
    assert seqs("CVmhRumungsklage:r1") == [4]


def test_an_erased_document_is_nobodys_while_its_matter_lives_on(database: Database) -> None:
    """Its rows stay in the chain and among the matter's, and no key is left that says whose they are."""
    append(database, entry("d1"), entry("d2"), entry("d1", "Account:a"))
    cipher = database.cipher
    assert database.run_sync(lambda c: egress.destroy_document_key(c, "d1"))
    assert not database.run_sync(lambda c: egress.destroy_document_key(c, "d1"))
    assert database.run_sync(lambda c: egress.rows_of_document(c, cipher, "d1")) == []
    matter = "CVmhRumungsklage:r1"
    assert database.run_sync(lambda c: egress.rows_of(c, cipher, matter, "d1")) == []
    assert [row.seq for row in database.run_sync(lambda c: egress.rows_of(c, cipher, matter))] == [1, 2]
    found = database.run_sync(lambda c: egress.documents_of(c, cipher, matter, ["d1", "d2"]))
    assert found == {"d2"}
    assert verify(database) is None


def test_appends_from_many_writers_make_one_chain(database_url: str) -> None:
    """Writers at the same time neither fork the chain nor make two keys for one matter."""
    databases = [Database.open(database_url, encryption_key=ENCRYPTION_KEY) for _ in range(2)]

    def write(database: Database, number: int) -> None:
        for count in range(10):
            append(database, entry(f"d{number}-{count}"))

    threads = [threading.Thread(target=write, args=(database, n)) for n, database in enumerate(databases * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(databases[0]) is None
    rows = databases[0].run_sync(lambda c: egress.rows_of(c, databases[0].cipher, "CVmhRumungsklage:r1"))
    assert len(rows) == 40
    for database in databases:
        database.close()


def test_nothing_is_registered_without_the_encryption_key(database_url: str) -> None:
    """Without a key nothing is appended, so nothing may be uploaded."""
    database = Database.open(database_url)
    with pytest.raises(CipherError):
        append(database, entry())
    assert database.run_sync(egress.head)[0] == 0
    database.close()
