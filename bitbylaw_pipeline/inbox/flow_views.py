"""One flow as of one moment: its queue, its last success, its drift, and whether it has been silent for too long.

Times are UTC epoch seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import (
    batches,
    calendar_passes,
    feed_cursors,
    outages,
    pass_times,
    reconciliations,
    work_queue,
)
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses
from bitbylaw_pipeline.inbox.reconciliations import Reconciled
from bitbylaw_pipeline.inbox.work_queue import StreamSummary
from bitbylaw_pipeline.settings import Settings

DOCUMENT_FLOWS = ("documents", "collections")
FED_FLOW = "documents"
"""The flow that is told silent where nobody reads EspoCRM's change feed any more."""
PASSED_FLOWS = ("beteiligte", "bankverbindungen", "akten")
"""Those that are passed over as a whole, several times an hour."""
NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class FlowView:
    """One flow (a stream of the work queue). `silence` is a sentence where it has been without success for too long."""

    name: str
    waiting: int
    in_work: int
    delayed: int
    parked: int
    oldest_waiting_seconds: float | None
    last_success_at: float | None
    drift: int | None
    """What the last reconciliation found; None if there was none yet."""
    withheld: int
    """How much of it waits for an approval."""
    reconciled_at: float | None
    reconcile_failure: str | None
    """Why the last reconciliation failed, if it did, or that none has been made for two nights."""
    silence: str | None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is read once for all flows."""

    now: float
    names: Collection[str]
    """Of the flows that there are with these settings: of others nothing is due."""
    silent_seconds: float
    queue: Mapping[str, StreamSummary]
    successes: Mapping[str, float]
    unfinished: Mapping[str, float]
    reconciled: Mapping[str, Reconciled]
    passed: Mapping[str, float | None] = field(default_factory=dict)
    awaited: Mapping[str, float | None] = field(default_factory=dict)
    feed_read_at: float | None = None
    """None also while EspoCRM is left alone: that is told of the system."""
    is_egress_stopped: bool = False
    egress_allowed_at: float | None = None


def flow_names(settings: Settings) -> tuple[str, ...]:
    """The flows that there are with these settings."""
    advoware = PASSED_FLOWS if settings.has_advoware else ()
    return (*DOCUMENT_FLOWS, *advoware, *((calendar_passes.STREAM,) if settings.has_calendars else ()))


def read_flows(connection: Connection, now: float, settings: Settings) -> tuple[FlowView, ...]:
    """Every flow of the settings, in their order; then those that only the queue knows (a system was taken away)."""
    names = flow_names(settings)
    pairs = [name for name in names if name in PASSED_FLOWS]
    facts = _Facts(
        now,
        names,
        settings.alert_flow_silent_minutes * 60,
        work_queue.summary(connection, now),
        work_queue.last_successes(connection),
        work_queue.oldest_unfinished(connection, now),
        reconciliations.load(connection),
        {pair: pass_times.last_pass(connection, pair) for pair in pairs},
        {pair: pass_times.awaited_since(connection, pair) for pair in pairs},
        _feed_read_at(connection),
        batches.get_flag(connection, batches.EGRESS_STOP) is not None,
        batches.flag_set_at(connection, batches.EGRESS_ALLOWED),
    )
    views = []
    for name in names:
        if name == calendar_passes.STREAM:
            passes = calendar_passes.load(connection, settings.calendars)
            wanted = calendar_passes.wanted_since(connection)
            ended = [one.passed_at for one in passes.values() if one.passed_at is not None]
            says = _employees_silence(facts, settings, passes, wanted)
            views.append(_view(facts, name, max(ended, default=None), says))
        elif name in PASSED_FLOWS:
            last = max(filter(None, (facts.successes.get(name), facts.passed[name])), default=None)
            views.append(
                _view(facts, name, last, _pass_silence(facts, name) or _queue_silence(facts, name, last))
            )
        else:
            last = facts.successes.get(name)
            feed = _feed_silence(facts) if name == FED_FLOW else None
            views.append(_view(facts, name, last, _queue_silence(facts, name, last) or feed))
    # Nobody works on these: that is said by what is parked and waiting, and no alarm can change it.
    others = sorted(set(facts.queue) - set(names))
    return (*views, *(_view(facts, name, facts.successes.get(name), None) for name in others))


def _view(facts: _Facts, name: str, last_success_at: float | None, silence: str | None) -> FlowView:
    queue = facts.queue.get(name, StreamSummary(0, 0, 0, 0, None))
    last = facts.reconciled.get(name)
    has_ended = last is not None and last.ended_at is not None
    return FlowView(
        name=name,
        waiting=queue.waiting,
        in_work=queue.leased,
        delayed=queue.delayed,
        parked=queue.parked,
        oldest_waiting_seconds=queue.oldest_waiting_seconds,
        last_success_at=last_success_at,
        drift=last.drift if last is not None and has_ended else None,
        withheld=last.withheld if last is not None else 0,
        reconciled_at=last.ended_at if last is not None else None,
        reconcile_failure=_reconcile_failure(facts, name),
        silence=silence,
    )


def _reconcile_failure(facts: _Facts, name: str) -> str | None:
    last = facts.reconciled.get(name)
    if last is None:
        return None
    overdue = last.overdue(facts.now) if name in facts.names else None
    return last.failed_why or (overdue and f"{overdue}, although every night it is due.")


def _queue_silence(facts: _Facts, name: str, last_success_at: float | None) -> str | None:
    """Work has been there for so long, and all that time nothing succeeded: a quiet night is none."""
    since = facts.unfinished.get(name)
    if since is None or not _is_late(facts, since) or not _is_late(facts, last_success_at, never=True):
        return None
    success = "none yet" if last_success_at is None else f"{_in_words(facts.now - last_success_at)} ago"
    return f"Work has been waiting for {_in_words(facts.now - since)}, and nothing succeeded (last success: {success})."


def _feed_silence(facts: _Facts) -> str | None:
    """Nobody reads the feed: without this rule an empty queue looked well for as long as the daemon was dead."""
    at = facts.feed_read_at
    if at is None or not _is_late(facts, at):
        return None
    return f"EspoCRM's change feed was last read {_in_words(facts.now - at)} ago: what changes there goes unnoticed."


def _feed_read_at(connection: Connection) -> float | None:
    is_left_alone = any(one.system == "espocrm" for one in outages.listing(connection))
    return None if is_left_alone else feed_cursors.last_polled(connection)


def _pass_silence(facts: _Facts, name: str) -> str | None:
    last = facts.passed[name]
    if last is not None:
        if not _is_late(facts, last):
            return None
        return f"The last whole pass ended {_in_words(facts.now - last)} ago."
    # Right after the installation none is due yet.
    known = [at for at in (facts.awaited[name], facts.unfinished.get(name)) if at is not None]
    if not known or not _is_late(facts, min(known)):
        return None
    return (
        f"No whole pass has come to its end since the first was due, {_in_words(facts.now - min(known))} ago."
    )


def _employees_silence(
    facts: _Facts,
    settings: Settings,
    passes: Mapping[str, CalendarPasses],
    wanted: Mapping[str, float],
) -> str | None:
    if facts.is_egress_stopped:
        return None  # kept back on purpose, and told as that
    allowed = facts.egress_allowed_at or 0.0
    since = {one: _known_since(one, passes, wanted) for one in sorted(settings.calendars)}
    late = [one for one, at in since.items() if at is not None and _is_late(facts, max(at, allowed))]
    if not late:
        return None
    named = ", ".join(late[:NAMED_AT_MOST])
    more = f" and {len(late) - NAMED_AT_MOST} more" if len(late) > NAMED_AT_MOST else ""
    return f"No pass has gone through for over {_in_words(facts.silent_seconds)} for {named}{more}."


def _known_since(
    kuerzel: str, passes: Mapping[str, CalendarPasses], wanted: Mapping[str, float]
) -> float | None:
    found = passes.get(kuerzel)
    if found is not None and found.passed_at is not None:
        return found.passed_at
    failed = found.failure.since if found is not None and found.failure is not None else None
    return min((at for at in (failed, wanted.get(kuerzel)) if at is not None), default=None)


def _is_late(facts: _Facts, at: float | None, *, never: bool = False) -> bool:
    return never if at is None else facts.now - at >= facts.silent_seconds


def _in_words(seconds: float) -> str:
    # In steps that do not change with every look: the same trouble is told in the same words for a while.
    if seconds < 2 * 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 48 * 3600 else f"{int(seconds // 86400)} d"
