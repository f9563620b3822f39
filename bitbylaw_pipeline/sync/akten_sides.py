"""Akten at Advoware, matters in EspoCRM, and what is remembered about both: what a pass over Akten works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_rows import Akte
from bitbylaw_pipeline.clients.espocrm_akten import MatterRecords
from bitbylaw_pipeline.domain.akte_match import AkteLink, AkteRef, AkteState, AkteStatus, Matter
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.errors import NotFound, Unexpected
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import akte_states, collection_states, two_way_holds, work_queue
from bitbylaw_pipeline.inbox.database import Database

T = TypeVar("T")

PAIR = "akten"
PROOFS = 3
"""So many linked matters are read one by one before a type that lists none is believed to be empty."""


@dataclass(frozen=True, slots=True)
class AktenSides:
    """Both systems and the state, for the whole pass and for that of a single Akte."""

    database: Database
    advoware: Advoware
    records: MatterRecords

    async def list_akten(self) -> list[AkteRef]:
        """All of Advoware's Akten; Unexpected if one comes twice."""
        rows = await self.advoware.list_akten()
        if len({row.id for row in rows}) != len(rows):
            raise Unexpected("advoware lists an Akte twice (list_akten).", system="advoware")
        return [_ref(row) for row in rows]

    async def akte(self, akte_id: int) -> AkteRef | None:
        """One Akte, None if Advoware does not have it (any more)."""
        try:
            return _ref(await self.advoware.akte(akte_id))
        except NotFound:
            return None

    async def collections_of(self, links: Iterable[AkteLink]) -> dict[str, str | None]:
        """Matter -> id of its collection: what the matter says, else what was agreed with xAI."""
        matters = {str(link.matter.key): link.matter.collection_id for link in links}
        unknown = [key for key, collection_id in matters.items() if collection_id is None]
        if not unknown:
            return matters
        states = await self.read(lambda c: collection_states.get_many(c, unknown))
        agreed = {key: state.collection_id for key, state in states.items() if state.deleted_at is None}
        return {**matters, **agreed}

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Reads the state, beside any writer."""
        return await asyncio.to_thread(self.database.read, work)

    async def store(self, states: Sequence[AkteState], holds: HoldChanges) -> None:
        """Commits states and holds, and wants the collections of newly tied matters: each tells its Akte."""
        tied = {
            state.owner_key
            for state in states
            if state.status is AkteStatus.LINKED and state.owner_key and state.collection_id
        }

        def commit(connection: Connection) -> None:
            now = self.database.now(connection)
            akte_states.put_many(connection, now, states)
            if tied:
                work_queue.want(
                    connection, now, "collections", sorted(tied), priority=work_queue.SWEEP_PRIORITY
                )
            two_way_holds.replace_holds(connection, now, PAIR, holds)

        await self.database.run(commit)

    async def refuse_lost_matters(self, matters: Iterable[Matter], former: Mapping[str, AkteState]) -> None:
        """Raises Unexpected where a type shows none of its linked matters: a right may have been taken away.

        Deletions are believed once a few of these matters, read one by one, are really gone.
        """
        listed = {matter.key.entity_type for matter in matters}
        linked: dict[str, list[OwnerKey]] = {}
        for state in former.values():
            if state.status is not AkteStatus.LINKED or state.owner_key is None:
                continue
            key = OwnerKey.parse(state.owner_key)
            if key.entity_type not in listed and self.records.knows(key.entity_type):
                linked.setdefault(key.entity_type, []).append(key)
        for entity_type, keys in sorted(linked.items()):
            for key in sorted(keys)[:PROOFS]:
                if await self._is_there(key):
                    raise Unexpected(
                        f"EspoCRM lists no {entity_type} although {len(keys)} are linked with Akten: look at the API "
                        "user's rights before anything is taken for deleted.",
                        system="espocrm",
                    )

    async def _is_there(self, key: OwnerKey) -> bool:
        try:
            await self.records.matter(key)
        except NotFound:
            return False
        return True


def refuse_lost_akten(
    akten: Sequence[AkteRef], matters: Iterable[Matter], former: Mapping[str, AkteState]
) -> None:
    """Raises Unexpected for an empty list where there were Akten before, by our state or by EspoCRM's."""
    known = sum(1 for state in former.values() if state.status is not AkteStatus.GONE)
    named = sum(1 for matter in matters if matter.akte_id is not None)
    if not akten and (known or named):
        raise Unexpected(
            f"advoware lists no Akte although {max(known, named)} are known here: look at our user's rights there "
            "before anything is taken for gone.",
            system="advoware",
        )


def _ref(row: Akte) -> AkteRef:
    # 0 is Advoware's number of what has none.
    return AkteRef(row.id, row.aktennummer or None, row.az)
