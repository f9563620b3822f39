"""What an answer to a hold would do: the same plan as a run's, made as if the answer were given. Writes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bitbylaw_pipeline.cli.pair_names import kuerzel_of
from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_state import Decision, Snapshot
from bitbylaw_pipeline.inbox import two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.bankverbindungen_sides import AdvowareBankSide, EspoBankSide
from bitbylaw_pipeline.sync.beteiligte_advoware import AdvowareBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_espocrm import EspoBeteiligteSide
from bitbylaw_pipeline.sync.termine_advoware import AdvowareTermineSide
from bitbylaw_pipeline.sync.termine_google import GoogleTermineSide
from bitbylaw_pipeline.sync.termine_pairs import SettingsChanged, TerminePairs
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.sync.two_way_report import RunReport
from bitbylaw_pipeline.wiring import open_runtime


@dataclass(frozen=True, slots=True)
class Trial:
    """`lines` are a run's about this record. `values` are what stands where now, None where there is no record."""

    lines: list[str]
    values: Mapping[str, Mapping[str, Any] | None]


class _AnsweredTermine(TerminePairs):
    """The employees' pairs, one of them with the answer."""

    __slots__ = ("_hold", "_take")

    def __init__(self, pairs: TerminePairs, hold: HoldView, take: str) -> None:
        TerminePairs.__init__(
            self, pairs.database, pairs.termine, pairs.google, pairs.calendars, pairs.rules, pairs.clock
        )
        self._hold = hold
        self._take = take

    def store(self, kuerzel: str) -> DatabaseLinkStore:
        """The pair's state."""
        if self.pair(kuerzel) != self._hold.pair:
            return DatabaseLinkStore(self.database, self.pair(kuerzel))
        return _AnsweredStore(self.database, self._hold.pair, self._hold, self._take)


class _AnsweredStore(DatabaseLinkStore):
    """The pair's state with one answer added to what it loads."""

    def __init__(self, database: Database, pair: str, hold: HoldView, take: str) -> None:
        super().__init__(database, pair)
        self._hold = hold
        self._take = take

    async def load(
        self, left_ids: Iterable[str] | None = None, right_ids: Iterable[str] | None = None
    ) -> Snapshot:
        """As the store's, with the answer."""
        found = await super().load(left_ids, right_ids)
        subject, why = self._hold.subject, self._hold.why
        answered = {**found.decisions.get(subject, {}), why: Decision(self._take, self._hold.digest)}
        return replace(found, decisions={**found.decisions, subject: answered})


class _AnsweredPairs(Pairs):
    """The pairs, one of them with the answer."""

    __slots__ = ("_hold", "_take")

    def __init__(self, pairs: Pairs, hold: HoldView, take: str) -> None:
        Pairs.__init__(
            self, pairs.database, pairs.beteiligte_records, pairs.bank_records, pairs.advoware, pairs.clock
        )
        self._hold = hold
        self._take = take

    def store(self, pair: Pair) -> DatabaseLinkStore:
        """The pair's state."""
        if pair.value != self._hold.pair:
            return DatabaseLinkStore(self.database, pair.value)
        return _AnsweredStore(self.database, pair.value, self._hold, self._take)


async def try_answer(settings: Settings, hold: HoldView, take: str, *, with_values: bool) -> Trial:
    """Plans the pair with the answer; raises the errors of the systems, both of which are asked."""
    async with open_runtime(settings) as runtime:
        kuerzel = kuerzel_of(hold.pair)
        if kuerzel is not None:
            if runtime.calendars is None:
                raise Problem("Google's key file cannot be used: see bitbylaw doctor.")
            pairs = runtime.calendars.pairs
            return await _try_appointment(pairs, kuerzel, hold, take, with_values=with_values)
        assert runtime.advoware is not None  # noqa: S101  # asked for before
        parties, pair = runtime.advoware.pairs, Pair(hold.pair)
        ids = await _record_ids(parties.database, hold, take)
        # Where Advoware lists no parties, only those that are named are looked at; an account's id begins with its party's.
        betnr = (ids[Side.RIGHT] or "").partition("/")[0]
        reconciler = await _AnsweredPairs(parties, hold, take).reconciler(
            pair, wants=(betnr,) if betnr else ()
        )
        report = await reconciler.plan()
        values = await _values(await _adapters(parties, pair), ids) if with_values else {}
        return Trial(_lines_about(hold, report), values)


async def _try_appointment(
    pairs: TerminePairs, kuerzel: str, hold: HoldView, take: str, *, with_values: bool
) -> Trial:
    try:
        async with _AnsweredTermine(pairs, hold, take).trial(kuerzel) as reconciler:
            report = await reconciler.plan()
    except SettingsChanged as changed:
        raise Problem(str(changed)) from None
    values: dict[str, Mapping[str, Any] | None] = {}
    if with_values:
        ids = await _record_ids(pairs.database, hold, take)
        values = await _values(_calendar_sides(pairs, kuerzel), ids)
    return Trial(_lines_about(hold, report), values)


def _lines_about(hold: HoldView, report: RunReport) -> list[str]:
    subjects = {hold.subject, *(() if hold.link_id is None else (hold.link_id,))}
    return [line for line in report.lines if line.partition(": ")[0] in subjects]


async def _values(
    adapters: Mapping[Side, Adapter], ids: Mapping[Side, str | None]
) -> dict[str, Mapping[str, Any] | None]:
    found: dict[str, Mapping[str, Any] | None] = {}
    for side in Side:
        record_id = ids[side]
        record = await adapters[side].get(record_id) if record_id is not None else None
        found[side.value] = record.fields if record is not None else None
    return found


async def _record_ids(database: Database, hold: HoldView, take: str) -> dict[Side, str | None]:
    links = await database.run(lambda c: two_way_links.load(c, database.cipher, hold.pair))
    link = next((one for one in links if one.link_id == hold.link_id), None)
    if link is not None:
        return {Side.LEFT: link.left_id, Side.RIGHT: link.right_id}
    side = Side(hold.side or hold.subject.partition(":")[0])
    own = hold.record_id or hold.subject.partition(":")[2]
    return {side: own, side.other: take.removeprefix("link:") if take.startswith("link:") else None}


def _calendar_sides(pairs: TerminePairs, kuerzel: str) -> dict[Side, Adapter]:
    """Both calendars of one employee, to read from."""
    of, rules = pairs.calendars[kuerzel], pairs.rules
    calendar = pairs.google.calendar(of.user, of.calendar_id)
    window = rules.window(pairs.clock())
    return {
        Side.LEFT: AdvowareTermineSide(pairs.termine, kuerzel, window, rules.fristen, _never_ours),
        Side.RIGHT: GoogleTermineSide(
            calendar, pairs.mirror(kuerzel), pairs.pair(kuerzel), masks=rules.masks
        ),
    }


@contextlib.asynccontextmanager
async def _never_ours(fr_nr: int) -> AsyncIterator[bool]:
    """A trial writes no Termin."""
    del fr_nr
    yield False


async def _adapters(pairs: Pairs, pair: Pair) -> dict[Side, Adapter]:
    parties = pairs.party_list()
    if pair is Pair.BETEILIGTE:
        return {
            Side.LEFT: await EspoBeteiligteSide.open(pairs.beteiligte_records, pairs.clock),
            Side.RIGHT: AdvowareBeteiligteSide(pairs.advoware, parties),
        }
    betnrs = await pairs.betnrs()
    return {
        Side.LEFT: await EspoBankSide.open(pairs.bank_records, betnrs),
        Side.RIGHT: AdvowareBankSide(pairs.advoware, parties, betnrs),
    }
