"""Writes what a batch or partition run finished into Dagster: partitions first, then all events of a chunk at once."""

from collections.abc import Iterable, Sequence

import dagster as dg
import structlog

from bitbylaw_pipeline.orchestration.event_storage import AssetEvent, store_asset_events
from bitbylaw_pipeline.orchestration.materializations import asset_events
from bitbylaw_pipeline.orchestration.red_partitions import clear_red, red_among
from bitbylaw_pipeline.orchestration.streams import StreamAssets, record_url
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished

log = structlog.get_logger(__name__)


class EventRecorder:
    """The worker's recorder: what it has returned from is committed, and only then work rows are completed.

    `asked_for` are the keys that a person or a backfill named: they are materialized although nothing had to be written.
    Called in the worker's one writer thread.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        stream: StreamAssets,
        settings: Settings,
        asked_for: frozenset[str] = frozenset(),
    ) -> None:
        self._context = context
        self._stream = stream
        self._settings = settings
        self._asked_for = asked_for
        self.materialized: set[str] = set()
        """The keys for which a materialization has been stored."""
        self._known: set[str] = set()

    def record(self, chunk: Sequence[Finished]) -> None:
        """Stores the chunk's events; raises what Dagster's storage raises."""
        instance = self._context.instance
        done = [one for finished in chunk for one in _each(finished)]
        if not done:
            return
        # One read per chunk: without it a partition that recovered by itself would stay red.
        red = red_among(instance, self._stream.name, (finished.key for finished in done))
        events = [event for finished in done for event in self._events(finished, red)]
        if not events:
            return
        self._add_partitions(dict.fromkeys(str(event.partition) for event in events))
        store_asset_events(self._context, events)
        materialized = {
            str(event.partition) for event in events if isinstance(event, dg.AssetMaterialization)
        }
        self.materialized |= materialized
        clear_red(instance, self._stream.name, red & materialized)

    def _add_partitions(self, keys: Iterable[str]) -> None:
        # All at once: a sensor result checks key by key, 33 s for 2,000 (design section 5).
        new = [key for key in keys if key not in self._known]
        if new:
            self._context.instance.add_dynamic_partitions(self._stream.name, new)
            self._known.update(new)

    def _events(self, finished: Finished, red: frozenset[str]) -> list[AssetEvent]:
        facts = finished.outcome.facts if finished.outcome is not None else {}
        url = record_url(self._stream, finished.key, self._settings, facts)
        in_full = finished.key in red or finished.key in self._asked_for
        return list(asset_events(self._stream, finished, url, in_full=in_full))


def _each(finished: Finished) -> Iterable[Finished]:
    """The pass, and each other entity that it came across; none where it ended in an error."""
    if finished.outcome is None:
        return
    yield finished
    for other in finished.outcome.others:
        yield Finished(other.key, other, None, is_parked=False, seconds=finished.seconds, calls=0)
