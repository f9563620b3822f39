"""One request from its head to its answer, and the one log line about it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.inbox.events import Want
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.addresses import Address, LinkAddress, Subjects
from webhook_sensor_app.bodies import Bodies
from webhook_sensor_app.credentials import Credentials
from webhook_sensor_app.intake import Intake, random_event_id, take_changes, take_links
from webhook_sensor_app.notices import read_changes, read_links
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal, unavailable
from webhook_sensor_app.registrations import Registrations
from webhook_sensor_app.store import MAX_WAITING, Store
from webhook_sensor_app.wake_ups import WakeUps

log = structlog.get_logger(__name__)

BODIES_AT_ONCE = 4
"""How many bodies of the largest size fit into memory together."""
_KEYS_IN_A_LINE = 50


class Receiver:
    """Accepts webhooks: verifies, reads the ids, commits, answers."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        wake_ups: WakeUps,
        *,
        max_waiting: int = MAX_WAITING,
        wait_seconds: float = WAIT_SECONDS,
        new_event_id: Callable[[], str] = random_event_id,
    ) -> None:
        self.subjects = Subjects(settings)
        self._max_events = settings.receiver_max_events
        self._new_event_id = new_event_id
        self._credentials = Credentials(settings, Registrations(database, wait_seconds=wait_seconds))
        limit = settings.receiver_max_body_bytes
        self._bodies = Bodies(limit, max_total_bytes=BODIES_AT_ONCE * limit)
        self.store = Store(database, wake_ups, max_waiting=max_waiting, wait_seconds=wait_seconds)
        """What commits; shared by all that take something in."""

    async def answer(self, request: Request, address: Address | LinkAddress) -> Response:
        """The answer to a POST at the address; never raises."""
        started_at = time.perf_counter()
        try:
            intake, facts = await self._accept(request, address)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender must learn to come again
            refusal = refusal_of(error)
            # After 400 EspoCRM drops the events for ever, and only known senders get that far: a person should look.
            log_refusal(log, refusal, address.path, error, started_at, is_grave=refusal.status == 400)
            return error_response(refusal)
        log.info("accepted", **facts, ms=milliseconds(started_at))
        if not intake.received:
            # Not 4xx: a hook that reports every link of the firm does nothing wrong by reporting this one.
            detail = "Nothing in the body concerns a document or a record that owns a collection."
            return JSONResponse({"accepted": 0, "event": None, "detail": detail})
        return JSONResponse({"accepted": intake.accepted, "event": intake.event_id}, 202)

    async def _accept(
        self, request: Request, address: Address | LinkAddress
    ) -> tuple[Intake, dict[str, Any]]:
        head = await self._credentials.check(request.headers, address)
        with self._bodies.room() as body:
            await self._bodies.read(request, body)
            head.verify(body)
            digest = hashlib.sha256(body).hexdigest()
            intake = self._read(body, address, digest)
        if intake.received:
            await self.store.commit(intake)
        return intake, {
            "event_id": intake.event_id,
            "path": address.path,
            "webhook": head.sender,
            "items": intake.accepted,
            "digest": digest[:16],
            **named(intake.wants),
        }

    def _read(self, body: bytearray, address: Address | LinkAddress, digest: str) -> Intake:
        event_id = self._new_event_id()
        if isinstance(address, LinkAddress):
            links = read_links(body, self._max_events)
            return take_links(address, links, self.subjects, digest=digest, event_id=event_id)
        ids = read_changes(body, address.subject.entity_type, self._max_events)
        return take_changes(address, ids, digest=digest, event_id=event_id)


def error_response(refusal: Refusal) -> Response:
    """The refusal as JSON."""
    # Kept open, the connection of a sender that dawdled would have the time for a head once more.
    close = {"connection": "close"} if refusal.status == 408 else {}
    return JSONResponse({"error": refusal.sentence}, refusal.status, refusal.headers | close)


def refusal_of(error: Exception) -> Refusal:
    """What a sender is told for an error."""
    match error:
        case Refusal():
            return error
        case DatabaseUnavailable() | TimeoutError():
            return unavailable("database_unavailable")
        case _:
            return unavailable("unexpected")


def log_refusal(
    logger: Any, refusal: Refusal, path: str, error: Exception, started_at: float, *, is_grave: bool = False
) -> None:
    """The one log line about a request that was refused; what is unexpected, or grave, as an error."""
    # An unexpected error's own text may quote what came in, a password included: its type must do.
    unexpected = {} if isinstance(error, Refusal) else {"error": type(error).__name__}
    level = logger.error if is_grave or refusal.reason == "unexpected" else logger.warning
    level(
        "refused",
        status=refusal.status,
        reason=refusal.reason,
        path=path,
        **unexpected,
        ms=milliseconds(started_at),
    )


def named(wants: Sequence[Want]) -> dict[str, str]:
    """Streams and keys for a log line."""
    streams = ",".join(wanted.stream for wanted in wants)
    keys = [key for wanted in wants for key in wanted.keys]
    if not keys:
        return {}
    if len(keys) == 1:
        return {"stream": streams, "key": keys[0]}
    more = "" if len(keys) <= _KEYS_IN_A_LINE else f",and_{len(keys) - _KEYS_IN_A_LINE}_more"
    return {"stream": streams, "keys": ",".join(keys[:_KEYS_IN_A_LINE]) + more}


def milliseconds(started_at: float) -> float:
    """How long it is since `perf_counter` said so."""
    return round((time.perf_counter() - started_at) * 1000, 1)
