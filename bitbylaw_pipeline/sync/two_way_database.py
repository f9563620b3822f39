"""The two-way engine's state in the state database (`facts/two_way_sync.md` 1.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.domain.two_way_state import Changes, HoldChanges, Seen, Snapshot
from bitbylaw_pipeline.inbox import (
    two_way_conflicts,
    two_way_holds,
    two_way_links,
    two_way_seen,
)
from bitbylaw_pipeline.inbox.database import Database

DIGEST_PURPOSE = "two-way field values"


class DatabaseLinkStore:
    """One pair's LinkStore. Raises CipherError if there is no usable encryption key, else as Database does."""

    def __init__(self, database: Database, pair: str) -> None:
        self._database = database
        self._pair = pair
        self._cipher = database.cipher

    def digest(self, text: str) -> str:
        """HMAC-SHA256 in hex, under a key derived from the encryption key."""
        return self._cipher.digest(DIGEST_PURPOSE, text)

    async def load(
        self, left_ids: Iterable[str] | None = None, right_ids: Iterable[str] | None = None
    ) -> Snapshot:
        """See LinkStore."""
        left = None if left_ids is None else frozenset(left_ids)
        right = None if right_ids is None else frozenset(right_ids)

        def read(connection: Connection) -> Snapshot:
            return Snapshot(
                links=two_way_links.load(connection, self._cipher, self._pair, left, right),
                linked=two_way_links.linked_ids(connection, self._pair),
                active_links=two_way_links.count_active(connection, self._pair),
                decisions=two_way_holds.decisions(connection, self._cipher, self._pair),
                approved_deletes=two_way_holds.approved(connection, self._pair, "delete"),
                approved_updates=two_way_holds.approved(connection, self._pair, "update"),
                now=self._database.now(connection),
            )

        return await asyncio.to_thread(self._database.read, read)

    async def commit(self, changes: Changes) -> tuple[Link, ...]:
        """See LinkStore."""
        links = two_way_links.rows_of(changes.links, self._cipher)
        conflicts = two_way_conflicts.ConflictRows(changes.conflicts, self._cipher)
        entries = two_way_conflicts.log_rows(changes.log, self._cipher)

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            two_way_links.put(connection, now, self._pair, links)
            two_way_links.remove(connection, self._pair, changes.removed)
            two_way_conflicts.store(connection, now, self._pair, conflicts)
            two_way_conflicts.log(connection, now, self._pair, entries)

        await self._database.run(work)
        return tuple(two_way_links.stored(link) for link in changes.links)

    async def note_seen(self, side: Side, record_ids: Iterable[str]) -> Seen:
        """See LinkStore."""
        ids = frozenset(record_ids)
        return await self._database.run(lambda c: two_way_seen.note_seen(c, self._pair, side, ids))

    async def replace_holds(self, changes: HoldChanges) -> None:
        """See LinkStore."""
        await self._database.run(
            lambda c: two_way_holds.replace_holds(c, self._database.now(c), self._pair, changes)
        )

    async def use_approvals(self, sides: Iterable[Side], op: str = "delete") -> None:
        """See LinkStore."""
        used = frozenset(sides)
        await self._database.run(lambda c: two_way_holds.use_approvals(c, self._pair, used, op))
