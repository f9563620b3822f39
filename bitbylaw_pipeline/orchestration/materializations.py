"""From what a pass came to, to the events that Dagster stores: ids, counts and hashes only."""

from collections.abc import Iterator, Mapping

import dagster as dg

from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.orchestration.event_storage import AssetEvent
from bitbylaw_pipeline.orchestration.streams import StreamAssets
from bitbylaw_pipeline.sync.entity_pass import Finished

IN_STEP = frozenset({Result.SYNCED, Result.UNCHANGED, Result.DELETED})
"""Results after which EspoCRM and the far side agree: they may turn a red partition green."""


def asset_events(
    stream: StreamAssets, finished: Finished, record_url: str | None, *, in_full: bool
) -> Iterator[AssetEvent]:
    """The events of one finished entity: materializations, and an observation where there is a warning.

    `in_full` materializes all of the stream's assets although nothing was written, if both sides agree: a person asked
    for this partition, or it is red and nothing else would turn it green again.
    """
    outcome = finished.outcome
    if outcome is None:
        return
    metadata = _metadata(finished, outcome, record_url)
    for name in assets_to_materialize(stream, outcome, in_full=in_full):
        yield dg.AssetMaterialization(dg.AssetKey(name.split("/")), partition=finished.key, metadata=metadata)
    if outcome.warning:
        # On the asset that a person looks at last: the warning belongs to the document, not to each asset.
        yield dg.AssetObservation(
            stream.asset_keys[-1],
            partition=finished.key,
            metadata={**metadata, "warning": dg.MetadataValue.text(outcome.warning)},
        )


def assets_to_materialize(stream: StreamAssets, outcome: Outcome, *, in_full: bool) -> tuple[str, ...]:
    """The names of the assets that exist anew after this outcome."""
    if in_full and outcome.result in IN_STEP:
        return stream.asset_names
    return tuple(name for name in outcome.assets if name in stream.asset_names)


def _metadata(finished: Finished, outcome: Outcome, record_url: str | None) -> dict[str, dg.MetadataValue]:
    link = {} if record_url is None else {"record": dg.MetadataValue.url(record_url)}
    return {
        **link,
        "result": dg.MetadataValue.text(outcome.result.value),
        "seconds": dg.MetadataValue.float(round(finished.seconds, 3)),
        "calls": dg.MetadataValue.int(finished.calls),
        **_typed(outcome.facts),
    }


def _typed(facts: Mapping[str, Fact]) -> dict[str, dg.MetadataValue]:
    return {name: _value(fact) for name, fact in facts.items()}


def _value(fact: Fact) -> dg.MetadataValue:
    # bool first: it is an int, too, and a plot of True is no help to anyone.
    if isinstance(fact, bool):
        return dg.MetadataValue.bool(fact)
    if isinstance(fact, int):
        return dg.MetadataValue.int(fact)
    if isinstance(fact, float):
        return dg.MetadataValue.float(fact)
    return dg.MetadataValue.text(fact)
