"""The frame around each request about calendars: from any error to its answer, and the one log line."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

import structlog
from starlette.responses import Response

from webhook_sensor_app.receiver import error_response, log_refusal, milliseconds, refusal_of

log = structlog.get_logger(__name__)

Facts = dict[str, Any]


async def answered(event: str, path: str, work: Awaitable[tuple[Response, Facts]]) -> Response:
    """What the work answers, told in the log as `event` with its facts; a refusal where it raises. Never raises."""
    started_at = time.perf_counter()
    try:
        response, facts = await work
    except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a sentence
        refusal = refusal_of(error)
        log_refusal(log, refusal, path, error, started_at)
        return error_response(refusal)
    log.info(event, path=path, **facts, ms=milliseconds(started_at))
    return response
