"""`POST /google/calendar/push`: Google says that an employee's calendar has changed, and nothing else.

A message is a reason to look soon (`facts/two_way_sync.md` 2, Push): it may come twice, late, or never, and what it does
is to ask for a pass that the schedule would have made anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitbylaw_pipeline.inbox import calendar_channels, calendar_passes, events, work_queue
from bitbylaw_pipeline.inbox.calendar_channels import PATH
from bitbylaw_pipeline.inbox.calendar_passes import ENTITY_TYPE, STREAM, TOPIC
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.calendar_answers import Facts, answered
from webhook_sensor_app.intake import random_event_id
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal
from webhook_sensor_app.wake_ups import WakeUps

SOURCE = "google"
ACTION = "update"
_LONGEST_ID, _LONGEST_TOKEN = 64, 256
"""Google's own bounds for a channel's id and token."""


class CalendarPush:
    """Takes Google's messages; without GOOGLE_PUSH there is no such address.

    What it stores does not go through the receiver's Store, whose wants clear a delay: each message about one employee's
    used-up quota would then lead to a call that prolongs it.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        wake_ups: WakeUps,
        *,
        wait_seconds: float = WAIT_SECONDS,
        new_event_id: Callable[[], str] = random_event_id,
    ) -> None:
        is_on = settings.google_push and settings.has_calendars
        self._configured = frozenset(settings.calendars) if is_on else frozenset()
        self._database = database
        self._wake_ups = wake_ups
        self._wait_seconds = wait_seconds
        self._new_event_id = new_event_id

    async def answer(self, request: Request) -> Response:
        """200 for a channel's first message, 202 after the commit for any other, 404 for what is not Google's."""
        return await answered("accepted", PATH, self._accept(request))

    async def _accept(self, request: Request) -> tuple[Response, Facts]:
        if not self._configured:
            raise Refusal(404, "Messages of Google's are not taken: GOOGLE_PUSH is off.", "push_off")
        kuerzel = self._employee(request.headers)
        if _one(request.headers, "x-goog-resource-state") == "sync":
            return JSONResponse({"accepted": 0}), {"key": kuerzel, "items": 0}
        event_id = self._new_event_id()

        def store(connection: Connection) -> bool:
            now = self._database.now(connection)
            events.record(
                connection, now, SOURCE, TOPIC, [(ENTITY_TYPE, kuerzel, ACTION)], digest="", event_id=event_id
            )
            asked = calendar_passes.want_passes(
                connection, now, [kuerzel], priority=work_queue.EVENT_PRIORITY
            )
            return bool(asked)

        async with asyncio.timeout(self._wait_seconds):
            is_wanted = await self._database.run(store)
        if is_wanted:
            self._wake_ups.send([STREAM])
        facts = {"event_id": event_id, "items": 1, "stream": STREAM, "key": kuerzel, "wanted": is_wanted}
        return JSONResponse({"accepted": 1, "event": event_id}, 202), facts

    def _employee(self, headers: Headers) -> str:
        channel_id = _one(headers, "x-goog-channel-id")
        token = _one(headers, "x-goog-channel-token")
        if not (0 < len(channel_id) <= _LONGEST_ID and 0 < len(token) <= _LONGEST_TOKEN):
            raise _refused("no_token")
        kuerzel = calendar_channels.employee_of(self._database.cipher, token, channel_id)
        if kuerzel is None:
            raise _refused("wrong_token")
        if kuerzel not in self._configured:
            raise _refused("unknown_kuerzel")
        return kuerzel


def _one(headers: Headers, name: str) -> str:
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else ""


def _refused(reason: str) -> Refusal:
    # One sentence for all: the log says which it was.
    return Refusal(404, "This is no message of a channel that is known here.", reason)
