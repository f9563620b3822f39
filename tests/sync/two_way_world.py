"""A pair of systems under the two-way engine that watches every call, can die at every boundary, and knows its users."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Direction, Fields, Side
from bitbylaw_pipeline.domain.two_way_link import (
    Capabilities,
    Conflict,
    Link,
    LinkState,
    Observation,
    Record,
    Settled,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges, Seen, Snapshot
from bitbylaw_pipeline.sync.two_way import Reconciler
from bitbylaw_pipeline.sync.two_way_adapter import Taken
from bitbylaw_pipeline.sync.two_way_case import CaseRun
from bitbylaw_pipeline.sync.two_way_case_system import CaseSystem, Crash
from bitbylaw_pipeline.sync.two_way_report import RunReport
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from tests.sync.two_way_tokens import all_tokens, tokens

RUN_SECONDS = 900.0
NOBODY = 1_000_000
"""A boundary that no run reaches."""
Shown = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Boundaries:
    """Counts the places where a process can die; at the one chosen it does."""

    count: int = 0
    kill_at: int = NOBODY

    def pass_one(self) -> None:
        """One boundary; raises Crash if it is the chosen one."""
        self.count += 1
        if self.count == self.kill_at:
            raise Crash


@dataclass(slots=True)
class WatchedStore:
    """A LinkStore that can die before and after each of its transactions, and keeps what went through it."""

    inner: LinkStore
    boundaries: Boundaries
    conflicts: list[Conflict] = field(default_factory=list)
    archived: list[Fields] = field(default_factory=list)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    """What users do while the engine is busy with its next commits."""

    def digest(self, text: str) -> str:
        return self.inner.digest(text)

    async def load(
        self, left_ids: Iterable[str] | None = None, right_ids: Iterable[str] | None = None
    ) -> Snapshot:
        return await self.inner.load(left_ids, right_ids)

    async def commit(self, changes: Changes) -> tuple[Link, ...]:
        self.boundaries.pass_one()
        if self.meanwhile:
            self.meanwhile.pop()()
        stored = await self.inner.commit(changes)
        self.conflicts += changes.conflicts
        self.archived += [link.archive for link in changes.links if link.archive]
        self.boundaries.pass_one()
        return stored

    async def note_seen(self, side: Side, record_ids: Iterable[str]) -> Seen:
        self.boundaries.pass_one()
        seen = await self.inner.note_seen(side, record_ids)
        self.boundaries.pass_one()
        return seen

    async def replace_holds(self, changes: HoldChanges) -> None:
        self.boundaries.pass_one()
        await self.inner.replace_holds(changes)
        self.boundaries.pass_one()

    async def use_approvals(self, sides: Iterable[Side], op: str = "delete") -> None:
        await self.inner.use_approvals(sides, op)


class WatchedSystem:
    """An Adapter: a case's system that can die before and after each effect, and refuses what may not be sent."""

    def __init__(self, inner: CaseSystem, world: World) -> None:
        self.inner = inner
        self._world = world
        self.calls: Counter[str] = Counter()
        self.created: Counter[str] = Counter()
        """Creates that took effect, by key."""
        self.races: list[Mapping[str, Any]] = []
        """What a user does to the record just before the next writes."""
        self.is_unpredictable = False
        """It stores something else than it is said to."""
        self.refusing: dict[str, SyncError] = {}
        """How writes to these records are refused."""

    @property
    def system(self) -> str:
        return self.inner.system

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def put(self, name: str, value: Any) -> Any:
        return value if self.is_unpredictable else self.inner.put(name, value)

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        self.calls["observe"] += 1
        return await self.inner.observe(known)

    async def get(self, record_id: str) -> Record | None:
        self.calls["get"] += 1
        return await self.inner.get(record_id)

    async def find_by_key(self, key: str) -> Taken | None:
        self.calls["find_by_key"] += 1
        return await self.inner.find_by_key(key)

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """See Adapter."""
        # A record made anew, or made where its title comes from, has what only comes from there too.
        assert all(self._world.policy.field(name).direction is not Direction.IGNORE for name in fields)
        self._world.boundaries.pass_one()
        made = await self.inner.create(key, fields, nonce, origin)
        if isinstance(made, Record):
            self.created[key] += 1
        self._world.boundaries.pass_one()
        return made

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """See Adapter."""
        if expected.id in self.refusing:
            raise self.refusing[expected.id]
        self._check_may_leave(patch)
        for name, value in patch.items():
            canonical = self._world.policy.field(name).canonical
            assert canonical(self.put(name, value)) != canonical(expected.fields[name]), (
                "a write that changes nothing"
            )
        before = self._before(expected)
        self._world.boundaries.pass_one()
        echo = await self.inner.update(expected, patch, nonce)
        if before is not None:
            assert expected.version == before.version, "written over what was never seen"
            moved = {name for name in echo.fields if echo.fields[name] != before.fields.get(name)}
            assert moved <= set(patch), "a field that was not sent has changed"
        self._world.boundaries.pass_one()
        return echo

    async def delete(self, expected: Record) -> None:
        """See Adapter."""
        before = self._before(expected)
        self._world.boundaries.pass_one()
        await self.inner.delete(expected)
        assert before is None or expected.version == before.version, "deleted what was never seen"
        self._world.boundaries.pass_one()

    async def link_back(self, record: Record, partner: Record) -> None:
        """See Adapter."""
        self.calls["link_back"] += 1
        assert record.id != "" != partner.id

    def _before(self, expected: Record) -> Record | None:
        """The record as it stands at the write, after what a user did in the last moment."""
        if self.races and expected.id in self.inner.rows:
            self._world.user_edits(self.inner.side, expected.id, self.races.pop())
        row = self.inner.rows.get(expected.id)
        return None if row is None else self.inner._record(expected.id, row)

    def _check_may_leave(self, fields: Fields) -> None:
        against = Direction.TO_LEFT if self.inner.side is Side.RIGHT else Direction.TO_RIGHT
        for name in fields:
            assert self._world.policy.field(name).direction not in (against, Direction.IGNORE), name


class World:
    """Both systems, the engine's memory, and what users have typed and when it was on both sides."""

    def __init__(
        self,
        case: Mapping[str, Any],
        make_store: Callable[[Callable[[], float]], LinkStore] | None = None,
        tick: Callable[[float], float] = lambda now: now + RUN_SECONDS,
        concurrency: int = 1,
    ) -> None:
        run = CaseRun(case)
        self.now = run.time
        self._tick = tick
        self._concurrency = concurrency
        self.policy = run.policy
        self.boundaries = Boundaries()
        self.systems = {side: WatchedSystem(run.systems[side], self) for side in Side}
        run.store._clock = self.clock
        inner: LinkStore = run.store if make_store is None else make_store(self.clock)
        self.base_links = [] if make_store is None else list(run.store.links.values())
        self.store = WatchedStore(inner, self.boundaries)
        self.writes = run.writes
        self._nonces = itertools.count()
        self.typed: dict[tuple[Side, str, str], tuple[str, ...]] = {}
        """The values that users typed last, by where they did."""
        self.settled = {token for fields in case["base"].values() for token in all_tokens(fields)}

    def clock(self) -> float:
        """The store's clock."""
        return self.now

    def shown(self) -> dict[Side, Shown]:
        """What both systems show."""
        return {side: self.systems[side].inner.shown() for side in Side}

    def observe_as(self, side: Side, told: Mapping[str, Any]) -> None:
        """How that side's listing and answers are from now on."""
        self.systems[side].inner.observe_as = dict(told)

    async def begin(self) -> None:
        """Puts the case's links into a store that did not get them yet."""
        for link in self.base_links:
            await self.store.inner.commit(Changes(links=(link,)))
        self.base_links = []

    async def run(self, kill_at: int = NOBODY, one: tuple[Side, str] | None = None) -> RunReport | None:
        """A run, of one record or of all; None if it died or could not look."""
        await self.begin()
        self.now = self._tick(self.now)
        self.boundaries.count, self.boundaries.kill_at = 0, kill_at
        engine = Reconciler(
            self.policy,
            self.systems,
            self.store,
            new_nonce=lambda: f"nonce-{next(self._nonces)}",
            concurrency=self._concurrency,
        )
        try:
            report = await (engine.run() if one is None else engine.run_one(*one))
        except (Crash, SyncError):
            report = None
        self.boundaries.kill_at = NOBODY
        await self._note_settled()
        return report

    # -- users

    def user_edits(self, side: Side, record_id: str, patch: Mapping[str, Any]) -> None:
        """A user types these values; what the same user had typed there before is superseded."""
        system = self.systems[side].inner
        stored = {name: system.put(name, copy.deepcopy(value)) for name, value in patch.items()}
        system.edit({record_id: stored})
        for name, value in stored.items():
            self.typed[side, record_id, name] = tokens(value)

    def user_deletes(self, side: Side, record_id: str) -> None:
        """A user deletes the record, and with it what was typed there."""
        self.systems[side].inner.edit({record_id: None})
        self.typed = {at: value for at, value in self.typed.items() if at[:2] != (side, record_id)}

    # -- what is looked at afterwards

    async def links(self) -> list[Link]:
        """All links."""
        return list((await self.store.inner.load()).links)

    async def pairs(self) -> list[tuple[Link, Mapping[str, Any], Mapping[str, Any]]]:
        """The active links with both records' fields, where both are there."""
        shown = self.shown()
        return [
            (link, shown[Side.LEFT][link.left_id], shown[Side.RIGHT][link.right_id])
            for link in await self.links()
            if link.state is LinkState.ACTIVE
            and link.left_id in shown[Side.LEFT]
            and link.right_id in shown[Side.RIGHT]
        ]

    def lost(self) -> set[str]:
        """Values that a user typed last and that are nowhere: neither shown, nor logged, nor once on both sides."""
        kept: set[str] = set(self.settled)
        for side in Side:
            for fields in self.systems[side].inner.shown().values():
                kept |= all_tokens(fields)
        for conflict in self.store.conflicts:
            kept |= all_tokens(conflict.left) | all_tokens(conflict.right)
        for archived in self.store.archived:
            kept |= all_tokens(archived)
        return {token for typed in self.typed.values() for token in typed} - kept

    async def _note_settled(self) -> None:
        for _, left, right in await self.pairs():
            self.settled |= all_tokens(left) & all_tokens(right)
