"""One definition for the four ways into a stream: batch, partition from the UI, backfill, CLI."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from bitbylaw_pipeline.logs import configure_structure
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.batch_run import run_batch
from bitbylaw_pipeline.orchestration.partition_run import run_partitions
from bitbylaw_pipeline.orchestration.streams import StreamAssets, why_not_set_up


class BatchConfig(dg.Config):
    """What the sensor tells a batch run; empty for a batch launched by hand and for partition runs."""

    token: str = ""


def build_stream_assets(stream: StreamAssets) -> dg.AssetsDefinition:
    """The stream's assets, all made by one op.

    The body is a synchronous generator that yields nothing: it logs each entity's materialization itself. Returning a
    MaterializeResult would log an unpartitioned one, a function that returns None fails after its work is done, an
    `async def` body skips its clean-up on cancel, and a RetryPolicy turned a cancel into a second attempt.
    """

    # Without an explicit name a key prefix changes the op's name, and run config under the old one is dropped silently.
    @dg.multi_asset(
        name=stream.op_name,
        specs=stream.specs,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def sync_stream(
        context: dg.AssetExecutionContext, config: BatchConfig, backend: Backend
    ) -> Iterator[None]:
        configure_structure()
        if reason := why_not_set_up(stream, backend.settings()):
            raise dg.Failure(description=reason, allow_retries=False)
        if context.has_partition_key or context.has_partition_key_range:
            run_partitions(context, backend, stream, context.partition_keys)
        else:
            run_batch(context, backend, stream, config.token or None)
        yield from ()

    return sync_stream


def build_stream_job(stream: StreamAssets) -> UnresolvedAssetJobDefinition:
    """The job under the stream's name: a batch without a partition, a single entity with one."""
    return dg.define_asset_job(
        stream.name,
        # Checks are reported by their sensor: with them every batch would run a second op at its end.
        selection=dg.AssetSelection.assets(*stream.asset_keys).without_checks(),
        executor_def=dg.in_process_executor,
        # What was left undone is in the queue, and the next tick starts a batch for it; a re-execution of a batch would
        # come with a request for a slot that is long gone.
        tags={"dagster/max_retries": "0"},
        description="Without a partition: a batch that works off the queue. With one: exactly this entity.",
    )


def batch_run_config(stream: StreamAssets, token: str) -> dg.RunConfig:
    """The run config of a batch that takes over the slot requested under `token`."""
    return dg.RunConfig(ops={stream.op_name: BatchConfig(token=token)})
