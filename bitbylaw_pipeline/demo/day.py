"""The day itself: runs the story against a running pipeline and judges where everything ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from bitbylaw_pipeline.demo.calendar_expectations import (
    check_appointments,
    check_calendar_story,
    check_calendars,
    check_first_calendars,
    check_withdrawn,
    has_moved,
    is_settled_withdrawn,
)
from bitbylaw_pipeline.demo.calendar_story import CalendarStory
from bitbylaw_pipeline.demo.expectations import Verdict, check_agreement, check_documents, check_story
from bitbylaw_pipeline.demo.leaks import find_leaks
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.picture import Camera, Picture
from bitbylaw_pipeline.demo.story import Act, Story
from bitbylaw_pipeline.demo.two_way_expectations import (
    check_changes,
    check_first_pass,
    check_in_step,
    check_story_told,
    check_waiting,
    is_offline_noticed,
    is_settled_busy,
)
from bitbylaw_pipeline.demo.two_way_expectations import (
    has_moved as has_street,
)
from bitbylaw_pipeline.demo.two_way_story import TwoWayStory
from bitbylaw_pipeline.demo.view import Board, one_line

LOOK_EVERY_SECONDS = 0.7
QUIET_SECONDS = 2.5
"""Longer than the change feed's interval: what only the feed brings must have had its turn."""
BETWEEN_ACTS_SECONDS = 0.15
LINE_EVERY_SECONDS = 5.0


class Interrupted(Exception):  # nothing is wrong: a person has pressed Ctrl-C
    """The day was broken off."""


@dataclass(frozen=True, slots=True)
class Round:
    """What people do, and when all that follows from it has happened; it must stay so for `quiet_seconds`."""

    phase: str
    acts: Callable[[], Sequence[Act]]
    is_settled: Callable[[Picture], bool]
    quiet_seconds: float = QUIET_SECONDS


@dataclass(slots=True)
class Day:
    """One day. `check_health` raises if a part of the pipeline has died; `stop` breaks the day off.

    `leak_words` are looked for beside the samples' own (keys, tokens).
    """

    story: Story
    two_way: TwoWayStory
    calendars: CalendarStory
    camera: Camera
    person: Person
    console: Console
    stop: threading.Event
    check_health: Callable[[], None]
    leak_words: Callable[[], Sequence[str]] = tuple
    round_seconds: float = 180.0
    _board: Board = field(default_factory=Board)
    _first: Picture | None = None
    """After the first load."""

    def live(self, folder: Path) -> tuple[Picture, list[Verdict]]:
        """Lives through it and returns the last picture with every verdict. Raises Interrupted.

        A round that does not come to rest in its time is the last one: what comes after it could show nothing more.
        """
        rounds = self._rounds()
        pictures: list[Picture] = []
        verdicts: list[Verdict] = []
        with Live(self._board, console=self.console, refresh_per_second=4, transient=True) as live:
            if not self.console.is_terminal:
                live.stop()
            for one in rounds:
                picture, has_settled = self._live_round(one)
                pictures.append(picture)
                if not has_settled:
                    says = f"all came to rest within {self.round_seconds:.0f} s ({one.phase.partition(':')[0].lower()})"
                    verdicts.append(Verdict(False, says, one_line(picture)))
                    break
        if len(pictures) == len(rounds):
            self.two_way.count_quiet_writes()
            verdicts += check_story(pictures[0], pictures[-1], self.story.roles)
            verdicts += check_first_pass(pictures[0].two_way)
            verdicts += check_waiting(pictures[2])
            verdicts += check_changes(pictures[-1].two_way)
            verdicts += check_story_told(self.two_way)
            verdicts += self._check_calendars(pictures)
        verdicts += [*check_agreement(pictures[-1]), *check_in_step(pictures[-1].two_way)]
        verdicts += check_calendars(pictures[-1].calendars)
        leaks = list(find_leaks(folder, self.leak_words()))
        says = "no log, state or event holds a person's name, number, street, IBAN, a key or a token"
        verdicts.append(Verdict(not leaks, says, ", ".join(leaks)))
        return pictures[-1], verdicts

    def _check_calendars(self, pictures: Sequence[Picture]) -> list[Verdict]:
        story, last = self.calendars, pictures[-1].calendars
        return [
            *check_first_calendars(pictures[0].calendars),
            *check_withdrawn(pictures[0].calendars, pictures[1].calendars),
            *check_appointments(last, story),
            *check_calendar_story(story, story.users.requests(), last.mails),
        ]

    def _rounds(self) -> Sequence[Round]:
        story, two_way, calendars = self.story, self.two_way, self.calendars
        return (
            Round(
                "The first load: everything that EspoCRM, Advoware and the calendars have",
                lambda: [*two_way.first_pass(), *calendars.first_pass()],
                self._is_first_load_over,
            ),
            Round(
                "A busy hour: people work in EspoCRM, in Advoware and in their calendars",
                lambda: [*calendars.busy_hour(), *two_way.busy_hour(), *story.busy_hour()],
                self._is_busy_hour_over,
            ),
            Round(
                "What follows from it, while the connector to Advoware is offline",
                lambda: [*two_way.goes_offline(), *story.put_right()],
                lambda picture: is_offline_noticed(picture) and _all_ok(check_documents(picture)),
            ),
            Round(
                "Connector and calendar are back: what has waited goes across by itself",
                lambda: [*two_way.comes_back(), *calendars.comes_back()],
                lambda picture: self._is_in_step(picture) and self._is_answered("back"),
            ),
            Round(
                "One more pass: nothing is left to do",
                lambda: [*two_way.last_pass(), *calendars.last_pass()],
                lambda _: self._is_answered("last"),
                quiet_seconds=0.0,
            ),
        )

    def _is_first_load_over(self, picture: Picture) -> bool:
        is_over = self._is_in_step(picture) and self._is_answered("first")
        if is_over:
            self._first = picture
        return is_over

    def _is_busy_hour_over(self, picture: Picture) -> bool:
        if has_street(picture.two_way):
            self.two_way.note_arrival()
        if has_moved(picture.calendars):
            self.calendars.note_arrival()
        is_settled = is_settled_busy(picture.two_way) and self.calendars.is_answered("withdrawn")
        return is_settled and _is_at_rest(picture) and self._is_withdrawn(picture)

    def _is_withdrawn(self, picture: Picture) -> bool:
        before = self._first.calendars if self._first else picture.calendars
        return is_settled_withdrawn(before, picture.calendars, self.calendars)

    def _is_answered(self, part: str) -> bool:
        return self.two_way.has_pass_ended() and self.calendars.is_answered(part)

    def _is_in_step(self, picture: Picture) -> bool:
        in_step = [*check_in_step(picture.two_way), *check_calendars(picture.calendars)]
        return _is_at_rest(picture) and _all_ok(in_step)

    def _live_round(self, one: Round) -> tuple[Picture, bool]:
        self._board.begin(one.phase)
        self._print(one.phase)
        for act in one.acts():
            self._raise_if_over()
            self._board.tell(act.says)
            self._print(f"  {act.says}")
            act.do(self.person)
            time.sleep(BETWEEN_ACTS_SECONDS)
        return self._settle(one)

    def _settle(self, one: Round) -> tuple[Picture, bool]:
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
            quiet_since = (quiet_since or now) if one.is_settled(picture) else None
            if quiet_since is not None and now - quiet_since >= one.quiet_seconds:
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


def _all_ok(verdicts: Sequence[Verdict]) -> bool:
    return all(one.is_ok for one in verdicts)


def _is_at_rest(picture: Picture) -> bool:
    return picture.is_quiet and _all_ok(check_agreement(picture))
