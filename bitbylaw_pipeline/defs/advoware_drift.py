"""Every night: EspoCRM and Advoware are compared whole with what was agreed, and what differs goes into the queue."""

from collections.abc import Iterator

import dagster as dg

from bitbylaw_pipeline.defs import akten, bankverbindungen, beteiligte
from bitbylaw_pipeline.defs.advoware import AKTENBESTAND, KONTEN, PARTEIEN
from bitbylaw_pipeline.defs.espocrm import BANKVERBINDUNGEN, owner_asset
from bitbylaw_pipeline.orchestration.advoware_schedule import why_no_pass
from bitbylaw_pipeline.orchestration.asset_facts import BY_MORNING, LINEAGE_ONLY, OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.drift_checks import drift_check
from bitbylaw_pipeline.orchestration.reconciliation_run import run_reconciliations
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.streams import ADVOWARE, NO_ADVOWARE

DRIFT = dg.AssetKey(["advoware", "drift"])
JOB = "advoware_drift"

# In this order: an account waits for its party's link.
STREAMS = (beteiligte.stream, bankverbindungen.stream, akten.stream)


@dg.multi_asset(
    name="drift_of_advoware",
    specs=[
        dg.AssetSpec(
            DRIFT,
            description="What differed between EspoCRM, Advoware and what was agreed, in the last nightly comparison.",
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
            freshness_policy=BY_MORNING,
        )
    ],
)
def advoware_drift(
    context: dg.AssetExecutionContext, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Raises Failure, in one sentence, if nothing could be compared; materializes nothing without Advoware."""
    if not backend.settings().has_advoware:
        context.log.warning(NO_ADVOWARE)
        return
    metadata = run_reconciliations(context, backend, [stream.name for stream in STREAMS])
    yield dg.MaterializeResult(asset_key=DRIFT, metadata=metadata)


advoware_drift_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(DRIFT).without_checks(),
    executor_def=dg.in_process_executor,
    # Whom it could not look at is told by the checks, and by hand it is one command.
    tags={"dagster/max_retries": "0"},
    description="Compares parties, accounts and Akten whole, and puts what differs into the queue.",
)


# Not between 2 and 3: that hour is missing on one night of the year and comes twice on another.
@dg.schedule(
    name="nightly_advoware_drift",
    job=advoware_drift_job,
    cron_schedule="50 3 * * *",
    execution_timezone="Europe/Berlin",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares EspoCRM and Advoware whole every night at 03:50.",
)
def nightly_advoware_drift(
    context: dg.ScheduleEvaluationContext, backend: Backend
) -> dg.RunRequest | dg.SkipReason:
    """Skips, saying why, without Advoware, while draining, and while the last one is still going on."""
    reason = why_no_pass(context.instance, backend, JOB)
    return dg.SkipReason(reason) if reason else dg.RunRequest()


checks = tuple(drift_check(key, [stream.name], ADVOWARE) for stream in STREAMS for key in stream.asset_keys)
advoware_drift_checks = build_asset_checks("advoware_drift_checks", checks)
