"""`python -m webhook_sensor_app`: the receiver as a process of its own."""

from __future__ import annotations

import socket
import sys

import structlog

from bitbylaw_pipeline.inbox.cipher import CipherError
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.logs import configure_process
from bitbylaw_pipeline.settings import Settings, SettingsError
from webhook_sensor_app.app import create_app
from webhook_sensor_app.readiness import StartRefused, open_database, prepare
from webhook_sensor_app.serving import listening_socket, serve

log = structlog.get_logger(__name__)


def main() -> None:
    """Serves until told to stop; exits with one sentence if it cannot start."""
    try:
        settings = Settings.load()
        configure_process(settings.log_level)
        sock = _listen(settings)
        _prepare(settings)
        app = create_app(settings)
    except (SettingsError, StartRefused, CipherError) as error:
        sys.exit(str(error))
    if settings.webhook_allow_unsigned:
        log.warning("unsigned_webhooks_are_accepted", setting="WEBHOOK_ALLOW_UNSIGNED")
    serve(app, sock)


def _listen(settings: Settings) -> socket.socket:
    try:
        return listening_socket(settings)
    except OSError as error:
        where = f"{settings.receiver_host}:{settings.receiver_port}"
        raise StartRefused(
            f"{where} cannot be listened on ({error.strerror}): change RECEIVER_HOST or RECEIVER_PORT."
        ) from None


def _prepare(settings: Settings) -> None:
    """Before the app does it again: here a refusal can end in a sentence instead of uvicorn's traceback."""
    try:
        database = open_database(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    try:
        prepare(settings, database)
    except DatabaseUnavailable:
        pass
    finally:
        database.close()


if __name__ == "__main__":
    main()
