"""The nightly audit of all employees' appointments: the run, and the check on what the last one found."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg
import structlog

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import calendar_audits
from bitbylaw_pipeline.inbox.calendar_audits import CalendarAudit
from bitbylaw_pipeline.logs import bound
from bitbylaw_pipeline.orchestration.advoware_schedule import why_no_pass
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.drift_metadata import drift_metadata
from bitbylaw_pipeline.orchestration.interruption import run_until_stopped
from bitbylaw_pipeline.orchestration.reconciliation_run import reconcile_and_wake
from bitbylaw_pipeline.orchestration.run_log import batch_run_log
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import NO_CALENDARS

if TYPE_CHECKING:
    from bitbylaw_pipeline.domain.drift import DriftReport
    from bitbylaw_pipeline.sync.termine_audit import Audited

log = structlog.get_logger(__name__)

OLDEST_SECONDS = 26 * 3600.0
"""A night, and two hours for one that ran late or for the hour that a night of the year has more."""
DAY = 86400.0


def run_audit(context: dg.AssetExecutionContext, backend: Backend) -> dict[str, dg.MetadataValue] | None:
    """Reconciles one employee's appointments after the other and returns what was found; None without calendars.

    Raises Failure, never retried, if nobody's appointments could be looked at, and DagsterExecutionInterruptedError
    after a cancel: what was looked at by then is kept.
    """
    settings = backend.settings()
    if not settings.has_calendars:
        context.log.warning(NO_CALENDARS)
        return None

    async def work(stop: asyncio.Event) -> "tuple[Audited, list[DriftReport]]":
        from bitbylaw_pipeline.sync.reconcile_termine import TermineReconciliation  # noqa: PLC0415  # brings the clients

        with bound(run=context.run.run_id):
            async with backend.open_runtime() as runtime:
                if runtime.calendars is None:
                    raise dg.Failure(
                        description="Google's key file is not usable: see `bitbylaw doctor`.",
                        allow_retries=False,
                    )
                reconciliation = TermineReconciliation(runtime.calendars.pairs)
                try:
                    reports = await reconcile_and_wake(runtime, reconciliation, stop)
                except SyncError as error:
                    await reconciliation.note()
                    why = "; ".join(f"{one}: {said}" for one, said in reconciliation.audited.failed.items())
                    description = f"The appointments could not be compared. {why or error}"
                    raise dg.Failure(description=description, allow_retries=False) from None
                return reconciliation.audited, reports

    with batch_run_log(settings.log_level):
        audited, reports = run_until_stopped(work)
    return {**_metadata(audited), **drift_metadata(reports)}


def why_no_audit(instance: dg.DagsterInstance, backend: Backend, job_name: str) -> str | None:
    """The reason not to start an audit now, as one sentence; None if there is none."""
    why = why_no_pass(instance, backend, job_name)
    return why if why is not None or backend.settings().has_calendars else NO_CALENDARS


def audit_check(asset: dg.AssetKey) -> StandingCheck:
    """Warns while an employee's last audit found something, failed, or is more than 26 hours old."""

    def look(moment: Moment) -> Finding:
        settings = moment.settings
        if not settings.has_calendars:
            return Finding(True, NO_CALENDARS)
        employees = sorted(settings.calendars)
        audits = calendar_audits.load(moment.conn, employees)
        troubles = {one: why for one in employees if (why := _trouble(audits.get(one), moment.now))}
        if not troubles:
            return Finding(True, "The last audits found nothing.", {"findings": 0})
        told = "; ".join(f"{kuerzel}: {why}" for kuerzel, why in troubles.items())
        found = sum(_total(audits.values()).values())
        return Finding(
            False,
            f"{told}. See `bitbylaw audit`, which also has the repairs.",
            {"findings": found, **_total(audits.values())},
            list(troubles),
        )

    return StandingCheck(
        asset,
        "nothing_found",
        "The nightly audit found no doubles, no orphans and no differences between Advoware and Google.",
        look,
    )


def _trouble(audit: CalendarAudit | None, now: float) -> str | None:
    if audit is None:
        return "never audited yet"
    if audit.failed_with is not None:
        return f"could not be audited ({audit.failed_with})"
    age = now - audit.at
    if age > OLDEST_SECONDS:
        # In whole days: mere ageing is no news every minute.
        return f"not audited for over {int(age // DAY)} d"
    return ", ".join(f"{count} {kind}" for kind, count in audit.counts.items()) or None


def _total(audits: Iterable[CalendarAudit]) -> dict[str, int]:
    total: dict[str, int] = {}
    for audit in audits:
        for kind, count in audit.counts.items():
            total[kind] = total.get(kind, 0) + count
    return total


def _metadata(audited: "Audited") -> dict[str, dg.MetadataValue]:
    """Counts become plots: one name for each kind, found or not."""
    counts = audited.counts()
    reports = audited.reports.values()
    numbers = {
        "findings": sum(counts.values()),
        "employees": len(audited.reports),
        "failed": len(audited.failed),
        "events": sum(report.events for report in reports),
        "termine": sum(report.termine for report in reports),
        **counts,
    }
    metadata: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(number) for name, number in numbers.items()
    }
    with_findings = [one.kuerzel for one in reports if one.findings]
    if with_findings:
        metadata["employees_with_findings"] = dg.MetadataValue.text(", ".join(with_findings))
    if audited.failed:
        told = "; ".join(f"{kuerzel}: {error}" for kuerzel, error in audited.failed.items())
        metadata["failed_for"] = dg.MetadataValue.text(told)
    return metadata
