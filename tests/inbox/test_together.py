"""Work on many subjects in one statement: the same outcome as one by one, and no caller pays for another's error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.inbox import batches, document_states, intents
from bitbylaw_pipeline.inbox.database import Database


def test_waiting_work_of_one_kind_becomes_one_call(database: Database) -> None:
    """Subjects that wait at the same moment go into one call, each caller gets its own result, in any mixture."""
    gate = threading.Event()
    calls: list[list[int]] = []

    def double(connection: Connection, common: str, subjects: Sequence[int]) -> list[int]:
        calls.append(list(subjects))
        return [subject * 2 for subject in subjects]

    async def main() -> None:
        first = asyncio.create_task(database.run(lambda _: gate.wait(30)))
        await asyncio.sleep(0)
        common = "xai"
        tasks = [asyncio.create_task(database.run_together(double, common, n)) for n in range(20)]
        other = asyncio.create_task(database.run_together(double, "espocrm", 100))
        alone = asyncio.create_task(database.run(lambda _: "alone"))
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*tasks) == [n * 2 for n in range(20)]
        assert await other == 200
        assert await alone == "alone"
        await first

    asyncio.run(main())
    assert sorted(n for call in calls for n in call) == [*range(20), 100]
    assert len(calls) <= 4


def test_failing_subject_fails_alone(database: Database) -> None:
    """An error in one subject reaches its caller only; what the others wrote is there once."""
    gate = threading.Event()

    def raise_flags(connection: Connection, common: float, subjects: Sequence[str]) -> list[str]:
        for subject in subjects:
            if subject == "bad":
                raise KeyError(subject)
            batches.set_flag(connection, common, subject)
        return list(subjects)

    async def main() -> list[object]:
        first = asyncio.create_task(database.run(lambda _: gate.wait(30)))
        await asyncio.sleep(0)
        common = 1.0
        tasks = [
            asyncio.create_task(database.run_together(raise_flags, common, n)) for n in ("a", "bad", "b")
        ]
        await asyncio.sleep(0)
        gate.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    good, bad, also_good = asyncio.run(main())
    assert (good, also_good) == ("a", "b")
    assert isinstance(bad, KeyError)
    assert database.run_sync(lambda c: [batches.get_flag(c, n) for n in ("a", "b", "bad")]) == [
        "1",
        "1",
        None,
    ]


def test_many_states_are_stored_as_one_by_one(database: Database) -> None:
    """Stored together, states read back as they were, owners are found and dropped, and the later of two counts."""
    first = [
        DocumentState(f"d{n}", 1.0, size=n, owners=(f"Account:{n % 2}",), index_status=IndexStatus.PENDING)
        for n in range(5)
    ]
    database.run_sync(lambda c: document_states.put_many(c, first))
    assert database.run_sync(lambda c: list(document_states.iterate(c))) == first
    later = DocumentState("d0", 3.0, owners=("Account:1", "Account:2"))
    database.run_sync(lambda c: document_states.put_many(c, [DocumentState("d0", 2.0), later]))
    assert database.run_sync(lambda c: document_states.get(c, "d0")) == later

    def by_owner(number: int) -> list[str]:
        return database.run_sync(lambda c: document_states.by_owner(c, f"Account:{number}"))

    assert [by_owner(n) for n in range(3)] == [["d2", "d4"], ["d0", "d1", "d3"], ["d0"]]


def test_many_intents_are_opened_and_settled_by_subject(database: Database) -> None:
    """Intents opened together are found by subject; settling one recovers the subject's older ones with it."""

    def unsettled(*subjects: str) -> dict[str, list[str]]:
        found = database.run_sync(lambda c: intents.unsettled_of_many(c, "upload", subjects))
        return {subject: [intent.id for intent in listed] for subject, listed in found.items()}

    old = database.run_sync(lambda c: intents.open_many(c, 1.0, "upload", [("d1", "t1"), ("d2", "t2")]))
    (new,) = database.run_sync(lambda c: intents.open_many(c, 2.0, "upload", [("d1", "t3")]))
    assert database.run_sync(lambda c: intents.open_many(c, 2.0, "upload", [])) == []
    assert unsettled("d1", "d2", "d3") == {"d1": [old[0], new], "d2": [old[1]]}
    database.run_sync(lambda c: intents.settle_subjects(c, 3.0, "upload", [("d1", new, "file_1")]))
    assert unsettled("d1", "d2") == {"d2": [old[1]]}
    outcomes = database.run_sync(
        lambda c: c.exec_driver_sql("SELECT id, outcome, remote_id FROM intent WHERE settled_at = 3.0").all()
    )
    assert {tuple(row) for row in outcomes} == {
        (new, intents.DONE, "file_1"),
        (old[0], intents.RECOVERED, "file_1"),
    }


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_go_together_too(database: Database, count: int) -> None:
    """An empty number of states changes nothing, and one alone is stored like any."""
    states = [DocumentState("d1", 1.0, owners=("Account:a",))][:count]
    database.run_sync(lambda c: document_states.put_many(c, states))
    assert database.run_sync(lambda c: list(document_states.iterate(c))) == states
