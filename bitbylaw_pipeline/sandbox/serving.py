"""Stand-ins on loopback ports: in a thread for tests, in the main thread for the demo."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
START_SECONDS = 60.0
GRACE_SECONDS = 5
"""For answers on their way at the end; one that is cut off leaves a traceback on stderr."""


class LoopbackServer(uvicorn.Server):
    """uvicorn on an open socket. Its owner decides about signals; `ready` is set once it listens."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=60,
            )
        )
        self.sock = sock
        self.ready = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{HOST}:{self.sock.getsockname()[1]}"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: several servers share one loop, and each would restore the other's handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        self.ready.set()

    async def run_until_stopped(self) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[self.sock])


def loopback_server(app: ASGIApp, port: int = 0) -> LoopbackServer:
    """A server for `app` on a loopback port (0: a free one). Raises OSError if the port is taken."""
    # With its protocol said: asyncio turns Nagle's waiting off for TCP alone, and an answer took 40 ms with it.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return LoopbackServer(app, sock)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's event loop where it is installed, asyncio's otherwise."""
    try:
        module = importlib.import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = module.new_event_loop
    return factory


async def run_servers(servers: Sequence[LoopbackServer]) -> None:
    """Serve all of them until each is told to stop."""
    await asyncio.gather(*(server.run_until_stopped() for server in servers))


@contextlib.contextmanager
def serving(*apps: ASGIApp) -> Iterator[list[str]]:
    """Serve apps from one thread on free loopback ports; yields their URLs in the same order."""
    servers = [loopback_server(app) for app in apps]

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(run_servers(servers))

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    try:
        for server in servers:
            if not server.ready.wait(timeout=START_SECONDS):
                raise RuntimeError(f"The sandbox did not start within {START_SECONDS:.0f} seconds.")
        yield [server.url for server in servers]
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(timeout=10)
        for server in servers:
            server.sock.close()
