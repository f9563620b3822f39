"""By which link a document leads to its owners, found in EspoCRM's description of the document's entity type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bitbylaw_pipeline.settings import OwnerType


class Reading(StrEnum):
    """How the owners at a link are read."""

    WITH_DOCUMENT = "with_document"
    """The link has a link-multiple field: the ids come with the document (`{link}Ids`)."""
    SINGLE = "single"
    """The document belongs to one owner: `{link}Id`."""
    LIST = "list"
    """A bare link: one list call of its own for each document."""


@dataclass(frozen=True, slots=True)
class OwnerLink:
    """The document's link to owners of one type."""

    owner_type: OwnerType
    link: str
    reading: Reading


def find_owner_links(definition: Mapping[str, Any], owners: Iterable[OwnerType]) -> list[OwnerLink]:
    """One entry per owner type that the document's entity type has a link to; `definition` is its entityDefs.

    An owner type without one (not installed, other link name) is left out: `doctor` names it.
    """
    links, fields = _mapping(definition.get("links")), _mapping(definition.get("fields"))
    found: list[OwnerLink] = []
    for owner in owners:
        for name, link in links.items():
            target = _mapping(link)
            if target.get("entity") == owner.entity_type and target.get("foreign") == owner.link:
                found.append(OwnerLink(owner, name, _reading(target, _mapping(fields.get(name)))))
    return found


def _reading(link: Mapping[str, Any], field: Mapping[str, Any]) -> Reading:
    if link.get("type") in ("belongsTo", "hasOne"):
        return Reading.SINGLE
    is_loaded = field.get("type") == "linkMultiple" and field.get("noLoad") is not True
    return Reading.WITH_DOCUMENT if is_loaded else Reading.LIST


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
