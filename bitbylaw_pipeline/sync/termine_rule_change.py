"""The firm has changed what Google is told, or which Termine are Fristen: what was agreed under the former rules is
compared anew.

Both sides still hold what they held when they agreed, so that by itself nothing would be written: names would stay in
Google after masking was switched on, and masks that look like a person's titles would go into Advoware after it was
switched off.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import structlog

from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.domain.termin_kind import MASKED, TITLES, FristRule, TerminKind
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.domain.two_way_state import Changes, LinkChanged
from bitbylaw_pipeline.inbox import batches
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.termine_policy import TEXTS
from bitbylaw_pipeline.sync.two_way_run import chunks
from bitbylaw_pipeline.sync.two_way_store import LinkStore

log = structlog.get_logger(__name__)

_FLAG = "termine_rules:"


class RuleChange:
    """The rules under which a pair was passed over last, against those of now."""

    def __init__(self, database: Database, pair: str, fristen: FristRule, *, masks: bool) -> None:
        self._database = database
        self._flag = _FLAG + pair
        self._pair = pair
        self._masks = masks
        # By its digest: a pattern may name a client.
        self._now = (
            f"masks={int(masks)}",
            f"fristen={hashlib.sha256(repr(fristen).encode()).hexdigest()[:16]}",
        )

    async def is_due(self) -> bool:
        """Whether the rules have changed since the last pass."""
        former = await self._former()
        return former is not None and former != self._now

    async def follow(self, store: LinkStore) -> None:
        """Takes out of the links what was agreed under a rule that has changed. Raises Transient where one is in hand."""
        former = await self._former()
        if former == self._now:
            return
        if former is not None:
            links = (await store.load()).links
            anew = [self._compared_anew(link, former) for link in links if link.has_base]
            try:
                for chunk in chunks(anew):
                    await store.commit(Changes(links=tuple(chunk)))
            except LinkChanged:
                raise Transient(
                    "An appointment is in another run's hands; the pass is repeated.", system="pipeline"
                ) from None
            log.info("termine_rules_changed", pair=self._pair, links=len(anew))
        database, told = self._database, "|".join(self._now)
        await database.run(lambda c: batches.set_flag(c, database.now(c), self._flag, told))

    async def _former(self) -> tuple[str, ...] | None:
        told = await self._database.run(lambda c: batches.get_flag(c, self._flag))
        return None if told is None else tuple(told.split("|"))

    def _compared_anew(self, link: Link, former: tuple[str, ...]) -> Link:
        if self._now[0] not in former:
            link = _masked(link) if self._masks else _unmasked(link)
        if self._now[1] not in former:
            link = replace(link, base_right=_without(link.base_right, ("art",)))
        return link


def _masked(link: Link) -> Link:
    return replace(link, base_right=_without(link.base_right, TEXTS))


def _unmasked(link: Link) -> Link:
    """The mask is from now on what Google holds, and nothing that anybody has typed there."""
    shown: dict[str, Any] = dict(link.base_right)
    if shown.get("text") == MASKED:
        kind = str(shown.get("art") or TerminKind.TERMIN)
        shown["text"] = TITLES.get(kind, TITLES[TerminKind.TERMIN])
    return replace(link, base_left=_without(link.base_left, TEXTS), base_right=shown)


def _without(base: Fields, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in base.items() if name not in names}
