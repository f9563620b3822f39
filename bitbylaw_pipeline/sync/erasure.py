"""Erasing a document, a matter or a party: first the plan, then from the outside in, and our own state last.

No step is kept in memory: as long as our state is there, a run that was broken off begins anew with what is left. What
was erased elsewhere is asked for again before our state goes, and that goes in one transaction with the proof.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.spool import sweep
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.erasure import Kind
from bitbylaw_pipeline.domain.errors import NotFound, Transient
from bitbylaw_pipeline.inbox import egress, erasures, traces, work_queue
from bitbylaw_pipeline.inbox.compaction import compact
from bitbylaw_pipeline.inbox.erasures import Proof
from bitbylaw_pipeline.sync.erasure_documents import (
    carries_ours,
    empty_owner,
    empty_record,
    load_owner,
    load_record,
    plan_document,
)
from bitbylaw_pipeline.sync.erasure_echo import Echoes, echoes_of, leave_echoes
from bitbylaw_pipeline.sync.erasure_hold import Hold, feeds_held, held
from bitbylaw_pipeline.sync.erasure_matters import plan_matter
from bitbylaw_pipeline.sync.erasure_parties import plan_party
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan, ErasureRefused, NotErased
from bitbylaw_pipeline.sync.erasure_termine import delete_event, is_there, plan_termine
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.erasure_xai import look_at_xai, still_there

log = structlog.get_logger(__name__)

SPOOL_SECONDS = 3600.0
"""No file is on its way for so long."""

_NUMBER = re.compile(r"[:/ ]\d+$")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be erased. `termine` are numbers of Termine that were deleted in Advoware, `betnrs` the party's there."""

    kind: Kind
    subject: str
    termine: frozenset[int] = frozenset()
    betnrs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of it: no proof where there was nothing (left) to erase."""

    proof: Proof | None
    remaining: tuple[str, ...] = ()
    is_compact: bool = True
    """False where a reader kept SQLite's log from being emptied: it goes with the next erasure."""


async def plan_erasure(tools: ErasureTools, asked: Asked) -> ErasurePlan:
    """Everything that would be done; nothing is changed. Raises the errors of `domain.errors`.

    Among what remains it names what cannot be looked for: a proof says that by itself.
    """
    plan = await _plan(tools, asked)
    remaining = (*plan.remaining, *plan.unsearched)
    return replace(plan, remaining=remaining, history=await tools.history.count(plan.mention))


async def _plan(tools: ErasureTools, asked: Asked) -> ErasurePlan:
    plan = await _look(tools, asked)
    return replace(plan, rows=await tools.read(lambda conn: _rows(conn, tools, plan)))


async def _look(tools: ErasureTools, asked: Asked) -> ErasurePlan:
    look = await look_at_xai(tools.xai)
    if asked.kind is Kind.DOCUMENT:
        return await plan_document(tools, asked.subject, look)
    if asked.kind is Kind.MATTER:
        plan = await plan_matter(tools, OwnerKey.parse(asked.subject), look)
    else:
        plan = await plan_party(tools, asked.subject, asked.betnrs)
        entity_type = tools.settings.beteiligte_fields.entity_type
        if tools.settings.owner_type(entity_type) is not None:
            plan |= await plan_matter(tools, OwnerKey(entity_type, asked.subject), look)
    return plan | await plan_termine(tools, plan.traces.akten, asked.termine)


async def erase(tools: ErasureTools, asked: Asked, on_step: Callable[[str], None] = lambda _: None) -> Erased:
    """Erases it; `on_step` hears of each step before it is taken.

    Raises ErasureRefused for what would come back, NotErased where something is still there afterwards (our own state
    is then as it was), Transient where others are at work on it, and the errors of `domain.errors`.
    """
    plan = await _plan(tools, asked)
    _refuse(plan)
    plan = replace(plan, history=await tools.history.count(plan.mention))
    if not plan.counts():
        return Erased(None, plan.remaining, await asyncio.to_thread(compact, tools.database))
    async with held(tools, plan.traces.work, plan.leases) as hold:
        held_rows = plan.traces.work
        # Counting Dagster's history starts a process: what it had a moment ago will do for the proof.
        plan = replace(await _plan(tools, asked), history=plan.history)
        _refuse(plan)
        if not plan.traces.work <= held_rows:
            raise Transient("More belongs to it than a moment ago: run it again.")
        work = _Work(tools, plan, hold, on_step)
        await work.erase_outside()
        proof = await work.forget()
    if plan.neighbours:
        await tools.coordination.wake("documents")
    on_step("compact")
    is_compact = await asyncio.to_thread(compact, tools.database)
    log.info("erased", kind=plan.kind.value, proof=proof.id, remaining=len(plan.remaining))
    return Erased(proof, plan.remaining, is_compact)


def _refuse(plan: ErasurePlan) -> None:
    if plan.refusals:
        raise ErasureRefused("\n".join(dict.fromkeys(plan.refusals)))


def _rows(conn: Connection, tools: ErasureTools, plan: ErasurePlan) -> dict[str, int]:
    rows = traces.count(conn, plan.traces)
    cipher = tools.database.cipher
    readable = sum(len(egress.rows_of(conn, cipher, owner)) for owner in plan.traces.owners)
    readable += sum(len(egress.rows_of_document(conn, cipher, one)) for one in plan.traces.documents)
    return {**rows, "egress_readable": readable} if readable else rows


@dataclass(slots=True)
class _Work:
    tools: ErasureTools
    plan: ErasurePlan
    hold: Hold
    on_step: Callable[[str], None]

    def _step(self, name: str) -> None:
        self.hold.check()
        self.on_step(name)

    async def erase_outside(self) -> None:
        """xAI, EspoCRM, Google, Dagster, in this order; then asks each again. Raises NotErased."""
        await self._erase_at_xai()
        await self._empty_espocrm()
        for event in sorted(self.plan.events):
            self._step("google")
            if self.tools.termine is not None:
                await delete_event(self.tools.termine, event)
        # A process that was killed leaves the file that it had fetched, under a name that does not tell whose it is.
        sweep(self.tools.spool_dir, older_than=self.tools.clock() - SPOOL_SECONDS)
        self._step("dagster")
        in_history = await self.tools.history.erase(self.plan.mention)
        self._step("verify")
        left = await self._left() | ({"Dagster's history": in_history} if in_history else {})
        if left:
            said = ", ".join(f"{number} in {place}" for place, number in left.items())
            raise NotErased(f"Still there: {said}. Nothing was deleted from our own state; run it again.")

    async def _erase_at_xai(self) -> None:
        plan, xai = self.plan, self.tools.xai
        for file_id, places in (*plan.files.items(), *plan.detached.items()):
            for place in sorted(places):
                self._step("detach")
                await xai.detach(place, file_id)
        for file_id in plan.files:
            self._step("file")
            await xai.delete_file(file_id)
        for collection_id in sorted(plan.collections):
            self._step("collection")
            await xai.delete_collection(collection_id)

    async def _empty_espocrm(self) -> None:
        # Before our state goes: it says what we wrote, and a run that is broken off here is repeated.
        for record in self.plan.records:
            self._step("record")
            await empty_record(self.tools, record)
        for owner in self.plan.owners:
            self._step("owner")
            await empty_owner(self.tools, owner)
        for task in sorted(self.plan.tasks):
            self._step("task")
            try:
                await self.tools.tasks.complete(task)
            except NotFound:
                log.info("person_task_was_deleted", task=task)

    async def _left(self) -> dict[str, int]:
        plan, tools = self.plan, self.tools
        left = await still_there(
            tools.xai, plan.files, plan.detached, sorted(plan.documents), sorted(plan.collections)
        )
        found = [await load_record(tools, record.id) for record in plan.records]
        left["EspoCRM's documents"] = sum(record is not None and carries_ours(record) for record in found)
        owners = [(owner, await load_owner(tools, owner.key)) for owner in plan.owners]
        left["EspoCRM's owners"] = sum(
            now is not None and now.collection_id == owner.collection_id for owner, now in owners
        )
        if tools.termine is not None:
            shown = [await is_there(tools.termine, event) for event in sorted(plan.events)]
            left["Google's calendars"] = sum(shown)
        return {place: number for place, number in left.items() if number}

    async def forget(self) -> Proof:
        """Our own state, with the proof, in one transaction. Raises NotErased, with nothing deleted."""
        echoes = await echoes_of(self.tools, self.plan)
        async with feeds_held(self.tools, echoes):
            self._step("state")
            return await self.tools.database.run(partial(self._forget, echoes=echoes))

    def _forget(self, conn: Connection, echoes: Echoes) -> Proof:
        plan, database = self.plan, self.tools.database
        deleted = traces.forget(conn, plan.traces)
        keys = sum(egress.destroy_key(conn, owner) for owner in sorted(plan.traces.owners))
        keys += sum(egress.destroy_document_key(conn, one) for one in sorted(plan.traces.documents))
        left = {**traces.count(conn, plan.traces), **traces.find(conn, _unmistakable(plan.traces.mentions))}
        if left:
            said = ", ".join(f"{number} in {table}" for table, number in sorted(left.items()))
            raise NotErased(f"Still there in our own state: {said}. Nothing was deleted from it.")
        now = database.now(conn)
        # After the search: these marks name what EspoCRM still has, until the feed has passed them.
        leave_echoes(conn, self.tools, echoes, now)
        if plan.neighbours:
            work_queue.want(conn, now, "documents", plan.neighbours)
        return erasures.add(
            conn, now, database.cipher, plan.kind.value, plan.subject, self._proof(conn, deleted, keys)
        )

    def _proof(self, conn: Connection, deleted: dict[str, int], keys: int) -> dict[str, Any]:
        seq, row_hash = egress.head(conn)
        outside = {
            place: number for place, number in self.plan.counts().items() if not place.startswith("state_")
        }
        return {
            "counts": {
                **outside,
                **{f"state_{table}": rows for table, rows in deleted.items()},
                "register_keys_destroyed": keys,
            },
            "checks": {
                "xai": "nothing found",
                "espocrm": "fields empty or record gone",
                "google": self._google(),
                "dagster": "nothing found",
                "state": "nothing found",
                "register_chain": "whole"
                if (broken := egress.verify(conn)) is None
                else f"broken at {broken}",
            },
            "register": {"seq": seq, "hash": row_hash},
            "remaining": len(self.plan.remaining),
            "program": self.tools.version,
        }

    def _google(self) -> str:
        if self.tools.termine is None:
            return "not configured"
        if self.plan.kind is Kind.DOCUMENT:
            return "not looked at: a document has no events"
        if self.plan.unsearched:
            return "no Akte known: looked only for Termine named by --termin, nothing found"
        return "nothing found"


def _unmistakable(mentions: frozenset[str]) -> list[str]:
    # A party's number may be an Akte's as well; its rows are counted by what they are about.
    return [mention for mention in sorted(mentions) if not _NUMBER.search(mention)]
