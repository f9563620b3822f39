"""Carries out what an audit has planned, one record after the other, each read again right before its write.

What is written: events in Google that are too many are deleted, and what our own links say is forgotten where it is
wrong. All else is an ordinary pass's, by the rules of the two-way engine. In Advoware nothing is written.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from bitbylaw_pipeline.domain.errors import Conflict, NotFound
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Guard, LogEntry, Record
from bitbylaw_pipeline.domain.two_way_match import link_id_of
from bitbylaw_pipeline.domain.two_way_state import Changes, LinkChanged
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.termine_audit_links import without_agreement
from bitbylaw_pipeline.sync.termine_audit_look import Sides, open_sides
from bitbylaw_pipeline.sync.termine_findings import AuditReport, Finding, Repair
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore

log = structlog.get_logger(__name__)

DELETE_GUARD = Guard(min_abs=3, frac=0.1, hard_abs=20)
"""More deletions than that in one go only with a number that a person has named."""
_WRITES = (Repair.DELETE_EVENT, Repair.DROP_LINK, Repair.FORGET_AGREED)


class RepairStopped(Exception):
    """The repair has ended before its end; the message says why, and what was done stays done."""


@dataclass(slots=True)
class Repaired:
    """How much was done."""

    deleted: int = 0
    forgotten: int = 0
    needs_pass: bool = False


def why_too_many(report: AuditReport, delete_limit: int | None) -> str | None:
    """The sentence that refuses a plan with too many deletions; None for one that may be carried out.

    `delete_limit` is the number that a person has named; it takes the place of 3, and of 10 % or 20.
    """
    count = len(report.of(Repair.DELETE_EVENT))
    if delete_limit is not None:
        return None if count <= delete_limit else f"The plan has {count} deletions, more than {delete_limit}."
    if not DELETE_GUARD.withholds(count, report.events):
        return None
    return (
        f"The plan has {count} deletions of {report.events} events, more than 10 % or 20: look through it, then say"
        f" --delete-limit {count}."
    )


async def carry_out(
    pairs: TerminePairs,
    report: AuditReport,
    *,
    delete_limit: int | None = None,
    on_step: Callable[[Finding], None] = lambda _: None,
) -> Repaired:
    """Does what the report has planned; `on_step` hears of each finding that is done.

    Raises RepairStopped where something has changed since, or a pass is at work; and `domain.errors`, SettingsChanged
    among them.
    """
    if (refused := why_too_many(report, delete_limit)) is not None:
        raise RepairStopped(refused)
    async with pair_lease(pairs.database, pairs.pair(report.kuerzel)) as is_ours:
        if not is_ours:
            raise RepairStopped(
                f"A pass has the appointments of {report.kuerzel} in hand: try again in a minute."
            )
        await pairs.require_plannable(report.kuerzel)
        work = _Work(pairs, report, open_sides(pairs, report.kuerzel), pairs.store(report.kuerzel))
        work.done.needs_pass = bool(report.of(Repair.PASS, *_WRITES))
        if work.done.needs_pass:
            # The mirror may be what is wrong. Before the first write: a repair that is stopped half way has written.
            await pairs.mirror(report.kuerzel).distrust()
        for finding in report.of(*_WRITES):
            await work.do(finding)
            on_step(finding)
    log.info(
        "audit_repaired",
        kuerzel=report.kuerzel,
        deleted=work.done.deleted,
        forgotten=work.done.forgotten,
    )
    return work.done


class _Work:
    def __init__(
        self, pairs: TerminePairs, report: AuditReport, sides: Sides, store: DatabaseLinkStore
    ) -> None:
        self._pairs = pairs
        self._kuerzel = report.kuerzel
        self._sides = sides
        self._store = store
        self.done = Repaired()

    async def do(self, finding: Finding) -> None:
        match finding.repair:
            case Repair.DELETE_EVENT:
                await self._delete(finding)
                self.done.deleted += 1
            case Repair.DROP_LINK:
                await self._drop(finding)
                self.done.forgotten += 1
            case _:
                await self._forget(finding)
                self.done.forgotten += 1

    async def _delete(self, finding: Finding) -> None:
        event = await self._unchanged(finding, finding.event)
        snapshot = await self._store.load(left_ids=finding.fr_nrs, right_ids=finding.events)
        if finding.keeper is not None:
            # Once this one is gone, the linked one is all that is left of the Termin there.
            if [link.link_id for link in snapshot.links] != [finding.link and finding.link.link_id]:
                raise _changed(finding, "its link")
            await self._unchanged(finding, finding.keeper)
        elif snapshot.links or await self._sides.left.get(finding.fr_nrs[0]) is not None:
            raise _changed(finding, "its Termin or link")
        entry = LogEntry(
            link_id_of(Side.RIGHT, event.id), Side.RIGHT, "delete", tuple(sorted(event.fields)), event.fields,
            uuid.uuid4().hex,
        )  # fmt: skip
        await self._store.commit(Changes(log=(entry,)))
        try:
            await self._sides.right.delete(event)
        except (Conflict, NotFound):
            raise _changed(finding, "the event") from None

    async def _drop(self, finding: Finding) -> None:
        await self._unchanged(finding, finding.event)
        if finding.link is not None:
            await self._commit(finding, Changes(removed=(finding.link,)))

    async def _forget(self, finding: Finding) -> None:
        await self._unchanged(finding, finding.event)
        termin, link = finding.termin, finding.link
        if termin is None or link is None:
            return
        present = await self._sides.left.get(termin.id)
        if present is None or present.fields != termin.fields or not present.is_in_scope:
            raise _changed(finding, "the Termin")
        kept = without_agreement(link, finding.forget)
        await self._commit(finding, Changes(links=(replace(link, base_left=kept),)))

    async def _commit(self, finding: Finding, changes: Changes) -> None:
        try:
            await self._store.commit(changes)
        except LinkChanged:
            raise _changed(finding, "the link") from None

    async def _unchanged(self, finding: Finding, planned: Record | None) -> Record:
        """The event as the plan was made of it, just read again."""
        found = None if planned is None else await self._sides.right.get(planned.id)
        if planned is None or found is None or found.version != planned.version:
            raise _changed(finding, "the event")
        return found


def _changed(finding: Finding, what: str) -> RepairStopped:
    return RepairStopped(
        f"Stopped: {what} of {finding.subject} has changed since the plan was made; run bitbylaw audit again."
    )
