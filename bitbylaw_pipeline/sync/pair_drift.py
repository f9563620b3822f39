"""From a trial run over two systems to the drift between them: ids and field names, never a value. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from bitbylaw_pipeline.domain.drift import Drift, DriftKind
from bitbylaw_pipeline.domain.three_way import Side, What
from bitbylaw_pipeline.domain.two_way_link import LinkState, Record
from bitbylaw_pipeline.domain.two_way_match import link_id_of
from bitbylaw_pipeline.domain.two_way_plan import (
    Bury,
    Held,
    LinkPlan,
    MergeFields,
    Nothing,
)
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from bitbylaw_pipeline.sync.two_way_pass import LinkPass
from bitbylaw_pipeline.sync.two_way_presence import names_another
from bitbylaw_pipeline.sync.two_way_run import Trial
from bitbylaw_pipeline.sync.two_way_stream import PASS

_NAMED = frozenset({"ambiguous_partner", "partner_missing", "partner_gone"})
"""Why a record is held that names a counterpart in vain."""
_SYSTEMS = {Side.LEFT: "EspoCRM", Side.RIGHT: "Advoware"}
SIDE_EMPTY = "side_empty"
MOST_ALONE = 3
"""A record without a link is looked for on the other side, which takes a list of everything there: of more than so many,
one pass over the whole pair is less than a list for each."""
_TO_HOLDS = "its pass puts it among bitbylaw holds"


@dataclass(frozen=True, slots=True)
class Known:
    """What the state says once the lists are read.

    `holds`: subject and reason of what waits for a person. `waiting` and `parked`: keys of the work queue. `moved`: the
    records, by side, of links that have changed since the lists were begun.
    """

    holds: frozenset[tuple[str, str]]
    waiting: frozenset[str]
    parked: frozenset[str]
    moved: Mapping[Side, frozenset[str]]


def drifts_of(pair: Pair, trial: Trial, known: Known) -> tuple[list[Drift], int]:
    """The drift, sorted by class and subject, and how many rows were not judged because they were in work."""
    judge = _Judge(pair, trial, known)
    found = [drift for row in _joined(trial).itertuples(index=False) for drift in judge.row(row)]
    found.sort(key=lambda one: (one.kind.value, one.subject))
    return found, len(judge.busy)


def _joined(trial: Trial) -> pd.DataFrame:
    """Both lists and the links, joined outer by their ids: one row for each link, and for each record without one."""
    links = pd.DataFrame(
        [(link.link_id, link.left_id, link.right_id) for link in trial.run.snapshot.links],
        columns=["link", "left", "right"],
        dtype="object",
    )
    for side in Side:
        listed = pd.DataFrame({side.value: sorted(trial.run.observed[side].items)}, dtype="object")
        links = links.merge(listed, how="outer", on=side.value, indicator=f"{side.value}_there")
        links[f"{side.value}_there"] = links[f"{side.value}_there"] != "left_only"
    return links.astype("object").where(links.notna(), None)


class _Judge:
    def __init__(self, pair: Pair, trial: Trial, known: Known) -> None:
        self._pair = pair
        self._trial = trial
        self._known = known
        self._plans = {one.link.link_id: (one, plan) for one, plan in trial.plans}
        self._open = {link.link_id for link in trial.run.snapshot.links if link.intent is not None}
        self._of_empty_side = {hold.subject for hold in trial.run.holds if hold.why == SIDE_EMPTY}
        matched = trial.matched
        self._paired = {one.left_id: one.right_id for one in matched.pairs}
        self._new = set(matched.new)
        self._held = {(side, record_id): why for side, record_id, why in matched.held}
        self._waiting = {subject for subject, _ in known.holds}
        is_crowd = len(matched.pairs) + len(self._new) + len(self._held) > MOST_ALONE
        self._is_crowd = is_crowd
        self.busy: set[str] = set()

    def row(self, row: object) -> Iterator[Drift]:
        """What is wrong with one row of the join."""
        link_id, left, right = (getattr(row, name) for name in ("link", "left", "right"))
        if link_id is not None:
            found = list(self._of_link(link_id))
        else:
            side = Side.LEFT if left is not None else Side.RIGHT
            found = list(self._of_record(side, str(left if left is not None else right)))
        for drift in found:
            if drift.key in self._known.parked:
                continue
            if self._is_busy(left, right, str(drift.key)):
                self.busy.add(str(link_id or left or right))
            else:
                yield drift

    def _is_busy(self, left: str | None, right: str | None, key: str) -> bool:
        known = self._known
        return (
            key in known.waiting
            or PASS in known.waiting
            or left in known.moved[Side.LEFT]
            or right in known.moved[Side.RIGHT]
        )

    def _drift(self, kind: DriftKind, subject: str, says: str, key: str | None) -> Drift:
        flow = self._pair.value
        return Drift(flow, kind, subject, says, flow, PASS if key is None else key)

    # -- links

    def _of_link(self, link_id: str) -> Iterator[Drift]:
        if link_id in self._open or link_id in self._trial.run.report.errors:
            # Settled first, or nothing could be found out about it.
            self.busy.add(link_id)
            return
        one, plan = self._plans.get(link_id, (None, Nothing()))
        if one is None or self._is_known(one, plan):
            return
        if link_id in self._of_empty_side:
            yield from self._of_emptied(one)
            return
        there = [isinstance(one.presence[side], Record) for side in Side]
        subject = f"{one.link.left_id} = {one.link.right_id}"
        if one.link.state is LinkState.TOMBSTONE:
            if not isinstance(plan, Nothing):
                says = "a record is back whose link has ended"
                yield self._drift(DriftKind.MISSING, subject, says, one.link.left_id)
        elif isinstance(plan, MergeFields):
            yield from self._of_values(one, plan, subject)
        elif isinstance(plan, Bury):
            says = "gone on both sides, and linked"
            yield self._drift(DriftKind.GONE_IN_ESPOCRM, subject, says, one.link.left_id)
        elif isinstance(plan, Held) and all(there):
            # A guard's: each by itself would go past it.
            yield self._drift(DriftKind.STALE_HASH, subject, f"{plan.why}: {_TO_HOLDS}", None)
        elif not isinstance(plan, Nothing):
            kind = DriftKind.ORPHANED if there[0] else DriftKind.GONE_IN_ESPOCRM
            says = f"linked, and gone in {_SYSTEMS[Side.RIGHT if there[0] else Side.LEFT]}"
            yield self._drift(kind, subject, says, one.link.left_id)

    def _of_emptied(self, one: LinkPass) -> Iterator[Drift]:
        """A person has said that the side is empty, and yet the engine ends no link for it before it is asked."""
        if (one.link.link_id, SIDE_EMPTY) in self._known.holds:
            return
        is_left = not self._trial.run.observed[Side.LEFT].items
        kind = DriftKind.GONE_IN_ESPOCRM if is_left else DriftKind.ORPHANED
        subject = f"{one.link.left_id} = {one.link.right_id}"
        yield self._drift(kind, subject, f"{SIDE_EMPTY}: {_TO_HOLDS}", None)

    def _is_known(self, one: LinkPass, plan: LinkPlan) -> bool:
        return isinstance(plan, Held) and (one.link.link_id, plan.why) in self._known.holds

    def _of_values(self, one: LinkPass, plan: MergeFields, subject: str) -> Iterator[Drift]:
        names = sorted(
            unit.unit.name
            for unit in plan.units
            if unit.what is not What.NOTHING and not self._waits(one, plan, unit.unit.name, unit.what)
        )
        if names:
            says = f"not as agreed: {', '.join(names)}"
            yield self._drift(DriftKind.STALE_HASH, subject, says, one.link.left_id)
        for side in Side:
            record, partner = one.presence[side], one.presence[side.other]
            able = one.bench.adapters[side].capabilities
            if (
                isinstance(record, Record)
                and isinstance(partner, Record)
                and names_another(one.link, side, record, partner, able)
            ):
                names_it = "no counterpart" if record.partner is None else "another counterpart"
                says = f"linked, and {_SYSTEMS[side]}'s record names {names_it}"
                yield self._drift(DriftKind.DANGLING_REFERENCE, subject, says, one.link.left_id)

    def _waits(self, one: LinkPass, plan: MergeFields, name: str, what: What) -> bool:
        """Whether a person knows of this unit already."""
        why = plan.tasks.get(name)
        if what is What.HOLD:
            why = f"conflict:{name}"
        elif what is What.APPROVAL:
            why = f"approval:{name}"
        return why is not None and (one.link.link_id, why) in self._known.holds

    # -- records without a link

    def _of_record(self, side: Side, record_id: str) -> Iterator[Drift]:
        key = record_id if side is Side.LEFT and not self._is_crowd else None
        subject = f"{_SYSTEMS[side]} {record_id}"
        if side is Side.LEFT and record_id in self._paired:
            says = f"not linked with its counterpart {self._paired[record_id]}"
            yield self._drift(DriftKind.MISSING, subject, says, key)
        elif (side, record_id) in self._new and self._is_made(side, record_id):
            says = f"has no counterpart in {_SYSTEMS[side.other]}"
            yield self._drift(DriftKind.MISSING, subject, says, key)
        elif (why := self._held.get((side, record_id))) is not None:
            if (link_id_of(side, record_id), why) in self._known.holds:
                return
            kind = DriftKind.DANGLING_REFERENCE if why in _NAMED else DriftKind.MISSING
            yield self._drift(kind, subject, f"{why}: {_TO_HOLDS}", key)

    def _is_made(self, side: Side, record_id: str) -> bool:
        """Whether a pass would make the counterpart; else it is a person's, or nobody's business."""
        if link_id_of(side, record_id) in self._waiting:
            return False
        bench, record = self._trial.run.bench, self._trial.run.observed[side].items[record_id]
        target = side.other
        return target in bench.policy.of(record.fields).creates and bench.adapters[target].capabilities.create
