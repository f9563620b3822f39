"""EspoCRM's change feed: pages by (modifiedAt, id), the fast way in beside the webhooks.

EspoCRM sends webhooks from a job that runs every two minutes and loses some for good (`facts/espocrm.md` 0), while
one list call costs it about 30 ms. A row becomes visible a little after its stamp, so every poll reads an overlap
again, by the server's clock; what was seen in it already is not wanted twice.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.domain.document import is_record_id
from bitbylaw_pipeline.domain.errors import Permanent, SyncError, Unexpected
from bitbylaw_pipeline.inbox import document_states, events, feed_cursors, work_queue
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.feed_cursors import FeedCursor
from bitbylaw_pipeline.inbox.work_queue import EVENT_PRIORITY, SWEEP_PRIORITY
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.outage import OutageWatch

log = structlog.get_logger(__name__)

STAMP = "%Y-%m-%d %H:%M:%S"
BULK_AGE = timedelta(hours=1)
"""Rows older than this come from a first read or a long silence: they wait behind what just happened."""
ESPOCRM = "espocrm"
DOCUMENTS = "documents"
COLLECTIONS = "collections"
MOST_PAGES = 10
HOLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One changed record: its id and which state of it was seen."""

    id: str
    modified_at: str
    version: int | None

    @property
    def mark(self) -> str:
        """What tells this state of the record from any other."""
        return f"{self.id}@{self.modified_at}@{self.version}"


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll found: how many records changed, by entity type; whether there is more to read at once."""

    changed: dict[str, int] = field(default_factory=dict)
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class FeedSource:
    """One entity type of the feed: which streams want its records."""

    entity_type: str
    streams: tuple[str, ...]
    topic: str

    def key(self, stream: str, record_id: str) -> str:
        """The work queue's key of one of its records: an owner's names its type, all others are ids."""
        return f"{self.entity_type}:{record_id}" if stream == COLLECTIONS else record_id


def feed_sources(settings: Settings) -> tuple[FeedSource, ...]:
    """Documents first, then each owner type, then what is kept in step with Advoware; topics as the firm knows them."""
    streams: dict[str, tuple[str, ...]] = {settings.document_fields.entity_type: (DOCUMENTS,)}
    topics = {settings.document_fields.entity_type: "vmh.document.update"}
    for owner in settings.collection_owners:
        streams[owner.entity_type] = (*streams.get(owner.entity_type, ()), COLLECTIONS)
        topics.setdefault(owner.entity_type, f"{owner.word}.update")
    if settings.has_advoware:
        for entity_type, stream in (
            (settings.beteiligte_fields.entity_type, "beteiligte"),
            (settings.bankverbindung_fields.entity_type, "bankverbindungen"),
        ):
            streams[entity_type] = (*streams.get(entity_type, ()), stream)
            topics[entity_type] = f"vmh.{stream}.update"
    return tuple(FeedSource(name, wanted_by, topics[name]) for name, wanted_by in streams.items())


@dataclass(slots=True)
class ChangeFeed:
    """Polls each source from where the last poll, by whichever process, left off."""

    espocrm: EspoCrm
    database: Database
    coordination: Coordination
    settings: Settings
    outage_watch: OutageWatch
    _absent: set[str] = field(default_factory=set)
    _is_behind: bool = False

    async def poll_quietly(self) -> PollResult:
        """`poll_once` for a batch: what somebody has just read is left out, and trouble is only logged.

        Every lingering batch polls: without this, five streams would ask EspoCRM five times as often as one.
        """
        pause = 0.0 if self._is_behind else self.settings.feed_interval_seconds / 2
        try:
            result = await self.poll_once(unless_within=pause)
        except (SyncError, DatabaseUnavailable) as error:
            # It is tried again a moment later anyway.
            log.warning("feed_failed", error=type(error).__name__, says=str(error))
            result = PollResult()
        self._is_behind = result.is_behind
        return result

    async def poll_once(self, *, unless_within: float = 0.0) -> PollResult:
        """Reads what has changed since the last poll and wants it; raises what the client raises.

        An entity type that anybody read within the last `unless_within` seconds is left out. While EspoCRM is paused
        it asks nothing: a refused key asked every five seconds would lock our address out.
        """
        if not await self.outage_watch.may_call((ESPOCRM,)):
            return PollResult()
        try:
            return await self._poll_all(unless_within)
        except SyncError as error:
            await self.outage_watch.judge(error)
            raise

    async def _poll_all(self, unless_within: float) -> PollResult:
        changed: dict[str, int] = {}
        is_behind = False
        for source in feed_sources(self.settings):
            if source.entity_type in self._absent:
                continue
            take_up = partial(self._take_up, entity_type=source.entity_type, unless_within=unless_within)
            cursor = await self.database.run(take_up)
            if cursor is None:
                continue
            try:
                count, more = await self._poll(source, cursor)
            except Permanent as error:
                # An entity type that this server does not have, or that we may not read, must not stop the others.
                self._absent.add(source.entity_type)
                log.warning("feed_without", entity_type=source.entity_type, reason=error.reason)
                continue
            finally:
                await self.database.run(partial(feed_cursors.release, entity_type=source.entity_type))
            if count:
                changed[source.entity_type] = count
            is_behind = is_behind or more
        return PollResult(changed, is_behind)

    def _take_up(self, conn: Connection, entity_type: str, unless_within: float) -> FeedCursor | None:
        """The cursor, held; None while another reader holds it, or if one has just read."""
        now = self.database.now(conn)
        if not feed_cursors.hold(conn, now, entity_type, HOLD_SECONDS):
            return None
        cursor = feed_cursors.get(conn, entity_type)
        if cursor.polled_at is not None and now - cursor.polled_at < unless_within:
            feed_cursors.release(conn, entity_type)
            return None
        return cursor

    async def _poll(self, source: FeedSource, cursor: FeedCursor) -> tuple[int, bool]:
        marks = set(cursor.seen)
        reached = None if cursor.modified_at is None else (cursor.modified_at, cursor.record_id or "")
        total = pages = 0
        async for page in self.espocrm.iterate_changed(source.entity_type, reached):
            pages += 1
            if page.server_time is None:
                raise Unexpected(
                    "EspoCRM's answer carries no Date, so the feed cannot move on.", system=ESPOCRM
                )
            server_time = datetime.fromtimestamp(page.server_time, UTC)
            rows = [
                FeedRow(row.id, row.modified_at, row.version) for row in page.rows if is_record_id(row.id)
            ]
            fresh = [row for row in rows if row.mark not in marks]
            if page.rows:
                reached = (page.rows[-1].modified_at, page.rows[-1].id)
            place = self._place(reached, server_time)
            marks.update(row.mark for row in rows)
            if place is not None:
                marks = {mark for mark in marks if _key_of(mark) > place}
            total += await self._capture(source, fresh, place, marks, server_time)
            # What lies before the line is read to its end: the next poll would only begin with it again.
            if pages >= MOST_PAGES and place == reached:
                return total, not page.is_last
        return total, False

    def _place(self, reached: tuple[str, str] | None, server_time: datetime) -> tuple[str, str] | None:
        """From where the next poll reads: never past the server's time less the overlap; None is from the beginning.

        What was seen behind that line already is remembered by its mark.
        """
        line = (server_time - timedelta(seconds=self.settings.feed_overlap_seconds)).strftime(STAMP)
        return None if reached is None else min(reached, (line, ""))

    async def _capture(
        self,
        source: FeedSource,
        rows: Sequence[FeedRow],
        place: tuple[str, str] | None,
        seen: Iterable[str],
        server_time: datetime,
    ) -> int:
        """Commits the wants and the cursor together: a cursor never passes what was not captured."""
        event_id = uuid.uuid4().hex
        bulk_line = (server_time - BULK_AGE).strftime(STAMP)
        marks = sorted(seen)
        modified_at, record_id = place or (None, None)

        def commit(conn: Connection) -> int:
            now = self.database.now(conn)
            own = self._own_echoes(conn, source, rows)
            foreign = [row for row in rows if row.id not in own]
            for priority in (EVENT_PRIORITY, SWEEP_PRIORITY):
                chosen = [row for row in foreign if (row.modified_at < bulk_line) == bool(priority)]
                for stream in source.streams if chosen else ():
                    keys = list(dict.fromkeys(source.key(stream, row.id) for row in chosen))
                    work_queue.want(conn, now, stream, keys, priority=priority)
            if foreign:
                items = [(source.entity_type, row.id, "update") for row in foreign]
                digest = hashlib.sha256("".join(row.mark for row in foreign).encode()).hexdigest()
                events.record(conn, now, "feed", source.topic, items, digest, event_id)
            feed_cursors.put(conn, now, source.entity_type, modified_at, record_id, marks)
            return len(foreign)

        wanted = await self.database.run(commit)
        if wanted:
            log.info("feed", entity_type=source.entity_type, changed=wanted)
            for stream in source.streams:
                await self.coordination.wake(stream)
        return wanted

    def _own_echoes(self, conn: Connection, source: FeedSource, rows: Sequence[FeedRow]) -> frozenset[str]:
        """Documents whose present state is the very one that our last pass read after its own write.

        Only where the record has a version: modifiedAt alone has whole seconds, and somebody else's change in the
        same second would be taken for ours.
        """
        if source.streams != (DOCUMENTS,):
            return frozenset()
        versioned = {row.id: row for row in rows if row.version is not None}
        known = document_states.get_many(conn, list(versioned))
        return frozenset(
            document_id
            for document_id, state in known.items()
            if state.record_version == versioned[document_id].version
            and state.record_modified_at == versioned[document_id].modified_at
        )


def _key_of(mark: str) -> tuple[str, str]:
    record_id, modified_at, _ = mark.split("@")
    return modified_at, record_id
