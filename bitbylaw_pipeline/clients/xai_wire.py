"""xAI's objects in our words, out of two JSON dialects (`facts/xai.md` 2, 3).

The files host writes whole numbers and Unix seconds; the management host 64-bit numbers as texts and RFC 3339.
Unknown keys are ignored, missing ones are no error unless nothing works without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.clients.answer import Answer, epoch_seconds
from bitbylaw_pipeline.domain.errors import NotFound

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_MILLISECONDS_FROM = 1e11


class IndexStatus(StrEnum):
    """How far the indexing of a document in a collection is."""

    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SpooledUpload:
    """A file on disk that is to be uploaded; `name` as by `domain.file_name.safe_upload_name`, `size` in bytes."""

    path: Path
    size: int
    content_type: str
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What an upload came to; `collection_id` where it was stored straight into a collection."""

    file_id: str
    size: int
    sha256: str | None = None
    collection_id: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the file store; `created_at` in UTC epoch seconds."""

    file_id: str
    size: int
    created_at: float | None
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoteCollection:
    """A collection; it carries no metadata, so what it stands for is said by name, description and field keys."""

    collection_id: str
    created_at: float | None
    documents_count: int
    field_keys: frozenset[str]
    name: str = field(repr=False)
    description: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a collection. `problem` says in our own words why indexing failed."""

    file_id: str
    status: IndexStatus
    problem: str | None
    content_type: str | None
    sha256: str | None
    size: int
    fields: Mapping[str, str]
    chunk_count: int
    name: str = field(repr=False)


def checked_id(value: str, what: str, system: str) -> str:
    """The id, if xAI could have given it; otherwise NotFound: there is no such thing, and no URL is made of it."""
    if not _ID.fullmatch(value):
        raise NotFound(f"This is not the id of a {what} at xAI; nothing was asked.", system=system)
    return value


def remote_file(data: Mapping[str, Any]) -> RemoteFile:
    """A File object of the files host."""
    created = _number(data.get("created_at"))
    if created is not None and created > _MILLISECONDS_FROM:
        created /= 1000  # one client saw milliseconds where the documentation says seconds
    return RemoteFile(
        str(data.get("id") or ""), _whole(data.get("bytes")), created, str(data.get("filename") or "")
    )


def remote_collection(data: Mapping[str, Any]) -> RemoteCollection:
    """A CollectionMetadata object of the management host."""
    definitions = data.get("field_definitions")
    keys = (item.get("key") for item in definitions or () if isinstance(item, dict))
    return RemoteCollection(
        str(data.get("collection_id") or ""),
        epoch_seconds(str(data.get("created_at") or "")),
        _whole(data.get("documents_count")),
        frozenset(key for key in keys if isinstance(key, str)),
        str(data.get("collection_name") or ""),
        str(data.get("collection_description") or ""),
    )


def member(data: Mapping[str, Any]) -> Member:
    """A DocumentMetadata object of the management host."""
    stored, fields = _mapping(data.get("file_metadata")), _mapping(data.get("fields"))
    status = _STATUS.get(str(data.get("status") or ""), IndexStatus.PENDING)
    return Member(
        str(stored.get("file_id") or ""),
        status,
        index_problem(str(data.get("error_message") or "")) if status is IndexStatus.FAILED else None,
        str(stored.get("content_type") or "") or None,
        str(stored.get("hash") or "").lower() or None,
        _whole(stored.get("size_bytes")),
        {str(key): str(value) for key, value in fields.items()},
        _whole(data.get("chunk_count")),
        str(stored.get("name") or ""),
    )


def whole_object(answer: Answer, key: str) -> dict[str, Any]:
    """The answer's object, which must hold a text under `key`."""
    answer.text(key)
    return answer.mapping()


def index_problem(text: str) -> str:
    """xAI's reason for a failed indexing as a sentence of ours: its own text may quote the file's name."""
    if re.search(r"not supported|readable text", text, re.IGNORECASE):
        return "The file's format is not supported, or it has no readable text (a scan, for example)."
    if re.search(r"too large|size limit|exceeds", text, re.IGNORECASE):
        return "The file is too large to be indexed."
    if re.search(r"encrypt|password", text, re.IGNORECASE):
        return "The file is protected by a password."
    return "Indexing failed; xAI's own reason stands in its console."


# Every other word (CHUNKED, EMBEDDING, WRITING, and whatever comes) is a step on the way.
_STATUS = {
    "DOCUMENT_STATUS_PROCESSED": IndexStatus.PROCESSED,
    "DOCUMENT_STATUS_FAILED": IndexStatus.FAILED,
}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
