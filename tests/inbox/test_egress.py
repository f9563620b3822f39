"""The register of what left the firm: whole, tamper-evident, erasable."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text

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
    for secret in ("document-1", "Account", "ab" * 32):
        assert secret not in str((first, second))
    stored_keys = database.run_sync(lambda c: c.execute(text("SELECT * FROM matter_key")).all())
    assert "Account" not in str(stored_keys)


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
