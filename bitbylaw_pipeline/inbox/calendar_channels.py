"""The channels by which Google reports changes of a calendar, and the token that each message proves itself with.

A channel's token says whose calendar it is, and is a keyed digest of that and of the channel's id: a message is judged
without the database. Times are UTC epoch seconds.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sqlalchemy import Connection, delete, insert, select

from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.schema import calendar_channel

PATH = "/google/calendar/push"
"""Where the receiver takes messages."""
_TOKEN = "calendar-channel"  # noqa: S105  # what the key is for
_PLACE = "calendar-channel-address"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that was made; `place` is the digest of what it watches and of where it reports to."""

    kuerzel: str
    channel_id: str
    resource_id: str
    place: str
    expires_at: float


def token_of(cipher: Cipher, kuerzel: str, channel_id: str) -> str:
    """The token of an employee's channel, in ASCII as a header needs it."""
    return f"{quote(kuerzel, safe='')}:{cipher.digest(_TOKEN, f'{kuerzel}|{channel_id}')}"


def employee_of(cipher: Cipher, token: str, channel_id: str) -> str | None:
    """The Kürzel in a token that is true of this channel, None for any other. Compares in constant time."""
    kuerzel = unquote(token.partition(":")[0])
    true_token = token_of(cipher, kuerzel, channel_id)
    return kuerzel if hmac.compare_digest(token.encode(), true_token.encode()) else None


def place_of(cipher: Cipher, address: str, calendar_id: str) -> str:
    """The digest of an address and a calendar. Under another STATE_ENCRYPTION_KEY, which makes other tokens, it differs."""
    return cipher.digest(_PLACE, f"{address}\n{calendar_id}")


def channels_of(connection: Connection, kuerzel: str) -> list[Channel]:
    """An employee's, the one that lives longest first."""
    rows = connection.execute(
        select(
            calendar_channel.c.kuerzel,
            calendar_channel.c.channel_id,
            calendar_channel.c.resource_id,
            calendar_channel.c.address_hash,
            calendar_channel.c.expires_at,
        )
        .where(calendar_channel.c.kuerzel == kuerzel)
        .order_by(calendar_channel.c.expires_at.desc(), calendar_channel.c.channel_id)
    )
    return [Channel(*row) for row in rows]


def remember(connection: Connection, now: float, channel: Channel) -> None:
    """Stores a channel; those of former employees, whom no pass looks after, are forgotten once they have ended."""
    connection.execute(delete(calendar_channel).where(calendar_channel.c.expires_at <= now))
    connection.execute(
        insert(calendar_channel).values(
            kuerzel=channel.kuerzel,
            channel_id=channel.channel_id,
            resource_id=channel.resource_id,
            address_hash=channel.place,
            expires_at=channel.expires_at,
        )
    )


def forget(connection: Connection, channel: Channel) -> None:
    """Removes a channel; one that is not there is none's fault."""
    connection.execute(
        delete(calendar_channel).where(
            calendar_channel.c.kuerzel == channel.kuerzel,
            calendar_channel.c.channel_id == channel.channel_id,
        )
    )
