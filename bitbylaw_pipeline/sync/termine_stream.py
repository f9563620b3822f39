"""One pass over one employee's appointments: the stream `termine`, whose keys are Kürzel.

Whoever asks for a pass (schedule, poll, a report of Google's, a person), asks the work queue: what comes in during a
pass is one more pass, and nobody waits for anybody else's calendar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from bitbylaw_pipeline.domain.errors import Permanent, SyncError, Transient
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.inbox import calendar_passes, egress_switch
from bitbylaw_pipeline.inbox.calendar_passes import STREAM
from bitbylaw_pipeline.sync.egress_watch import EgressStopped, EgressWatch
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.termine_pairs import SettingsChanged, TerminePairs
from bitbylaw_pipeline.sync.termine_queued_repair import repair_if_asked
from bitbylaw_pipeline.sync.two_way_report import RunReport

log = structlog.get_logger(__name__)

SYSTEMS = frozenset({"advoware", "google"})
ASSET = "google/termine"
AGAIN_SECONDS = 5.0
"""After which appointments are looked at again that somebody else had in hand, that are not settled, or that still show
in Google what is to be masked."""

STOPPED_AGAIN_SECONDS = 60.0
"""After which a pass is tried again that the kill switch kept back."""


class InHand(Transient):
    """Another run has this employee's appointments in hand."""


class Channels(Protocol):
    """Lets Google report changes, where that is wanted."""

    async def keep(self, kuerzel: str) -> None:
        """Sees to it that changes of this employee's calendar are reported. Raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class TermineStream:
    """A Stream: keys are the Kürzel of the setting."""

    pairs: TerminePairs
    channels: Channels | None = None
    name: str = STREAM
    systems: frozenset[str] = SYSTEMS

    def entity_lock(self, key: str) -> str:
        """`calendar_sync:employee:{kuerzel}`."""
        return f"calendar_sync:employee:{key}"

    async def sync(self, key: str) -> Outcome:
        """Lists both sides and puts right what differs. Raises the error that ended the pass, once it is noted.

        Where a reconciliation has asked for it, the audit's repairs come first. While the kill switch is on no pass is
        run, and one that is under way is broken off: what it has begun to write stands in its journal, and the next pass
        goes on from there.
        """
        self.pairs.check(key)
        try:
            return await self._pass(key)
        except EgressStopped:
            return Outcome(
                key,
                Result.WITHHELD,
                {"reason": "egress is stopped"},
                again_in=STOPPED_AGAIN_SECONDS,
            )

    async def _pass(self, key: str) -> Outcome:
        database = self.pairs.database
        if await database.run(egress_switch.is_stopped):
            raise EgressStopped
        await repair_if_asked(self.pairs, key)
        async with pair_lease(database, self.pairs.pair(key)) as is_ours:
            if not is_ours:
                raise InHand(f"Another run has the appointments of {key} in hand.", system="pipeline")
            begun_at = await database.run(database.now)
            former = await database.run(lambda c: calendar_passes.get(c, key))
            try:
                async with self.pairs.reconciler(key) as reconciler:
                    report = await EgressWatch(database).unless_stopped(reconciler.run())
                _raise_what_ended(key, report)
            except SyncError as error:
                ended = error
                await database.run(
                    lambda c: calendar_passes.note_failed(c, database.now(c), key, begun_at, ended)
                )
                raise
            counts = report.counts()
            await database.run(
                lambda c: calendar_passes.note_passed(c, database.now(c), key, begun_at, counts)
            )
        if self.channels is not None:
            await self.channels.keep(key)
        is_well = former is not None and former.passed_at is not None and former.failure is None
        # What was entered in Google has arrived; its title still stands there, and the next pass takes it off.
        is_to_mask = self.pairs.rules.masks and counts.get("left_creates", 0) > 0
        return _outcome(key, report, counts, is_news=not is_well, is_to_mask=is_to_mask)

    async def describe(self, key: str) -> list[str]:
        """What a pass would do, as lines with ids and field names; the mirror of the calendar is brought up to date."""
        try:
            async with self.pairs.trial(key) as reconciler:
                report = await reconciler.plan()
        except SettingsChanged as changed:
            return [str(changed)]
        lines = [*report.lines, *(f"{hold.subject}: {hold.why}" for hold in report.holds)]
        return lines or ["Nothing to do."]


def _raise_what_ended(key: str, report: RunReport) -> None:
    if report.stopped_by is not None:
        raise report.stopped_by
    failed = [error for error in report.errors.values() if isinstance(error, Transient)]
    if failed:
        # Of the first one's system: whether that is down is asked before anybody else runs into it.
        raise Transient(
            f"{len(failed)} appointments of {key} could not be written; the pass is repeated. The first: {failed[0]}",
            system=failed[0].system,
            status=failed[0].status,
        )


def _outcome(
    key: str, report: RunReport, counts: dict[str, int], *, is_news: bool, is_to_mask: bool
) -> Outcome:
    made = bool(counts["writes"] or counts["agreed"])
    facts: dict[str, Fact] = {**counts}
    warnings = []
    if report.errors:
        reasons = sorted({_reason(error) for error in report.errors.values()})
        facts["refused_for"] = ", ".join(reasons)
        warnings.append(f"{len(report.errors)} appointments are refused: {facts['refused_for']}")
    if counts["held"]:
        warnings.append(f"{counts['held']} wait for a person: see `bitbylaw holds`")
    unfinished = bool(report.overtaken or report.unsettled or is_to_mask)
    return Outcome(
        key=key,
        result=Result.SYNCED if made else Result.UNCHANGED,
        facts=facts,
        # After a failure also where nothing had to be written: red until then, nobody would know that it is over.
        assets=(ASSET,) if made or is_news else (),
        again_in=AGAIN_SECONDS if unfinished else None,
        warning="; ".join(warnings) + "." if warnings else None,
    )


def _reason(error: SyncError) -> str:
    return error.reason if isinstance(error, Permanent) else type(error).__name__
