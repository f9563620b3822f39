"""Group commit: what the coroutines of one process write at the same moment is committed once.

A commit waits for the disk; sixteen documents at work would wait sixteen times. One thread takes everything that is
waiting, runs it in one transaction, and wakes the callers after its commit. While it commits, the next group gathers.

Works of the same kind go one step further: what many documents want of one table is one statement instead of many.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable

GROUP_MAX = 64

Work = Callable[[Connection], Any]
ForMany = Callable[[Connection, Any, Sequence[Any]], Sequence[Any]]
"""Does for many subjects, given what is common to all, what is wanted of each; returns a result a subject, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Work on one subject that is done together with the waiting work of the same function and the same `common`."""

    work: ForMany
    common: Any
    subject: Any

    def __call__(self, connection: Connection) -> Any:
        """The work on this subject alone."""
        return self.work(connection, self.common, [self.subject])[0]


@dataclass(slots=True, eq=False)
class _Item:
    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    is_given_up: bool = False
    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """A thread that writes for the coroutines of any number of event loops; it starts with the first work.

    `write` runs works in one transaction, repeats that where it may help, and returns their results.
    """

    def __init__(self, write: Callable[[Sequence[Work]], list[Any]], wait_seconds: float) -> None:
        self._write = write
        self._wait_seconds = wait_seconds
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    async def submit(self, work: Work) -> Any:
        """The work's result after its commit; raises DatabaseUnavailable after `wait_seconds`."""
        if self._thread is None:
            self._start()
        if self._is_closed:
            raise RuntimeError("The state database is closed.")
        loop = asyncio.get_running_loop()
        item = _Item(work, loop, loop.create_future())
        self._queue.put(item)
        timer = loop.call_later(self._wait_seconds, self._give_up, item)
        try:
            return await item.future
        finally:
            timer.cancel()

    def close(self) -> None:
        """Finishes what was submitted and ends the thread."""
        with self._starting:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
                self._thread.start()

    def _give_up(self, item: _Item) -> None:
        item.is_given_up = True
        if not item.future.done():
            item.future.set_exception(
                DatabaseUnavailable(f"The state database did not finish within {self._wait_seconds:g} s.")
            )

    def _run(self) -> None:
        is_last = False
        while not is_last:
            taken = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < GROUP_MAX:
                    taken.append(self._queue.get_nowait())
            is_last = None in taken
            items = [item for item in taken if item is not None and not item.is_given_up]
            if items:
                self._commit(items)

    def _commit(self, items: list[_Item]) -> None:
        try:
            results = self._write_together([item.work for item in items])
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, and the thread must live on
            # If nobody can be served, asking once per item would only multiply the wait.
            if len(items) > 1 and not isinstance(error, DatabaseUnavailable):
                for item in items:
                    self._commit([item])
                return
            for item in items:
                item.error = error
        else:
            for item, result in zip(items, results, strict=True):
                item.result = result
        _wake(items)

    def _write_together(self, works: Sequence[Work]) -> list[Any]:
        """Their results in order; works that belong together become one."""
        places: dict[Any, list[int]] = {}
        for number, work in enumerate(works):
            kind = (work.work, id(work.common)) if isinstance(work, Together) else number
            places.setdefault(kind, []).append(number)
        groups = list(places.values())
        results: list[Any] = [None] * len(works)
        written = self._write([_one_work([works[number] for number in group]) for group in groups])
        for group, group_results in zip(groups, written, strict=True):
            for number, result in zip(group, group_results, strict=True):
                results[number] = result
        return results


def _one_work(works: Sequence[Work]) -> Callable[[Connection], Sequence[Any]]:
    first = works[0]
    if not isinstance(first, Together):
        return lambda connection: [first(connection)]
    subjects = [work.subject for work in works if isinstance(work, Together)]
    return lambda connection: first.work(connection, first.common, subjects)


def _wake(items: Sequence[_Item]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in items:
        by_loop.setdefault(item.loop, []).append(item)
    for loop, group in by_loop.items():
        # The loop may have ended while its last callers waited.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(items: Sequence[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if item.error is None:
            item.future.set_result(item.result)
        else:
            item.future.set_exception(item.error)
