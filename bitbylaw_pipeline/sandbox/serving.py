"""Stand-ins on loopback ports: in a thread for tests, in the main thread for the demo."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
START_SECONDS = 60.0
GRACE_SECONDS = 5
"""For answers on their way at the end; one that is cut off leaves a traceback on stderr."""
TICK_SECONDS = 0.1
"""How often uvicorn looks at its own affairs: ten ticks are a second of its Date header."""
AT_ONCE_SECONDS = 0.05


class LoopbackServer(uvicorn.Server):
    """uvicorn on an open socket. Its owner decides about signals; `ready` is set once it listens.

    It stops as soon as `stop` is called. By itself uvicorn notices at its next tick and then waits a tick more: a test
    with two stand-ins took half a second for nothing else, hundreds of times.
    """

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop = asyncio.Event()

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
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        """Stop serving; from any thread, also before it serves."""
        self.should_exit = True
        if self._loop is not None:
            # The loop may have ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._told_to_stop.set)

    async def run_until_stopped(self) -> None:
        """Serve until `stop` is called."""
        await self.serve(sockets=[self.sock])

    async def main_loop(self) -> None:
        """uvicorn's own, but awake at once when it is told to stop."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._told_to_stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own, but without its pause where all connections are idle and close at once."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + AT_ONCE_SECONDS
        while self.server_state.connections or self.server_state.tasks:
            if time.monotonic() > deadline:
                # Answers are on their way: they get their grace.
                await super().shutdown(sockets)
                return
            await asyncio.sleep(0.001)
        for sock in sockets or []:
            sock.close()
        await self.lifespan.shutdown()


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
            server.stop()
        thread.join(timeout=10)
        for server in servers:
            server.sock.close()
