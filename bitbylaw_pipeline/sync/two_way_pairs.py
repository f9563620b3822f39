"""The pairs that are kept in step between EspoCRM and Advoware, put together for one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.espocrm_bankverbindungen import BankverbindungRecords
from bitbylaw_pipeline.clients.espocrm_beteiligte import BeteiligteRecords
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.bankverbindungen_sides import AdvowareBankSide, EspoBankSide
from bitbylaw_pipeline.sync.beteiligte_advoware import AdvowareBeteiligteSide, PartyList
from bitbylaw_pipeline.sync.beteiligte_espocrm import EspoBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_policy import BANKVERBINDUNGEN, BETEILIGTE
from bitbylaw_pipeline.sync.two_way import Reconciler
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore

CONCURRENCY = 4
"""Links at work at once: Advoware's connector is a service on a server in the firm (`facts/advoware.md` 2)."""


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
        self, pair: Pair, parties: PartyList | None = None, *, wants: tuple[str, ...] = ()
    ) -> Reconciler:
        """The pair's engine; asks EspoCRM for its metadata and our rights. Raises the errors of `domain.errors`."""
        shared = parties or self.party_list()
        match pair:
            case Pair.BETEILIGTE:
                return Reconciler(
                    BETEILIGTE,
                    {
                        Side.LEFT: await EspoBeteiligteSide.open(self.beteiligte_records, self.clock),
                        Side.RIGHT: AdvowareBeteiligteSide(self.advoware, shared, wants=wants),
                    },
                    self.store(pair),
                    concurrency=CONCURRENCY,
                )
            case Pair.BANKVERBINDUNGEN:
                betnrs = await self.betnrs()
                return Reconciler(
                    BANKVERBINDUNGEN,
                    {
                        Side.LEFT: await EspoBankSide.open(self.bank_records, betnrs),
                        Side.RIGHT: AdvowareBankSide(self.advoware, shared, betnrs),
                    },
                    self.store(pair),
                    concurrency=CONCURRENCY,
                )

    async def betnrs(self) -> Mapping[str, str]:
        """EspoCRM's linked parties -> their betNr."""
        links = (await self.store(Pair.BETEILIGTE).load()).links
        return {
            link.left_id: link.right_id
            for link in links
            if link.state is LinkState.ACTIVE and link.left_id is not None and link.right_id is not None
        }

    async def oldest_unseen(self, share: float) -> tuple[str, ...]:
        """The part of the linked parties whose turn it is where Advoware lists none: all of them once a day."""
        betnrs = sorted((await self.betnrs()).values())
        if not betnrs:
            return ()
        count = max(1, round(len(betnrs) * share))
        start = int(self.clock() // (86400 * share)) * count % len(betnrs)
        return tuple((betnrs + betnrs)[start : start + count])
