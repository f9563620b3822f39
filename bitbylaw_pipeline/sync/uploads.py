"""Uploading a file exactly once, whatever crashes: journal first, look for the file again after an unclear outcome.

xAI's upload is not idempotent and knows no key of ours (`facts/xai.md` 2.1), so the token goes into the file's name,
and the intent that names it is committed, together with the egress rows, before the first byte leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import SpooledUpload
from bitbylaw_pipeline.domain.document import Document, OwnerKey
from bitbylaw_pipeline.domain.document_plan import PARTIAL, content_token
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.file_name import safe_upload_name
from bitbylaw_pipeline.inbox import document_states, egress, egress_switch, intents
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.remaining import UPLOAD
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.contents import Contents
from bitbylaw_pipeline.sync.egress_watch import EgressStopped, EgressWatch

log = structlog.get_logger(__name__)

INTENT_KIND = UPLOAD
XAI = "xai"


@dataclass(frozen=True, slots=True)
class MustWait:
    """A file of an earlier, unclear upload may not be listed yet: look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stored:
    """The state with the file in it; `is_stopped` where the kill switch was thrown before the upload had ended."""

    state: DocumentState
    is_stopped: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """An upload that is about to begin; `seen` are the open intents of this document that have been looked into."""

    document_id: str
    token: str
    sha256: str
    required: Mapping[str, OwnerKey]
    grounds: Mapping[OwnerKey, str]
    state: DocumentState
    seen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Unclear:
    """Earlier uploads of this document may have landed; `now` is UTC epoch seconds."""

    now: float
    intents: list[intents.Intent]


@dataclass(frozen=True, slots=True)
class _Landed:
    """An upload that came to its end, with the document's state from now on."""

    intent_id: str
    file_id: str
    state: DocumentState


@dataclass(frozen=True, slots=True)
class Upload:
    """Puts one document's new contents into xAI's file store and records it."""

    database: Database
    xai: Xai
    settings: Settings
    egress_watch: EgressWatch

    async def store(
        self,
        document: Document,
        contents: Contents,
        required: Mapping[str, OwnerKey],
        grounds: Mapping[OwnerKey, str],
        state: DocumentState,
    ) -> Stored | MustWait:
        """The state with the new file in it, its older file doomed; raises OutcomeUnknown with the intent kept.

        `grounds` say on what ground it may leave for each of the owners. Raises EgressStopped where the kill switch is
        on, or is thrown while the file is on its way: the intent is then kept as well.
        """
        token = content_token(document.id, contents.sha256)
        start = _Start(document.id, token, contents.sha256, required, grounds, state)
        file_id: str | None = None
        strays: tuple[DoomedFile, ...] = ()
        intent_id = await self._begin(start)
        if isinstance(intent_id, _Unclear):
            adopted = await self._recover(intent_id, token, contents.size, state)
            if isinstance(adopted, MustWait):
                return adopted
            file_id, strays = adopted
            intent_id = await self._begin(
                replace(start, seen=frozenset(earlier.id for earlier in intent_id.intents))
            )
            if isinstance(intent_id, _Unclear):
                return MustWait(self.settings.xai_settle_seconds)
        linked: tuple[str, ...] = ()
        if file_id is None:
            first = next(iter(required))
            stored = await self.egress_watch.unless_stopped(
                self.xai.upload(
                    SpooledUpload(
                        path=contents.path,
                        size=contents.size,
                        content_type=contents.content_type,
                        name=safe_upload_name(token, document.file_name or document.name),
                    ),
                    route=self.settings.xai_upload_route,
                    collection_id=first,
                    fields=attach_fields(document.id, required[first], contents.sha256),
                )
            )
            file_id = stored.file_id
            linked = (stored.collection_id,) if stored.collection_id else ()
            if stored.size != contents.size:
                strays = (*strays, DoomedFile(file_id, linked, is_stray=True))
                await self.database.run(
                    lambda conn: document_states.put(conn, replace(state, doomed=(*state.doomed, *strays)))
                )
                raise Unexpected(f"xAI stored {stored.size} of {contents.size} bytes.", system="xai-files")
        else:
            log.info("adopted", key=document.id, file_id=file_id)
        older = (DoomedFile(state.file_id, state.collections),) if state.file_id else ()
        new_state = replace(
            state,
            attachment_id=document.attachment_id,
            md5=contents.md5,
            sha256=contents.sha256,
            size=contents.size,
            file_id=file_id,
            # From here on the file MAY be in each of them: a crash before the last attach must not forget one.
            collections=tuple(sorted(required)),
            doomed=(*state.doomed, *older, *strays),
            status=PARTIAL,
            index_status=IndexStatus.PENDING,
        )
        landed = _Landed(intent_id, file_id, new_state)
        is_stopped = await self.database.run_together(_settle_uploads, self.database, landed)
        return Stored(new_state, is_stopped)

    async def _begin(self, start: _Start) -> str | _Unclear:
        begun = await self.database.run_together(_begin_uploads, self.database, start)
        if begun is None:
            raise EgressStopped
        return begun

    async def _recover(
        self, unclear: _Unclear, token: str, size: int, state: DocumentState
    ) -> tuple[str | None, tuple[DoomedFile, ...]] | MustWait:
        """What earlier, unclear uploads of this document left behind: (the file to adopt, files to drop)."""
        adopt: str | None = None
        strays: list[DoomedFile] = []
        known = {state.file_id, *(old.file_id for old in state.doomed)}
        for intent in unclear.intents:
            found = await self.xai.find_files(intent.token)
            if not found:
                age = unclear.now - intent.opened_at
                if age < self.settings.xai_settle_seconds:
                    return MustWait(self.settings.xai_settle_seconds - age)
            for file in found:
                if file.file_id in known:
                    continue
                if adopt is None and intent.token == token and file.size == size:
                    adopt = file.file_id
                else:
                    strays.append(DoomedFile(file.file_id, is_stray=True))
        return adopt, tuple(strays)


def _begin_uploads(
    conn: Connection, database: Database, starts: Sequence[_Start]
) -> list[str | _Unclear | None]:
    """Journals the uploads with their egress rows: the intent's id of each, None where egress is stopped."""
    if egress_switch.is_stopped(conn):
        return [None] * len(starts)
    now = database.now(conn)
    earlier = intents.unsettled_of_many(conn, INTENT_KIND, [start.document_id for start in starts])
    unclear = {
        start.document_id: _Unclear(now, found)
        for start in starts
        if (found := earlier.get(start.document_id)) and not {one.id for one in found} <= start.seen
    }
    clear = [start for start in starts if start.document_id not in unclear]
    entries = [
        entry
        for start in clear
        for entry in egress_entries(start.document_id, start.sha256, start.required, start.grounds)
    ]
    egress.append(conn, now, database.cipher, entries)
    ids = intents.open_many(conn, now, INTENT_KIND, [(start.document_id, start.token) for start in clear])
    document_states.put_many(conn, [replace(start.state, status=PARTIAL, updated_at=now) for start in clear])
    opened = iter(ids)
    return [unclear.get(start.document_id) or next(opened) for start in starts]


def _settle_uploads(conn: Connection, database: Database, landed: Sequence[_Landed]) -> list[bool]:
    """Settles the intents; whether egress has been stopped meanwhile, for each."""
    now = database.now(conn)
    ends = [(one.state.document_id, one.intent_id, one.file_id) for one in landed]
    intents.settle_subjects(conn, now, INTENT_KIND, ends)
    document_states.put_many(conn, [replace(one.state, updated_at=now) for one in landed])
    return [egress_switch.is_stopped(conn)] * len(landed)


def attach_fields(document_id: str, owner: OwnerKey, sha256: str) -> dict[str, str]:
    """What stands with the file in a collection: the way back to EspoCRM (`facts/xai.md` 8)."""
    return {
        "espocrm_entity_type": owner.entity_type,
        "espocrm_entity_id": owner.id,
        "espocrm_document_id": document_id,
        "sha256": sha256,
    }


def egress_entries(
    document_id: str, sha256: str, collections: Mapping[str, OwnerKey], grounds: Mapping[OwnerKey, str]
) -> list[egress.EgressEntry]:
    """One row a collection for the egress register, to be committed before the first byte leaves."""
    return [
        egress.EgressEntry(
            document_id=document_id,
            matter=str(owner),
            sha256=sha256,
            system=XAI,
            collection_id=collection_id,
            ground=grounds[owner],
        )
        for collection_id, owner in sorted(collections.items())
    ]
