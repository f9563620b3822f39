"""Asking a person once, however many notice at the same moment that somebody has to be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.sync.person_tasks import PersonTasks
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import Firm, in_firm


def test_many_followers_at_once_ask_once(tmp_path: Path) -> None:
    """Passes of one batch, and those of others, find the same new hold: one task, and none of them fails."""

    async def story(firm: Firm) -> None:
        record, _ = await linked_person(firm)
        await firm.edit_party(record, adresseCountry="AT")
        await (await firm.parts.pairs.reconciler(Pair.BETEILIGTE)).run()
        assert await firm.tasks() == []
        # EspoCRM takes its time, so that all of them have looked for the task before anybody has made it.
        firm.fail("espocrm", "/api/v1/Task.*", kind="latency", seconds=0.1)
        others = [
            PersonTasks(firm.database, Tasks(firm.runtime.espocrm), firm.parts.tasks.entity_types)
            for _ in range(2)
        ]
        followers = [*[firm.parts.tasks] * 5, *others]
        assert await asyncio.gather(*(one.follow("beteiligte") for one in followers)) == [True] * 7
        (task,) = await firm.tasks()
        assert task["parentId"] == record

    in_firm(tmp_path, story)
