"""The receiver as a process: its socket, its limits, and its orderly end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.patience import ImpatientProtocol

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 4096
IDLE_SECONDS = 5
GRACE_SECONDS = 12
"""For requests in flight at the end: the time for a body and for the commit."""
_FIRST_PASSED_SOCKET = 3
_SPARE_FILES = 128
_BACKLOG = 2048
_SWITCH_SECONDS = 0.001
"""The thread that commits waits for the event loop's thread up to this long, several times in a commit; Python's own
5 ms cost a fifth of the requests per second."""


def uvicorn_server(app: ASGIApp) -> uvicorn.Server:
    """uvicorn with the receiver's limits; `run` or `serve` it with a socket from `listening_socket`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # Beyond it uvicorn answers 503, where accept would fail without a word.
            limit_concurrency=min(MAX_CONNECTIONS, _raise_file_limit() - _SPARE_FILES),
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def listening_socket(settings: Settings) -> socket.socket:
    """The socket passed by systemd (LISTEN_FDS), or one on RECEIVER_HOST and RECEIVER_PORT.

    A passed socket stays open while the receiver restarts, so that nobody is refused meanwhile. Either takes
    connections from now on, and they wait for the receiver to come up. Raises OSError.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_PASSED_SOCKET)
    family = socket.AF_INET6 if ":" in settings.receiver_host else socket.AF_INET
    # With its protocol said: asyncio turns Nagle's waiting off for TCP alone, and an answer took 40 ms with it.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.receiver_host, settings.receiver_port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def serve(app: ASGIApp, sock: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, and then finishes what is in flight; ends the process with status 0."""
    # uvicorn raises the signal once more when it has finished: that shall not look like a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    sys.setswitchinterval(_SWITCH_SECONDS)
    log.info("listening", host=sock.getsockname()[0], port=sock.getsockname()[1])
    uvicorn_server(app).run(sockets=[sock])


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(0)


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
