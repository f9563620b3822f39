"""A document of the firm and its owners, as every layer above the clients speaks of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTITY_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
_RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_entity_type(text: str) -> bool:
    """True for what EspoCRM could use as the name of an entity type."""
    return _ENTITY_TYPE.fullmatch(text) is not None


def is_record_id(text: str) -> bool:
    """True for what EspoCRM could use as a record's id (17 hex digits by default; imports bring others).

    What fails this never becomes part of a URL, a partition key or a file name.
    """
    return _RECORD_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class OwnerKey:
    """A record that owns a collection: a Räumungsklage, a Mietinkasso, an Account."""

    entity_type: str
    id: str

    def __str__(self) -> str:
        return f"{self.entity_type}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> OwnerKey:
        """The key written as `{EntityType}:{id}`; raises ValueError with one sentence for anything else."""
        entity_type, separator, record_id = text.partition(":")
        if not (separator and is_entity_type(entity_type) and is_record_id(record_id)):
            raise ValueError(
                "A collection's key has the form EntityType:id, for example Account:64f0c1d2e3b4a5968."
            )
        return cls(entity_type, record_id)


@dataclass(frozen=True, slots=True)
class Document:
    """One CDokumente record as read from EspoCRM.

    `attachment_id` is the change token of the contents: attachments never change, a new file has a new id
    (`facts/espocrm.md` 8). `version` is None where the entity has no concurrency control.
    """

    id: str
    name: str
    attachment_id: str | None
    owners: frozenset[OwnerKey]
    file_id: str | None = None
    collections: tuple[str, ...] = ()
    synced_hash: str | None = None
    status: str | None = None
    md5: str | None = None
    sha256: str | None = None
    version: int | None = None
    is_excluded: bool = False
    file_name: str | None = None
    """The attachment's own name, with the extension that xAI goes by; the record's name may lack one."""
    modified_at: str | None = None
    """UTC, whole seconds, as EspoCRM writes it; with `version` it names one state of the record."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an owner's documents may leave the firm, and on what ground (both go into the egress register)."""

    is_granted: bool
    ground: str
    """The rule that grants or refuses it: "collection", "field", "off"; with the field's reference digested."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner record as read from EspoCRM; `permission_fields` are raw and judged by `domain.egress`."""

    key: OwnerKey
    collection_id: str | None
    version: int | None = None
    is_permitted_by_field: bool = False
    permission_reference: str | None = None
    permission_date: str | None = None
    missing_fields: tuple[str, ...] = ()
    """Those of the permission's fields that EspoCRM does not show us: not made, hidden by our role, or not named."""


@dataclass(frozen=True, slots=True)
class DocumentFields:
    """What is written back to a document; only what differs from the record is sent."""

    file_id: str | None
    collections: tuple[str, ...]
    synced_hash: str | None
    status: str
    md5: str | None
    sha256: str | None
