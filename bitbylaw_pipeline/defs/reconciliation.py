"""Every night: EspoCRM and xAI are listed and compared, and what differs goes back into the queue."""

import dagster as dg

from bitbylaw_pipeline.defs.collections import COLLECTIONS
from bitbylaw_pipeline.defs.documents import COLLECTION_DOCUMENTS
from bitbylaw_pipeline.defs.espocrm import DOKUMENTE, OWNER_ASSETS
from bitbylaw_pipeline.orchestration.asset_facts import BY_MORNING, LINEAGE_ONLY, OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.drift_checks import drift_check
from bitbylaw_pipeline.orchestration.reconciliation_run import run_reconciliations
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks

JOB = "xai_drift"


@dg.asset(
    key=dg.AssetKey(["xai", "drift"]),
    description="What differed between EspoCRM, xAI and our state in the last nightly comparison, and what became of it.",
    deps=[
        DOKUMENTE,
        *OWNER_ASSETS,
        dg.AssetDep(COLLECTIONS, partition_mapping=LINEAGE_ONLY),
        dg.AssetDep(COLLECTION_DOCUMENTS, partition_mapping=LINEAGE_ONLY),
    ],
    group_name="xai",
    kinds={"xai", "espocrm"},
    owners=OWNERS,
    tags=describe_tags("xai"),
    code_version="2",
    # Here, where every completed night materializes it; on documents it would turn red on every quiet weekend.
    freshness_policy=BY_MORNING,
)
def drift(context: dg.AssetExecutionContext, backend: Backend) -> dg.MaterializeResult[None]:
    """Raises Failure, in one sentence and not retried, where a listing failed, is empty or has shrunken."""
    return dg.MaterializeResult(metadata=run_reconciliations(context, backend, ["documents"]))


xai_drift_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(drift).without_checks(),
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0"},
    description="Compares documents and collections whole, and puts what differs into the queue.",
)

# Not between 2 and 3: that hour is missing on one night of the year and comes twice on another.
nightly_xai_drift = dg.ScheduleDefinition(
    name="nightly_xai_drift",
    job=xai_drift_job,
    cron_schedule="30 3 * * *",
    execution_timezone="Europe/Berlin",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares EspoCRM, xAI and our state every night at 03:30.",
)

checks = (drift_check(drift.key, ["documents", "collections"]),)
xai_drift_checks = build_asset_checks("xai_drift_checks", checks)
