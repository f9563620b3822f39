"""Where document states are kept, with a companion table for the question which documents an owner has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile, IndexStatus
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import document_owner, document_state

_owners = texts_parameter("owners")
_COLUMNS = tuple(column.name for column in document_state.columns)
_IS_DOCUMENT = document_state.c.document_id == bindparam("of_document", type_=TEXT)

_given = insert(document_state).values(
    {column.name: bindparam(f"with_{column.name}", type_=column.type) for column in document_state.columns}
)
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[document_state.c.document_id],
        set_={name: _given.excluded[name] for name in _COLUMNS if name != "document_id"},
    )
)
_GET = Prepared(select(document_state).where(_IS_DOCUMENT))
_documents = texts_parameter("documents")
_GET_MANY = Prepared(
    select(document_state).where(document_state.c.document_id.in_(select(_documents.c.value)))
)
_DELETE = Prepared(delete_from(document_state).where(_IS_DOCUMENT))

_states = rows_parameter("states", {column.name: column.type for column in document_state.columns})
_given_many = insert(document_state).from_select(
    list(_COLUMNS), select(*(_states.c[name] for name in _COLUMNS)).where(true())
)
_PUT_MANY = Prepared(
    _given_many.on_conflict_do_update(
        index_elements=[document_state.c.document_id],
        set_={name: _given_many.excluded[name] for name in _COLUMNS if name != "document_id"},
    )
)
_pairs = rows_parameter("pairs", {"document_id": TEXT, "owner": TEXT})
_PAIRS_OF_MANY = Prepared(
    select(document_owner.c.document_id, document_owner.c.owner).where(
        document_owner.c.document_id.in_(select(_documents.c.value))
    )
)
_ADD_PAIRS = Prepared(
    insert(document_owner).from_select(["document_id", "owner"], select(_pairs.c.document_id, _pairs.c.owner))
)
_DROP_PAIRS = Prepared(
    delete_from(document_owner).where(
        exists().where(
            document_owner.c.document_id == _pairs.c.document_id, document_owner.c.owner == _pairs.c.owner
        )
    )
)

_IS_OWNED = document_owner.c.document_id == bindparam("of_document", type_=TEXT)
_OWNERS_OF = Prepared(select(document_owner.c.owner).where(_IS_OWNED))
_ADD_OWNERS = Prepared(
    insert(document_owner)
    .from_select(
        ["document_id", "owner"],
        select(bindparam("of_document", type_=TEXT), _owners.c.value).where(true()),
    )
    .on_conflict_do_nothing(index_elements=[document_owner.c.document_id, document_owner.c.owner])
)
_DROP_OWNERS = Prepared(
    delete_from(document_owner).where(_IS_OWNED, document_owner.c.owner.not_in(select(_owners.c.value)))
)
_BY_OWNER = Prepared(
    select(document_owner.c.document_id)
    .where(document_owner.c.owner == bindparam("of_owner", type_=TEXT))
    .order_by(document_owner.c.document_id)
)
_INDEX_DUE = Prepared(
    select(document_state)
    .where(
        document_state.c.index_status == IndexStatus.PENDING.value,
        document_state.c.index_check_at <= bindparam("at_now", type_=DOUBLE),
    )
    .order_by(document_state.c.index_check_at)
    .limit(bindparam("at_most"))
)
_FAILED_INDEX = Prepared(
    select(document_state)
    .where(document_state.c.index_status == IndexStatus.FAILED.value)
    .order_by(document_state.c.document_id)
)


def get(connection: Connection, document_id: str) -> DocumentState | None:
    """The document's state, None if it was never synced."""
    row = _GET(connection, {"of_document": document_id}).one_or_none()
    return None if row is None else _read(row)


def get_many(connection: Connection, document_ids: Iterable[str]) -> dict[str, DocumentState]:
    """The states of those of the documents that are known, by id."""
    rows = _GET_MANY(connection, {"documents": to_json(sorted(set(document_ids)))})
    return {row.document_id: _read(row) for row in rows}


def put(connection: Connection, state: DocumentState, *, former: DocumentState | None = None) -> None:
    """Stores the state in place of the former one; to pass that, if it is at hand, saves a look-up."""
    _PUT(connection, {f"with_{name}": value for name, value in _write(state).items()})
    if former is not None and former.owners == state.owners:
        return
    known = set(_OWNERS_OF(connection, {"of_document": state.document_id}).scalars())
    if known != set(state.owners):
        given = {"of_document": state.document_id, "owners": to_json(state.owners)}
        _DROP_OWNERS(connection, given)
        _ADD_OWNERS(connection, given)


def put_many(connection: Connection, states: Iterable[DocumentState]) -> None:
    """`put` for many documents by two to four statements in all; of two states of one document the later counts."""
    by_id = {state.document_id: state for state in states}
    _PUT_MANY(connection, {"states": to_json(_write(state) for state in by_id.values())})
    known = {tuple(row) for row in _PAIRS_OF_MANY(connection, {"documents": to_json(by_id)})}
    wanted = {(state.document_id, owner) for state in by_id.values() for owner in state.owners}
    for statement, pairs in ((_DROP_PAIRS, known - wanted), (_ADD_PAIRS, wanted - known)):
        if pairs:
            rows = [{"document_id": document_id, "owner": owner} for document_id, owner in sorted(pairs)]
            statement(connection, {"pairs": to_json(rows)})


def delete(connection: Connection, document_id: str) -> bool:
    """Forgets the document altogether; False if it was not known."""
    _DROP_OWNERS(connection, {"of_document": document_id, "owners": "[]"})
    return _DELETE(connection, {"of_document": document_id}).rowcount == 1


def by_owner(connection: Connection, owner_key: str) -> list[str]:
    """The ids of the documents that had this owner at their last pass."""
    return list(_BY_OWNER(connection, {"of_owner": owner_key}).scalars())


def index_due(connection: Connection, now: float, limit: int) -> list[DocumentState]:
    """The documents whose indexing is to be looked at by now, longest due first."""
    return [_read(row) for row in _INDEX_DUE(connection, {"at_now": now, "at_most": limit})]


def failed_index(connection: Connection) -> list[DocumentState]:
    """The documents that xAI could not index."""
    return [_read(row) for row in _FAILED_INDEX(connection, {})]


def iterate(connection: Connection, page: int = 1000) -> Iterator[DocumentState]:
    """Every document's state by id, read page by page so that memory does not grow with their number."""
    last = ""
    while True:
        statement = select(document_state).where(document_state.c.document_id > last)
        rows = connection.execute(statement.order_by(document_state.c.document_id).limit(page)).all()
        if not rows:
            return
        yield from map(_read, rows)
        last = rows[-1].document_id


def _write(state: DocumentState) -> dict[str, Any]:
    doomed = [
        {"file_id": file.file_id, "collections": file.collections, "is_stray": file.is_stray}
        for file in state.doomed
    ]
    return {
        "document_id": state.document_id,
        "attachment_id": state.attachment_id,
        "md5": state.md5,
        "sha256": state.sha256,
        "size": state.size,
        "file_id": state.file_id,
        "collections": to_json(state.collections),
        "owners": to_json(state.owners),
        "status": state.status,
        "doomed": to_json(doomed),
        "index_status": state.index_status.value,
        "index_check_at": state.index_check_at,
        "updated_at": state.updated_at,
        "deleted_at": state.deleted_at,
        "record_version": state.record_version,
        "record_modified_at": state.record_modified_at,
    }


def _read(row: Row[Any]) -> DocumentState:
    return DocumentState(
        document_id=row.document_id,
        attachment_id=row.attachment_id,
        md5=row.md5,
        sha256=row.sha256,
        size=row.size,
        file_id=row.file_id,
        collections=tuple(json.loads(row.collections)),
        owners=tuple(json.loads(row.owners)),
        status=row.status,
        doomed=tuple(
            # Rows of an earlier version do not say whether it is a stray.
            DoomedFile(file["file_id"], tuple(file["collections"]), file.get("is_stray", False))
            for file in json.loads(row.doomed)
        ),
        index_status=IndexStatus(row.index_status),
        index_check_at=row.index_check_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        record_version=row.record_version,
        record_modified_at=row.record_modified_at,
    )
