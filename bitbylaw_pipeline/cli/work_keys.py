"""Keys as a person types them, checked before they reach the queue."""

from __future__ import annotations

from bitbylaw_pipeline.cli.filters import ADVOWARE_STREAMS, STREAM_NAMES
from bitbylaw_pipeline.cli.pair_names import TERMINE, check_kuerzel, named_kuerzel, require_kuerzel
from bitbylaw_pipeline.cli.problems import NotUsable
from bitbylaw_pipeline.domain.document import OwnerKey, is_record_id
from bitbylaw_pipeline.inbox.calendar_passes import ENTITY_TYPE
from bitbylaw_pipeline.settings import Settings


def parse_key(stream: str, key: str) -> str:
    """The key, if the stream can have it; raises Problem with one sentence."""
    if stream not in STREAM_NAMES:
        raise NotUsable(f"There is no stream {stream!r}: write {' or '.join(STREAM_NAMES)}.")
    if stream == "collections":
        try:
            return str(OwnerKey.parse(key))
        except ValueError as error:
            raise NotUsable(str(error)) from None
    if stream == TERMINE:
        check_kuerzel(key)
        return key
    if stream == "akten":
        if not (key.isascii() and key.isdigit()):
            raise NotUsable("An Akte's key is its id at Advoware, a number.")
        return key
    if not is_record_id(key):
        what = "A document's key is its" if stream == "documents" else f"A key of {stream} is the record's"
        raise NotUsable(f"{what} id in EspoCRM, for example 64f0c1d2e3b4a5968.")
    return key


def require_stream(settings: Settings, stream: str, key: str) -> str:
    """The key, a Kürzel as the setting has it. Raises NotUsable for a stream, or an employee, that is not configured."""
    if stream in ADVOWARE_STREAMS:
        require_advoware(settings)
    if stream == TERMINE:
        key = named_kuerzel(settings, key)
        require_kuerzel(settings, key)
    return key


def require_advoware(settings: Settings) -> None:
    """Raises NotUsable where Advoware is not configured."""
    if not settings.has_advoware:
        raise NotUsable(
            "Advoware is not configured: set the ADVOWARE_* settings (docs/configuration.md), then see "
            "bitbylaw doctor."
        )


def entity_type_of(settings: Settings, stream: str) -> str:
    """The entity type behind the bare ids of a stream's keys."""
    return {
        "documents": settings.document_fields.entity_type,
        "beteiligte": settings.beteiligte_fields.entity_type,
        "bankverbindungen": settings.bankverbindung_fields.entity_type,
        "akten": "Akte",
        TERMINE: ENTITY_TYPE,
    }.get(stream, "")


def entity_of(key: str) -> tuple[str | None, str]:
    """(entity type, id) of a key; the type is None where the key is a bare id."""
    entity_type, separator, record_id = key.rpartition(":")
    return (entity_type if separator else None, record_id)
