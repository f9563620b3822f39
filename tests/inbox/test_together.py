"""Works of the same kind become one: what each caller gets, and what an error in one costs the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.inbox import batches, document_states, intents
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import FakeClock


def test_each_caller_gets_its_own_result_of_one_call(database: Database) -> None:
    """Works on many subjects, submitted at the same moment, are one call, and the results go to the right callers."""
    gate = threading.Event()
    calls: list[int] = []

    def double(connection: Connection, factor: int, numbers: Sequence[int]) -> list[int]:
        calls.append(len(numbers))
        return [factor * number for number in numbers]

    async def main() -> list[int]:
        held = asyncio.create_task(database.run(lambda _: gate.wait(30)))
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(database.run_together(double, 2, number)) for number in range(20)]
        await asyncio.sleep(0)
        gate.set()
        await held
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [2 * number for number in range(20)]
    assert sum(calls) == 20
    assert len(calls) <= 2


def test_works_with_another_common_part_stay_apart(database: Database) -> None:
    """Only works of the same function and the same common part are done together."""
    begun, gate = threading.Event(), threading.Event()
    seen: set[tuple[str, tuple[int, ...]]] = set()

    def hold(_: Connection) -> None:
        begun.set()
        gate.wait(30)

    def note(connection: Connection, common: list[str], numbers: Sequence[int]) -> list[None]:
        seen.add((common[0], tuple(numbers)))
        return [None] * len(numbers)

    async def main() -> None:
        first, second = ["a"], ["b"]
        held = asyncio.create_task(database.run(hold))
        # Else it could take the first of them into its own group.
        assert await asyncio.to_thread(begun.wait, 30)
        tasks = [
            asyncio.create_task(database.run_together(note, common, number))
            for number, common in enumerate([first, second, first, second])
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(held, *tasks)

    asyncio.run(main())
    assert seen == {("a", (0, 2)), ("b", (1, 3))}


def test_one_bad_subject_fails_alone(database: Database) -> None:
    """An error in a joint work reaches the caller of the bad subject only; the others are committed."""
    gate = threading.Event()

    def raise_flags(connection: Connection, common: None, names: Sequence[str]) -> list[str]:
        for name in names:
            if name == "bad":
                raise KeyError(name)
            batches.set_flag(connection, 0.0, name)
        return list(names)

    async def main() -> list[str | BaseException]:
        held = asyncio.create_task(database.run(lambda _: gate.wait(30)))
        await asyncio.sleep(0)
        tasks = [
            asyncio.create_task(database.run_together(raise_flags, None, name))
            for name in ("f1", "bad", "f2")
        ]
        await asyncio.sleep(0)
        gate.set()
        await held
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, bad, last = asyncio.run(main())
    assert (first, last) == ("f1", "f2")
    assert isinstance(bad, KeyError)
    names = ("f1", "f2", "bad")
    assert database.run_sync(lambda c: [batches.get_flag(c, name) for name in names]) == ["1", "1", None]


def test_many_states_are_stored_as_one_by_one(database: Database) -> None:
    """States stored together come back as they were, each with its owners; of two for one document the later counts."""
    old = DocumentState("d1", 1.0, owners=("Account:a", "Account:b"), size=5, index_check_at=2.5)
    states = [
        DocumentState("d0", 1.0, owners=("Account:a",), file_id="file_1", collections=("c1", "c2")),
        replace(old, status="earlier"),
        replace(old, status="later", owners=("Account:b", "Account:c"), record_version=7),
    ]
    database.run_sync(lambda c: document_states.put(c, old))
    database.run_sync(lambda c: document_states.put_many(c, states))
    found = database.run_sync(lambda c: document_states.get_many(c, ["d0", "d1"]))
    assert found == {"d0": states[0], "d1": states[2]}
    owners = database.run_sync(
        lambda c: {name: document_states.by_owner(c, f"Account:{name}") for name in "abc"}
    )
    assert owners == {"a": ["d0"], "b": ["d1"], "c": ["d1"]}


def test_an_upload_settles_every_open_intent_of_its_document(database: Database, clock: FakeClock) -> None:
    """The landed intent is done, older ones of the same document are recovered, other documents' stay open."""
    older, other = database.run_sync(
        lambda c: intents.open_many(c, clock(), "upload", [("d1", "t1"), ("d2", "t2")])
    )
    clock.advance(1)
    (newer,) = database.run_sync(lambda c: intents.open_many(c, clock(), "upload", [("d1", "t3")]))
    found = database.run_sync(lambda c: intents.unsettled_of_many(c, "upload", ["d1", "d2", "d3"]))
    assert {key: [one.id for one in value] for key, value in found.items()} == {
        "d1": [older, newer],
        "d2": [other],
    }
    assert found["d1"][0].token == "t1"
    database.run_sync(lambda c: intents.settle_subjects(c, clock(), "upload", [("d1", newer, "file_1")]))
    left = database.run_sync(lambda c: intents.unsettled_of_many(c, "upload", ["d1", "d2"]))
    assert list(left) == ["d2"]
    rows = database.run_sync(
        lambda c: c.exec_driver_sql("SELECT id, outcome, remote_id FROM intent WHERE subject = 'd1'").all()
    )
    assert {row.id: (row.outcome, row.remote_id) for row in rows} == {
        older: (intents.RECOVERED, "file_1"),
        newer: (intents.DONE, "file_1"),
    }
