"""Reconciliation of all employees' appointments between Advoware and Google: the audit's findings as drift.

What a pass or the audit's own repairs put right is wanted as a pass of that employee's which repairs first; what only a
person can tell apart stays in the table until a person has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport
from bitbylaw_pipeline.domain.errors import SyncError, Transient
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import calendar_audits, open_work, reconciliations, termine_repairs, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.drift_guards import refuse_shrunken
from bitbylaw_pipeline.sync.termine_audit import Audited, audit
from bitbylaw_pipeline.sync.termine_findings import AuditReport, Finding, Kind, Repair
from bitbylaw_pipeline.sync.termine_pairs import SettingsChanged, TerminePairs
from bitbylaw_pipeline.sync.termine_repair import why_too_many

log = structlog.get_logger(__name__)

KINDS = {
    Kind.TWO_EVENTS: DriftKind.ORPHANED,
    Kind.COPY: DriftKind.MISSING,
    Kind.TWIN_EVENTS: DriftKind.ORPHANED,
    Kind.TWIN_TERMINE: DriftKind.ORPHANED,
    Kind.LINKED_TWICE: DriftKind.DANGLING_REFERENCE,
    Kind.EVENT_WITHOUT_LINK: DriftKind.MISSING,
    Kind.EVENT_WITHOUT_TERMIN: DriftKind.ORPHANED,
    Kind.TERMIN_WITHOUT_LINK: DriftKind.MISSING,
    Kind.LINK_WITHOUT_TERMIN: DriftKind.ORPHANED,
    Kind.LINK_WITHOUT_EVENT: DriftKind.MISSING,
    Kind.LINK_OF_NOTHING: DriftKind.DANGLING_REFERENCE,
    Kind.TOMBSTONE_ALIVE: DriftKind.MISSING,
    Kind.DIFFERING: DriftKind.STALE_HASH,
}
"""An event too many is one that nothing of ours belongs to; what a link lacks, or has no link, is missing."""


@dataclass(slots=True)
class TermineReconciliation:
    """The Reconciliation of appointments; good for one. `clock` counts seconds."""

    pairs: TerminePairs
    accepts_smaller: bool = False
    clock: Callable[[], float] = time.perf_counter
    audited: Audited = field(default_factory=Audited)
    """What was found out about whom, in detail."""

    @property
    def flows(self) -> tuple[str, ...]:
        """`termine`."""
        return (STREAM,)

    async def look(self) -> list[DriftReport]:
        """One report over everybody. Whoever cannot be looked at is told of as a person's matter.

        Raises the first of their errors if nobody's appointments could be looked at.
        """
        started, database = self.clock(), self.pairs.database
        begun_at = await database.run(database.now)
        busy: list[str] = []
        with counting() as calls:
            for kuerzel in sorted(self.pairs.calendars):
                await self._audit(kuerzel, busy)
        failed, reports = self.audited.failed, self.audited.reports
        if failed and not reports and not busy:
            raise next(iter(failed.values()))
        listed = {f"{one}_events": report.events for one, report in reports.items()}
        listed |= {f"{one}_termine": report.termine for one, report in reports.items()}
        former = (await asyncio.to_thread(database.read, reconciliations.load)).get(STREAM)
        refuse_shrunken(STREAM, listed, former.listed if former else {}, accepts_smaller=self.accepts_smaller)
        drifts = [drift for report in reports.values() for drift in await self._drifts(report)]
        drifts += [_not_seen(kuerzel, error) for kuerzel, error in failed.items()]
        return [
            DriftReport(STREAM, begun_at, tuple(drifts), listed, len(busy), calls[0], self.clock() - started)
        ]

    async def repair(self, reports: Sequence[DriftReport]) -> int:
        """Wants a pass that repairs first of each employee concerned, and keeps what was found of everybody."""
        repairs = [drift for report in reports for drift in report.drifts if drift.repair == "queue"]
        await self.pairs.database.run(partial(self._commit, sorted({str(one.key) for one in repairs})))
        return len(repairs)

    async def note(self) -> None:
        """Keeps what was found of everybody, for the check on audits."""
        await self.pairs.database.run(partial(self._commit, []))

    async def _audit(self, kuerzel: str, busy: list[str]) -> None:
        database = self.pairs.database
        now = await database.run(database.now)
        keys = await asyncio.to_thread(database.read, lambda c: open_work.load(c, now, STREAM, now))
        if kuerzel in keys.open | keys.later:
            busy.append(kuerzel)
            return
        try:
            report = await audit(self.pairs, kuerzel)
        except SettingsChanged:
            # The next pass takes the new setting in; until then nothing can be said.
            busy.append(kuerzel)
        except SyncError as error:
            if isinstance(error, Transient) and error.system == "pipeline":
                busy.append(kuerzel)  # a pass is at work
                return
            self.audited.failed[kuerzel] = error
            log.warning("audit_failed", kuerzel=kuerzel, error=type(error).__name__)
        else:
            self.audited.reports[kuerzel] = report
            log.info("audited", kuerzel=kuerzel, findings=len(report.findings), events=report.events)

    async def _drifts(self, report: AuditReport) -> list[Drift]:
        snapshot = await self.pairs.store(report.kuerzel).load(left_ids=())
        limit = snapshot.approved_deletes.get(Side.RIGHT)
        is_withheld = why_too_many(report, limit) is not None
        deletes = len(report.of(Repair.DELETE_EVENT))
        return [_drift(report.kuerzel, finding, deletes if is_withheld else 0) for finding in report.findings]

    def _commit(self, kuerzel: list[str], connection: Connection) -> None:
        now = self.pairs.database.now(connection)
        for one in kuerzel:
            termine_repairs.ask(connection, now, one)
        work_queue.want(connection, now, STREAM, kuerzel, priority=work_queue.SWEEP_PRIORITY)
        for one, report in self.audited.reports.items():
            calendar_audits.note(connection, now, one, report.counts())
        for one, error in self.audited.failed.items():
            calendar_audits.note(connection, now, one, {}, type(error).__name__)


def _drift(kuerzel: str, finding: Finding, withheld: int) -> Drift:
    """`withheld`: how many deletions of this employee's wait for an approval; 0 for none."""
    is_person, deletes = finding.repair is Repair.PERSON, finding.repair is Repair.DELETE_EVENT
    is_withheld = deletes and withheld > 0
    advice = f"bitbylaw approve-deletes termine:{kuerzel} right {withheld}" if is_withheld else ""
    return Drift(
        STREAM,
        KINDS[finding.kind],
        f"{kuerzel} {finding.subject}",
        finding.kind.value if is_person else f"{finding.kind.value}: {finding.why}",
        stream=None if is_person else STREAM,
        key=None if is_person else kuerzel,
        deletes=int(deletes),
        advice=finding.why if is_person else advice,
        is_withheld=is_withheld,
    )


def _not_seen(kuerzel: str, error: SyncError) -> Drift:
    return Drift(
        STREAM,
        DriftKind.MISSING,
        kuerzel,
        f"could not be looked at ({type(error).__name__})",
        advice=f"bitbylaw audit {kuerzel} says why",
    )
