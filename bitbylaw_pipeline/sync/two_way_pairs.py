"""The pairs that are kept in step between EspoCRM and Advoware, put together for one run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.espocrm_bankverbindungen import BankverbindungRecords
from bitbylaw_pipeline.clients.espocrm_beteiligte import BeteiligteRecords
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.bankverbindungen_sides import AdvowareBankSide, EspoBankSide
from bitbylaw_pipeline.sync.beteiligte_advoware import AdvowareBeteiligteSide, PartyList
from bitbylaw_pipeline.sync.beteiligte_espocrm import EspoBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_policy import BANKVERBINDUNGEN, BETEILIGTE
from bitbylaw_pipeline.sync.two_way import Reconciler
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore

CONCURRENCY = 4
"""Links at work at once: Advoware's connector is a service on a server in the firm (`facts/advoware.md` 2)."""
PASSES_A_DAY = 96
"""As the schedule has it (`defs/advoware_pass.py`): where Advoware lists no parties each pass reads this part of them."""


class Pair(StrEnum):
    """A pair's name: of its links, of its stream in the work queue, and of its partitions."""

    BETEILIGTE = "beteiligte"
    BANKVERBINDUNGEN = "bankverbindungen"


@dataclass(slots=True)
class Pairs:
    """Opens a pair's Reconciler. `clock` is UTC epoch seconds."""

    database: Database
    beteiligte_records: BeteiligteRecords
    bank_records: BankverbindungRecords
    advoware: Advoware
    clock: Callable[[], float] = time.time

    def store(self, pair: Pair) -> DatabaseLinkStore:
        """The pair's state."""
        return DatabaseLinkStore(self.database, pair.value)

    def party_list(self) -> PartyList:
        """Advoware's list of parties for one pass over both pairs."""
        return PartyList(self.advoware)

    async def reconciler(
        self,
        pair: Pair,
        parties: PartyList | None = None,
        *,
        wants: tuple[str, ...] = (),
        about: str | None = None,
    ) -> Reconciler:
        """The pair's engine; asks EspoCRM for its metadata and our rights. Raises the errors of `domain.errors`.

        Where Advoware lists no parties, `wants` are those to read, beside those that a party of EspoCRM without a link
        (`about` alone, if it is given) names as its own; of accounts, those of these parties or of `about`'s.
        """
        shared = parties or self.party_list()
        match pair:
            case Pair.BETEILIGTE:
                left = await EspoBeteiligteSide.open(self.beteiligte_records, self.clock)

                async def unlisted() -> list[str]:
                    linked, answered = await self._linked_and_answered()
                    named = [left.named.get(about, "")] if about is not None else sorted(left.named.values())
                    return [
                        *wants,
                        *(betnr for betnr in (*named, *answered) if betnr and betnr not in linked),
                    ]

                return Reconciler(
                    BETEILIGTE,
                    {
                        Side.LEFT: left,
                        Side.RIGHT: AdvowareBeteiligteSide(self.advoware, shared, wants=unlisted),
                    },
                    self.store(pair),
                    concurrency=CONCURRENCY,
                )
            case Pair.BANKVERBINDUNGEN:
                betnrs = await self.betnrs()
                scope = await self._account_scope(betnrs, wants, about)
                return Reconciler(
                    BANKVERBINDUNGEN,
                    {
                        Side.LEFT: await EspoBankSide.open(self.bank_records, betnrs, scope),
                        Side.RIGHT: AdvowareBankSide(self.advoware, shared, betnrs, scope),
                    },
                    self.store(pair),
                    concurrency=CONCURRENCY,
                )

    async def betnrs(self) -> Mapping[str, str]:
        """EspoCRM's linked parties -> their betNr."""
        return await self.database.run(lambda c: two_way_links.active_ids(c, Pair.BETEILIGTE.value))

    async def _account_scope(
        self, betnrs: Mapping[str, str], wants: Collection[str], about: str | None
    ) -> frozenset[str] | None:
        """Whose accounts are looked at: everybody's where one list shows them, else a part at a time."""
        if self.advoware.lists_beteiligte or (about is None and not wants):
            return None
        if about is None:
            return frozenset(wants)
        try:
            account = await self.bank_records.bankverbindung(about)
        except NotFound:
            return frozenset()
        betnr = betnrs.get(account.beteiligte_id or "")
        return frozenset() if betnr is None else frozenset({betnr})

    async def _linked_and_answered(self) -> tuple[frozenset[str], list[str]]:
        """The parties of Advoware that have a link, and those that a person has named in an answer to a hold."""
        snapshot = await self.store(Pair.BETEILIGTE).load(left_ids=())
        takes = [answer.take for of_one in snapshot.decisions.values() for answer in of_one.values()]
        named = [take.removeprefix("link:") for take in takes if take.startswith("link:")]
        return snapshot.linked[Side.RIGHT], [betnr for betnr in named if betnr.isdecimal()]

    async def parties_in_turn(self) -> tuple[str, ...]:
        """The part of the linked parties that this quarter of an hour's pass reads where Advoware lists none: all of
        them once a day. Empty where it lists them.
        """
        if self.advoware.lists_beteiligte:
            return ()
        betnrs = sorted((await self.betnrs()).values())
        if not betnrs:
            return ()
        count = math.ceil(len(betnrs) / PASSES_A_DAY)
        start = int(self.clock() // (86400 / PASSES_A_DAY)) * count % len(betnrs)
        return tuple((betnrs + betnrs)[start : start + count])
