"""Every quarter of an hour: EspoCRM and Advoware are listed and compared, and what differs is put right."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from bitbylaw_pipeline.defs import akten, bankverbindungen, beteiligte
from bitbylaw_pipeline.defs.advoware import AKTENBESTAND, KONTEN, PARTEIEN
from bitbylaw_pipeline.defs.espocrm import BANKVERBINDUNGEN, owner_asset
from bitbylaw_pipeline.orchestration.advoware_pass import PassConfig, run_pass
from bitbylaw_pipeline.orchestration.advoware_schedule import why_no_pass
from bitbylaw_pipeline.orchestration.asset_facts import LINEAGE_ONLY, OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.pass_checks import pass_age_check
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks

PASS = dg.AssetKey(["advoware", "pass"])
JOB = "advoware_pass"
OP = "pass_over_advoware"

# In this order: an account waits for its party's link.
STREAMS = (beteiligte.stream, bankverbindungen.stream, akten.stream)


@dg.multi_asset(
    # An explicit name: a run's config stands below it, and under a wrong one it is dropped silently.
    name=OP,
    specs=[
        dg.AssetSpec(
            PASS,
            description="What the last pass over all parties, bank accounts and matters found and changed, in numbers.",
            deps=[
                owner_asset("CBeteiligte"),
                BANKVERBINDUNGEN,
                PARTEIEN,
                KONTEN,
                AKTENBESTAND,
                *(
                    dg.AssetDep(key, partition_mapping=LINEAGE_ONLY)
                    for stream in STREAMS
                    for key in stream.asset_keys
                ),
            ],
            skippable=True,
            group_name="advoware",
            kinds={"advoware", "espocrm"},
            owners=OWNERS,
            tags=describe_tags("advoware"),
            code_version="1",
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=1)),
        )
    ],
)
def advoware_pass(
    context: dg.AssetExecutionContext, config: PassConfig, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Raises Failure, in one sentence, if nothing could be listed; materializes nothing without Advoware."""
    metadata = run_pass(context, backend, STREAMS, config.pair)
    if metadata is not None:
        yield dg.MaterializeResult(asset_key=PASS, metadata=metadata)


advoware_pass_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(PASS).without_checks(),
    executor_def=dg.in_process_executor,
    # The next pass comes in a quarter of an hour, and what failed is in the queue.
    tags={"dagster/max_retries": "0"},
    description="One pass over all pairs with Advoware; with the config `pair` over one of them.",
)


@dg.schedule(
    name="advoware_every_quarter_hour",
    job=advoware_pass_job,
    cron_schedule="*/15 * * * *",
    execution_timezone="Europe/Berlin",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares EspoCRM and Advoware every quarter of an hour.",
)
def advoware_every_quarter_hour(
    context: dg.ScheduleEvaluationContext, backend: Backend
) -> dg.RunRequest | dg.SkipReason:
    """Skips, saying why, without Advoware, while draining, and while the last pass is still going on."""
    reason = why_no_pass(context.instance, backend, JOB)
    return dg.SkipReason(reason) if reason else dg.RunRequest()


checks = (pass_age_check(PASS, [stream.name for stream in STREAMS]),)
advoware_pass_checks = build_asset_checks("advoware_pass_checks", checks)
