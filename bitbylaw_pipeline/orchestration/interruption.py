"""Stopping a run so that nothing is cut in half.

Left to itself Dagster raises its interrupt inside whatever code happens to run: an entity's error handling can
swallow it, and awaited clean-up is skipped. Here a signal only sets an event; the work winds down by itself, and then
Dagster is told.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import structlog
from dagster._core.errors import DagsterExecutionInterruptedError

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger(__name__)


def run_until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Runs `work(stop)` in an event loop of its own and returns its result.

    On SIGINT or SIGTERM (a cancel from the UI, a stop of the code server) `stop` is set and `work` is awaited to its
    end; only then DagsterExecutionInterruptedError is raised, also where `work` itself failed on the way.
    """
    received: list[int] = []
    try:
        result = asyncio.run(_with_stop(work, received))
    except Exception:
        if not received:
            raise
        log.warning("failed while stopping", exc_info=True)
    else:
        if not received:
            return result
    raise DagsterExecutionInterruptedError


async def unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """The work's result, or None if `stop` was set first: then the work is cancelled and has ended on return."""
    working: asyncio.Task[T] = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _with_stop(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]], received: list[int]) -> T:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _: FrameType | None) -> None:
        if not received:
            loop.call_soon_threadsafe(stop.set)
        received.append(number)

    with _handlers(on_signal):
        return await work(stop)


@contextmanager
def _handlers(on_signal: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Not loop.add_signal_handler: taking that away sets SIGTERM to its default for a moment, and the launcher's second
    # signal (it sends more than one) then kills the process before the run is marked as canceled.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = [(number, signal.signal(number, on_signal)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
