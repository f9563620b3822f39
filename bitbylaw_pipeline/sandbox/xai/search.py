"""A keyword search over the text files in collections: enough to see that a document can be found."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.xai.filters import normalised
from bitbylaw_pipeline.sandbox.xai.store import Membership, Store

_CHUNK_CHARS = 400


def search(store: Store, body: dict[str, Any]) -> dict[str, Any]:
    """Documents of the named collections whose text or name holds a word of the query, best first.

    Raises ValueError if query or collections are missing.
    """
    source = body.get("source")
    collection_ids = source.get("collection_ids") if isinstance(source, dict) else None
    if not isinstance(body.get("query"), str) or not isinstance(collection_ids, list):
        raise ValueError("query and source.collection_ids are required")
    words = set(normalised(body["query"]).split())
    matches: list[dict[str, Any]] = []
    for collection_id in collection_ids:
        collection = store.collections.get(collection_id)
        members = collection.members.values() if collection else ()
        indexed = [member for member in members if store.status(member)[0] == "PROCESSED"]
        found = [match for member in indexed if (match := _match(member, words))]
        matches += [{**match, "collection_ids": [collection_id]} for match in found]
    matches.sort(key=lambda match: match["score"], reverse=True)
    limit = body.get("limit")
    return {"matches": matches[: limit if isinstance(limit, int) and limit > 0 else 10]}


def _match(member: Membership, words: set[str]) -> dict[str, Any] | None:
    stored = member.file
    text = stored.data.decode("utf-8", "replace") if stored.kind == "text" and stored.data else ""
    found = words & set(normalised(f"{stored.name} {text}").split())
    if not found:
        return None
    return {
        "file_id": stored.id,
        "chunk_id": f"{stored.id}:0",
        "chunk_content": text[:_CHUNK_CHARS],
        "score": round(len(found) / len(words), 3),
        "fields": member.fields,
    }
