"""`/advoware/calendar/sync`: asks for passes over employees' appointments, and tells what became of them.

A request is stored as events of the inbox together with the work that it asks for; its reference is the events' id.
Whoever asks during a pass is served by the next one, which is one however many ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitbylaw_pipeline.inbox import calendar_passes, events, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import ENTITY_TYPE, STREAM, TOPIC
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.events import InboxEvent, Received, Want
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.api_keys import ApiKeys
from webhook_sensor_app.bodies import Bodies
from webhook_sensor_app.calendar_answers import Facts, answered
from webhook_sensor_app.calendar_outcome import EmployeeOutcome, employee_outcome, overall
from webhook_sensor_app.calendar_request import read_kuerzel
from webhook_sensor_app.intake import Intake, random_event_id
from webhook_sensor_app.proxy_request import announces_body
from webhook_sensor_app.receiver import named
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal
from webhook_sensor_app.store import Store

PATH = "/advoware/calendar/sync"
STATUS_PATH = PATH + "/{reference}"
SOURCE = "api"
ACTION = "sync"
MAX_BODY_BYTES = 64 * 1024
BODIES_AT_ONCE = 64
_REFERENCE = re.compile(r"[0-9a-f]{32}")

Outcomes = Mapping[str, EmployeeOutcome]


class CalendarSync:
    """Both endpoints; `store` is what the receiver commits with."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: Store,
        *,
        wait_seconds: float = WAIT_SECONDS,
        new_event_id: Callable[[], str] = random_event_id,
    ) -> None:
        self._keys = ApiKeys(settings.api_keys, "API_KEYS")
        self._configured = tuple(settings.calendars) if settings.has_calendars else ()
        self._database = database
        self._store = store
        self._wait_seconds = wait_seconds
        self._new_event_id = new_event_id
        self._bodies = Bodies(
            MAX_BODY_BYTES,
            max_total_bytes=BODIES_AT_ONCE * MAX_BODY_BYTES,
            advice="it needs to name no more than the employees' Kürzel",
        )

    async def ask(self, request: Request) -> Response:
        """The answer to a POST: 202 with the reference, after the commit."""
        return await answered("accepted", PATH, self._ask(request))

    async def tell(self, request: Request) -> Response:
        """The answer to a GET of a reference: what became of that request."""
        return await answered("told", STATUS_PATH, self._tell(request))

    async def _ask(self, request: Request) -> tuple[Response, Facts]:
        key = self._check(request)
        with self._bodies.room() as body:
            if announces_body(request.headers):
                await self._bodies.read(request, body)
            digest = hashlib.sha256(body).hexdigest()
            employees = read_kuerzel(body, self._configured)
        reference = self._new_event_id()
        items = [(ENTITY_TYPE, kuerzel, ACTION) for kuerzel in employees]
        received = Received(reference, SOURCE, TOPIC, items, digest)
        wants = [Want(STREAM, employees)]
        await self._store.commit(Intake(reference, len(items), [received], wants))
        location = f"{PATH}/{reference}"
        said = {"reference": reference, "kuerzel": employees, "status_url": location}
        facts = {"event_id": reference, "api_key": key, "items": len(items), **named(wants)}
        return JSONResponse(said, 202, {"location": location}), facts

    async def _tell(self, request: Request) -> tuple[Response, Facts]:
        key = self._check(request)
        reference = request.path_params["reference"]
        if not _REFERENCE.fullmatch(reference):
            raise _unknown()
        async with asyncio.timeout(self._wait_seconds):
            requested_at, outcomes = await self._database.run(lambda c: self._look(c, reference))
        status = overall(one.status for one in outcomes.values())
        said = {
            "reference": reference,
            "requested_at": _iso(requested_at),
            "status": status,
            "employees": {kuerzel: _shown(one) for kuerzel, one in outcomes.items()},
        }
        facts = {"event_id": reference, "api_key": key, "items": len(outcomes), "result": status.value}
        # A proxy on the way that kept it would let the caller wait for ever.
        return JSONResponse(said, headers={"cache-control": "no-store"}), facts

    def _check(self, request: Request) -> str:
        key = self._keys.check(request.headers)
        if not self._configured:
            raise Refusal(
                409,
                "No appointments are kept in step: set ADVOWARE_* and GOOGLE_CALENDARS and restart the receiver.",
                "no_calendars",
            )
        return key

    def _look(self, connection: Connection, reference: str) -> tuple[float, Outcomes]:
        rows = [row for row in events.of_request(connection, reference) if _is_ours(row)]
        if not rows:
            raise _unknown()
        requested_at, now = rows[0].received_at, self._database.now(connection)
        employees = [row.entity_id for row in rows]
        passes = calendar_passes.load(connection, employees)
        return requested_at, {
            kuerzel: employee_outcome(
                requested_at, now, work_queue.get(connection, STREAM, kuerzel), passes.get(kuerzel)
            )
            for kuerzel in employees
        }


def _is_ours(row: InboxEvent) -> bool:
    return row.source == SOURCE and row.topic == TOPIC


def _unknown() -> Refusal:
    return Refusal(
        404,
        "No request with this reference is known, or it is no longer known: old ones are deleted.",
        "unknown_reference",
    )


def _shown(one: EmployeeOutcome) -> dict[str, Any]:
    return {
        "status": one.status,
        "finished_at": None if one.finished_at is None else _iso(one.finished_at),
        "counts": dict(one.counts),
        "why": one.why,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
