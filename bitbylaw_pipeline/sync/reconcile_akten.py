"""Reconciliation of Akten: Advoware's Akten, EspoCRM's matters and what we remember of both, joined by the Akte's id."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.akte_match import (
    AktenMatch,
    AkteState,
    AkteStatus,
    Contested,
    Matter,
    Why,
    match_akten,
)
from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport
from bitbylaw_pipeline.inbox import akte_states, open_work, reconciliations, two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.open_work import InMotion
from bitbylaw_pipeline.sync.akte_verdict import holds_of, states_of
from bitbylaw_pipeline.sync.akten_sides import PAIR, AktenSides, refuse_lost_akten
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.drift_guards import refuse_shrunken
from bitbylaw_pipeline.sync.reconcile_pairs import want_repairs

_WORDS = {
    Why.SAME_NUMBER: "two records carry one number",
    Why.NAMES_ANOTHER: "a matter names another Akte than its number says",
    Why.AKTE_GONE: "a matter names an Akte that Advoware does not have",
}


@dataclass(frozen=True, slots=True)
class AktenReconciliation:
    """The Reconciliation of Akten. `clock` counts seconds."""

    sides: AktenSides
    accepts_smaller: bool = False
    clock: Callable[[], float] = time.perf_counter

    @property
    def flows(self) -> tuple[str, ...]:
        """`akten`."""
        return (PAIR,)

    async def look(self) -> list[DriftReport]:
        """One report. Raises the errors of a list that failed, and Unexpected for one that is not to be believed."""
        started, sides = self.clock(), self.sides
        begun_at = await sides.database.run(sides.database.now)
        with counting() as calls:
            before = await sides.read(akte_states.load)
            matters = await sides.records.list_matters(await sides.records.types())
            akten = await sides.list_akten()
            listed = {"advoware_akten": len(akten), "espocrm_matters": len(matters)}
            if not self.accepts_smaller:
                await sides.refuse_lost_matters(matters, before)
                refuse_lost_akten(akten, matters, before)
                await self._refuse(listed)
            found = match_akten(akten, matters)
            states = states_of(found, akten, await sides.collections_of(found.links))
        after = await sides.read(partial(_state, sides.database, begun_at))
        moved = {key for key, state in after.states.items() if before.get(key) != state}
        judged = _Judge(found, states, before, matters, after.holds)
        drifts, busy = [], set()
        for drift in judged.all():
            if drift.key in after.keys.open | after.keys.later or drift.key in moved:
                busy.add(drift.key)
            elif drift.key not in after.keys.parked:
                drifts.append(drift)
        drifts.sort(key=lambda one: (one.kind.value, one.subject))
        return [
            DriftReport(PAIR, begun_at, tuple(drifts), listed, len(busy), calls[0], self.clock() - started)
        ]

    async def repair(self, reports: Sequence[DriftReport]) -> int:
        """Wants each Akte."""
        return await want_repairs(self.sides.database, reports)

    async def _refuse(self, listed: Mapping[str, int]) -> None:
        former = (await self.sides.read(reconciliations.load)).get(PAIR)
        refuse_shrunken(PAIR, listed, former.listed if former else {}, accepts_smaller=False)


@dataclass(frozen=True, slots=True)
class _After:
    states: Mapping[str, AkteState]
    keys: InMotion
    holds: frozenset[tuple[str, str]]


def _state(database: Database, begun_at: float, connection: Connection) -> _After:
    holds = two_way_desk.list_holds(connection, PAIR)
    return _After(
        akte_states.load(connection),
        open_work.load(connection, database.now(connection), PAIR, begun_at),
        frozenset((hold.subject, hold.why) for hold in holds),
    )


class _Judge:
    def __init__(
        self,
        found: AktenMatch,
        states: Mapping[str, AkteState],
        former: Mapping[str, AkteState],
        matters: Sequence[Matter],
        holds: frozenset[tuple[str, str]],
    ) -> None:
        self._found = found
        self._states = states
        self._former = former
        self._matters = {str(matter.key) for matter in matters}
        self._to_write = {str(link.akte.id): str(link.matter.key) for link in found.links if link.is_to_write}
        self._holds = holds

    def all(self) -> Iterator[Drift]:
        """Everything that is not as it should be."""
        for row in self._joined().itertuples(index=False):
            former, state = self._former.get(str(row.akte)), self._states.get(str(row.akte))
            if row.where == "left_only" and former is not None:
                yield from self._of_missing(former)
            elif state is not None and state.status is not AkteStatus.HELD:
                yield from self._of_akte(state, former)
        for doubt in self._found.contested:
            yield from self._of_doubt(doubt)

    def _joined(self) -> pd.DataFrame:
        """What we remember, and what the systems show: outer, by the Akte's id."""
        remembered = pd.DataFrame({"akte": sorted(self._former)}, dtype="object")
        shown = pd.DataFrame({"akte": sorted(self._states)}, dtype="object")
        return remembered.merge(shown, how="outer", on="akte", indicator="where")

    def _of_missing(self, former: AkteState) -> Iterator[Drift]:
        if former.status is not AkteStatus.GONE:
            yield _drift(DriftKind.ORPHANED, former.akte_id, "known here, and gone in Advoware")

    def _of_akte(self, state: AkteState, former: AkteState | None) -> Iterator[Drift]:
        key = state.akte_id
        if key in self._to_write:
            says = f"the matter {self._to_write[key]} does not name it"
            yield _drift(DriftKind.MISSING, key, says)
        elif former == state or (former is None and state.status is AkteStatus.UNMATCHED):
            # One that no matter has anything to do with differs from nothing.
            return
        elif former is not None and former.owner_key and former.owner_key not in self._matters:
            says = f"its matter {former.owner_key} is gone in EspoCRM"
            yield _drift(DriftKind.GONE_IN_ESPOCRM, key, says)
        elif former is None:
            yield _drift(DriftKind.MISSING, key, f"not known yet that it is the matter {state.owner_key}")
        else:
            names = [
                name
                for name in ("status", "aktennummer", "owner_key", "collection_id")
                if getattr(former, name) != getattr(state, name)
            ]
            yield _drift(DriftKind.STALE_HASH, key, f"remembered otherwise: {', '.join(names)}")

    def _of_doubt(self, doubt: Contested) -> Iterator[Drift]:
        # Not by the group's digest: a single Akte's pass sees a part of the group, and holds that.
        if all((hold.subject, hold.why) in self._holds for hold in holds_of([doubt])):
            return
        says = f"{_WORDS[doubt.why]} (matters {', '.join(doubt.matters) or 'none'}): its pass puts it among bitbylaw holds"
        for akte_id in (*doubt.akten, *doubt.gone):
            yield _drift(DriftKind.DANGLING_REFERENCE, str(akte_id), says)


def _drift(kind: DriftKind, akte_id: str, says: str) -> Drift:
    return Drift(PAIR, kind, f"Akte {akte_id}", says, PAIR, akte_id)
