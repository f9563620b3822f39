"""What the Dagster layer knows of a stream: its assets, their partitions, and the record behind a key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.outcome import Fact
from bitbylaw_pipeline.settings import Settings

RecordOf = Callable[[str, Settings, Mapping[str, Fact]], tuple[str, str] | None]

ESPOCRM = "espocrm"
ADVOWARE = "advoware"
NO_ADVOWARE = (
    "Advoware is not configured (ADVOWARE_API_BASE_URL, ADVOWARE_API_KEY), so there is nothing to do here."
)
GOOGLE = "google"
NO_CALENDARS = "No employee has a Google calendar (GOOGLE_CALENDARS or GOOGLE_CALENDARS_FILE), so there is nothing to do here."


@dataclass(frozen=True, slots=True)
class StreamAssets:
    """One stream of the work queue as Dagster shows it.

    `name` is the stream's, and the name of its job and its partitions. `record_of` gives (entity type, id) of the
    EspoCRM record behind a key, of which a pass has found out some facts; None where it is not known, or there is none. `systems` are the
    outside systems without which its batches only wait.
    """

    name: str
    specs: tuple[dg.AssetSpec, ...]
    record_of: RecordOf
    systems: frozenset[str]

    @property
    def op_name(self) -> str:
        """The name of the op that makes the assets: below it stands a run's config. Not the job's, that must differ."""
        return f"sync_{self.name}"

    @property
    def asset_names(self) -> tuple[str, ...]:
        """The assets' keys, slash-joined, as outcomes name them."""
        return tuple(spec.key.to_user_string() for spec in self.specs)

    @property
    def asset_keys(self) -> tuple[dg.AssetKey, ...]:
        """The assets' keys."""
        return tuple(spec.key for spec in self.specs)


def partitions_of(stream: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a stream's assets: one per entity key, added when the entity is first synced."""
    return dg.DynamicPartitionsDefinition(name=stream)


def why_not_set_up(stream: StreamAssets, settings: Settings) -> str | None:
    """Why this firm has no such stream, as one sentence; None if it has."""
    if ADVOWARE in stream.systems and not settings.has_advoware:
        return NO_ADVOWARE
    return NO_CALENDARS if GOOGLE in stream.systems and not settings.has_calendars else None


def document_record(key: str, settings: Settings, _: Mapping[str, Fact]) -> tuple[str, str]:
    """(entity type, id) of a document."""
    return settings.document_fields.entity_type, key


def owner_record(key: str, _: Settings, __: Mapping[str, Fact]) -> tuple[str, str]:
    """(entity type, id) of a collection's owner."""
    owner = OwnerKey.parse(key)
    return owner.entity_type, owner.id


def beteiligte_record(key: str, settings: Settings, _: Mapping[str, Fact]) -> tuple[str, str]:
    """(entity type, id) of a party."""
    return settings.beteiligte_fields.entity_type, key


def bankverbindung_record(key: str, settings: Settings, _: Mapping[str, Fact]) -> tuple[str, str]:
    """(entity type, id) of a bank account."""
    return settings.bankverbindung_fields.entity_type, key


def akte_record(_: str, __: Settings, facts: Mapping[str, Fact]) -> tuple[str, str] | None:
    """(entity type, id) of the matter that an Akte belongs to; None where EspoCRM has none."""
    if "matter" not in facts:
        return None
    matter = OwnerKey.parse(str(facts["matter"]))
    return matter.entity_type, matter.id


def no_record(_: str, __: Settings, ___: Mapping[str, Fact]) -> None:
    """Nothing: EspoCRM has no record of it."""


def record_url(stream: StreamAssets, key: str, settings: Settings, facts: Mapping[str, Fact]) -> str | None:
    """The address of the record behind a key in EspoCRM's web interface; None where the record is not known."""
    record = stream.record_of(key, settings, facts)
    if record is None:
        return None
    entity_type, record_id = record
    return f"{settings.espocrm_api_base_url.removesuffix('/api/v1')}/#{entity_type}/view/{record_id}"
