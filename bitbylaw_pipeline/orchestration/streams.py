"""What the Dagster layer knows of a stream: its assets, their partitions, and the record behind a key."""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.settings import Settings

RecordOf = Callable[[str, Settings], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StreamAssets:
    """One stream of the work queue as Dagster shows it.

    `name` is the stream's, and the name of its job and its partitions. `record_of` gives (entity type, id) of the
    EspoCRM record behind a key. `systems` are the outside systems without which its batches only wait.
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


def document_record(key: str, settings: Settings) -> tuple[str, str]:
    """(entity type, id) of a document."""
    return settings.document_fields.entity_type, key


def owner_record(key: str, _: Settings) -> tuple[str, str]:
    """(entity type, id) of a collection's owner."""
    owner = OwnerKey.parse(key)
    return owner.entity_type, owner.id


def record_url(stream: StreamAssets, key: str, settings: Settings) -> str:
    """The address of the record behind a key in EspoCRM's web interface."""
    entity_type, record_id = stream.record_of(key, settings)
    return f"{settings.espocrm_api_base_url.removesuffix('/api/v1')}/#{entity_type}/view/{record_id}"
