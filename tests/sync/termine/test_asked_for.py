"""Passes that a program asks for: the receiver, the queue, the stream and both stand-ins, over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.sync.termine_channels import TermineChannels
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import EMPLOYEES
from tests.sync.termine.receiving import ReceivingOffice, in_receiving_office


def numbers(desk: ReceivingOffice, kuerzel: str = "AB") -> list[str]:
    """The Termine that AB's events were made for, as often as there is one."""
    return sorted(
        event["extendedProperties"]["private"]["bitbylaw_frnr"] for event in desk.office.events(kuerzel)
    )


def passes(desk: ReceivingOffice, kuerzel: str = "AB") -> int:
    """How many passes of an employee have ended."""
    return sum(one.key == kuerzel for one in desk.finished)


def test_a_pass_that_was_asked_for_is_made_and_told(tmp_path: Path) -> None:
    """The Termin is in the calendar, and the reference tells the pass's counts and end."""

    async def story(desk: ReceivingOffice) -> None:
        desk.office.termin(501)
        reference = await desk.ask("ab")
        assert (await desk.told(reference))["status"] == "waiting"
        await desk.work()
        told = await desk.told(reference)
        assert told["status"] == "done"
        part = told["employees"]["AB"]
        assert part["counts"]["writes"] == 1
        assert part["finished_at"] > told["requested_at"]
        assert numbers(desk) == ["501"]
        assert not await desk.is_wanted()

    in_receiving_office(tmp_path, story)


def test_a_request_for_nobody_in_particular_is_for_all(tmp_path: Path) -> None:
    """Each configured employee has a pass and a part in the answer."""

    async def story(desk: ReceivingOffice) -> None:
        for number, kuerzel in enumerate(EMPLOYEES):
            desk.office.termin(501 + number, anwalt=kuerzel)
        reference = await desk.ask()
        await desk.work()
        told = await desk.told(reference)
        assert told["status"] == "done"
        assert sorted(told["employees"]) == sorted(EMPLOYEES)
        assert [numbers(desk, kuerzel) for kuerzel in EMPLOYEES] == [["501"], ["502"], ["503"]]

    in_receiving_office(tmp_path, story)


def test_g29_requests_during_a_pass_are_one_more_pass(tmp_path: Path) -> None:
    """G29: asked for and scheduled while the same employee's pass is in the middle of a create: one more, no double."""

    async def story(desk: ReceivingOffice) -> None:
        desk.office.termin(501)
        desk.office.termin(502)
        await desk.schedule("AB")
        desk.gate.shut()
        batch = asyncio.create_task(desk.work())
        await desk.gate.has_come.wait()
        late = [await desk.ask("AB") for _ in range(3)]
        await desk.schedule("AB")
        desk.office.termin(503)
        assert [(await desk.told(one))["status"] for one in late] == ["running"] * 3
        assert passes(desk) == 0
        desk.gate.open()
        await batch
        assert passes(desk) == 2
        assert [(await desk.told(one))["status"] for one in late] == ["done"] * 3
        assert numbers(desk) == ["501", "502", "503"]
        await desk.office.is_at_rest("AB")

    in_receiving_office(tmp_path, story)


def test_g29_two_batches_at_once_double_nothing(tmp_path: Path) -> None:
    """G29: while one process is at work on the employee, another one's batch leaves the row alone."""

    async def story(desk: ReceivingOffice) -> None:
        desk.office.termin(501)
        await desk.schedule("AB")
        desk.gate.shut()
        first = asyncio.create_task(desk.work())
        await desk.gate.has_come.wait()
        reference = await desk.ask("AB")
        await desk.work()
        assert passes(desk) == 0
        assert (await desk.told(reference))["status"] == "running"
        desk.gate.open()
        await first
        assert (passes(desk), numbers(desk)) == (2, ["501"])
        assert (await desk.told(reference))["status"] == "done"

    in_receiving_office(tmp_path, story)


def test_what_fails_is_retried_and_told(tmp_path: Path) -> None:
    """A 503 of Google's is retrying, and done after the queue's next try, without a second request."""

    async def story(desk: ReceivingOffice) -> None:
        desk.office.termin(501)
        desk.office.fail("google", r".*/events", method="GET", status=503, times=1)
        reference = await desk.ask("AB")
        await desk.work()
        told = await desk.told(reference)
        assert told["status"] == "retrying"
        assert "google" in told["employees"]["AB"]["why"]
        desk.office.advance(60.0)
        await desk.work()
        assert (await desk.told(reference))["status"] == "done"
        assert numbers(desk) == ["501"]

    in_receiving_office(tmp_path, story)


def test_one_employees_refusal_is_told_beside_the_others_success(tmp_path: Path) -> None:
    """A calendar that is taken from us fails alone, says what to do, and is tried anew when it is asked for again."""

    async def story(desk: ReceivingOffice) -> None:
        for kuerzel in EMPLOYEES:
            desk.office.termin(501 + EMPLOYEES.index(kuerzel), anwalt=kuerzel)
        desk.office.edit_google("revoke_access", kuerzel="CD", user="cd@kanzlei.example", status=404)
        reference = await desk.ask()
        await desk.work()
        told = await desk.told(reference)
        assert told["status"] == "failed"
        parts = {kuerzel: part["status"] for kuerzel, part in told["employees"].items()}
        assert parts == {"AB": "done", "CD": "failed", "EF": "done"}
        why = told["employees"]["CD"]["why"]
        assert "calendar" in why
        assert "@" not in why
        desk.office.edit_google("restore_access", kuerzel="CD", user="cd@kanzlei.example")
        again = await desk.ask("CD")
        await desk.work()
        assert (await desk.told(again))["status"] == "done"
        assert (await desk.told(reference))["status"] == "done"

    in_receiving_office(tmp_path, story)


def test_without_push_no_channel_is_asked_for(tmp_path: Path) -> None:
    """GOOGLE_PUSH is off: a pass makes its list calls and nothing else."""

    async def story(desk: ReceivingOffice) -> None:
        stream: Any = desk.stream
        assert isinstance(stream, TermineStream)
        assert isinstance(stream.channels, TermineChannels)
        assert stream.channels.address is None
        await desk.ask("AB")
        await desk.work()
        assert await desk.channels() == []
        assert not [line for line in desk.office.writes("google") if "watch" in line or "stop" in line]

    in_receiving_office(tmp_path, story, google_push=False)
