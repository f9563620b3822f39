"""What was agreed last about an owner's collection."""

from __future__ import annotations

from dataclasses import dataclass

MUST_SEARCH = "must_search"
"""A status: there may be more than one collection of the owner's, so they are looked for by name."""


@dataclass(frozen=True, slots=True)
class CollectionState:
    """An owner and its collection as left by the last pass; `owner_key` is `{EntityType}:{id}`, times UTC epoch seconds.

    `permission_ground` is the rule that grants or refuses egress for the owner's documents.
    """

    owner_key: str
    collection_id: str | None
    is_permitted: bool
    permission_ground: str
    updated_at: float
    status: str = ""
    deleted_at: float | None = None
