"""Keeps the channels by which Google reports changes of employees' calendars (`facts/two_way_sync.md` 2, Push).

They are an accelerator and nothing depends on them: what fails here is told in the log, the poll goes on beside it, and
the next pass tries again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.domain.errors import Permanent, SyncError
from bitbylaw_pipeline.inbox import calendar_channels
from bitbylaw_pipeline.inbox.calendar_channels import PATH, Channel
from bitbylaw_pipeline.loopback import LOOPBACK
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs

log = structlog.get_logger(__name__)

TTL_SECONDS = 604_800
"""What Google gives unless asked for less; there is no more."""
RENEW_SECONDS = 86_400.0
"""How long before a channel's end the next one is made: passes fail for hours when a system is down."""


def random_channel_id() -> str:
    """A channel's id that no other has."""
    return uuid.uuid4().hex


def push_address(settings: Settings) -> str | None:
    """Where Google is to report changes; None where it is not to, or cannot."""
    if not settings.google_push:
        return None
    parts = urlsplit(settings.receiver_public_url)
    # Google takes https alone; this machine's own address is the stand-in's.
    if parts.scheme != "https" and parts.hostname != LOOPBACK:
        log.warning(
            "google_push_unusable",
            advice="set RECEIVER_PUBLIC_URL to an https address that Google reaches, or GOOGLE_PUSH=false",
        )
        return None
    return settings.receiver_public_url + PATH


def open_channels(settings: Settings, pairs: TerminePairs) -> TermineChannels:
    """The channels of these settings."""
    return TermineChannels(pairs, push_address(settings))


@dataclass(frozen=True, slots=True)
class TermineChannels:
    """One channel per employee to `address`; without an address those that are left are stopped."""

    pairs: TerminePairs
    address: str | None
    new_id: Callable[[], str] = random_channel_id

    async def keep(self, kuerzel: str) -> None:
        """Makes the employee's channel if there is none that lasts, and ends what is left over. Raises nothing."""
        try:
            await self._keep(kuerzel)
        except SyncError as error:
            log.warning("channel_not_kept", key=kuerzel, error=type(error).__name__, says=str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, the pass before it went well
            # Its text may quote what must not stand in a log.
            log.warning("channel_not_kept", key=kuerzel, error=type(error).__name__)

    async def _keep(self, kuerzel: str) -> None:
        database, of = self.pairs.database, self.pairs.calendars[kuerzel]
        calendar = self.pairs.google.calendar(of.user, of.calendar_id)
        known, now = await database.run(
            lambda c: (calendar_channels.channels_of(c, kuerzel), database.now(c))
        )
        kept: Channel | None = None
        if self.address is not None:
            place = calendar_channels.place_of(database.cipher, self.address, of.calendar_id)
            lasting = (one for one in known if one.place == place and one.expires_at > now + RENEW_SECONDS)
            # The new one first: a change between the two would go unreported.
            kept = next(lasting, None) or await self._make(kuerzel, calendar, self.address, place)
        for channel in known:
            if channel != kept:
                await self._end(calendar, channel, now)

    async def _make(self, kuerzel: str, calendar: EmployeeCalendar, address: str, place: str) -> Channel:
        database, channel_id = self.pairs.database, self.new_id()
        token = calendar_channels.token_of(database.cipher, kuerzel, channel_id)
        watching = await calendar.watch(channel_id, address, token, ttl=TTL_SECONDS)
        channel = Channel(kuerzel, channel_id, watching.resource_id, place, watching.expires_at)
        await database.run(lambda c: calendar_channels.remember(c, database.now(c), channel))
        log.info("channel_made", key=kuerzel)
        return channel

    async def _end(self, calendar: EmployeeCalendar, channel: Channel, now: float) -> None:
        if channel.expires_at > now:
            try:
                await calendar.stop(channel.channel_id, channel.resource_id)
            except Permanent as refusal:
                # Another user's by now, perhaps: it would be refused for ever, and ends by itself.
                log.info("channel_left_to_end", key=channel.kuerzel, reason=refusal.reason)
        await self.pairs.database.run(lambda c: calendar_channels.forget(c, channel))
        log.info("channel_ended", key=channel.kuerzel)
