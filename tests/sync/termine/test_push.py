"""Google's reports of changes: the same final state as by polling alone, whatever becomes of the messages (G28)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.inbox.calendar_channels import PATH
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.termine_channels import TTL_SECONDS, TermineChannels, push_address
from tests.sync.termine.office import calendar_of, mail_of
from tests.sync.termine.receiving import ReceivingOffice, in_receiving_office
from tests.sync.termine.test_cases import moved

DAY = 86_400.0
State = tuple[Any, ...]


def live(desk: ReceivingOffice) -> list[str]:
    """The channels that Google has."""
    return [one["id"] for one in desk.office.google.channels.as_json()["channels"]]


def calendar(desk: ReceivingOffice, kuerzel: str) -> EmployeeCalendar:
    """An employee's calendar at Google."""
    of = desk.office.pairs.calendars[kuerzel]
    return desk.office.pairs.google.calendar(of.user, of.calendar_id)


async def in_step(desk: ReceivingOffice) -> None:
    """Three Termine of AB with their events, a channel, and no message on its way."""
    for number in (501, 502, 503):
        desk.office.termin(number, f"2026-03-{number - 485:02}")
    await desk.schedule("AB")
    await desk.work()
    await desk.work()
    await desk.deliver()
    await desk.work()
    await desk.deliver()
    assert not await desk.is_wanted()


def edits(desk: ReceivingOffice) -> None:
    """What a user does in the calendar: moves one, renames one, deletes one."""
    office = desk.office
    office.edit_google("move", office.event_of(501), **moved("2026-03-19"))
    office.edit_google("edit", office.event_of(502), set={"summary": "Neu"})
    office.edit_google("delete", office.event_of(503))


def final_state(desk: ReceivingOffice) -> State:
    """Both sides, without ids and versions."""
    rows = sorted(
        (row["frNr"], row["datum"], row["uhrzeitVon"], row["uhrzeitBis"], row["text"])
        for row in desk.office.termine()
    )
    events = sorted(
        (
            event["extendedProperties"]["private"]["bitbylaw_frnr"],
            event["start"]["dateTime"],
            event["summary"],
        )
        for event in desk.office.events()
    )
    return rows, events


def by_polling(folder: Path) -> State:
    """The final state without any message."""
    found: list[State] = []

    async def story(desk: ReceivingOffice) -> None:
        await in_step(desk)
        edits(desk)
        await desk.schedule("AB")
        await desk.work()
        found.append(final_state(desk))

    folder.mkdir()
    in_receiving_office(folder, story, google_push=False)
    assert found[0][0] == [
        (501, "2026-03-19", "14:00:00", "15:00:00", "Besprechung 501"),
        (502, "2026-03-17", "09:30:00", "10:30:00", "Neu"),
    ]
    return found[0]


@pytest.mark.parametrize("mode", ["normal", "duplicated", "reordered"])
def test_g28_a_message_leads_to_the_state_that_polling_leads_to(tmp_path: Path, mode: str) -> None:
    """G28: however messages come, the pass that they ask for writes what the schedule's would have, and only once."""
    expected = by_polling(tmp_path / "polled")

    async def story(desk: ReceivingOffice) -> None:
        await in_step(desk)
        desk.office.google.switches.update({"push": mode})
        edits(desk)
        statuses = await desk.deliver()
        assert len(statuses) >= 1 + (mode == "duplicated")
        assert set(statuses) == {202}
        writes = len(desk.office.writes("advoware"))
        await desk.work()
        assert final_state(desk) == expected
        assert len(desk.office.writes("advoware")) == writes + 3
        # What the pass itself wrote is reported too: that ends by itself.
        await desk.deliver()
        await desk.work()
        await desk.deliver()
        assert not await desk.is_wanted()
        assert final_state(desk) == expected
        await desk.office.is_at_rest("AB")

    in_receiving_office(tmp_path, story)


def test_g28_a_late_message_finds_nothing_to_do(tmp_path: Path) -> None:
    """G28: the schedule's pass was there first: the message costs a pass without a write."""
    expected = by_polling(tmp_path / "polled")

    async def story(desk: ReceivingOffice) -> None:
        await in_step(desk)
        edits(desk)
        await desk.schedule("AB")
        await desk.work()
        assert final_state(desk) == expected
        writes = desk.office.writes("advoware"), desk.office.writes("google")
        assert set(await desk.deliver()) == {202}
        await desk.work()
        assert (desk.office.writes("advoware"), desk.office.writes("google")) == writes
        assert final_state(desk) == expected

    in_receiving_office(tmp_path, story)


def test_g28_a_lost_message_is_made_up_for_by_the_schedule(tmp_path: Path) -> None:
    """G28: nothing arrives, nothing is wanted, and the next scheduled pass does it."""
    expected = by_polling(tmp_path / "polled")

    async def story(desk: ReceivingOffice) -> None:
        await in_step(desk)
        desk.office.google.switches.update({"push": "lost"})
        edits(desk)
        assert await desk.deliver() == []
        assert not await desk.is_wanted()
        await desk.schedule("AB")
        await desk.work()
        assert final_state(desk) == expected

    in_receiving_office(tmp_path, story)


def test_a_message_reaches_the_employee_whose_calendar_it_is_about(tmp_path: Path) -> None:
    """A channel for each; a change in one calendar is a pass of one employee."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule()
        await desk.work()
        assert [len(await desk.channels(one)) for one in ("AB", "CD", "EF")] == [1, 1, 1]
        assert set(await desk.deliver()) == {200}
        assert await desk.messages() == 0
        desk.office.edit_google("create", kuerzel="CD", set={"summary": "E", **moved("2026-03-20")["set"]})
        assert await desk.deliver() == [202]
        assert [await desk.is_wanted(one) for one in ("AB", "CD", "EF")] == [False, True, False]
        await desk.work()
        assert len(desk.office.termine()) == 1

    in_receiving_office(tmp_path, story)


def test_a_channel_is_made_anew_before_its_end(tmp_path: Path) -> None:
    """One channel for a week; within the last day a new one is made first, and the old one stopped."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule("AB")
        await desk.work()
        (first,) = await desk.channels()
        desk.office.advance(TTL_SECONDS - DAY - 100.0)
        await desk.schedule("AB")
        await desk.work()
        assert await desk.channels() == [first]
        desk.office.advance(200.0)
        await desk.schedule("AB")
        await desk.work()
        (second,) = await desk.channels()
        assert second.channel_id != first.channel_id
        assert live(desk) == [second.channel_id]
        calls = [line for line in desk.office.writes("google") if "watch" in line or "stop" in line]
        assert [line.rpartition("/")[2] for line in calls] == ["watch", "watch", "stop"]

    in_receiving_office(tmp_path, story)


def test_a_channel_that_has_ended_is_replaced_and_not_stopped(tmp_path: Path) -> None:
    """After a week without passes there is nothing to stop."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule("AB")
        await desk.work()
        desk.office.advance(TTL_SECONDS + 10.0)
        await desk.schedule("AB")
        await desk.work()
        assert [one.channel_id for one in await desk.channels()] == live(desk)
        assert not [line for line in desk.office.writes("google") if "stop" in line]

    in_receiving_office(tmp_path, story)


def test_another_address_gets_a_channel_of_its_own(tmp_path: Path) -> None:
    """The receiver has moved: new channel, the old one is stopped; its late messages still count."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule("AB")
        await desk.work()
        (first,) = await desk.channels()
        elsewhere = TermineChannels(desk.office.pairs, "http://127.0.0.1:9/google/calendar/push")
        await elsewhere.keep("AB")
        (second,) = await desk.channels()
        assert live(desk) == [second.channel_id] != [first.channel_id]
        await elsewhere.keep("AB")
        assert await desk.channels() == [second]

    in_receiving_office(tmp_path, story)


def test_switched_off_the_channels_are_stopped_and_forgotten(tmp_path: Path) -> None:
    """The next pass ends what is left, also where Google has forgotten it already."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule()
        await desk.work()
        (lost,) = await desk.channels("CD")
        await calendar(desk, "CD").stop(lost.channel_id, lost.resource_id)
        off = TermineChannels(desk.office.pairs, None)
        for kuerzel in ("AB", "CD", "EF"):
            await off.keep(kuerzel)
            assert await desk.channels(kuerzel) == []
        assert live(desk) == []

    in_receiving_office(tmp_path, story)


@pytest.mark.parametrize(
    "trouble",
    [
        {"error": "backendError"},
        {"error": "quotaExceeded"},
        {"error": "insufficientPermissions"},
        {"error": "authError", "times": 9},
    ],
)
def test_a_channel_that_cannot_be_made_fails_no_pass(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: dict[str, Any]
) -> None:
    """Told in one line without addresses and tokens; the pass is well, nothing pauses, and the next one tries again."""

    async def story(desk: ReceivingOffice) -> None:
        desk.office.termin(501)
        desk.office.script(**{"kind": "error", "operation": "events.watch", **trouble})
        reference = await desk.ask("AB")
        with caplog.at_level(logging.INFO):
            await desk.work()
        assert (await desk.told(reference))["status"] == "done"
        lines = [str(record.msg) for record in caplog.records]
        (line,) = [one for one in lines if "channel_not_kept" in one]
        for secret in (mail_of("AB"), calendar_of("AB"), "127.0.0.1", "AB:"):
            assert secret not in line
        assert await desk.channels() == []
        desk.office.google.scripts.clear()
        await desk.schedule("AB")
        await desk.work()
        assert [one.channel_id for one in await desk.channels()] == live(desk)

    in_receiving_office(tmp_path, story)


def test_an_old_channel_that_cannot_be_stopped_is_tried_again_or_left_to_end(tmp_path: Path) -> None:
    """Trouble of Google's: next time. A refusal: it would be refused for ever, and ends by itself."""

    async def story(desk: ReceivingOffice) -> None:
        await desk.schedule("AB")
        await desk.work()
        off = TermineChannels(desk.office.pairs, None)
        desk.office.script("error", operation="channels.stop", error="backendError")
        await off.keep("AB")
        assert len(await desk.channels()) == 1
        desk.office.script("error", operation="channels.stop", error="forbiddenForNonOrganizer")
        await off.keep("AB")
        assert await desk.channels() == []
        assert len(live(desk)) == 1

    in_receiving_office(tmp_path, story)


def test_a_fault_of_ours_raises_nothing_either(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An employee whom nobody knows: told by the error's type, and no pass fails for it."""

    async def story(desk: ReceivingOffice) -> None:
        channels = TermineChannels(desk.office.pairs, "https://a.example/push")
        with caplog.at_level(logging.INFO):
            await channels.keep("nobody")
        assert "event=channel_not_kept key=nobody error=KeyError" in caplog.text

    in_receiving_office(tmp_path, story)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"google_push": True, "receiver_public_url": ""}, None),
        ({"google_push": True, "receiver_public_url": "http://hooks.kanzlei.example"}, None),
        (
            {"google_push": True, "receiver_public_url": "https://hooks.kanzlei.example/x/"},
            f"https://hooks.kanzlei.example/x{PATH}",
        ),
        ({"google_push": True, "receiver_public_url": "http://127.0.0.1:8"}, f"http://127.0.0.1:8{PATH}"),
        ({"google_push": False, "receiver_public_url": "https://hooks.kanzlei.example"}, None),
    ],
)
def test_google_is_given_https_addresses_alone(given: dict[str, Any], address: str | None) -> None:
    """Anything else is refused there: it is told in the log, and the poll goes on alone."""
    assert push_address(Settings.load(_env_file=None, **given)) == address
