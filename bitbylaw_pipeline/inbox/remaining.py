"""What is at xAI although nothing permits it any more, as our state knows it: it stays until a person erases it.

Deleting by itself would be the worse mistake: a field mistyped for a minute would empty a matter's collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_plan import EXCLUDED
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.egress import is_permitted
from bitbylaw_pipeline.inbox import collection_states, document_states, intents
from bitbylaw_pipeline.settings import Settings

UPLOAD = "xai_file"
"""The kind of intent by which an upload is journaled."""


class Why(StrEnum):
    """What became of the permission."""

    WITHDRAWN = "withdrawn"
    """The owner permits nothing (any more), or the rule does not, or COLLECTION_OWNERS names its type no more."""
    EXCLUDED = "excluded"
    DELETED = "deleted"
    """The document is gone in EspoCRM; its file was kept."""
    OWNER_DELETED = "owner_deleted"
    """The owner is gone in EspoCRM, or the document is linked to none any more."""


FORBIDDEN = frozenset({Why.WITHDRAWN, Why.EXCLUDED})
"""Somebody has said no. The rest is kept by rule of records that are gone: there is always some of that."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """A document's file or an owner's collection; `key` is the document's id or `{EntityType}:{id}`.

    `collections` are the ids of those concerned, `files` of the files: none where an upload broke off and may have landed
    all the same. `since` is UTC epoch seconds, as far as known.
    """

    kind: str
    key: str
    why: Why
    collections: tuple[str, ...]
    files: tuple[str, ...]
    since: float

    @property
    def command(self) -> str:
        """The command that erases it."""
        return f"bitbylaw erase {'document' if self.kind == 'document' else 'matter'} {self.key}"


def load(connection: Connection, settings: Settings) -> list[Remaining]:
    """All of it: documents, then collections, each by key. Makes no call to any system."""
    rule = settings.xai_egress
    owners = {state.owner_key: state for state in collection_states.iterate(connection)}
    permitted = {
        key for key, state in owners.items() if is_configured(key, settings) and is_permitted(state, rule)
    }
    unclear = {intent.subject for intent in intents.unsettled_all(connection, UPLOAD)}
    documents = []
    for state in document_states.iterate(connection):
        files = _files(state)
        is_there = files or state.document_id in unclear
        lost = _lost(state, owners, permitted, settings) if is_there else None
        if lost is not None:
            why, since = lost
            documents.append(Remaining("document", state.document_id, why, _collections(state), files, since))
    collections = [
        Remaining(
            "collection", key, _why(state), (state.collection_id,), (), state.deleted_at or state.updated_at
        )
        for key, state in sorted(owners.items())
        if key not in permitted and state.collection_id is not None
    ]
    return documents + collections


def is_configured(owner_key: str, settings: Settings) -> bool:
    """Whether owners of that type own collections. One whose type was taken out permits nothing: nobody reads it."""
    return settings.owner_type(owner_key.partition(":")[0]) is not None


def _lost(
    state: DocumentState, owners: Mapping[str, CollectionState], permitted: set[str], settings: Settings
) -> tuple[Why, float] | None:
    """Why nothing permits what is there of the document, and since when; None where something does."""
    if state.deleted_at is not None:
        return Why.DELETED, state.deleted_at
    if state.status == EXCLUDED:
        return Why.EXCLUDED, state.updated_at
    unknown = [key for key in state.owners if key not in owners]
    if permitted.intersection(state.owners) or any(is_configured(key, settings) for key in unknown):
        # In the collection of another owner, who permits nothing: that one's collection is named as a whole. And of an
        # owner that was not looked at yet nobody can say it.
        return None
    lost = [owners[key] for key in state.owners if key in owners]
    since = max((one.deleted_at or one.updated_at for one in lost), default=state.updated_at)
    is_gone = not unknown and all(one.deleted_at is not None for one in lost)
    return Why.OWNER_DELETED if is_gone else Why.WITHDRAWN, since


def _files(state: DocumentState) -> tuple[str, ...]:
    current = {state.file_id} if state.file_id else set()
    return tuple(sorted(current | {old.file_id for old in state.doomed}))


def _collections(state: DocumentState) -> tuple[str, ...]:
    return tuple(sorted({*state.collections, *(place for old in state.doomed for place in old.collections)}))


def _why(owner: CollectionState) -> Why:
    return Why.OWNER_DELETED if owner.deleted_at is not None else Why.WITHDRAWN
