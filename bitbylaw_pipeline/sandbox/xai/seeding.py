"""Files and collections put there at once, under ids of the caller's: tens of thousands would take minutes by upload."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.xai.store import Collection, Membership, Store, StoredFile

_FILE_KEYS = {"id", "name", "size", "sha256", "content_type", "collections"}
_COLLECTION_KEYS = {"id", "name"}


def seed(store: Store, document: Any) -> dict[str, int]:
    """Adds what is named; returns how much that was. Raises ValueError with one sentence.

    `collections`: a list of `{id, name}`. `files`: a list of `{id, name, size, sha256, content_type, collections}`, of
    which the last is `{collection id: fields}`. They have no bytes, came long ago and are indexed.
    """
    if not isinstance(document, dict) or document.keys() - {"collections", "files"}:
        raise ValueError("The seed is a JSON object with the lists collections and files.")
    collections, files = document.get("collections", []), document.get("files", [])
    for given in collections:
        _check(given, _COLLECTION_KEYS)
        store.collections[given["id"]] = Collection(given["id"], store.next_seq(), given["name"], 0.0)
    for given in files:
        _check(given, _FILE_KEYS)
        _add_file(store, given)
    return {"collections": len(collections), "files": len(files)}


def _add_file(store: Store, given: dict[str, Any]) -> None:
    stored = StoredFile(
        id=given["id"],
        seq=store.next_seq(),
        name=given["name"],
        size=given["size"],
        sha256=given["sha256"],
        content_type=given["content_type"],
        kind="text",
        created_at=0.0,
    )
    places: dict[str, dict[str, str]] = given["collections"]
    unknown = places.keys() - store.collections.keys()
    if unknown:
        raise ValueError(f"There is no collection {min(unknown)}.")
    store.files[stored.id] = stored
    for collection_id, fields in places.items():
        store.collections[collection_id].members[stored.id] = Membership(stored, fields, 0.0, 0.0)
        stored.collection_ids.add(collection_id)


def _check(given: Any, keys: set[str]) -> None:
    if not isinstance(given, dict) or given.keys() != keys:
        raise ValueError(f"Each of these has exactly {', '.join(sorted(keys))}.")
