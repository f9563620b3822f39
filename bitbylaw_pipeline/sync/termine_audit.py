"""An audit of one employee's appointments: what links, marks and mirror say, against what both sides hold now.

The old synchronisation needed such tools by hand (`facts/advoware.md` 3.1: find-duplicates, find-orphaned, verify-sync).
Nothing is written; what can be done about a finding is planned with it and carried out by `termine_repair`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import calendar_audits
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.termine_audit_events import audit_events
from bitbylaw_pipeline.sync.termine_audit_links import audit_links
from bitbylaw_pipeline.sync.termine_audit_look import Look, take_look
from bitbylaw_pipeline.sync.termine_findings import AuditReport, Kind
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs

log = structlog.get_logger(__name__)


async def audit(pairs: TerminePairs, kuerzel: str) -> AuditReport:
    """What is not as it should be with one employee's appointments.

    Foreign, private, read-only and withheld ones are never findings. Raises `domain.errors`; ScopeRefused and
    ScopeLimited for this employee alone, Permanent("unknown_kuerzel"), and SettingsChanged: a former calendar's links
    say nothing about the new one.
    """
    await pairs.require_plannable(kuerzel)
    return judge(kuerzel, await take_look(pairs, kuerzel))


def judge(kuerzel: str, look: Look) -> AuditReport:
    """The findings of a look. Pure."""
    findings = [*audit_events(look), *audit_links(look)]
    return AuditReport(
        kuerzel,
        events=len(look.observed[Side.RIGHT].items),
        termine=len(look.observed[Side.LEFT].items),
        links=len(look.links),
        findings=tuple(sorted(findings, key=lambda one: (one.kind.value, one.fr_nrs, one.events))),
    )


@dataclass(slots=True)
class Audited:
    """Several employees' audits, and the errors of those who could not be looked at."""

    reports: dict[str, AuditReport] = field(default_factory=dict)
    failed: dict[str, SyncError] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind, of all kinds."""
        found = Counter(one.kind for report in self.reports.values() for one in report.findings)
        return {kind.value: found[kind] for kind in Kind}


async def audit_each(
    pairs: TerminePairs, employees: Iterable[str], audited: Audited | None = None
) -> Audited:
    """Audits one employee after the other and keeps the counts in the state; one's refusal holds up nobody.

    `audited` is filled as it goes on, for whoever has to stop half way.
    """
    audited = audited or Audited()
    database = pairs.database
    for kuerzel in employees:
        counts: dict[str, int] = {}
        failed_with = None
        try:
            report = await audit(pairs, kuerzel)
        except SyncError as error:
            audited.failed[kuerzel] = error
            failed_with = type(error).__name__
            log.warning("audit_failed", kuerzel=kuerzel, error=failed_with)
        else:
            audited.reports[kuerzel] = report
            counts = report.counts()
            log.info("audited", kuerzel=kuerzel, findings=len(report.findings), events=report.events)
        note = partial(calendar_audits.note, kuerzel=kuerzel, counts=counts, failed_with=failed_with)
        await database.run(partial(_noted, database, note))
    return audited


def _noted(database: Database, note: Callable[..., None], connection: Connection) -> None:
    note(connection, database.now(connection))
