"""One link from its plan to its last commit: intent, writes, bases (`facts/two_way_sync.md` 1.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from bitbylaw_pipeline.domain.errors import AuthFailed, Conflict, NotFound, Permanent, RateLimited, SyncError
from bitbylaw_pipeline.domain.three_way import Fields, Side, UnitPlan, What
from bitbylaw_pipeline.domain.two_way_link import (
    Advance,
    Guard,
    Hold,
    Intent,
    Link,
    LinkState,
    LogEntry,
    PastWrite,
    Policy,
    Record,
    Write,
)
from bitbylaw_pipeline.domain.two_way_link import Conflict as ConflictRow
from bitbylaw_pipeline.domain.two_way_match import create_key
from bitbylaw_pipeline.domain.two_way_plan import (
    GONE,
    UNKNOWN,
    Bury,
    Held,
    LinkPlan,
    MergeFields,
    Nothing,
    Presence,
    Recreate,
    Remove,
    Revive,
    SideFacts,
    Unlink,
    payload,
    plan_link,
    task,
    with_stamps,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, Decision, LinkChanged, Seen
from bitbylaw_pipeline.sync.two_way_adapter import Adapter, Taken
from bitbylaw_pipeline.sync.two_way_recovery import created_link, with_advances
from bitbylaw_pipeline.sync.two_way_report import LinkResult, Made
from bitbylaw_pipeline.sync.two_way_store import LinkStore

log = structlog.get_logger(__name__)

ROUNDS = 3
"""How often a link is planned anew after somebody else was faster."""
LOOP_SECONDS = 3600.0
LOOP_WRITES = 3
_ORDER = (Side.RIGHT, Side.LEFT)
_NOT_EXECUTED = (Permanent, AuthFailed, RateLimited)


@dataclass(slots=True)
class DeleteCount:
    """How many deletes a run has planned by side; `ceiling` is what a person has approved."""

    guard: Guard
    links: int
    ceiling: Mapping[Side, int]
    planned: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))

    def withholds(self, side: Side) -> bool:
        """True if that many are too many."""
        count = self.planned[side]
        return count > self.ceiling[side] and self.guard.withholds(count, self.links)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every pass of a run works with."""

    adapters: Mapping[Side, Adapter]
    facts: Mapping[Side, SideFacts]
    policy: Policy
    store: LinkStore
    new_nonce: Callable[[], str]
    seen: Mapping[Side, Seen]
    decisions: Mapping[str, Mapping[str, Decision]]
    now: float
    lease_seconds: float
    deletes: DeleteCount


@dataclass(slots=True)
class LinkPass:
    """One link's pass. `presence` is what is known of both sides; it is renewed where a write was overtaken."""

    bench: Bench
    link: Link
    presence: dict[Side, Presence]
    result: LinkResult
    holds: list[Hold] = field(default_factory=list)
    _before: dict[Side, Fields] = field(default_factory=dict)

    def plan(self) -> LinkPlan:
        """What the link needs now, with refused values and a person's decisions taken into account."""
        bench = self.bench
        left, right = self.presence[Side.LEFT], self.presence[Side.RIGHT]
        plan = plan_link(self.link, left, right, bench.facts, bench.policy, self._decided(left, right))
        if not isinstance(plan, MergeFields):
            return plan
        tasks = dict(plan.tasks)
        for unit in plan.writes():
            refused = [side for side in _ORDER if unit.to(side) and self._is_refused(side, unit)]
            if refused:
                tasks[unit.unit.name] = task(refused[0], "update", sorted(unit.to(refused[0])))
        return replace(plan, tasks=tasks)

    async def run(self, plan: LinkPlan) -> None:
        """Carries the plan out and, where that changes the picture, what follows from it.

        Errors of a system end up in the result; AuthFailed and a system that is away are raised as well.
        """
        for _ in range(ROUNDS):
            if not await self._apply(plan):
                return
            plan = self.plan()
            if isinstance(plan, Remove):
                # The guard has not counted it: somebody deleted the counterpart while we wrote there.
                self.bench.deletes.planned[plan.side] += 1
                if self.bench.deletes.withholds(plan.side):
                    plan = Held("delete_guard")

    async def _apply(self, plan: LinkPlan) -> bool:
        """True if the link should be planned once more."""
        match plan:
            case Nothing():
                return False
            case Held(why=why, conflict=conflict):
                await self._hold_record(why, conflict)
                return False
            case Bury():
                await self._store(replace(self.link, state=LinkState.TOMBSTONE, refusals={}))
                return False
            case Revive():
                await self._store(replace(self.link, state=LinkState.ACTIVE))
                return True
            case Unlink(gone=gone):
                await self._unlink(gone)
                return False
            case Remove():
                return await self._remove(plan)
            case Recreate():
                return await self._recreate(plan)
            case MergeFields():
                return await self._merge(plan)

    # -- fields

    async def _merge(self, plan: MergeFields) -> bool:
        left, right = self._records()
        self._hold_units(plan, left, right)
        writes = plan.writes()
        if self._loops(plan):
            await self._store(replace(self.link, state=LinkState.QUARANTINED))
            self._hold("loop")
            return False
        conflicts = self._conflict_rows(plan, left, right)
        settled = self._advanced_without_write(plan, left, right)
        if not writes:
            if settled != self.link or conflicts:
                self.result.is_agreed |= bool(plan.agreed())
                await self._store(settled, conflicts=conflicts)
            return False
        intent = self._intent(plan, left, right)
        entries = tuple(
            LogEntry(
                self.link.link_id, side, "update", tuple(sorted(write.patch)),
                {name: self._record(side).fields.get(name) for name in write.patch}, intent.nonce,
            )
            for side, write in intent.writes.items()
        )  # fmt: skip
        begun = replace(settled, intent=intent, lease_until=self._lease(), recent=self._remembered(plan))
        await self._store(begun, conflicts=conflicts, log=entries)
        return await self._write(intent)

    async def _write(self, intent: Intent) -> bool:
        echoes: dict[Side, Record] = {}
        overtaken: SyncError | None = None
        failed: SyncError | None = None
        for side in _ORDER:
            if side not in intent.writes:
                continue
            write, record = intent.writes[side], self._record(side)
            try:
                echo = await self.bench.adapters[side].update(record, write.patch, write.nonce)
            except (Conflict, NotFound) as error:
                overtaken = error
                break
            except _NOT_EXECUTED as error:
                failed = error
                break
            except SyncError as error:
                # It may have landed. The intent stays, and nothing is planned for this link before that is known.
                await self._keep(intent, echoes)
                self._fail(error)
                return False
            echoes[side] = echo
            self.presence[side] = echo
            self.result.made.append(Made(side, "update", tuple(sorted(write.patch))))
        await self._settle_writes(intent, echoes, failed)
        if failed is not None:
            self._fail(failed)
            return False
        if overtaken is not None:
            await self._look_again()
            return True
        return False

    async def _settle_writes(
        self, intent: Intent, echoes: Mapping[Side, Record], failed: SyncError | None
    ) -> None:
        refused = {
            (side, advance.unit)
            for advance in intent.advances
            for side in advance.writes
            if side in echoes and self._not_taken(intent.writes[side], side, advance, echoes[side])
        }
        kept = tuple(
            self._with_echo(advance, echoes)
            for advance in intent.advances
            if not any(unit == advance.unit for _, unit in refused)
        )
        link = with_advances(self.link, replace(intent, advances=kept), frozenset(echoes))
        refusals = dict(link.refusals)
        for side, unit in refused:
            patch = {
                name: value for name, value in intent.writes[side].patch.items() if name in unit.split("+")
            }
            refusals[f"{side.value}:{unit}"] = self._digest(patch)
            self._hold(task(side, "update", sorted(patch)))
        for advance in kept:
            for side in Side:
                refusals.pop(f"{side.value}:{advance.unit}", None)
            if set(advance.writes) <= set(echoes):
                refusals.pop(f"logged:{advance.unit}", None)
        for side, echo in echoes.items():
            # A stamp, not the version: somebody may edit within the second in which we wrote.
            link = link.with_side(side, version=echo.stamp)
        # A refused key or a busy system says nothing about this record.
        fail_count = link.fail_count + isinstance(failed, Permanent) if failed else 0
        if self._state_after(fail_count) is LinkState.QUARANTINED:
            # Told, and kept until somebody releases it: nobody would see why its edits travel no longer.
            self._hold("quarantined")
        self.result.is_agreed |= bool(echoes)
        await self._store(
            replace(
                link,
                intent=None,
                lease_until=0.0,
                refusals=refusals,
                fail_count=fail_count,
                state=self._state_after(fail_count),
            )
        )

    async def _keep(self, intent: Intent, echoes: Mapping[Side, Record]) -> None:
        writes = {
            side: replace(write, is_done=write.is_done or side in echoes)
            for side, write in intent.writes.items()
        }
        kept = replace(intent, writes=writes)
        await self._store(
            replace(self.link, intent=kept, lease_until=0.0, fail_count=self.link.fail_count + 1)
        )

    def _intent(self, plan: MergeFields, left: Record, right: Record) -> Intent:
        nonce = self.bench.new_nonce()
        writes = {
            side: Write(plan.patch(side), record.version, nonce)
            for side, record in ((Side.RIGHT, right), (Side.LEFT, left))
            if plan.patch(side)
        }
        advances = tuple(
            Advance(
                unit=one.unit.name,
                left={**one.unit.of(left.fields), **one.to_left},
                right={**one.unit.of(right.fields), **one.to_right},
                writes=tuple(side for side in _ORDER if one.to(side)),
            )
            for one in plan.writes()
        )
        return Intent("update", nonce, writes=writes, advances=advances)

    def _with_echo(self, advance: Advance, echoes: Mapping[Side, Record]) -> Advance:
        """What the written sides really hold takes the place of what was sent."""

        def held(side: Side, sent: Fields) -> dict[str, Any]:
            echo = echoes.get(side)
            if echo is None or side not in advance.writes:
                return dict(sent)
            return {name: echo.fields.get(name, value) for name, value in sent.items()}

        return replace(advance, left=held(Side.LEFT, advance.left), right=held(Side.RIGHT, advance.right))

    def _not_taken(self, write: Write, side: Side, advance: Advance, echo: Record) -> bool:
        """True if a member stands there as before although something else was sent: silently ignored."""
        before = self._before[side]
        for name in advance.unit.split("+"):
            if name not in write.patch or name not in echo.fields:
                continue
            canonical = self.bench.policy.field(name).canonical
            held = canonical(echo.fields[name])
            if held == canonical(before.get(name)) and held != canonical(write.patch[name]):
                return True
        return False

    def _advanced_without_write(self, plan: MergeFields, left: Record, right: Record) -> Link:
        base_left, base_right = dict(self.link.base_left), dict(self.link.base_right)
        refusals = dict(self.link.refusals)
        refusals.pop("logged:edit_vs_delete", None)
        for one in plan.agreed():
            base_left |= one.unit.of(left.fields)
            base_right |= one.unit.of(right.fields)
        for one in plan.units:
            if one.what in (What.AGREE, What.NOTHING):
                for told in ("left", "right", "logged"):
                    refusals.pop(f"{told}:{one.unit.name}", None)
        agreed = replace(self.link, base_left=base_left, base_right=base_right, refusals=refusals)
        return with_stamps(agreed, left, right, self.bench.policy)

    def _conflict_rows(self, plan: MergeFields, left: Record, right: Record) -> tuple[ConflictRow, ...]:
        rows = []
        for one in plan.units:
            if one.conflict is None or one.unit.name in plan.tasks:
                continue
            if one.conflict == "none" and one.what is not What.HOLD:
                continue
            if self._is_logged(one.unit.name, one.conflict, left.fields, right.fields, one.unit.fields):
                continue
            base = {**one.unit.of(self.link.base_right), **one.unit.of(self.link.base_left)}
            rows.append(
                ConflictRow(
                    self.link.link_id, one.unit.name, one.conflict, base,
                    one.unit.of(left.fields), one.unit.of(right.fields),
                )
            )  # fmt: skip
            self.result.conflicts.append(one.unit.name)
        known = self.bench.decisions.get(self.link.link_id, {})
        for one in plan.writes():
            # A person's choice overwrites a value too: it is kept like any other loser.
            if one.conflict is None and f"conflict:{one.unit.name}" in known:
                winner = known[f"conflict:{one.unit.name}"].take
                rows.append(
                    ConflictRow(
                        self.link.link_id, one.unit.name, winner, {},
                        one.unit.of(left.fields), one.unit.of(right.fields),
                    )
                )  # fmt: skip
        return tuple(rows)

    def _hold_units(self, plan: MergeFields, left: Record, right: Record) -> None:
        self._before = {Side.LEFT: left.fields, Side.RIGHT: right.fields}
        for one in plan.units:
            name = one.unit.name
            if name in plan.tasks:
                self._hold(plan.tasks[name])
                self._hold_decision(one, left, right)
            elif one.what is What.HOLD:
                self._hold(f"conflict:{name}", self._values_digest(one, left, right))
            elif one.what is What.APPROVAL:
                self._hold(f"approval:{name}", self._values_digest(one, left, right))

    def _hold_decision(self, one: UnitPlan, left: Record, right: Record) -> None:
        """A decision lives as long as its hold: without it the next run would ask the person once more."""
        digest = self._values_digest(one, left, right)
        for why, decision in self.bench.decisions.get(self.link.link_id, {}).items():
            if (
                why in (f"conflict:{one.unit.name}", f"approval:{one.unit.name}")
                and decision.digest == digest
            ):
                self._hold(why, digest)

    def _values_digest(self, one: UnitPlan, left: Record, right: Record) -> str:
        return self._digest([one.unit.of(left.fields), one.unit.of(right.fields)])

    # -- presence

    async def _unlink(self, gone: Side) -> None:
        await self._store(replace(self.link, state=LinkState.TOMBSTONE, is_unlinked=True))
        self._hold(f"unlinked:{gone.value}_deleted", is_notice=True)

    async def _remove(self, plan: Remove) -> bool:
        record = self._record(plan.side)
        conflicts = self._presence_conflict(plan.side.other.value, record, plan.side) if plan.conflict else ()
        intent = Intent("delete", self.bench.new_nonce(), side=plan.side)
        entry = LogEntry(
            self.link.link_id, plan.side, "delete", tuple(sorted(record.fields)), record.fields, intent.nonce
        )
        await self._store(
            replace(self.link, intent=intent, archive=dict(record.fields), lease_until=self._lease()),
            conflicts=conflicts,
            log=(entry,),
        )
        try:
            await self.bench.adapters[plan.side].delete(record)
            self.result.made.append(Made(plan.side, "delete", ()))
        except NotFound:
            pass
        except (Conflict, *_NOT_EXECUTED) as error:
            # Somebody has just touched it: the next run sees an edit against a deletion.
            await self._store(replace(self.link, intent=None, archive={}, lease_until=0.0))
            if not isinstance(error, Conflict):
                self._fail(error)
            return False
        except SyncError as error:
            await self._store(replace(self.link, lease_until=0.0, fail_count=self.link.fail_count + 1))
            self._fail(error)
            return False
        await self._store(
            replace(self.link, intent=None, state=LinkState.TOMBSTONE, lease_until=0.0, refusals={})
        )
        return False

    async def _recreate(self, plan: Recreate) -> bool:
        survivor = self._record(plan.side.other)
        conflicts = (
            self._presence_conflict(plan.side.other.value, survivor, plan.side.other) if plan.conflict else ()
        )
        generation = self.link.gen + 1
        return await self.create(plan.side, survivor, generation, conflicts)

    async def create(
        self, side: Side, origin: Record, generation: int, conflicts: tuple[ConflictRow, ...] = ()
    ) -> bool:
        """Makes the counterpart on `side`; True if the link should be planned once more."""
        bench, adapter = self.bench, self.bench.adapters[side]
        fields = payload(origin, bench.facts[side], bench.policy, side)
        key = create_key(side.other, origin.id, generation)
        intent = Intent(
            "create", bench.new_nonce(), side=side, key=key, payload=fields,
            source={name: origin.fields[name] for name in fields}, seen=bench.seen[side].number,
        )  # fmt: skip
        entry = LogEntry(self.link.link_id, side, "create", tuple(sorted(fields)), {}, intent.nonce)
        begun = replace(self.link, gen=generation, intent=intent, lease_until=self._lease())
        await self._store(begun, conflicts=conflicts, log=(entry,))
        try:
            made = await adapter.create(key, fields, intent.nonce, origin)
        except (Conflict, NotFound, *_NOT_EXECUTED) as error:
            await self._never_made(generation)
            if isinstance(error, Conflict):
                self._hold("duplicate_refused")
            else:
                self._fail(error)
            return False
        except SyncError as error:
            await self._store(replace(self.link, lease_until=0.0, fail_count=self.link.fail_count + 1))
            self._fail(error)
            return False
        if isinstance(made, Taken):
            return await self._adopt(side, made)
        self.result.made.append(Made(side, "create", tuple(sorted(fields))))
        self.result.is_agreed = True
        self.presence[side] = made
        held = {name: made.fields.get(name, value) for name, value in fields.items()}
        linked = created_link(self.link, intent, side, made.id, held)
        await self._store(linked.with_side(side, version=made.stamp))
        await self._link_back()
        return adapter.capabilities.create_fields is not None

    async def _never_made(self, generation: int) -> None:
        if self.link.state is LinkState.PENDING:
            await self.bench.store.commit(Changes(removed=(self.link,)))
        else:
            await self._store(replace(self.link, intent=None, gen=generation - 1, lease_until=0.0))

    async def _adopt(self, side: Side, taken: Taken) -> bool:
        """Somebody made it before us, and we do not remember: linked, but nothing was ever agreed."""
        bare = replace(
            self.link, state=LinkState.ACTIVE, intent=None, lease_until=0.0, base_left={}, base_right={}
        )
        try:
            await self._store(bare.with_side(side, record_id=taken.id))
        except LinkChanged:
            # Somebody else's counterpart: a key is a claim, and this one has been given away.
            await self._never_made(self.link.gen)
            self._hold("key_taken")
            return False
        await self._look_again()
        return True

    async def _link_back(self) -> None:
        left, right = self.presence[Side.LEFT], self.presence[Side.RIGHT]
        if not (isinstance(left, Record) and isinstance(right, Record)):
            return
        for side, own, other in ((Side.LEFT, left, right), (Side.RIGHT, right, left)):
            try:
                await self.bench.adapters[side].link_back(own, other)
            except SyncError as error:
                log.warning(
                    "link_back_failed", link=self.link.link_id, side=side.value, error=type(error).__name__
                )

    async def linked(self) -> None:
        """The link is new between two records that were there: each may note the other's id."""
        await self._link_back()

    async def note_partner(self) -> None:
        """Writes an id back that a crash has kept from it; not on and on, for a system may ignore it in silence."""
        for side in Side:
            record, stamp = (
                self.presence[side],
                self.link.ver_left if side is Side.LEFT else self.link.ver_right,
            )
            able = self.bench.adapters[side].capabilities
            if able.notes_partner and stamp is None and isinstance(record, Record) and record.partner is None:
                await self._link_back()

    async def _hold_record(self, why: str, conflict: str | None) -> None:
        self._hold(why)
        if conflict is None:
            return
        record = next((one for one in self.presence.values() if isinstance(one, Record)), None)
        side = Side.LEFT if record is self.presence[Side.LEFT] else Side.RIGHT
        if record is not None:
            rows = self._presence_conflict("none", record, side)
            await self._store(self.link, conflicts=rows)

    def _presence_conflict(self, winner: str, record: Record, side: Side) -> tuple[ConflictRow, ...]:
        left, right = (record.fields, {}) if side is Side.LEFT else ({}, record.fields)
        if self._is_logged("edit_vs_delete", winner, left, right, tuple(record.fields)):
            return ()
        self.result.conflicts.append("edit_vs_delete")
        return (ConflictRow(self.link.link_id, "edit_vs_delete", winner, self.link.base(side), left, right),)

    # -- common

    async def _look_again(self) -> None:
        for side in Side:
            record_id = self.link.id(side)
            if record_id is None:
                continue
            try:
                found = await self.bench.adapters[side].get(record_id)
            except SyncError as error:
                self.presence[side] = UNKNOWN
                self._fail(error)
                continue
            self.presence[side] = GONE if found is None else found if found.is_in_scope else UNKNOWN

    def _is_logged(self, what: str, winner: str, left: Fields, right: Fields, names: tuple[str, ...]) -> bool:
        """True if this very conflict is in the log already, by a write that never landed; else noted as logged."""
        if winner == "none":
            return False
        digest = self._digest([winner, *[[one.get(name) for name in names] for one in (left, right)]])
        if self.link.refusals.get(f"logged:{what}") == digest:
            return True
        self.link = replace(self.link, refusals={**self.link.refusals, f"logged:{what}": digest})
        return False

    async def _store(self, link: Link, **changes: Any) -> None:
        (self.link,) = await self.bench.store.commit(Changes(links=(link,), **changes))
        self.result.link = self.link

    def _records(self) -> tuple[Record, Record]:
        return self._record(Side.LEFT), self._record(Side.RIGHT)

    def _record(self, side: Side) -> Record:
        found = self.presence[side]
        assert isinstance(found, Record)  # noqa: S101  # planned as present
        return found

    def _hold(self, why: str, digest: str = "", *, is_notice: bool = False) -> None:
        self.result.held.append(why)
        self.holds.append(Hold(self.link.link_id, why, self.link.link_id, is_notice=is_notice, digest=digest))

    def _fail(self, error: SyncError) -> None:
        self.result.error = error

    def _lease(self) -> float:
        return self.bench.now + self.bench.lease_seconds

    def _state_after(self, fail_count: int) -> LinkState:
        if fail_count >= self.bench.policy.quarantine_after:
            return LinkState.QUARANTINED
        return self.link.state

    def _digest(self, value: Any) -> str:
        return self.bench.store.digest(json.dumps(value, sort_keys=True, default=str))

    def _is_refused(self, side: Side, unit: UnitPlan) -> bool:
        known = self.link.refusals.get(f"{side.value}:{unit.unit.name}")
        return known is not None and known == self._digest(dict(unit.to(side)))

    def _decided(self, left: Presence, right: Presence) -> dict[str, Side]:
        decided: dict[str, Side] = {}
        for why, decision in self.bench.decisions.get(self.link.link_id, {}).items():
            if decision.take not in ("left", "right"):
                continue
            kind, _, unit = why.partition(":")
            if kind not in ("conflict", "approval"):
                decided["record"] = Side(decision.take)
            elif isinstance(left, Record) and isinstance(right, Record):
                names = unit.split("+")
                values = [
                    {name: one.fields[name] for name in names if name in one.fields} for one in (left, right)
                ]
                # Decided about other values than stand there now: the person is asked again.
                if self._digest(values) == decision.digest:
                    decided[unit] = Side(decision.take)
        return decided

    def _targets(self, writes: list[UnitPlan]) -> list[tuple[str, str]]:
        # By unit, whichever side: two systems that each put their own value back write one value a side. A merge that
        # writes both sides is one write: repeated after a crash it must not look like two values in turn.
        return [
            (one.unit.name, self._digest([dict(one.to(side)) for side in _ORDER if one.to(side)]))
            for one in writes
        ]

    def _loops(self, plan: MergeFields) -> bool:
        """True if a value would be written that was written before, after others, and often: two writers are at odds."""
        since = self.bench.now - LOOP_SECONDS
        for target, digest in self._targets(plan.writes()):
            past = [one.digest for one in self.link.recent if one.target == target and one.at >= since]
            if len(past) >= LOOP_WRITES and past[-1] != digest and digest in past:
                return True
        return False

    def _remembered(self, plan: MergeFields) -> tuple[PastWrite, ...]:
        since = self.bench.now - LOOP_SECONDS
        kept = [one for one in self.link.recent if one.at >= since]
        new = [PastWrite(self.bench.now, target, digest) for target, digest in self._targets(plan.writes())]
        return tuple([*kept, *new][-24:])
