"""What there is of one document, and why it may not be erased yet."""

from __future__ import annotations

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.document import Document, DocumentFields, Owner, OwnerKey
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.egress import judge
from bitbylaw_pipeline.domain.erasure import Kind, Partition
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.inbox import document_states, intents
from bitbylaw_pipeline.inbox.traces import Traces
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.erasure_writes import insist
from bitbylaw_pipeline.sync.erasure_xai import XaiLook, is_stored, stored_files
from bitbylaw_pipeline.sync.owner_permission import day_of
from bitbylaw_pipeline.sync.uploads import INTENT_KIND

STREAM = "documents"
WOULD_COME_BACK = (
    "EspoCRM still has document {id} and permits that it leaves the firm: withdraw the permission, exclude it, unlink it"
    " or delete it in EspoCRM first, it would be uploaded again with its next change."
)
NOT_LISTED_YET = "An upload of document {id} may not be listed by xAI yet: run it again in {seconds:.0f} s."


async def plan_document(tools: ErasureTools, document_id: str, look: XaiLook) -> ErasurePlan:
    """The plan for one document. Raises the errors of `domain.errors`."""
    record = await load_record(tools, document_id)
    now, state, unsettled = await tools.read(lambda conn: _known(conn, tools, document_id))
    refusals = []
    if record is not None and await may_leave(tools, record, now):
        refusals.append(WOULD_COME_BACK.format(id=document_id))
    in_store = await stored_files(tools.xai, document_id)
    known = _files_in(state)
    files = {}
    for file_id in sorted(in_store | look.files_of(document_id) | known.keys()):
        places = look.places_of(file_id)
        if places or file_id in in_store or await is_stored(tools.xai, file_id):
            files[file_id] = places | known.get(file_id, frozenset())
    youngest = max((one.opened_at for one in unsettled), default=None)
    if youngest is not None:  # also beside a file: it may be an older version's
        left = tools.settings.xai_settle_seconds - (now - youngest)
        if left > 0:
            refusals.append(NOT_LISTED_YET.format(id=document_id, seconds=left + 1))
    return ErasurePlan(
        Kind.DOCUMENT,
        document_id,
        refusals=tuple(refusals),
        documents=frozenset({document_id}),
        files=files,
        records=(record,) if record is not None and carries_ours(record) else (),
        traces=Traces(
            documents=frozenset({document_id}),
            files=frozenset(files),
            records=frozenset({document_id}),
            work=frozenset({(STREAM, document_id)}),
            mentions=frozenset({document_id, *files, *known}),
        ),
        partitions=frozenset({Partition(document_id)}),
    )


async def load_record(tools: ErasureTools, document_id: str) -> Document | None:
    """The document as EspoCRM has it now, None if it is gone."""
    try:
        return await tools.records.load_document(document_id)
    except NotFound:
        return None


async def load_owner(tools: ErasureTools, key: OwnerKey) -> Owner | None:
    """The owner as EspoCRM has it now, None if it is gone."""
    try:
        return await tools.records.load_owner(key)
    except NotFound:
        return None


def is_permitted(tools: ErasureTools, owner: Owner, now: float) -> bool:
    """Whether the owner's documents may leave; `now` is UTC epoch seconds."""
    return judge(owner, tools.settings.xai_egress, day_of(now)).is_granted


async def may_leave(tools: ErasureTools, record: Document, now: float) -> bool:
    """Whether the next pass would upload it again, by what EspoCRM says at this moment."""
    if record.is_excluded:
        return False
    owners = [await load_owner(tools, key) for key in sorted(record.owners)]
    return any(owner is not None and is_permitted(tools, owner, now) for owner in owners)


def carries_ours(record: Document) -> bool:
    """Whether anything that we wrote stands in the record."""
    return bool(record.file_id or record.collections or record.synced_hash or record.md5 or record.sha256)


async def empty_record(tools: ErasureTools, record: Document) -> None:
    """Empties the fields that we wrote, in the record as it is now. Raises Conflict where it keeps changing."""
    empty = DocumentFields(None, (), None, tools.settings.document_fields.status_new, None, None)

    async def write() -> None:
        await tools.records.write_document(await tools.records.load_document(record.id), empty)

    await insist(write)


async def empty_owner(tools: ErasureTools, owner: Owner) -> None:
    """Empties the collection's id in the owner's record as it is now. Raises Conflict where it keeps changing."""

    async def write() -> None:
        current = await tools.records.load_owner(owner.key)
        if current.collection_id == owner.collection_id:
            await tools.records.write_collection_id(current, None)

    await insist(write)


def _known(
    conn: Connection, tools: ErasureTools, document_id: str
) -> tuple[float, DocumentState | None, list[intents.Intent]]:
    return (
        tools.database.now(conn),
        document_states.get(conn, document_id),
        intents.unsettled(conn, INTENT_KIND, document_id),
    )


def _files_in(state: DocumentState | None) -> dict[str, frozenset[str]]:
    if state is None:
        return {}
    current = {state.file_id: frozenset(state.collections)} if state.file_id else {}
    return current | {old.file_id: frozenset(old.collections) for old in state.doomed}
