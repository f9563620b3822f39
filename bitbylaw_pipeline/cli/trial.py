"""What an answer to a hold would do: the same plan as a run's, made as if the answer were given. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_state import Decision, Snapshot
from bitbylaw_pipeline.inbox import two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.bankverbindungen_sides import AdvowareBankSide, EspoBankSide
from bitbylaw_pipeline.sync.beteiligte_advoware import AdvowareBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_espocrm import EspoBeteiligteSide
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.wiring import open_runtime


@dataclass(frozen=True, slots=True)
class Trial:
    """`lines` are a run's about this record. `values` are what stands where now, None where there is no record."""

    lines: list[str]
    values: Mapping[str, Mapping[str, Any] | None]


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
        assert runtime.advoware is not None  # noqa: S101  # asked for before
        pairs, pair = runtime.advoware.pairs, Pair(hold.pair)
        ids = await _record_ids(pairs, hold, take)
        # Where Advoware lists no parties, only those that are named are looked at; an account's id begins with its party's.
        betnr = (ids[Side.RIGHT] or "").partition("/")[0]
        reconciler = await _AnsweredPairs(pairs, hold, take).reconciler(pair, wants=(betnr,) if betnr else ())
        report = await reconciler.plan()
        subjects = {hold.subject, *(() if hold.link_id is None else (hold.link_id,))}
        lines = [line for line in report.lines if line.partition(": ")[0] in subjects]
        return Trial(lines, await _values(pairs, pair, ids) if with_values else {})


async def _values(
    pairs: Pairs, pair: Pair, ids: Mapping[Side, str | None]
) -> dict[str, Mapping[str, Any] | None]:
    adapters = await _adapters(pairs, pair)
    found: dict[str, Mapping[str, Any] | None] = {}
    for side in Side:
        record_id = ids[side]
        record = await adapters[side].get(record_id) if record_id is not None else None
        found[side.value] = record.fields if record is not None else None
    return found


async def _record_ids(pairs: Pairs, hold: HoldView, take: str) -> dict[Side, str | None]:
    database = pairs.database
    links = await database.run(lambda c: two_way_links.load(c, database.cipher, hold.pair))
    link = next((one for one in links if one.link_id == hold.link_id), None)
    if link is not None:
        return {Side.LEFT: link.left_id, Side.RIGHT: link.right_id}
    side = Side(hold.side or hold.subject.partition(":")[0])
    own = hold.record_id or hold.subject.partition(":")[2]
    return {side: own, side.other: take.removeprefix("link:") if take.startswith("link:") else None}


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
