"""Push: channels that watch a calendar's events, and the messages that Google would send (`facts/two_way_sync.md` 2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import ApiError, api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.store import Store

_LONGEST_ID, _LONGEST_TOKEN, _TTL_SECONDS = 64, 256, 604_800


@dataclass(slots=True)
class Channel:
    """A channel. `seen` is the position in the calendar's change log that was told last."""

    id: str
    calendar_id: str
    resource_id: str
    address: str
    token: str
    uri: str
    expires_at: float
    seen: int
    number: int = 0


class Channels:
    """Channels and the messages that wait to be sent: nothing is sent unless a control request says so."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._channels: dict[str, Channel] = {}
        self._numbers = itertools.count(1)
        self.outbox: list[Row] = []
        self.lost = 0

    def clear(self) -> None:
        """Forget channels and messages."""
        self._channels.clear()
        self.outbox.clear()
        self.lost = 0

    def as_json(self) -> Row:
        """Channels and waiting messages."""
        shown = [
            {"id": one.id, "calendar": one.calendar_id, "address": one.address}
            for one in self._channels.values()
        ]
        return {"channels": shown, "messages": list(self.outbox), "lost": self.lost}

    def watch(self, call: Call) -> Answer:
        """events.watch. Raises ApiError."""
        calendar, body = call.known_calendar, call.json_object()
        channel_id, address = body.get("id"), body.get("address")
        if not isinstance(channel_id, str) or not channel_id:
            raise required("Required")
        if len(channel_id) > _LONGEST_ID or len(str(body.get("token", ""))) > _LONGEST_TOKEN:
            raise invalid("Invalid value for: channel id or token.")
        if body.get("type") not in ("web_hook", "webhook"):
            raise invalid("Unknown channel type.")
        schemes = ("https://", "http://") if self._store.switches.push_allows_http else ("https://",)
        if not isinstance(address, str) or not address.startswith(schemes):
            raise _push_error("push.webhookUrlNotHttps", f"WebHook callback must be HTTPS: {address}")
        if channel_id in self._live():
            raise _push_error("channelIdNotUnique", f"Channel id {channel_id} not unique")
        ttl = (body.get("params") or {}).get("ttl", _TTL_SECONDS)
        if not str(ttl).isdigit() or int(ttl) == 0:
            raise invalid("Invalid value for: ttl.")
        channel = Channel(
            channel_id,
            calendar.id,
            f"res{next(self._numbers):022d}",
            address,
            str(body.get("token", "")),
            f"https://www.googleapis.com/calendar/v3/calendars/{calendar.id}/events?alt=json",
            self._store.now() + min(int(ttl), _TTL_SECONDS),
            calendar.position,
        )
        self._channels[channel_id] = channel
        self._tell(channel, "sync")
        answer: Row = {
            "kind": "api#channel",
            "id": channel.id,
            "resourceId": channel.resource_id,
            "resourceUri": channel.uri,
            "expiration": str(int(channel.expires_at * 1000)),
        }
        return Answer({**answer, "token": channel.token} if channel.token else answer)

    def stop(self, call: Call) -> Answer:
        """channels.stop: id and resourceId have to fit. Raises ApiError."""
        body = call.json_object()
        channel = self._live().get(str(body.get("id")))
        if channel is None or channel.resource_id != body.get("resourceId"):
            raise api_error("notFound", f"Channel '{body.get('id')}' not found for project '184000000000'")
        del self._channels[channel.id]
        return Answer(None, 204)

    def notice(self) -> None:
        """Put a message into the outbox for each channel whose calendar has changed since the last one."""
        if not self._channels:
            return
        for channel in list(self._live().values()):
            calendar = self._store.calendars.get(channel.calendar_id)
            if calendar is None:
                self._tell(channel, "not_exists")
                del self._channels[channel.id]
            elif calendar.position != channel.seen:
                channel.seen = calendar.position
                self._tell(channel, "exists")

    def take(self) -> list[Row]:
        """The waiting messages in the order in which they arrive (switch `push`: reordered, the last first)."""
        messages, self.outbox = self.outbox, []
        return messages[::-1] if self._store.switches.push == "reordered" else messages

    def _live(self) -> dict[str, Channel]:
        now = self._store.now()
        for channel in [one for one in self._channels.values() if one.expires_at <= now]:
            del self._channels[channel.id]
        return self._channels

    def _tell(self, channel: Channel, state: str) -> None:
        # Numbers ascend from 1 (sync); they are not consecutive.
        channel.number += 1 if state == "sync" else 3
        expires = datetime.fromtimestamp(channel.expires_at, UTC)
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": f"{expires:%a, %d %b %Y %H:%M:%S} GMT",
            "X-Goog-Resource-State": state,
            "X-Goog-Message-Number": str(channel.number),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-URI": channel.uri,
            **({"X-Goog-Channel-Token": channel.token} if channel.token else {}),
        }
        message = {
            "channel": channel.id,
            "calendar": channel.calendar_id,
            "address": channel.address,
            "headers": headers,
        }
        mode = self._store.switches.push
        if mode == "lost" and state != "sync":
            self.lost += 1
            return
        self.outbox += [message, message] if mode == "duplicated" else [message]


async def deliver(messages: list[Row], address: str) -> list[dict[str, Any]]:
    """POST the messages (to `address` instead of their own, unless ""), one after the other; what became of each."""
    done: list[dict[str, Any]] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        for message in messages:
            try:
                async with session.post(address or message["address"], headers=message["headers"]) as answer:
                    done.append({"channel": message["channel"], "status": answer.status})
            except (aiohttp.ClientError, TimeoutError):
                done.append({"channel": message["channel"], "status": None})
    return done


def _push_error(reason: str, message: str) -> ApiError:
    error = {"domain": "global", "reason": reason, "message": message}
    return ApiError(400, {"error": {"code": 400, "message": message, "errors": [error]}})
