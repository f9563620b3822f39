"""What there is of one matter: its collection with everything in it, the documents that are in no other, its Akte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, select

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, OwnerKey, is_record_id
from bitbylaw_pipeline.domain.erasure import Kind, Partition
from bitbylaw_pipeline.domain.errors import NotFound, Permanent
from bitbylaw_pipeline.inbox import collection_states, document_states, egress
from bitbylaw_pipeline.inbox.schema import akte_state
from bitbylaw_pipeline.inbox.traces import Traces
from bitbylaw_pipeline.sync.akte_verdict import ASSET
from bitbylaw_pipeline.sync.akten_sides import PAIR as AKTEN
from bitbylaw_pipeline.sync.collection_search import collection_name
from bitbylaw_pipeline.sync.erasure_documents import is_permitted, load_owner, load_record, plan_document
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.erasure_xai import XaiLook, document_of

STREAM = "collections"
WOULD_COME_BACK = (
    "EspoCRM still has {key} and permits that its documents leave the firm: withdraw the permission or delete it in"
    " EspoCRM first, they would be uploaded again."
)
HIDDEN = (
    "{owner} is not to be seen by us, so nobody can say whether document {id} belongs to it, too: give our role the right"
    " to read it and its documents, or erase the document by itself first (bitbylaw erase document {id})."
)
_OURS = "espocrm:"


async def plan_matter(tools: ErasureTools, key: OwnerKey, look: XaiLook) -> ErasurePlan:
    """The plan for one owner of a collection. Raises the errors of `domain.errors`."""
    owner = await load_owner(tools, key)
    now, state, akten, by_state = await tools.read(lambda conn: _known(conn, tools, key))
    refused = owner is not None and is_permitted(tools, owner, now)
    places = _collections(key, state, look)
    plan = ErasurePlan(
        Kind.MATTER,
        str(key),
        refusals=(WOULD_COME_BACK.format(key=key),) if refused else (),
        collections=places,
        owners=_to_empty(owner, places, look),
        traces=_traces(tools, key, places, state, akten),
        partitions=frozenset(
            {
                # A party is also a partition of its own pair's stream, and stays one.
                Partition(str(key)),
                *(Partition(akte_id, AKTEN, (ASSET,)) for akte_id in akten),
            }
        ),
        leases=frozenset({AKTEN}) if akten else frozenset(),
    )
    return await _with_documents(tools, plan, key, look, by_state)


async def _with_documents(
    tools: ErasureTools, plan: ErasurePlan, key: OwnerKey, look: XaiLook, by_state: Iterable[str]
) -> ErasurePlan:
    members: dict[str, set[str]] = {}
    foreign: set[str] = set()
    where: dict[str, frozenset[str]] = {}
    for place in plan.collections:
        for member in look.members.get(place, ()):
            where[member.file_id] = look.places_of(member.file_id) & plan.collections
            document_id = document_of(member)
            if document_id is not None and is_record_id(document_id):
                members.setdefault(document_id, set()).add(member.file_id)
            else:
                foreign.add(member.file_id)
    plan = replace(
        plan, detached={file_id: where[file_id] for file_id in foreign}, foreign=frozenset(foreign)
    )
    found = sorted({*members, *by_state, *await _linked(tools, key)})
    states = await tools.read(lambda conn: document_states.get_many(conn, found))
    for document_id in found:
        record = await load_record(tools, document_id)
        if record is not None and not record.owners - {key}:
            state = states.get(document_id)
            others = {*(state.owners if state else ()), *look.owners_of(document_id)} - {str(key)}
            plan = replace(plan, refusals=(*plan.refusals, *await _hidden(tools, document_id, others)))
        if record is not None and record.owners - {key}:
            files = {file_id: where[file_id] for file_id in members.get(document_id, ())}
            plan |= ErasurePlan(plan.kind, plan.subject, detached=files, neighbours=frozenset({document_id}))
        else:
            plan |= await plan_document(tools, document_id, look)
    return plan


async def _hidden(tools: ErasureTools, document_id: str, others: Iterable[str]) -> list[str]:
    """A refusal for each owner that had the document and is not to be seen by us: EspoCRM leaves it out without a word."""
    refusals = []
    for owner in (OwnerKey.parse(other) for other in sorted(others)):
        if tools.settings.owner_type(owner.entity_type) is None:
            continue
        try:
            await tools.records.espocrm.get(owner.entity_type, owner.id)
        except NotFound:
            continue
        except Permanent as error:
            if error.reason != "no_access":
                raise
        else:
            if await tools.records.owns_documents(owner.entity_type):
                continue
        refusals.append(HIDDEN.format(owner=owner, id=document_id))
    return refusals


async def _linked(tools: ErasureTools, key: OwnerKey) -> list[str]:
    try:
        return await tools.records.documents_of(key)
    except NotFound:
        return []


def _known(
    conn: Connection, tools: ErasureTools, key: OwnerKey
) -> tuple[float, CollectionState | None, list[str], list[str]]:
    """The time, our state, the ids of its Akten, and the documents that belong to it or did until they lost every owner."""
    matter = str(key)
    akten = conn.execute(select(akte_state.c.akte_id).where(akte_state.c.owner_key == matter)).scalars()
    documents = document_states.by_owner(conn, matter)
    # A document that was deleted in EspoCRM, or unlinked there from its last matter, has left its collections, and its
    # file is kept: only the register knows whose it was.
    of_nobody = [state.document_id for state in document_states.iterate(conn) if not state.owners]
    documents += sorted(egress.documents_of(conn, tools.database.cipher, matter, of_nobody))
    return tools.database.now(conn), collection_states.get(conn, matter), sorted(akten), documents


def _collections(key: OwnerKey, state: CollectionState | None, look: XaiLook) -> frozenset[str]:
    """Those that bear the owner's name, and the one that we know, unless it bears another owner's."""
    named = look.named(collection_name(key))
    known = look.collections.get(state.collection_id or "") if state is not None else None
    if known is None or known.name.startswith(_OURS):
        return named
    return named | {known.collection_id}


def _to_empty(owner: Owner | None, places: frozenset[str], look: XaiLook) -> tuple[Owner, ...]:
    """The owner, if it names a collection that goes or that is not there; another's it only carries as a copy does."""
    if owner is None or owner.collection_id is None:
        return ()
    is_ours = owner.collection_id in places or owner.collection_id not in look.collections
    return (owner,) if is_ours else ()


def _traces(
    tools: ErasureTools,
    key: OwnerKey,
    places: frozenset[str],
    state: CollectionState | None,
    akten: Iterable[str],
) -> Traces:
    known = {state.collection_id} if state is not None and state.collection_id else set()
    is_party = key.entity_type == tools.settings.beteiligte_fields.entity_type
    return Traces(
        owners=frozenset({str(key)}),
        collections=places | known,
        akten=frozenset(akten),
        # A party goes on being kept in step with Advoware: there its id stands by itself.
        records=frozenset() if is_party else frozenset({key.id}),
        work=frozenset({(STREAM, str(key)), *((AKTEN, akte_id) for akte_id in akten)}),
        sides=frozenset({(AKTEN, "left", str(key)), *((AKTEN, "right", one) for one in akten)}),
        mentions=frozenset({str(key) if is_party else key.id, *places, *known}),
    )
