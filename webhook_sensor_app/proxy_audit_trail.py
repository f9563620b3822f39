"""The audit row around each write: committed before the write is sent, completed after its answer."""

from __future__ import annotations

import asyncio
import hashlib

import structlog

from bitbylaw_pipeline.inbox import proxy_audit
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.proxy_audit import ProxyWrite
from webhook_sensor_app.proxy_request import ProxyCall
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 5


class AuditTrail:
    """Begins and ends the rows of writes."""

    def __init__(self, database: Database, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._database = database
        self._wait_seconds = wait_seconds

    async def begin(self, write_id: str, key_fingerprint: str, call: ProxyCall) -> None:
        """Returns after the commit. Raises Refusal (503) if that cannot be had: the write must not be sent then."""
        write = ProxyWrite(
            write_id,
            key_fingerprint,
            call.match.method,
            call.match.pattern,
            call.record,
            hashlib.sha256(call.body or b"").hexdigest(),
        )
        database = self._database
        try:
            async with asyncio.timeout(self._wait_seconds):
                await database.run(
                    lambda connection: proxy_audit.begin(connection, database.now(connection), write)
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no row
            # A commit that took too long may come about all the same: then the row stays without an end.
            log.error(  # noqa: TRY400 - a traceback of the driver's may hold the database's password
                "proxy_audit_failed", write_id=write_id, error=type(error).__name__, effect="write not sent"
            )
            raise Refusal(
                503,
                "The write was not sent, because it could not be entered in the audit table: send it again.",
                "no_audit",
                headers={"retry-after": str(RETRY_AFTER_SECONDS)},
            ) from None

    async def end(self, write_id: str, status: int | None) -> None:
        """Completes the row; what was sent cannot be taken back, so a failure is logged and no more."""
        database = self._database
        try:
            async with asyncio.timeout(self._wait_seconds):
                await database.run(
                    lambda connection: proxy_audit.end(connection, database.now(connection), write_id, status)
                )
        except Exception as error:  # noqa: BLE001 - the write has been sent, and its answer must go out
            log.error(  # noqa: TRY400 - the driver's traceback may hold the password here, too
                "proxy_audit_not_completed", write_id=write_id, status=status, error=type(error).__name__
            )
