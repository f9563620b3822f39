"""Tells a person what is wrong, once: gathers, remembers, and speaks by each channel for itself.

What was told is noted after the channel has taken it, so that a failing one is tried again; in a crash between the two
the same is sent twice with the same message id, and nothing is ever lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.alert import (
    Alert,
    Message,
    Trouble,
    TroubleKind,
    follow,
    note_told,
    plan_message,
)
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import alerts, run_leases
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.alert_channels import AlertChannel
from bitbylaw_pipeline.sync.troubles import FailedRuns, troubles_now

log = structlog.get_logger(__name__)

LEASE_SECONDS = 120.0
"""Far longer than telling can take, so that nobody else begins meanwhile."""
FIRST_DELAY_SECONDS = 60.0
LONGEST_DELAY_SECONDS = 3600.0

Gather = Callable[[Connection, float], Sequence[Trouble]]


@dataclass(frozen=True, slots=True)
class AlertingReport:
    """What one look came to: how many troubles are open, what each channel was told, and which failed how."""

    is_ours: bool
    """False where somebody else is at it; then nothing was looked at."""
    open: int = 0
    told: Mapping[str, str] | None = None
    """Channel -> counts."""
    failed: Mapping[str, str] | None = None
    """Channel -> one sentence."""

    @property
    def says(self) -> str:
        """In a sentence or two."""
        if not self.is_ours:
            return "Another daemon is telling right now."
        parts = [f"{name}: told {what}." for name, what in (self.told or {}).items()]
        parts += [f"{name} failed: {why}" for name, why in (self.failed or {}).items()]
        return " ".join([f"{self.open} open.", *(parts or ["Nothing to tell."])])


async def tell_troubles(
    database: Database,
    settings: Settings,
    channels: Mapping[str, AlertChannel],
    failed_runs: Sequence[FailedRuns] = (),
) -> AlertingReport:
    """Gathers what is wrong, and tells by each channel what it has not told yet. Raises DatabaseUnavailable."""

    def gather(connection: Connection, now: float) -> Sequence[Trouble]:
        return troubles_now(connection, now, settings, failed_runs)

    return await tell(database, gather, channels, settings.alert_repeat_hours * 3600.0)


async def tell(
    database: Database, gather: Gather, channels: Mapping[str, AlertChannel], repeat_after: float
) -> AlertingReport:
    """The same of any troubles; `repeat_after` is in seconds."""

    def begin(connection: Connection) -> str | None:
        return run_leases.take(connection, database.now(connection), alerts.LEASE, LEASE_SECONDS)

    lease = await database.run(begin)
    if lease is None:
        return AlertingReport(is_ours=False)
    try:
        # Read beside the writers, who would otherwise all wait for it.
        troubles = database.read(lambda conn: gather(conn, database.now(conn)))
        planned = await database.run(
            lambda conn: _plan(conn, database.now(conn), troubles, channels, repeat_after)
        )
        results = await asyncio.gather(
            *(_tell(database, name, channels[name], message) for name, message in planned.messages.items())
        )
    finally:
        await database.run(lambda conn: run_leases.release(conn, alerts.LEASE, lease))
    failed = {name: why for name, why in zip(planned.messages, results, strict=True) if why}
    told = {name: message.summary for name, message in planned.messages.items() if name not in failed}
    return AlertingReport(True, planned.open, told, {**planned.waiting, **failed})


@dataclass(frozen=True, slots=True)
class _Planned:
    open: int
    messages: Mapping[str, Message]
    waiting: Mapping[str, str]


def _plan(
    connection: Connection,
    now: float,
    troubles: Sequence[Trouble],
    channels: Mapping[str, AlertChannel],
    repeat_after: float,
) -> _Planned:
    followed = follow(troubles, alerts.open_ones(connection), now)
    alerts.put(connection, followed)
    open_ones = [alert for alert in followed if alert.ended_at is None]
    among = [*open_ones, *alerts.ended_lately(connection, now)]
    messages: dict[str, Message] = {}
    waiting: dict[str, str] = {}
    for name in channels:
        fares = alerts.channel(connection, now, name)
        message = plan_message(among, name, now, repeat_after, fares.since)
        if message is None:
            continue
        # Further ahead than it can have been set, it is by a clock that was put right since.
        if now < fares.not_before <= now + LONGEST_DELAY_SECONDS:
            waiting[name] = (
                f"{fares.error}, {fares.failures} times; tried again in {fares.not_before - now:.0f} s."
            )
        else:
            messages[name] = message
    return _Planned(len(open_ones), messages, waiting)


async def _tell(database: Database, name: str, channel: AlertChannel, message: Message) -> str | None:
    """Tells and notes it; None, or why it failed."""
    now = await database.run(database.now)
    try:
        await channel.tell(message, now)
    except SyncError as error:
        why = str(error)
        log.warning("alert_not_sent", channel=name, error=type(error).__name__, says=why)
        kind = type(error).__name__
        await database.run(lambda conn: _note_failure(conn, database.now(conn), name, kind))
        return why
    log.info("alert_sent", channel=name, alerts=len(message.alerts))
    await database.run(lambda conn: _note_success(conn, database.now(conn), name, message))
    return None


def _note_failure(connection: Connection, now: float, name: str, error: str) -> None:
    fares = alerts.channel(connection, now, name)
    delay = min(FIRST_DELAY_SECONDS * 2.0**fares.failures, LONGEST_DELAY_SECONDS)
    # A little less, or the tick that comes a minute later is a moment too early, and every delay is a minute longer.
    not_before = now + delay - FIRST_DELAY_SECONDS / 4
    changed = replace(fares, failures=fares.failures + 1, not_before=not_before, error=error)
    alerts.note_channel(connection, now, name, changed)


def _note_success(connection: Connection, now: float, name: str, message: Message) -> None:
    fares = alerts.channel(connection, now, name)
    alerts.note_channel(connection, now, name, alerts.Channel(since=fares.since))
    # Read again: the other channel may have noted its own meanwhile.
    alerts.put(connection, [note_told(alert, name, now) for alert in alerts.load(connection, message.alerts)])


async def tell_test(channels: Mapping[str, AlertChannel], now: float, key: str) -> dict[str, str | None]:
    """Sends a test message by every channel; by each, None or what came of it in a sentence."""
    trouble = Trouble(TroubleKind.TEST, "test", "This is a test; nothing is wrong.", "nothing.")
    message = Message(key, [Alert(trouble, now, now)], [], [], title="test")

    async def one(channel: AlertChannel) -> str | None:
        try:
            refused = await channel.tell(message, now)
        except SyncError as error:
            return str(error)
        return f"{refused} of the addresses were refused." if refused else None

    results = await asyncio.gather(*(one(channel) for channel in channels.values()))
    return dict(zip(channels, results, strict=True))
