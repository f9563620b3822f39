"""Keeps two systems in step, record by record and unit by unit: observe, recover, match, plan, guard, apply.

The specification is `facts/two_way_sync.md` section 1. All knowledge of a system lives in its adapter, all memory in
the store; what is decided is decided by the pure functions of `domain.three_way` and `domain.two_way_*`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import (
    LEFT_FOR_LATER,
    Hold,
    Link,
    LinkState,
    Observation,
    Policy,
    Record,
    Settled,
)
from bitbylaw_pipeline.domain.two_way_match import link_id_of
from bitbylaw_pipeline.domain.two_way_plan import (
    GONE,
    LinkPlan,
    MergeFields,
    Nothing,
    SideFacts,
    task,
    with_stamps,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges, LinkChanged, Seen, Snapshot
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_matching import adopt, hold_records, hold_withheld, match, named
from bitbylaw_pipeline.sync.two_way_pass import Bench, DeleteCount, LinkPass
from bitbylaw_pipeline.sync.two_way_planning import guard, planned
from bitbylaw_pipeline.sync.two_way_report import LinkResult, RunReport
from bitbylaw_pipeline.sync.two_way_run import STOPPING, Run, Trial, chunks
from bitbylaw_pipeline.sync.two_way_settling import recover
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from bitbylaw_pipeline.sync.two_way_words import plan_in_words

log = structlog.get_logger(__name__)

LEASE_SECONDS = 300.0
"""How long a link's open intent is taken for work in progress; longer than all its calls may take."""


def _random_nonce() -> str:
    return uuid.uuid4().hex


class Reconciler:
    """One pair of systems. `concurrency` is how many links are at work at once."""

    def __init__(
        self,
        policy: Policy,
        adapters: Mapping[Side, Adapter],
        store: LinkStore,
        *,
        new_nonce: Callable[[], str] = _random_nonce,
        concurrency: int = 1,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._policy = policy
        self._adapters = adapters
        self._store = store
        self._new_nonce = new_nonce
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._facts = {side: SideFacts(adapters[side].capabilities, adapters[side].put) for side in Side}

    async def run(self) -> RunReport:
        """Observes both sides wholly and puts everything right. Raises the errors of a listing that failed."""
        snapshot = await self._store.load()
        return await self._run(await self._observe(snapshot), snapshot, covers=None)

    async def run_one(self, side: Side, record_id: str) -> RunReport:
        """The same for one record, which may have changed; looks at it and its counterpart alone.

        A record that has no link is looked for on the other side, which takes a look at everything.
        """
        given = {Side.LEFT: None, Side.RIGHT: None, side: [record_id]}
        snapshot = await self._store.load(left_ids=given[Side.LEFT], right_ids=given[Side.RIGHT])
        subject = link_id_of(side, record_id)
        if not snapshot.links:
            whole = await self._store.load()
            observed = await self._observe(whole)
            return await self._run(observed, whole, covers=frozenset({subject}), focus=(side, record_id))
        observed = {one: await self._look_at(one, snapshot.links) for one in Side}
        covers = frozenset({subject, *(link.link_id for link in snapshot.links)})
        return await self._run(observed, snapshot, covers=covers)

    async def plan(self) -> RunReport:
        """What a run would do now, as lines with ids and field names; writes nothing, not even our own state."""
        trial = await self.trial()
        trial.run.report.lines += plan_in_words(trial.plans, trial.matched)
        return trial.run.report

    async def trial(self) -> Trial:
        """Both sides as they are now, and what a run would do about them; writes nothing, not even our own state."""
        snapshot = await self._store.load()
        observed = await self._observe(snapshot)
        run = self._begin(observed, snapshot, {side: Seen(0, {}) for side in Side})
        for link in snapshot.links:
            if link.intent is not None:
                run.report.lines.append(f"{link.link_id}: an unfinished {link.intent.op} is settled first")
        run.links = [link for link in snapshot.links if link.intent is None]
        plans = await planned(run, run.links)
        guard(run, plans)
        matched = await match(run, None, self._each)
        hold_records(run, matched)
        run.report.holds = run.holds
        return Trial(run, plans, matched)

    # -- the steps

    async def _run(
        self,
        observed: Mapping[Side, Observation],
        snapshot: Snapshot,
        *,
        covers: frozenset[str] | None,
        focus: tuple[Side, str] | None = None,
    ) -> RunReport:
        seen = {
            side: await self._store.note_seen(side, self._unmarked(side, observed[side])) for side in Side
        }
        run = self._begin(observed, snapshot, seen)
        await recover(run)
        matched = await match(run, focus, self._each)
        adopted = await adopt(run, matched)
        plans = await planned(run, adopted if focus else [*run.links, *adopted])
        guard(run, plans)
        await self._each(run, [partial(self._carry_out, run, one, plan) for one, plan in plans])
        await self._each(
            run, [partial(self._create, run, side, record_id) for side, record_id in matched.new]
        )
        hold_records(run, matched)
        hold_withheld(run)
        await self._finish(run, covers, plans)
        return run.report

    async def _observe(self, snapshot: Snapshot) -> dict[Side, Observation]:
        return {side: await self._adapters[side].observe(_settled(snapshot, side)) for side in Side}

    async def _look_at(self, side: Side, links: Sequence[Link]) -> Observation:
        """A look at these links' records alone: what is not there is gone, all else is not covered."""
        items: dict[str, Record] = {}
        gone = set()
        for record_id in sorted({own for link in links if (own := link.id(side)) is not None}):
            record = await self._adapters[side].get(record_id)
            if record is None:
                gone.add(record_id)
            else:
                items[record_id] = record
        return Observation(items, frozenset(gone), complete=False, covers=lambda _: False, is_pointwise=True)

    def _begin(
        self, observed: Mapping[Side, Observation], snapshot: Snapshot, seen: Mapping[Side, Seen]
    ) -> Run:
        bench = Bench(
            adapters=self._adapters,
            facts=self._facts,
            policy=self._policy,
            store=self._store,
            new_nonce=self._new_nonce,
            seen=seen,
            decisions=snapshot.decisions,
            now=snapshot.now,
            lease_seconds=self._lease_seconds,
            deletes=DeleteCount(
                self._policy.guard,
                snapshot.active_links,
                {
                    side: max(
                        snapshot.approved_deletes.get(side, 0), self._policy.approved_deletes.get(side, 0)
                    )
                    for side in Side
                },
            ),
        )
        report = RunReport(
            links=len(snapshot.links),
            withheld=sum(
                1 for side in Side for why in observed[side].withheld.values() if why != LEFT_FOR_LATER
            ),
        )
        return Run(observed, seen, snapshot, report, bench)

    def _unmarked(self, side: Side, observation: Observation) -> Iterable[str]:
        """What must be remembered as seen: only where a lost create can be found by its content alone."""
        able = self._adapters[side].capabilities
        return () if able.client_key or able.marker else observation.items.keys()

    async def _each(self, run: Run, steps: Sequence[Callable[[], Awaitable[None]]]) -> None:
        waiting = iter(steps)

        async def work() -> None:
            for step in waiting:
                if run.report.stopped_by is None:
                    await step()

        if self._concurrency == 1:
            await work()
            return
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(work())
        except ExceptionGroup as failures:
            # By itself: a database that is away came out as a group, which nobody knows, and was taken for a fault here.
            raise failures.exceptions[0] from None

    async def _carry_out(self, run: Run, one: LinkPass, plan: LinkPlan) -> None:
        known = run.report.results.get(one.link.link_id)
        if isinstance(plan, MergeFields) and not (known is not None and known.is_new):
            await one.note_partner()
        if isinstance(plan, MergeFields) and plan.is_quiet:
            self._note_stamps(run, one)
        if isinstance(plan, Nothing) or (
            isinstance(plan, MergeFields) and plan.is_quiet and not one.link.refusals
        ):
            return
        try:
            await one.run(plan)
            if one.result.is_agreed and run.report.result(one.link).is_new:
                await one.linked()
        except LinkChanged:
            run.spared.add(one.link.link_id)
            run.report.overtaken.add(one.link.link_id)
        self._take(run, one)

    def _note_stamps(self, run: Run, one: LinkPass) -> None:
        left, right = one.presence[Side.LEFT], one.presence[Side.RIGHT]
        if isinstance(left, Record) and isinstance(right, Record):
            stamped = with_stamps(one.link, left, right, one.policy)
            if stamped != one.link and not one.link.refusals:
                run.stamped.append(stamped)

    async def _create(self, run: Run, side: Side, record_id: str) -> None:
        record, target = run.observed[side].items[record_id], side.other
        subject = link_id_of(side, record_id)
        if target not in self._policy.of(record.fields).creates:
            return
        if not self._adapters[target].capabilities.create:
            run.holds.append(Hold(subject, task(target, "create", []), side=side, record_id=record_id))
            return
        if not run.observed[side].is_pointwise:
            # A stale listing shows what is gone by now, also what was made anew under another id since.
            try:
                seen = await self._adapters[side].get(record_id)
            except SyncError as error:
                run.report.errors[subject] = error
                run.spared.add(subject)
                return
            if seen is None or not seen.is_in_scope:
                return
            record = seen
        left_id, right_id = (record_id, None) if side is Side.LEFT else (None, record_id)
        link = named(run, Link(subject, left_id, right_id, state=LinkState.PENDING))
        one = LinkPass(run.bench, link, {side: record, target: GONE}, LinkResult(link, is_new=True))
        try:
            if await one.create(target, record, link.gen):
                await one.run(one.plan())
        except LinkChanged:
            run.spared.add(subject)
            run.report.overtaken.add(subject)
        self._take(run, one)

    def _take(self, run: Run, one: LinkPass) -> None:
        known = run.report.results.get(one.link.link_id)
        one.result.is_new |= known is not None and known.is_new
        one.result.link = one.link
        run.report.results[one.link.link_id] = one.result
        run.holds += one.holds
        error = one.result.error
        if error is None:
            return
        run.report.errors[one.link.link_id] = error
        run.spared.add(one.link.link_id)
        if isinstance(error, STOPPING):
            run.report.stopped_by = error

    async def _finish(
        self, run: Run, covers: frozenset[str] | None, plans: Sequence[tuple[LinkPass, LinkPlan]]
    ) -> None:
        report = run.report
        report.holds = run.holds
        if report.stopped_by is not None:
            run.spared |= {one.link.link_id for one, _ in plans}
        spared = frozenset(run.spared) - {hold.subject for hold in run.holds}
        if not all(run.observed[side].complete for side in Side) and covers is None:
            # A record that did not show up may still wait for the same answer.
            covers = frozenset([*(one.link.link_id for one, _ in plans), *report.results])
        for chunk in chunks(run.stamped):
            # For speed alone: what somebody else has changed meanwhile is stamped another time.
            with contextlib.suppress(LinkChanged):
                await self._store.commit(Changes(links=tuple(chunk)))
        await self._store.replace_holds(HoldChanges(run.holds, covers, spared))
        done = {(made.op, made.side) for result in report.results.values() for made in result.made}
        snapshot = run.snapshot
        for op, ceilings in (("delete", snapshot.approved_deletes), ("update", snapshot.approved_updates)):
            used = [side for side in ceilings if (op, side) in done]
            if used:
                await self._store.use_approvals(used, op)
        log.info("reconciled", **report.counts())


def _settled(snapshot: Snapshot, side: Side) -> dict[str, Settled]:
    found = {}
    for link in snapshot.links:
        record_id, stamp = link.id(side), link.ver_left if side is Side.LEFT else link.ver_right
        if record_id is not None:
            found[record_id] = Settled(stamp if link.intent is None else None, link.base(side))
    return found
