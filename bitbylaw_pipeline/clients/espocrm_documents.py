"""The firm's documents and the records that own collections, between EspoCRM's fields and our own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_refusals import FieldRefused
from bitbylaw_pipeline.clients.owner_links import OwnerLink, Reading, find_owner_links
from bitbylaw_pipeline.domain.document import Document, DocumentFields, Owner, OwnerKey, is_record_id
from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.settings import DocumentFieldNames, OwnerType

Record = Mapping[str, Any]


class DocumentRecords:
    """Documents and owners as `domain.document` speaks of them; field names come from the settings."""

    def __init__(self, espocrm: EspoCrm, fields: DocumentFieldNames, owners: tuple[OwnerType, ...]) -> None:
        self.espocrm = espocrm
        self._fields = fields
        self._owners = {owner.entity_type: owner for owner in owners}
        # The description is the same object until it is fetched anew, and every document asks.
        self._found_links: tuple[object, list[OwnerLink]] = (None, [])

    async def owner_links(self, *, fresh: bool = False) -> list[OwnerLink]:
        """The links by which documents lead to owners; `fresh` asks EspoCRM whatever is kept.

        An owner type that our role may not read can be missing here, and then its documents look as if they had
        no such owner: check `app_user` before a run that unlinks.
        """
        definition = await self.espocrm.metadata(f"entityDefs.{self._fields.entity_type}", fresh=fresh)
        if definition is not None and self._found_links[0] is definition:
            return self._found_links[1]
        if not isinstance(definition, dict) or not isinstance(definition.get("links"), dict):
            # Without a role EspoCRM answers 200 with next to nothing; read as "no links", it would unlink everything.
            raise Permanent(
                f"EspoCRM shows us no entity type {self._fields.entity_type}: give our user a role with access to it.",
                system="espocrm",
                reason="no_entity_type",
            )
        self._found_links = (definition, find_owner_links(definition, self._owners.values()))
        return self._found_links[1]

    async def load_document(self, document_id: str) -> Document:
        """The document with all its owners: one call where each link has a link-multiple field, else one more per link.

        Raises NotFound once it is deleted, Permanent("field_missing") where a field of the settings does not
        come: a field hidden by a role looks like an empty one, and "no owners" would unlink everything.
        """
        links = await self.owner_links()
        record = await self.espocrm.get(self._fields.entity_type, document_id)
        found = await asyncio.gather(
            *(self._owner_ids(record, document_id, link) for link in links), return_exceptions=True
        )
        owners: set[OwnerKey] = set()
        for link, ids in zip(links, found, strict=True):
            if isinstance(ids, BaseException):
                raise ids
            owners.update(OwnerKey(link.owner_type.entity_type, owner_id) for owner_id in ids)
        return self._document(record, frozenset(owners))

    async def write_document(self, document: Document, wanted: DocumentFields) -> Document:
        """One PUT of what differs, none where nothing does; returns the document as stored.

        Equal values are never written: with concurrency control on, even they move modifiedAt and come back
        through the change feed (`facts/espocrm.md` 0.8). Raises Conflict if somebody saved it since it was read.
        """
        differing = self._differing(document, wanted)
        if not differing:
            return document
        try:
            record = await self.espocrm.update(
                self._fields.entity_type, document.id, differing, version=document.version
            )
        except FieldRefused as error:
            if error.field != self._fields.status:
                raise
            raise Permanent(
                f'{self._fields.entity_type}.{self._fields.status} has no option "{wanted.status}": '
                "add it in EspoCRM, or name the firm's own word in DOCUMENT_FIELDS.",
                system=error.system,
                status=error.status,
                reason="status_not_in_enum",
            ) from None
        return self._document(record, document.owners)

    def differs(self, document: Document, wanted: DocumentFields) -> bool:
        """True if `write_document` would write anything."""
        return bool(self._differing(document, wanted))

    async def owns_documents(self, entity_type: str) -> bool:
        """True if documents on this server link back to that entity type."""
        return any(link.owner_type.entity_type == entity_type for link in await self.owner_links())

    async def load_owner(self, key: OwnerKey) -> Owner:
        """The owner with its collection and permission; NotFound once it is deleted."""
        return self._owner(key, await self.espocrm.get(key.entity_type, key.id))

    async def write_collection_id(self, owner: Owner, collection_id: str | None) -> Owner:
        """Writes the collection's id if it differs; Conflict if somebody saved the owner since it was read."""
        if owner.collection_id == collection_id:
            return owner
        field = self._owner_type(owner.key).collection_field
        record = await self.espocrm.update(
            owner.key.entity_type, owner.key.id, {field: collection_id}, version=owner.version
        )
        return self._owner(owner.key, record)

    async def iterate_documents(self) -> AsyncIterator[list[Document]]:
        """Every document that we may see, page by page, without its owners; for comparing, not for a pass.

        Raises Permanent("field_missing") where a field of the settings does not come.
        """
        names = self._fields
        read = [f"{names.file}Id", names.file_id, names.collections, names.synced_hash, names.status]
        read += [names.md5, names.sha256, *((names.excluded,) if names.excluded else ())]
        async for rows in self.espocrm.iterate_records(names.entity_type, select=("id", *read)):
            yield [self._document(row, frozenset()) for row in rows]

    async def iterate_owners(self, entity_type: str) -> AsyncIterator[list[Owner]]:
        """Every owner of that type that we may see, page by page, with its collection and permission."""
        of_type = self._owners[entity_type]
        permission = (
            of_type.permission_field,
            of_type.permission_reference_field,
            of_type.permission_date_field,
        )
        read = ("id", of_type.collection_field, *(name for name in permission if name))
        async for rows in self.espocrm.iterate_records(entity_type, select=read):
            yield [self._owner(OwnerKey(entity_type, row["id"]), row) for row in rows]

    async def documents_of(self, key: OwnerKey) -> list[str]:
        """The ids of all documents linked to the owner; NotFound once it is deleted."""
        rows = await self.espocrm.list_linked(key.entity_type, key.id, self._owner_type(key).link)
        return [row["id"] for row in rows]

    def document_url(self, document_id: str) -> str:
        """Where a person sees the document in EspoCRM."""
        return self.espocrm.record_url(self._fields.entity_type, document_id)

    async def _owner_ids(self, record: Record, document_id: str, link: OwnerLink) -> list[str]:
        match link.reading:
            case Reading.SINGLE:
                owner_id = self._field(record, f"{link.link}Id", self._fields.entity_type)
                ids = [owner_id] if owner_id else []
            case Reading.WITH_DOCUMENT if isinstance(record.get(f"{link.link}Ids"), list):
                ids = record[f"{link.link}Ids"]
            case _:
                # Also where a role hides the field: the link itself may still be readable, and says so if not.
                rows = await self.espocrm.list_linked(self._fields.entity_type, document_id, link.link)
                ids = [row["id"] for row in rows]
        return [owner_id for owner_id in ids if isinstance(owner_id, str) and is_record_id(owner_id)]

    def _document(self, record: Record, owners: frozenset[OwnerKey]) -> Document:
        names, version = self._fields, record.get("versionNumber")

        def field(name: str) -> Any:
            return self._field(record, name, names.entity_type)

        return Document(
            id=record["id"],
            name=str(record.get("name") or ""),
            attachment_id=_text(field(f"{names.file}Id")),
            owners=owners,
            file_id=_text(field(names.file_id)),
            collections=_texts(field(names.collections)),
            synced_hash=_text(field(names.synced_hash)),
            status=_text(field(names.status)),
            md5=_text(field(names.md5)),
            sha256=_text(field(names.sha256)),
            version=version if isinstance(version, int) else None,
            is_excluded=bool(names.excluded) and field(str(names.excluded)) is True,
            file_name=_text(record.get(f"{names.file}Name")),
            modified_at=_text(record.get("modifiedAt")),
        )

    def _differing(self, document: Document, wanted: DocumentFields) -> dict[str, Any]:
        names = self._fields
        pairs = (
            (names.file_id, document.file_id, _text(wanted.file_id)),
            (names.synced_hash, document.synced_hash, _text(wanted.synced_hash)),
            (names.status, document.status, _text(wanted.status)),
            (names.md5, document.md5, _text(wanted.md5)),
            (names.sha256, document.sha256, _text(wanted.sha256)),
        )
        differing: dict[str, Any] = {name: new for name, old, new in pairs if old != new}
        collections = _texts(wanted.collections)
        if sorted(document.collections) != sorted(collections):
            differing[names.collections] = list(collections)
        return differing

    def _owner(self, key: OwnerKey, record: Record) -> Owner:
        owner_type, version = self._owner_type(key), record.get("versionNumber")

        def optional(name: str | None) -> Any:
            return record.get(name) if name else None

        permission = {
            "permission_field": owner_type.permission_field,
            "permission_reference_field": owner_type.permission_reference_field,
            "permission_date_field": owner_type.permission_date_field,
        }
        return Owner(
            key=key,
            collection_id=_text(self._field(record, owner_type.collection_field, key.entity_type)),
            version=version if isinstance(version, int) else None,
            is_permitted_by_field=optional(owner_type.permission_field) is True,
            permission_reference=_text(optional(owner_type.permission_reference_field)),
            permission_date=_text(optional(owner_type.permission_date_field)),
            missing_fields=tuple(name or role for role, name in permission.items() if name not in record),
        )

    def _owner_type(self, key: OwnerKey) -> OwnerType:
        owner_type = self._owners.get(key.entity_type)
        if owner_type is None:
            raise Permanent(
                f"{key.entity_type} owns no collections: name it in COLLECTION_OWNERS if it should.",
                system="espocrm",
                reason="not_an_owner",
            )
        return owner_type

    def _field(self, record: Record, name: str, entity_type: str) -> Any:
        if name not in record:
            raise Permanent(
                f"{entity_type} shows us no field {name}: create it in EspoCRM, let our role read it, "
                "or name the firm's own field in the settings.",
                system="espocrm",
                reason="field_missing",
            )
        return record[name]


def _text(value: Any) -> str | None:
    """A text as EspoCRM stores it: without outer white space, an empty one as none (`facts/espocrm.md` 4)."""
    return str(value).strip() or None if value is not None else None


def _texts(value: Any) -> tuple[str, ...]:
    """An array as EspoCRM stores it: texts without outer white space; never set is null or [] by version."""
    items = value if isinstance(value, list | tuple) else ()
    return tuple(item.strip() for item in items if isinstance(item, str))
