"""What a system cannot take becomes a task for a person in EspoCRM, once, and ends when the sides agree."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import structlog

from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.domain.errors import NotFound, SyncError
from bitbylaw_pipeline.inbox import intents, person_tasks
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.pair_lease import pair_lease

log = structlog.get_logger(__name__)

TITLE = "Von Hand in {system} nachtragen"
TRIES, TRY_EVERY_SECONDS = 50, 0.2
_SYSTEMS = {"left": "EspoCRM", "right": "Advoware"}
_DESCRIPTION = (
    "Diese Änderung kann nicht automatisch übertragen werden: {what}. "
    "Sobald beide Seiten übereinstimmen, wird die Aufgabe von selbst erledigt."
)


@dataclass(slots=True)
class PersonTasks:
    """Tasks for the holds of a pair. `entity_types`: pair -> the entity type of its records in EspoCRM."""

    database: Database
    tasks: Tasks
    entity_types: dict[str, str]
    is_wanted: bool = True
    _is_available: bool | None = None

    async def follow(self, pair: str) -> bool:
        """Asks for what is newly held and closes what no longer is; False where the firm has no tasks.

        A failure is only logged: the hold stands, and the next pass tries again.
        """
        try:
            if not await self._available():
                return False
            await self._follow(pair)
        except SyncError as error:
            log.warning("person_tasks_failed", pair=pair, error=type(error).__name__, says=str(error))
        return True

    async def _available(self) -> bool:
        if self._is_available is None:
            self._is_available = self.is_wanted and await self.tasks.is_available()
        return self._is_available

    async def _follow(self, pair: str) -> None:
        """One at a time per pair, whoever calls: two that found the same hold at once have both asked for it."""
        for _ in range(TRIES):
            wanted, asked = await self._look(pair)
            if wanted.keys() == asked.keys() or await self._follow_if_free(pair):
                return
            await asyncio.sleep(TRY_EVERY_SECONDS)
        log.info("person_tasks_left_to_the_next_pass", pair=pair)

    async def _follow_if_free(self, pair: str) -> bool:
        async with pair_lease(self.database, f"tasks:{pair}") as is_ours:
            if is_ours:
                await self._follow_alone(pair)
        return is_ours

    async def _follow_alone(self, pair: str) -> None:
        wanted, asked = await self._look(pair)
        for name in sorted(wanted.keys() - asked.keys()):
            await self._ask(pair, name, *wanted[name])
        closed: list[str] = []
        for name in asked.keys() - wanted.keys():
            intent_id, task_id = asked[name]
            try:
                await self.tasks.complete(task_id)
            except NotFound:
                log.info("person_task_was_deleted", pair=pair, task=task_id)
            closed.append(intent_id)
        if closed:
            await self.database.run(lambda c: person_tasks.finish(c, self.database.now(c), closed))

    async def _look(self, pair: str) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
        """What is to be asked for, and what is out: by the journal's subject."""
        found, asked = await self.database.run(
            lambda c: (person_tasks.wanted(c, pair), person_tasks.asked(c, pair))
        )
        return {f"{pair}|{subject}|{why}": (subject, why) for subject, why in found}, asked

    async def _ask(self, pair: str, name: str, subject: str, why: str) -> None:
        database = self.database
        open_before = await database.run(lambda c: intents.unsettled(c, person_tasks.KIND, name))
        if open_before:
            intent_id, token = open_before[0].id, open_before[0].token
        else:
            # A task that came back after it had been done is a new one.
            number = await database.run(lambda c: person_tasks.times_asked(c, name))
            token = hashlib.sha256(f"{name}|{number}".encode()).hexdigest()[:16]
            intent_id = await database.run(
                lambda c: intents.open_intent(
                    c, database.now(c), kind=person_tasks.KIND, subject=name, token=token
                )
            )
        _, side, operation, *fields = f"{why}:".split(":")
        what = f"{operation} {', '.join(fields).strip(', ')}".strip()
        record = await database.run(lambda c: person_tasks.left_id(c, pair, subject))
        task = await self.tasks.create(
            token,
            TITLE.format(system=_SYSTEMS.get(side, side)),
            description=_DESCRIPTION.format(what=what),
            parent=(self.entity_types[pair], record) if record else None,
        )
        await database.run(
            lambda c: intents.settle(c, database.now(c), intent_id, person_tasks.ASKED, task.id)
        )
        log.info("person_asked", pair=pair, subject=subject, why=why, task=task.id)
