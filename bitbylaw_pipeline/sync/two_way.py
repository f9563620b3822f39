"""Keeps two systems in step, record by record and unit by unit: observe, recover, match, plan, guard, apply.

The specification is `facts/two_way_sync.md` section 1. All knowledge of a system lives in its adapter, all memory in
the store; what is decided is decided by the pure functions of `domain.three_way` and `domain.two_way_*`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError, Unreachable
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
from bitbylaw_pipeline.domain.two_way_match import Matched, decide_records, focused, link_id_of, match_records
from bitbylaw_pipeline.domain.two_way_plan import (
    GONE,
    UNKNOWN,
    Held,
    LinkPlan,
    MergeFields,
    Nothing,
    Presence,
    Remove,
    SideFacts,
    Unknown,
    task,
    with_stamps,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges, LinkChanged, Seen, Snapshot
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_case import run_case
from bitbylaw_pipeline.sync.two_way_pass import Bench, DeleteCount, LinkPass
from bitbylaw_pipeline.sync.two_way_recovery import Recovery, Unsettled
from bitbylaw_pipeline.sync.two_way_report import LinkResult, RunReport
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from bitbylaw_pipeline.sync.two_way_words import plan_in_words

__all__ = ["Reconciler", "run_case"]

log = structlog.get_logger(__name__)

LEASE_SECONDS = 300.0
"""How long a link's open intent is taken for work in progress; longer than all its calls may take."""


def _random_nonce() -> str:
    return uuid.uuid4().hex


@dataclass(slots=True)
class _Run:
    """One run's findings on the way."""

    observed: Mapping[Side, Observation]
    seen: Mapping[Side, Seen]
    snapshot: Snapshot
    report: RunReport
    bench: Bench
    links: list[Link]
    holds: list[Hold]
    dissolved: list[Link]
    """Links that recovery has taken away: their create never landed."""
    spared: set[str]
    """Subjects about which this run could find out nothing."""
    generations: dict[str, int] | None = field(default=None, init=False)
    """The last generation under each link name in use, worked out when first asked for."""
    stamped: list[Link]
    """Links that need nothing but a newer stamp."""


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
        snapshot = await self._store.load()
        observed = await self._observe(snapshot)
        run = self._begin(observed, snapshot, {side: Seen(0, {}) for side in Side})
        for link in snapshot.links:
            if link.intent is not None:
                run.report.lines.append(f"{link.link_id}: an unfinished {link.intent.op} is settled first")
        run.links = [link for link in snapshot.links if link.intent is None]
        plans = await self._planned(run, run.links)
        self._guard(run, plans)
        matched = self._match(run, None)
        self._hold_records(run, matched)
        run.report.lines += plan_in_words(plans, matched)
        run.report.holds = run.holds
        return run.report

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
        await self._recover(run)
        matched = self._match(run, focus)
        adopted = await self._adopt(run, matched)
        plans = await self._planned(run, adopted if focus else [*run.links, *adopted])
        self._guard(run, plans)
        await self._each(run, [partial(self._carry_out, run, one, plan) for one, plan in plans])
        await self._each(
            run, [partial(self._create, run, side, record_id) for side, record_id in matched.new]
        )
        self._hold_records(run, matched)
        self._hold_withheld(run)
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
    ) -> _Run:
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
        return _Run(observed, seen, snapshot, report, bench, [], [], [], set(), [])

    def _unmarked(self, side: Side, observation: Observation) -> Iterable[str]:
        """What must be remembered as seen: only where a lost create can be found by its content alone."""
        able = self._adapters[side].capabilities
        return () if able.client_key or able.marker else observation.items.keys()

    async def _recover(self, run: _Run) -> None:
        recovery = Recovery(self._adapters, self._store, self._policy)
        for link in run.snapshot.links:
            if link.intent is None:
                run.links.append(link)
                continue
            settled, why = None, "in_work"
            if link.lease_until <= run.snapshot.now:
                settled, why = await self._settled(run, recovery, link)
            if settled is not None:
                run.links.append(settled)
            elif why:
                # An unsettled operation is not planned on top of: the user's edit would look like a conflict.
                run.report.unsettled += 1
                run.spared.add(link.link_id)
                if why in ("in_work", "overtaken"):
                    run.report.overtaken.add(link.link_id)
                if why in _TOLD:
                    run.holds.append(Hold(link.link_id, why, link.link_id))
            else:
                run.dissolved.append(link)

    async def _settled(self, run: _Run, recovery: Recovery, link: Link) -> tuple[Link | None, str]:
        try:
            settled = await recovery.settle(link, run.observed, run.seen, run.snapshot.linked)
        except Unsettled as reason:
            return None, reason.why
        except LinkChanged:
            return None, "overtaken"
        except SyncError as error:
            run.report.errors[link.link_id] = error
            return None, "failed"
        run.report.recovered += 1
        return settled, ""

    def _match(self, run: _Run, focus: tuple[Side, str] | None) -> Matched:
        """The records without a link, sorted; with a focus, that one alone."""
        free, linked, looks = {}, {}, {}
        for side in Side:
            freed = {link.id(side) for link in run.dissolved}
            found = {own for link in run.links if (own := link.id(side)) is not None}
            linked[side] = frozenset((run.snapshot.linked[side] - freed) | found)
            free[side] = {
                record_id: record
                for record_id, record in run.observed[side].items.items()
                if record.is_in_scope and record_id not in linked[side]
            }
            if self._policy.holds_look_alikes:
                items = run.observed[side].items
                looks[side] = {one: items[one] for one in linked[side] & items.keys()}
        matched = match_records(
            free,
            self._policy,
            is_linked=linked,
            has_links=bool(run.snapshot.linked[Side.LEFT] or run.snapshot.linked[Side.RIGHT]),
            is_complete={side: run.observed[side].complete for side in Side},
            linked_records=looks,
        )
        self._hold_crowded(run, matched)
        decide_records(matched, free, run.snapshot.decisions)
        return matched if focus is None else focused(matched, focus)

    def _hold_crowded(self, run: _Run, matched: Matched) -> None:
        """Where a record may be made only for a parent that has none yet: the others wait for a person."""
        if not self._policy.create_alone:
            return
        crowded = {
            side: {record.parent for record in run.observed[side].items.values()} - {None} for side in Side
        }
        new, matched.new = matched.new, []
        for side, record_id in new:
            if run.observed[side].items[record_id].parent in crowded[side.other]:
                matched.held.append((side, record_id, "approval:create"))
            else:
                matched.new.append((side, record_id))

    async def _adopt(self, run: _Run, matched: Matched) -> list[Link]:
        """Links what belongs together; nothing is agreed yet, so the merge decides by the bootstrap policy."""
        adopted: list[Link] = []
        for chunk in _chunks(
            [
                self._named(run, Link(one.link_id, one.left_id, one.right_id, gen=one.gen))
                for one in matched.pairs
            ]
        ):
            try:
                adopted += await self._store.commit(Changes(links=tuple(chunk)))
            except LinkChanged:
                for link in chunk:
                    with contextlib.suppress(LinkChanged):
                        adopted += await self._store.commit(Changes(links=(link,)))
        for link in adopted:
            run.report.result(link).is_new = True
        return adopted

    async def _planned(self, run: _Run, links: Sequence[Link]) -> list[tuple[LinkPass, LinkPlan]]:
        empty = self._emptied(run)
        plans: list[tuple[LinkPass, LinkPlan]] = []
        for link in links:
            if link.state is LinkState.QUARANTINED:
                run.report.quarantined += 1
                run.spared.add(link.link_id)
                continue
            presence = {side: await self._presence(run, link, side, empty) for side in Side}
            if isinstance(presence[Side.LEFT], Unknown) or isinstance(presence[Side.RIGHT], Unknown):
                run.spared.add(link.link_id)
            one = LinkPass(run.bench, link, presence, LinkResult(link))
            plans.append((one, one.plan()))
        return plans

    def _emptied(self, run: _Run) -> frozenset[Side]:
        """Sides that show nothing although there are links: whatever the reason, nothing is deleted for it."""
        return frozenset(
            side
            for side in Side
            if run.observed[side].complete
            and not run.observed[side].items
            and not run.observed[side].withheld
            and run.snapshot.active_links >= 2  # one link may well have been the last
        )

    async def _presence(self, run: _Run, link: Link, side: Side, empty: frozenset[Side]) -> Presence:
        record_id, seen = link.id(side), run.observed[side]
        if record_id is None or link.is_unlinked:
            return UNKNOWN
        listed = seen.items.get(record_id)
        if link.state is LinkState.TOMBSTONE:
            is_back = any(
                link.id(one) in run.observed[one].items
                and run.observed[one].items[str(link.id(one))].is_in_scope
                for one in Side
            )
            # A stale listing shows what is long gone: what is back must be seen itself.
            return await self._confirmed(run, link, side, record_id) if is_back else GONE
        if listed is not None:
            return listed if listed.is_in_scope else UNKNOWN
        if record_id in seen.withheld:
            return UNKNOWN
        if not (record_id in seen.gone or (seen.complete and seen.covers(record_id))):
            return UNKNOWN
        if side in empty:
            run.holds.append(Hold(link.link_id, "side_empty", link.link_id))
            return UNKNOWN
        # Listings lie: a partial one has cost others half of their data. The confirming read is never skipped.
        return await self._confirmed(run, link, side, record_id)

    async def _confirmed(self, run: _Run, link: Link, side: Side, record_id: str) -> Presence:
        if run.observed[side].is_pointwise and record_id in run.observed[side].gone:
            return GONE
        try:
            record = await self._adapters[side].get(record_id)
        except SyncError as error:
            run.report.errors[link.link_id] = error
            return UNKNOWN
        if record is None:
            return GONE
        return record if record.is_in_scope else UNKNOWN

    def _guard(self, run: _Run, plans: list[tuple[LinkPass, LinkPlan]]) -> None:
        """Too many deletes on one side: all of that side's are withheld, all else goes on."""
        for side in Side:
            doomed = [
                n for n, (_, plan) in enumerate(plans) if isinstance(plan, Remove) and plan.side is side
            ]
            run.bench.deletes.planned[side] = len(doomed)
            if run.bench.deletes.withholds(side):
                for n in doomed:
                    plans[n] = (plans[n][0], Held("delete_guard"))
        guard = self._policy.update_guard
        if guard is None:
            return
        for side in Side:
            changed = [
                n for n, (_, plan) in enumerate(plans) if isinstance(plan, MergeFields) and plan.patch(side)
            ]
            old = [n for n in changed if plans[n][0].link.has_base]
            ceiling = run.snapshot.approved_updates.get(side, 0)
            if len(old) > ceiling and guard.withholds(len(old), run.snapshot.active_links):
                # As after a restore from a backup: nobody edits a third of all records by hand within minutes.
                for n in old:
                    plans[n] = (plans[n][0], Held("update_guard"))

    async def _each(self, run: _Run, steps: Sequence[Callable[[], Awaitable[None]]]) -> None:
        waiting = iter(steps)

        async def work() -> None:
            for step in waiting:
                if run.report.stopped_by is None:
                    await step()

        if self._concurrency == 1:
            await work()
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work())

    async def _carry_out(self, run: _Run, one: LinkPass, plan: LinkPlan) -> None:
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

    def _note_stamps(self, run: _Run, one: LinkPass) -> None:
        left, right = one.presence[Side.LEFT], one.presence[Side.RIGHT]
        if isinstance(left, Record) and isinstance(right, Record):
            stamped = with_stamps(one.link, left, right, self._policy)
            if stamped != one.link and not one.link.refusals:
                run.stamped.append(stamped)

    def _named(self, run: _Run, link: Link) -> Link:
        """The link under a name that is free.

        A record that had been replaced and came out of the bin is new: the link that has its name, and the create
        keys up to its generation, belong to the one that took its place.
        """
        if run.generations is None:
            run.generations = {}
            dissolved = {one.link_id for one in run.dissolved}
            for one in run.snapshot.links:
                if one.link_id not in dissolved:
                    name = one.link_id.partition("#")[0]
                    run.generations[name] = max(one.gen, run.generations.get(name, 0))
        if link.link_id not in run.generations:
            return link
        gen = run.generations[link.link_id] = max(run.generations[link.link_id] + 1, link.gen)
        return replace(link, link_id=f"{link.link_id}#{gen}", gen=gen)

    async def _create(self, run: _Run, side: Side, record_id: str) -> None:
        record, target = run.observed[side].items[record_id], side.other
        subject = link_id_of(side, record_id)
        if target not in self._policy.creates:
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
        link = self._named(run, Link(subject, left_id, right_id, state=LinkState.PENDING))
        one = LinkPass(run.bench, link, {side: record, target: GONE}, LinkResult(link, is_new=True))
        try:
            if await one.create(target, record, link.gen):
                await one.run(one.plan())
        except LinkChanged:
            run.spared.add(subject)
            run.report.overtaken.add(subject)
        self._take(run, one)

    def _take(self, run: _Run, one: LinkPass) -> None:
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
        if isinstance(error, (AuthFailed, Unreachable)):
            # Every further call would meet the same, and a refused key must not be hammered.
            run.report.stopped_by = error

    def _hold_withheld(self, run: _Run) -> None:
        """What is withheld keeps the holds it has; a reason that only a person can end becomes one."""
        by_id = {
            (side, own): link.link_id
            for link in run.snapshot.links
            for side in Side
            if (own := link.id(side)) is not None
        }
        for side in Side:
            for record_id, why in run.observed[side].withheld.items():
                subject = by_id.get((side, record_id), link_id_of(side, record_id))
                run.spared.add(subject)
                if why in self._policy.told:
                    run.holds.append(Hold(subject, why, side=side, record_id=record_id))

    def _hold_records(self, run: _Run, matched: Matched) -> None:
        run.holds += [
            Hold(link_id_of(side, record_id), why, side=side, record_id=record_id)
            for side, record_id, why in matched.held
        ]

    async def _finish(
        self, run: _Run, covers: frozenset[str] | None, plans: Sequence[tuple[LinkPass, LinkPlan]]
    ) -> None:
        report = run.report
        report.holds = run.holds
        if report.stopped_by is not None:
            run.spared |= {one.link.link_id for one, _ in plans}
        spared = frozenset(run.spared) - {hold.subject for hold in run.holds}
        if not all(run.observed[side].complete for side in Side) and covers is None:
            # A record that did not show up may still wait for the same answer.
            covers = frozenset([*(one.link.link_id for one, _ in plans), *report.results])
        for chunk in _chunks(run.stamped):
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
        if record_id is not None and stamp is not None and link.intent is None:
            found[record_id] = Settled(stamp, link.base(side))
    return found


_TOLD = ("create_unsettled", "ambiguous_create")
CHUNK = 500


def _chunks(links: Sequence[Link]) -> Iterator[Sequence[Link]]:
    for start in range(0, len(links), CHUNK):
        yield links[start : start + CHUNK]
