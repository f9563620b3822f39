"""Every night: all employees' appointments are listed on both sides and compared with what we believe of them."""

from collections.abc import Iterator

import dagster as dg

from bitbylaw_pipeline.defs.termine import TERMINE
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.orchestration.asset_facts import LINEAGE_ONLY, OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.drift_checks import drift_check
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.streams import GOOGLE
from bitbylaw_pipeline.orchestration.termine_audit import audit_check, run_audit, why_no_audit

AUDIT = dg.AssetKey(["google", "audit"])
JOB = "termine_audit"
OP = "audit_of_termine"


@dg.multi_asset(
    name=OP,
    specs=[
        dg.AssetSpec(
            AUDIT,
            description="What the last audit of all appointments found: doubles, orphans, differences, in numbers.",
            deps=[dg.AssetDep(TERMINE, partition_mapping=LINEAGE_ONLY)],
            skippable=True,
            group_name="google",
            kinds={"google", "advoware"},
            owners=OWNERS,
            tags=describe_tags("google"),
            code_version="1",
        )
    ],
)
def termine_audit(
    context: dg.AssetExecutionContext, backend: Backend
) -> Iterator[dg.MaterializeResult[None]]:
    """Writes to no calendar: repairs are the queue's. Raises Failure, in one sentence, if nobody's could be looked at."""
    metadata = run_audit(context, backend)
    if metadata is not None:
        yield dg.MaterializeResult(asset_key=AUDIT, metadata=metadata)


termine_audit_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(AUDIT).without_checks(),
    executor_def=dg.in_process_executor,
    # Whom it could not look at is told by the check, and by hand it is one command.
    tags={"dagster/max_retries": "0"},
    description="Looks at all employees' appointments on both sides, tells what is wrong, and wants its repair.",
)


# Not between 2 and 3: that hour is missing on one night of the year and comes twice on another.
@dg.schedule(
    name="nightly_termine_audit",
    job=termine_audit_job,
    cron_schedule="0 3 * * *",
    execution_timezone="Europe/Berlin",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Audits all employees' appointments every night at 03:00.",
)
def nightly_termine_audit(
    context: dg.ScheduleEvaluationContext, backend: Backend
) -> dg.RunRequest | dg.SkipReason:
    """Skips, saying why, without Advoware or calendars, while draining, and while an audit is still going on."""
    reason = why_no_audit(context.instance, backend, JOB)
    return dg.SkipReason(reason) if reason else dg.RunRequest()


checks = (audit_check(AUDIT), drift_check(TERMINE, [STREAM], GOOGLE))
termine_audit_checks = build_asset_checks("termine_audit_checks", checks)
