"""The day itself: runs the story against a running pipeline and judges where everything ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from bitbylaw_pipeline.demo.expectations import Verdict, check_agreement, check_story
from bitbylaw_pipeline.demo.leaks import find_leaks
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.picture import Camera, Picture
from bitbylaw_pipeline.demo.story import Act, Story
from bitbylaw_pipeline.demo.view import Board, one_line

LOOK_EVERY_SECONDS = 0.7
QUIET_SECONDS = 4.0
"""Longer than the change feed's interval: what only the feed brings must have had its turn."""
BETWEEN_ACTS_SECONDS = 0.15
LINE_EVERY_SECONDS = 5.0


class Interrupted(Exception):  # nothing is wrong: a person has pressed Ctrl-C
    """The day was broken off."""


@dataclass(slots=True)
class Day:
    """One day. `check_health` raises if a part of the pipeline has died; `stop` breaks the day off."""

    story: Story
    camera: Camera
    person: Person
    console: Console
    stop: threading.Event
    check_health: Callable[[], None]
    round_seconds: float = 90.0
    _board: Board = field(default_factory=Board)

    def live(self, folder: Path) -> tuple[Picture, list[Verdict]]:
        """Lives through it and returns the last picture with every verdict. Raises Interrupted.

        A round that does not come to rest in its time is the last one: what comes after it could show nothing more.
        """
        rounds = (
            ("The first load: everything that EspoCRM has", lambda: ()),
            ("A busy hour: people work in EspoCRM", self.story.busy_hour),
            ("What follows from it", self.story.put_right),
        )
        pictures: list[Picture] = []
        verdicts: list[Verdict] = []
        with Live(self._board, console=self.console, refresh_per_second=4, transient=True) as live:
            if not self.console.is_terminal:
                live.stop()
            for phase, acts in rounds:
                picture, has_settled = self._round(phase, acts())
                pictures.append(picture)
                if not has_settled:
                    says = f"all came to rest within {self.round_seconds:.0f} s ({phase.partition(':')[0].lower()})"
                    verdicts.append(Verdict(False, says, one_line(picture)))
                    break
        if len(pictures) == len(rounds):
            verdicts += check_story(pictures[0], pictures[-1], self.story.roles)
        verdicts += check_agreement(pictures[-1])
        leaks = list(find_leaks(folder))
        verdicts.append(Verdict(not leaks, "no log, state or event holds a person's name", ", ".join(leaks)))
        return pictures[-1], verdicts

    def _round(self, phase: str, acts: Sequence[Act]) -> tuple[Picture, bool]:
        self._board.begin(phase)
        self._print(phase)
        for act in acts:
            self._raise_if_over()
            self._board.tell(act.says)
            self._print(f"  {act.says}")
            act.do(self.person)
            time.sleep(BETWEEN_ACTS_SECONDS)
        return self._settle()

    def _settle(self) -> tuple[Picture, bool]:
        """Waits until all is quiet and agreed; the last picture, and whether it came to that in time."""
        deadline = time.monotonic() + self.round_seconds
        quiet_since: float | None = None
        told_at = time.monotonic()
        while True:
            self._raise_if_over()
            picture = self.camera.take()
            self._board.show(picture)
            now = time.monotonic()
            if now - told_at > LINE_EVERY_SECONDS:
                self._print(f"    {one_line(picture)}")
                told_at = now
            is_settled = picture.is_quiet and all(one.is_ok for one in check_agreement(picture))
            quiet_since = (quiet_since or now) if is_settled else None
            if quiet_since is not None and now - quiet_since >= QUIET_SECONDS:
                return picture, True
            if now > deadline:
                return picture, False
            self.stop.wait(LOOK_EVERY_SECONDS)

    def _raise_if_over(self) -> None:
        if self.stop.is_set():
            raise Interrupted
        self.check_health()

    def _print(self, line: str) -> None:
        if not self.console.is_terminal:
            self.console.print(line, markup=False)
