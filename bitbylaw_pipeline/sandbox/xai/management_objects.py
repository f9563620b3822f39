"""Collections and documents in the JSON of management-api.x.ai, and the checks of what comes in.

int64 as strings, int32 as numbers, RFC 3339 with microseconds, unset optional scalars left out
(`facts/xai.md` section 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bitbylaw_pipeline.sandbox.xai.replies import ManagementError
from bitbylaw_pipeline.sandbox.xai.store import Collection, Membership, Store, rfc3339

_CHUNK_BYTES = 4_000
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")

COLLECTION_KEYS = frozenset(
    {
        "collection_name",
        "team_id",
        "collection_description",
        "index_configuration",
        "chunk_configuration",
        "metric_space",
        "field_definitions",
        "field_definition_updates",
        "version",
    }
)
_DEFAULT_CHUNKS = {
    "tokens_configuration": {
        "max_chunk_size_tokens": 1024,
        "chunk_overlap_tokens": 200,
        "encoding_name": "o200k_base",
    },
    "strip_whitespace": True,
    "inject_name_into_chunks": False,
}


def snake_keys(data: Mapping[str, Any], known: Iterable[str], *, reject_unknown: bool) -> dict[str, Any]:
    """The known keys of a request in snake_case (camelCase is accepted); others are dropped or refused."""
    allowed, found = set(known), {}
    for key, value in data.items():
        name = _HUMP.sub(r"_\1", key).lower()
        if name in allowed:
            found[name] = value
        elif reject_unknown:
            raise ManagementError(3, f'proto: (line 1:2): unknown field "{key}"')
    return found


def collection_object(collection: Collection) -> dict[str, Any]:
    """CollectionMetadata. There is no metadata on a collection: whatever was sent is not in it."""
    shown: dict[str, Any] = {
        "collection_id": collection.id,
        "collection_name": collection.name,
        "created_at": rfc3339(collection.created_at),
        "index_configuration": collection.index_configuration or {"model_name": "grok-embedding-small"},
        "chunk_configuration": collection.chunk_configuration or _DEFAULT_CHUNKS,
        "documents_count": len(collection.members),
    }
    if collection.description is not None:
        shown["collection_description"] = collection.description
    if collection.field_definitions:
        shown["field_definitions"] = list(collection.field_definitions.values())
    return shown


def listed_collection_object(collection: Collection) -> dict[str, Any]:
    """A collection in a list, with what lists show on top."""
    size = sum(member.file.size for member in collection.members.values())
    return {**collection_object(collection), "total_file_size": str(size), "collection_type": "text"}


def document_object(store: Store, member: Membership) -> dict[str, Any]:
    """DocumentMetadata: a file in one collection, its fields there and how far indexing is."""
    stored = member.file
    stage, error = store.status(member)
    chunks = 0 if stage in ("PROCESSING", "FAILED") else 1 + stored.size // _CHUNK_BYTES
    processed = chunks if stage in ("WRITING", "PROCESSED") else 0
    processing = {"FAILED": "Failed", "PROCESSED": "Complete"}.get(stage, "Processing")
    return {
        "file_metadata": {
            "file_id": stored.id,
            "name": stored.name,
            "size_bytes": str(stored.size),
            "content_type": stored.content_type,
            "created_at": rfc3339(stored.created_at),
            "expires_at": None if stored.expires_at is None else rfc3339(stored.expires_at),
            "hash": stored.sha256,
            "upload_status": "Complete",
            "processing_status": processing,
            "file_path": "",
        },
        "fields": member.fields,
        "status": f"DOCUMENT_STATUS_{stage}",
        "error_message": error,
        "last_indexed_at": None,
        "chunk_count": chunks,
        "chunks_processed_count": str(processed),
    }


def field_definitions(raw: Any) -> dict[str, dict[str, Any]]:
    """Field definitions by key. Raises the refusal for anything that is not a list of `{key, ...}`."""
    if not isinstance(raw, list):
        raise ManagementError(3, "field_definitions must be a list.")
    definitions = [field_definition(item) for item in raw]
    return {definition["key"]: definition for definition in definitions}


def field_definition(raw: Any) -> dict[str, Any]:
    """One field definition with all its flags."""
    if not isinstance(raw, dict) or not isinstance(raw.get("key"), str) or not raw["key"]:
        raise ManagementError(3, "A field definition needs a key.")
    known = {"key", "required", "inject_into_chunk", "unique", "description"}
    found = snake_keys(raw, known, reject_unknown=False)
    return {
        "key": found["key"],
        "required": bool(found.get("required")),
        "inject_into_chunk": bool(found.get("inject_into_chunk")),
        "unique": bool(found.get("unique")),
        "description": str(found.get("description") or ""),
    }


def checked_fields(collection: Collection, raw: Any, file_id: str) -> dict[str, str]:
    """The `fields` of an attach request, checked against the collection's definitions."""
    if raw is None:
        raw = {}
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise ManagementError(3, "fields must be a map of strings.")
    for key in raw:
        if key not in collection.field_definitions:
            text = f"Unknown field '{key}'. This field is not defined in the collection's field_definitions."
            raise ManagementError(3, text)
    for key, definition in collection.field_definitions.items():
        if definition["required"] and not raw.get(key):
            raise ManagementError(3, f"Missing required field '{key}'.")
        if definition["unique"] and key in raw:
            for other_id, member in collection.members.items():
                if other_id != file_id and member.fields.get(key) == raw[key]:
                    raise ManagementError(6, f"The value of the unique field '{key}' exists already.")
    return dict(raw)
