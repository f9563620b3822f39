"""Runs a two-way case, as field dictionaries, through the real engine (format: `facts/two_way_sync.md` 4)."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Bootstrap, Direction, Drift, FieldPolicy, Fields, Merge, Side
from bitbylaw_pipeline.domain.two_way_link import DeleteRule, EditVsDelete, Guard, Link, Policy, Undelete
from bitbylaw_pipeline.sync.two_way_case_system import CaseSystem, Crash, Row
from bitbylaw_pipeline.sync.two_way_memory import MemoryLinkStore
from bitbylaw_pipeline.sync.two_way_reconciler import Reconciler

SECONDS_BETWEEN_RUNS = 900.0


def run_case(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the case comes to: `left` and `right` as they are then, `writes`, `conflicts`, `held`.

    Fields, policy and steps are those of `facts/two_way_sync.md` 4. `writes` lists what took effect, in order; a
    conflict's key is its link's, a hold's that of its link, or of the record that has none.
    """
    return asyncio.run(CaseRun(case).run())


class CaseRun:
    """One case on its way through the engine."""

    def __init__(self, case: Mapping[str, Any], store: Any = None) -> None:
        policy = case.get("policy", {})
        base = case.get("base", {})
        self.policy = policy_of(policy)
        self.time = 1_000_000.0
        self.systems = {side: _system(side, case, policy, base) for side in Side}
        for race in case.get("race", ()):
            self.systems[Side(race["side"])].races.append(dict(race))
        observe = case.get("observe", {})
        for side in Side:
            self.systems[side].observe_as = dict(observe.get(side.value, {}))
        self.writes: list[dict[str, Any]] = []
        for system in self.systems.values():
            system.writes = self.writes
        links = [
            Link(
                key,
                key,
                key,
                base_left=self._held(Side.LEFT, fields),
                base_right=self._held(Side.RIGHT, fields),
            )
            for key, fields in base.items()
        ]
        self.store = MemoryLinkStore(lambda: self.time, links) if store is None else store
        self.steps = case.get("steps", [{"run": True}])

    async def run(self) -> dict[str, Any]:
        """All steps, then the outcome."""
        for step in self.steps:
            await self.step(step)
        return {
            "left": self.systems[Side.LEFT].shown(),
            "right": self.systems[Side.RIGHT].shown(),
            "writes": copy.deepcopy(self.writes),
            "conflicts": [
                {"key": one.link_id, "what": one.what, "winner": one.winner} for one in self.store.conflicts
            ],
            "held": [
                {"key": hold.record_id or hold.subject, "why": hold.why}
                for hold in self.store.holds.values()
                if not hold.is_notice and not hold.why.startswith("conflict:")
            ],
        }

    async def step(self, step: Mapping[str, Any]) -> None:
        """One step: what a system is like from now on, what users do, and then a run if one is asked for."""
        for side in Side:
            if side.value in step.get("observe", {}):
                self.systems[side].observe_as = dict(step["observe"][side.value])
            self.systems[side].edit(step.get(side.value, {}))
        if step.get("run"):
            await self._reconcile(step.get("crash"))

    async def _reconcile(self, crash: str | None) -> None:
        self.time += SECONDS_BETWEEN_RUNS
        numbers: Iterator[int] = itertools.count(len(self.writes))
        engine = Reconciler(
            self.policy,
            self.systems,
            self.store,
            new_nonce=lambda: f"{self.time}-{next(numbers)}",
        )
        for side in Side:
            self.systems[side].crash = crash
        with contextlib.suppress(Crash, SyncError):
            await engine.run()
        for side in Side:
            self.systems[side].crash = None

    def _held(self, side: Side, fields: Fields) -> dict[str, Any]:
        system = self.systems[side]
        return {
            name: system.put(name, copy.deepcopy(value))
            for name, value in fields.items()
            if not name.startswith("@")
        }


def _system(
    side: Side, case: Mapping[str, Any], policy: Mapping[str, Any], base: Mapping[str, Any]
) -> CaseSystem:
    rows: dict[str, Row] = {}
    for row_id, fields in case.get(side.value, {}).items():
        row = Row({name: copy.deepcopy(value) for name, value in fields.items() if not name.startswith("@")})
        row.mark(fields)
        rows[row_id] = row
    system = CaseSystem(
        side=side,
        given=policy.get("sides", {}).get(side.value, {}),
        scope=policy.get("scope", {}).get(side.value, {}),
        rows={row_id: row for row_id, row in rows.items() if not row.is_dead},
    )
    system.graves = {row_id: row for row_id, row in rows.items() if row.is_dead}
    # A linked record that is not there was deleted: from the bin it comes back as it was.
    for row_id, fields in base.items():
        if row_id not in rows:
            system.graves[row_id] = Row(
                {name: copy.deepcopy(value) for name, value in fields.items() if not name.startswith("@")}
            )
    return system


def policy_of(given: Mapping[str, Any]) -> Policy:
    """The engine's policy for a case's."""
    default = _field_policy(given.get("default", {}), FieldPolicy())
    deleted = given.get("delete", {})
    create = given.get("create", {})
    approved = given.get("approved_deletes", {})
    match = given.get("match", ())
    return Policy(
        default=default,
        fields={name: _field_policy(own, default) for name, own in given.get("fields", {}).items()},
        deleted={
            side: DeleteRule(deleted[f"{side.value}_deleted"])
            for side in Side
            if f"{side.value}_deleted" in deleted
        },
        edit_vs_delete=EditVsDelete(given.get("edit_vs_delete", EditVsDelete.EDIT_WINS.value)),
        match=(tuple(match),) if match else (),
        creates=frozenset(side for side in Side if create.get(f"to_{side.value}", True)),
        guard=Guard(**given.get("guard", {})),
        approved_deletes=(
            {Side(name): count for name, count in approved.items()}
            if isinstance(approved, Mapping)
            else dict.fromkeys(Side, int(approved))
        ),
        holds_unmatched_bootstrap=given.get("bootstrap_unmatched", "create") == "hold",
        undelete=Undelete(given.get("undelete", Undelete.RECREATE.value)),
    )


def _field_policy(given: Mapping[str, Any], default: FieldPolicy) -> FieldPolicy:
    return replace(
        default,
        merge=Merge(given.get("merge", default.merge)),
        direction=Direction(given.get("direction", default.direction)),
        group=given.get("group", default.group),
        drift=Drift(given.get("drift", default.drift)),
        bootstrap=_bootstrap(given.get("bootstrap", default.bootstrap)),
        eq=given.get("eq", default.eq),
    )


def _bootstrap(name: str) -> Bootstrap:
    """`fill_empty` may name its winner in any spelling ("fill_empty+left", "fill_empty_right_wins")."""
    if not name.startswith(Bootstrap.FILL_EMPTY):
        return Bootstrap(name)
    rest = name.removeprefix(Bootstrap.FILL_EMPTY)
    return (
        Bootstrap.FILL_EMPTY_LEFT
        if "left" in rest
        else Bootstrap.FILL_EMPTY_RIGHT
        if "right" in rest
        else Bootstrap.FILL_EMPTY
    )
