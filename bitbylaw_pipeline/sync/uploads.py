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
from bitbylaw_pipeline.inbox import document_states, egress, intents
from bitbylaw_pipeline.inbox.batches import get_flag
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.contents import Contents

log = structlog.get_logger(__name__)

INTENT_KIND = "xai_file"
EGRESS_STOP = "egress_stop"
XAI = "xai"


class EgressStopped(Exception):  # not an error: somebody stopped all egress on purpose
    """The kill switch was thrown between the plan and the upload; nothing has left."""


@dataclass(frozen=True, slots=True)
class MustWait:
    """A file of an earlier, unclear upload may not be listed yet: look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Start:
    """An upload that is about to begin; `seen` are the open intents of this document that have been looked into."""

    document_id: str
    token: str
    sha256: str
    required: Mapping[str, OwnerKey]
    ground: str
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

    async def store(
        self, document: Document, contents: Contents, required: Mapping[str, OwnerKey], state: DocumentState
    ) -> DocumentState | MustWait:
        """The state with the new file in it, its older file doomed; raises OutcomeUnknown with the intent kept.

        Raises EgressStopped where the kill switch is on.
        """
        token = content_token(document.id, contents.sha256)
        start = _Start(document.id, token, contents.sha256, required, self.settings.xai_egress.value, state)
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
            stored = await self.xai.upload(
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
            file_id = stored.file_id
            linked = (stored.collection_id,) if stored.collection_id else ()
            if stored.size != contents.size:
                strays = (*strays, DoomedFile(file_id, linked))
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
        await self.database.run_together(_settle_uploads, self.database, landed)
        return new_state

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
                    strays.append(DoomedFile(file.file_id, ()))
        return adopt, tuple(strays)


def _begin_uploads(
    conn: Connection, database: Database, starts: Sequence[_Start]
) -> list[str | _Unclear | None]:
    """Journals the uploads with their egress rows: the intent's id of each, None where egress is stopped."""
    if get_flag(conn, EGRESS_STOP) is not None:
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
        for entry in _egress_entries(start.document_id, start.sha256, start.required, start.ground)
    ]
    egress.append(conn, now, database.cipher, entries)
    ids = intents.open_many(conn, now, INTENT_KIND, [(start.document_id, start.token) for start in clear])
    document_states.put_many(conn, [replace(start.state, status=PARTIAL, updated_at=now) for start in clear])
    opened = iter(ids)
    return [unclear.get(start.document_id) or next(opened) for start in starts]


def _settle_uploads(conn: Connection, database: Database, landed: Sequence[_Landed]) -> list[None]:
    now = database.now(conn)
    ends = [(one.state.document_id, one.intent_id, one.file_id) for one in landed]
    intents.settle_subjects(conn, now, INTENT_KIND, ends)
    document_states.put_many(conn, [replace(one.state, updated_at=now) for one in landed])
    return [None] * len(landed)


def attach_fields(document_id: str, owner: OwnerKey, sha256: str) -> dict[str, str]:
    """What stands with the file in a collection: the way back to EspoCRM (`facts/xai.md` 8)."""
    return {
        "espocrm_entity_type": owner.entity_type,
        "espocrm_entity_id": owner.id,
        "espocrm_document_id": document_id,
        "sha256": sha256,
    }


def register_egress(
    conn: Connection,
    now: float,
    cipher: Cipher,
    document_id: str,
    sha256: str,
    collections: Mapping[str, OwnerKey],
    settings: Settings,
) -> None:
    """One row a collection in the egress register, in the caller's transaction: before the first byte leaves."""
    entries = _egress_entries(document_id, sha256, collections, settings.xai_egress.value)
    egress.append(conn, now, cipher, entries)


def _egress_entries(
    document_id: str, sha256: str, collections: Mapping[str, OwnerKey], ground: str
) -> list[egress.EgressEntry]:
    return [
        egress.EgressEntry(
            document_id=document_id,
            matter=str(owner),
            sha256=sha256,
            system=XAI,
            collection_id=collection_id,
            ground=ground,
        )
        for collection_id, owner in sorted(collections.items())
    ]
