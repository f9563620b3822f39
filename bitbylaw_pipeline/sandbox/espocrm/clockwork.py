"""What runs by itself in a stand-in: the webhook job, every so often by the sandbox clock."""

from __future__ import annotations

import asyncio
import contextlib

from bitbylaw_pipeline.sandbox.espocrm.delivery import WebhookJob
from bitbylaw_pipeline.sandbox.espocrm.system import Espo


class Clockwork:
    """Runs the job every `webhookPeriodSeconds` while that is set, in whatever event loop serves requests."""

    def __init__(self, espo: Espo) -> None:
        self._espo = espo
        self._job: WebhookJob | None = None
        self._job_loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = asyncio.Event()
        espo.clock.subscribe(self._on_clock)

    def job(self) -> WebhookJob:
        """The job, made anew per event loop: a lock belongs to the loop that first waited for it."""
        loop = asyncio.get_running_loop()
        if self._job is None or self._job_loop is not loop:
            self._job_loop, self._job = loop, WebhookJob(self._espo)
        return self._job

    def keep_ticking(self) -> None:
        """Start the task if a period is set and none runs; cheap enough to be called with every request."""
        period = self._period()
        if not period or (self._ticker is not None and not self._ticker.done()):
            return
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._ticker = self._loop.create_task(self._tick(self._espo.clock.now() + period))

    def look_again(self) -> None:
        """The period may have changed: wake the task."""
        self._moved.set()

    def stop(self) -> None:
        """End the task."""
        if self._ticker is not None:
            self._ticker.cancel()

    def _period(self) -> float:
        return self._espo.config["webhookPeriodSeconds"] or 0.0

    def _on_clock(self) -> None:
        # A test may move the clock from another thread than the one that serves.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._moved.set)

    async def _tick(self, due: float) -> None:
        """`due` is the first run. Runs that a jump of the clock leaves behind are not made up for, as with cron."""
        clock = self._espo.clock
        while period := self._period():
            left = min(due - clock.now(), period)
            if left <= 0:
                due = clock.now() + period
                # The crash of 10.0's job (webhookIpLiteralCrash) ends that run, not the ones to come.
                with contextlib.suppress(RuntimeError):
                    await self.job().run()
                continue
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if clock.pinned else left):
                    await self._moved.wait()
            # The period may have been made shorter meanwhile.
            due = min(due, clock.now() + self._period())
