"""`GET /status`: the facts of `bitbylaw status` for a person who is not in a terminal."""

from __future__ import annotations

import time

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.receiver import log_refusal, milliseconds
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal
from webhook_sensor_app.status_access import StatusAccess
from webhook_sensor_app.status_reading import StatusReading
from webhook_sensor_app.status_rendering import HEADERS, NOT_KEPT, StatusRendering
from webhook_sensor_app.status_view import ALERT_COLUMNS, FLOW_COLUMNS, SYSTEM_COLUMNS, json_of, view_of

log = structlog.get_logger(__name__)

PATH = "/status"
STYLE_PATH = PATH + "/style.css"
_TITLES = {401: "A password is needed", 429: "Please wait", 503: "The status cannot be shown"}


class StatusPage:
    """Answers with HTML, or with JSON to whoever asks for that alone. It only reads, and calls no system."""

    def __init__(self, settings: Settings, database: Database, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._settings = settings
        self._access = StatusAccess(settings)
        self._reading = StatusReading(settings, database, wait_seconds=wait_seconds)
        self._rendering = StatusRendering()

    async def show(self, request: Request) -> Response:
        """The page; never raises."""
        started_at = time.perf_counter()
        is_for_program = _asks_for_json(request)
        try:
            by = self._access.check(request.headers, request.client.host if request.client else "")
            response = await self._answer(is_for_program)
        except Exception as error:  # noqa: BLE001  # whatever it is, the person gets a sentence
            return self._refuse(error, is_for_program, started_at)
        log.info("shown", path=PATH, by=by, ms=milliseconds(started_at))
        return response

    async def style(self, _: Request) -> Response:
        """The stylesheet: without a password, since the page that asks for one has it, too."""
        return self._rendering.style()

    async def _answer(self, is_for_program: bool) -> Response:
        facts = await self._reading.facts()
        if is_for_program:
            return JSONResponse(json_of(facts, self._settings), headers=HEADERS | NOT_KEPT)
        return self._rendering.page(
            "status.html",
            view=view_of(facts, self._settings),
            flow_columns=FLOW_COLUMNS,
            system_columns=SYSTEM_COLUMNS,
            alert_columns=ALERT_COLUMNS,
        )

    def _refuse(self, error: Exception, is_for_program: bool, started_at: float) -> Response:
        refusal = _refusal_of(error)
        log_refusal(log, refusal, PATH, error, started_at)
        if is_for_program:
            answer: Response = JSONResponse(
                {"error": refusal.sentence}, refusal.status, headers=HEADERS | NOT_KEPT
            )
        else:
            answer = self._rendering.page(
                "message.html", refusal.status, title=_TITLES[refusal.status], sentence=refusal.sentence
            )
        answer.headers.update(refusal.headers)
        return answer


def _refusal_of(error: Exception) -> Refusal:
    again = {"retry-after": "5"}
    match error:
        case Refusal():
            return error
        case DatabaseUnavailable() | TimeoutError():
            sentence = (
                "The state database does not answer at the moment: reload in a minute, and if that does not help, "
                "tell the administrator (`bitbylaw doctor` says what is wrong)."
            )
            return Refusal(503, sentence, "database_unavailable", headers=again)
        case _:
            sentence = (
                "The status cannot be put together, which is a fault of this program: tell the administrator, "
                "the receiver's log names it; `bitbylaw status` may still work."
            )
            return Refusal(503, sentence, "unexpected", headers=again)


def _asks_for_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "").lower()
    return "application/json" in accepted and "text/html" not in accepted
