"""Tasks for a person, against the stand-in of EspoCRM."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from operator import methodcaller
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.espocrm_tasks import Task, Tasks
from bitbylaw_pipeline.domain.errors import NotFound, OutcomeUnknown, Permanent
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.sandboxes import espocrm_over

T = TypeVar("T")
TOKEN = "bbl-4f3a9c21"
PARTY = "6b02a0dd8999f3866"


def firm(model: str = "kanzlei", **more: Any) -> EspoSandbox:
    """A stand-in without tasks."""
    sandbox = create_app()
    seeding.seed(sandbox.espo, {"reset": True, "model": model, **more})
    return sandbox


def run(sandbox: EspoSandbox, use: Callable[[Tasks], Awaitable[T]], **given: Any) -> T:
    """What the tasks made of the stand-in."""

    async def main() -> T:
        async with espocrm_over("asgi", sandbox, **given) as espocrm:
            return await use(Tasks(espocrm))

    return asyncio.run(main())


def tasks_in(sandbox: EspoSandbox) -> list[dict[str, Any]]:
    """The tasks as they stand in the stand-in."""
    return list(sandbox.espo.store.tables["Task"].all_live())


def test_a_task_is_made_once() -> None:
    """The second call finds the first one's, also after a person closed it, and writes nothing."""
    sandbox = firm()

    async def use(tasks: Tasks) -> None:
        assert await tasks.find(TOKEN) is None
        about, due = ("CBeteiligte", PARTY), "2026-12-01 08:00:00"
        made = await tasks.create(TOKEN, "Land <ändern>", description="In Advoware", parent=about, due=due)
        assert made.is_open
        assert await tasks.create(TOKEN, "Land ändern") == made == await tasks.find(TOKEN)
        await tasks.espocrm.update("Task", made.id, {"status": "Canceled"})
        assert await tasks.create(TOKEN, "Land ändern") == Task(made.id, "Canceled")

    run(sandbox, use)
    (row,) = tasks_in(sandbox)
    assert row["name"] == f"Land  ändern [{TOKEN}]"
    shown = (row["parentType"], row["parentId"], row["dateEnd"], row["priority"], row["description"])
    assert shown == ("CBeteiligte", PARTY, "2026-12-01 08:00:00", "Normal", "In Advoware")


def test_a_long_title_keeps_its_token() -> None:
    """The name is cut before the token, which would else be lost with the way back to the task."""
    sandbox = firm()
    made = run(sandbox, lambda tasks: tasks.create(TOKEN, "x" * 400))
    assert run(sandbox, lambda tasks: tasks.find(TOKEN)) == made
    assert len(tasks_in(sandbox)[0]["name"]) == 255


def test_a_token_is_found_exactly() -> None:
    """EspoCRM's search takes another case for the same, and a part of a token is another token."""
    sandbox = firm()
    run(sandbox, lambda tasks: tasks.create(TOKEN, "Eins"))
    for other in (TOKEN.upper(), TOKEN[:-1], f"{TOKEN}0"):
        assert run(sandbox, methodcaller("find", other)) is None


def test_a_lost_answer_makes_no_second_task() -> None:
    """The task was made and the answer got lost: unknown; calling again looks first."""
    sandbox = firm()
    sandbox.faults.add(Fault("timeout_after_commit", "/api/v1/Task", method="POST", times=1))

    async def use(tasks: Tasks) -> None:
        with pytest.raises(OutcomeUnknown):
            await tasks.create(TOKEN, "Eins")
        await tasks.create(TOKEN, "Eins")

    run(sandbox, use)
    assert len(tasks_in(sandbox)) == 1


def test_a_task_is_completed_once() -> None:
    """Closed by us or by a person it is not written again; deleted it is not found."""
    sandbox = firm()

    async def use(tasks: Tasks) -> None:
        made = await tasks.create(TOKEN, "Eins")
        assert await tasks.complete(made.id)
        assert not await tasks.complete(made.id)
        found = await tasks.find(TOKEN)
        assert found == Task(made.id, "Completed")
        assert not found.is_open
        await tasks.espocrm.delete("Task", made.id)
        with pytest.raises(NotFound):
            await tasks.complete(made.id)

    run(sandbox, use)


@pytest.mark.parametrize(
    ("model", "acl", "available"),
    [
        ("kanzlei", "all", True),
        ("recorded", "all", False),
        ("kanzlei", {"Task": {"read": "all", "create": "yes", "edit": "own"}}, False),
        ("kanzlei", {"CBeteiligte": {"read": "all"}}, False),
    ],
)
def test_tasks_are_used_where_the_firm_has_them(model: str, acl: Any, available: bool) -> None:
    """The entity must be there, with the right to read, create and edit."""
    user = {"userName": "bote", "apiKey": "bote-key", "acl": acl}
    assert run(firm(model, users=[user]), Tasks.is_available, key="bote-key") is available


@pytest.mark.parametrize("token", ["", "kurz", "50%_von_allen", "x" * 65, "mit leer", "a]b[c-d"])
def test_a_token_that_could_be_a_wildcard_asks_nothing(token: str) -> None:
    """Only letters, digits and hyphens."""
    sandbox = firm()
    with pytest.raises(Permanent) as caught:
        run(sandbox, lambda tasks: tasks.find(token))
    assert caught.value.reason == "bad_name"
    assert sandbox.ledger.total == 0
