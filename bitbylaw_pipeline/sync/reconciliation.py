"""Reconciliation: both sides of a flow are listed and compared, and what differs goes back into the work queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.drift import DriftReport
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import reconciliations
from bitbylaw_pipeline.inbox.database import Database

log = structlog.get_logger(__name__)


class Reconciliation(Protocol):
    """One comparison of two systems, for one flow or for several that share their listings."""

    @property
    def flows(self) -> tuple[str, ...]:
        """The flows that it reports on, in the order of its reports."""

    async def look(self) -> list[DriftReport]:
        """One report per flow; reads only. Raises the errors of `domain.errors` where a listing failed or is not whole."""

    async def repair(self, reports: Sequence[DriftReport]) -> int:
        """Puts what is to be repaired and not withheld into the work queue; returns how many repairs that were."""


async def reconcile(
    database: Database, reconciliation: Reconciliation, *, dry_run: bool
) -> list[DriftReport]:
    """Looks, and unless it is a dry run repairs and notes the result; a dry run writes nothing anywhere.

    Raises the errors of `domain.errors`; a failure is noted for each of the flows, unless it is a dry run.
    """
    try:
        reports = await reconciliation.look()
        if dry_run:
            return reports
        await reconciliation.repair(reports)
    except SyncError as error:
        failed = error
        if not dry_run:
            await database.run(lambda conn: _note_failed(conn, database, reconciliation.flows, failed))
        raise
    await database.run(lambda conn: _note_ended(conn, database, reports))
    for report in reports:
        log.info(
            "reconciled",
            flow=report.flow,
            **{kind: count for kind, count in report.counts().items() if count},
            withheld=report.withheld,
            busy=report.busy,
            calls=report.calls,
            seconds=round(report.seconds, 3),
        )
    return reports


def _note_failed(conn: Connection, database: Database, flows: Sequence[str], error: SyncError) -> None:
    now = database.now(conn)
    for flow in flows:
        reconciliations.note_failed(conn, now, flow, error)


def _note_ended(conn: Connection, database: Database, reports: Sequence[DriftReport]) -> None:
    now = database.now(conn)
    for report in reports:
        reconciliations.note_ended(
            conn,
            now,
            report.flow,
            begun_at=report.begun_at,
            listed=report.listed,
            counts=report.counts(),
            wanted=sum(1 for drift in report.drifts if drift.repair == "queue"),
            withheld=report.withheld,
        )
