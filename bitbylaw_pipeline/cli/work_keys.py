"""Keys as a person types them, checked before they reach the queue."""

from __future__ import annotations

from bitbylaw_pipeline.cli.filters import STREAM_NAMES
from bitbylaw_pipeline.cli.problems import NotUsable
from bitbylaw_pipeline.domain.document import OwnerKey, is_record_id


def parse_key(stream: str, key: str) -> str:
    """The key, if the stream can have it; raises Problem with one sentence."""
    if stream not in STREAM_NAMES:
        raise NotUsable(f"There is no stream {stream!r}: write {' or '.join(STREAM_NAMES)}.")
    if stream == "collections":
        try:
            return str(OwnerKey.parse(key))
        except ValueError as error:
            raise NotUsable(str(error)) from None
    if not is_record_id(key):
        raise NotUsable("A document's key is its id in EspoCRM, for example 64f0c1d2e3b4a5968.")
    return key


def entity_of(key: str) -> tuple[str | None, str]:
    """(entity type, id) of a key; the type is None where the key is a document's bare id."""
    entity_type, separator, record_id = key.rpartition(":")
    return (entity_type if separator else None, record_id)
