"""One pass over one employee's appointments as the work queue sees it: outcomes, notes, lease, errors, plans."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.errors import Permanent, SyncError, Transient
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import calendar_passes
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses, Failure
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.termine_stream import AGAIN_SECONDS, ASSET, InHand, TermineStream
from tests.sync.termine.busy import CLIENTS, SECRET, STRANGER, TITLE, at
from tests.sync.termine.office import Office, calendar_of, in_office
from tests.sync.termine.wire import Wire, over_wire

OWN_TABLES = ("sync_mirror", "sync_cursor")
"""What a look at the calendar brings up to date: a copy of what stands there, from which a pass plans."""


async def sync(office: Office, key: str = "AB") -> Outcome:
    """A pass, a quarter of an hour after the last."""
    office.advance(900.0)
    return await TermineStream(office.pairs).sync(key)


async def noted(office: Office, key: str = "AB") -> CalendarPasses | None:
    """What is noted of the last passes."""
    return await office.database.run(lambda c: calendar_passes.get(c, key))


async def failure_of(office: Office, key: str = "AB") -> Failure | None:
    """The failure that is noted of an employee who has had a pass."""
    note = await noted(office, key)
    assert note is not None
    return note.failure


def test_a_pass_is_an_asset_where_something_became_of_it(tmp_path: Path) -> None:
    """The first pass counts, also an empty one; a quiet one does not; after a failure the next one says it is over."""

    async def story(office: Office) -> None:
        empty = await sync(office)
        assert (empty.key, empty.result, empty.assets) == ("AB", Result.UNCHANGED, (ASSET,))
        office.termin(501)
        made = await sync(office)
        assert (made.result, made.assets, made.warning) == (Result.SYNCED, (ASSET,), None)
        assert (made.facts["right_creates"], made.facts["writes"]) == (1, 1)
        quiet = await sync(office)
        assert (quiet.result, quiet.assets, quiet.facts["links"]) == (Result.UNCHANGED, (), 1)
        office.script("error", operation="events.list", error="backendError")
        with pytest.raises(SyncError):
            await sync(office)
        over = await sync(office)
        assert (over.result, over.assets) == (Result.UNCHANGED, (ASSET,))
        assert (await sync(office)).assets == ()
        assert quiet.again_in is None

    in_office(tmp_path, story)


def test_an_edit_on_either_side_is_an_asset(tmp_path: Path) -> None:
    """What was written to Advoware counts as much as what was written to Google, and so does an agreement alone."""

    async def story(office: Office) -> None:
        office.termin(501)
        await sync(office)
        office.edit_google("move", office.event_of(501), set=at("2026-03-23"))
        left = await sync(office)
        assert (left.result, left.facts["left_updates"]) == (Result.SYNCED, 1)
        office.edit_termin(501, text="Gleich")
        office.edit_google("edit", office.event_of(501), set={"summary": "Gleich"})
        agreed = await sync(office)
        assert (agreed.result, agreed.facts["writes"], agreed.facts["agreed"]) == (Result.SYNCED, 0, 1)

    in_office(tmp_path, story)


def test_a_pass_is_noted_with_the_time_at_which_it_began(tmp_path: Path) -> None:
    """Asked for in the middle of a pass, it is not answered by that pass: it may have looked already."""

    async def story(wire: Wire) -> None:
        office = wire.office
        office.termin(501)
        began = office.clock() + 900.0
        wire.before_next("POST", "/events", lambda: office.advance(50.0))
        await sync(office)
        note = await noted(office)
        assert note is not None
        assert (note.begun_at, note.passed_at, note.failure) == (began, began + 50.0, None)
        assert note.counts["right_creates"] == 1

    over_wire(tmp_path, story)


def test_a_failure_is_noted_beside_the_last_success(tmp_path: Path) -> None:
    """Which error, when it began, since when none has gone through; the success stands until the next one."""

    async def story(wire: Wire) -> None:
        office = wire.office
        await sync(office)
        success = await noted(office)
        assert success is not None
        office.script("error", operation="events.list", error="backendError", times=2)
        wire.before_next("GET", "/events", lambda: office.advance(50.0))
        first = office.clock() + 900.0
        for _ in range(2):
            with pytest.raises(Transient):
                await sync(office)
        note = await noted(office)
        assert note is not None
        assert (note.begun_at, note.passed_at, note.counts) == (
            success.begun_at,
            success.passed_at,
            success.counts,
        )
        assert note.failure is not None
        assert (note.failure.begun_at, note.failure.at) == (first + 950.0, first + 950.0)
        assert note.failure.since == first + 50.0
        assert (note.failure.error, "503" in note.failure.why) == ("Transient", True)
        await sync(office)
        assert await failure_of(office) is None
        assert await noted(office, "CD") is None

    over_wire(tmp_path, story)


def test_an_unknown_kuerzel_is_refused_without_a_call_or_a_note(tmp_path: Path) -> None:
    """One sentence that names the setting; nothing is noted for somebody who is not there."""

    async def story(wire: Wire) -> None:
        stream = TermineStream(wire.office.pairs)
        for ask in (stream.sync, stream.describe):
            with pytest.raises(Permanent, match=r"ZZ has no calendar: .* GOOGLE_CALENDARS") as refused:
                await ask("ZZ")
            assert refused.value.reason == "unknown_kuerzel"
        assert wire.calls == []
        assert await noted(wire.office, "ZZ") is None

    over_wire(tmp_path, story)


def test_a_pair_that_somebody_else_has_in_hand_is_left_alone(tmp_path: Path) -> None:
    """G29: the second pass asks nothing, notes nothing, and is tried again; another employee's is not concerned."""

    async def story(wire: Wire) -> None:
        office = wire.office
        async with pair_lease(office.database, office.pairs.pair("AB")) as is_ours:
            assert is_ours
            with pytest.raises(InHand, match="AB") as busy:
                await TermineStream(office.pairs).sync("AB")
            assert busy.value.system == "pipeline"
            assert wire.calls == []
            assert await noted(office) is None
            await sync(office, "CD")
        await sync(office)

    over_wire(tmp_path, story)


def test_two_passes_at_once_are_one(tmp_path: Path) -> None:
    """G29: of passes that meet, one goes through and makes each event once."""

    async def story(office: Office) -> None:
        for number in range(501, 506):
            office.termin(number)
        stream = TermineStream(office.pairs)
        ended = await asyncio.gather(*(stream.sync("AB") for _ in range(3)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["InHand", "InHand", "Outcome"]
        assert len(office.events()) == 5
        note = await noted(office)
        assert note is not None
        assert note.failure is None

    in_office(tmp_path, story)


def test_a_transient_error_of_one_is_raised_after_the_others_are_done(tmp_path: Path) -> None:
    """The pass is repeated for it, under the first one's system and status; what was done stays done."""

    async def story(office: Office) -> None:
        for number in range(501, 505):
            office.termin(number, **SECRET)
        await sync(office)
        for number in range(501, 505):
            office.edit_termin(number, uhrzeitVon="08:00:00")
        office.script(
            "error", operation="events.patch", event=office.event_of(501)["id"], error="backendError"
        )
        with pytest.raises(Transient, match="1 appointments of AB could not be written") as failed:
            await sync(office)
        assert (failed.value.system, failed.value.status) == ("google", 503)
        assert not [name for name in CLIENTS if name in str(failed.value)]
        begun = [office.event_of(number)["start"]["dateTime"][11:16] for number in range(501, 505)]
        assert begun == ["09:30", "08:00", "08:00", "08:00"]
        assert await failure_of(office) is not None
        await sync(office)
        assert office.event_of(501)["start"]["dateTime"][11:16] == "08:00"
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_what_waits_for_a_person_is_a_warning(tmp_path: Path) -> None:
    """A task and an appointment without a counterpart are counted and said in one sentence, in each pass."""

    async def story(office: Office) -> None:
        office.termin(501, **SECRET)
        office.termin(
            502, "2026-03-31", **SECRET, dauertermin=1, turnus=1, turnusArt=3, datumBis="2026-08-31"
        )
        await sync(office)
        office.edit_google("add_guests", office.event_of(501), guests=[STRANGER])
        office.edit_termin(501, uhrzeitVon="08:00:00")
        for _ in range(2):
            outcome = await sync(office)
            assert outcome.warning == "2 wait for a person: see `bitbylaw holds`."
            assert (outcome.facts["held"], outcome.facts["withheld"]) == (2, 1)

    in_office(tmp_path, story)


def test_what_was_under_way_when_a_pass_was_killed_is_looked_at_again(tmp_path: Path) -> None:
    """An intent that may still be somebody's work is left alone, and another pass is due soon."""

    async def story(wire: Wire) -> None:
        office = wire.office
        office.termin(501)
        office.advance(900.0)
        first = asyncio.create_task(TermineStream(office.pairs).sync("AB"))
        wire.before_next("POST", "/events", first.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await first
        outcome = await TermineStream(office.pairs).sync("AB")
        assert (outcome.facts["unsettled"], outcome.again_in) == (1, AGAIN_SECONDS)
        done = await sync(office)
        assert (done.again_in, len(office.events())) == (None, 1)

    over_wire(tmp_path, story)


async def tables(office: Office) -> dict[str, list[Any]]:
    """Every table but for the copy of what stands in the calendar."""

    def read(connection: Any) -> dict[str, list[Any]]:
        names = (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='table'").scalars().all()
        )
        return {
            name: connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()  # noqa: S608  # a table's own name
            for name in names
            if name not in OWN_TABLES
        }

    return await office.database.run(read)


def test_a_plan_writes_nothing_and_swallows_nothing(tmp_path: Path) -> None:
    """describe: no write on either side or in our state, no name in a line; the pass then does what was said."""

    async def story(office: Office) -> None:
        stream = TermineStream(office.pairs)
        for number in range(501, 506):
            office.termin(number, **SECRET)
        before = await tables(office)
        first = await stream.describe("AB")
        assert len(first) == 5
        assert office.events() == []
        await sync(office)
        assert await stream.describe("AB") == ["Nothing to do."]
        office.edit_termin(501, text="Neu Überlinger")
        office.edit_google("move", office.event_of(502), set=at("2026-03-23"))
        office.delete_termin(503)
        office.edit_google("delete", office.event_of(504))
        office.edit_google("create", set={"summary": "Ilsebill", **at("2026-03-24")})
        writes, former = [office.writes(one) for one in ("google", "advoware")], await tables(office)
        assert set(former) == set(before)
        second = await stream.describe("AB")
        assert len(second) == 5
        assert await stream.describe("AB") == second
        assert not [name for name in CLIENTS for line in (*first, *second) if name in line]
        assert [office.writes(one) for one in ("google", "advoware")] == writes
        assert await tables(office) == former
        outcome = await sync(office)
        assert outcome.facts["writes"] == 5
        assert (len(office.events()), len(office.termine())) == (4, 4)
        await sync(office)
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_a_plan_says_what_waits_for_a_person(tmp_path: Path) -> None:
    """A hold is a line with its reason."""

    async def story(office: Office) -> None:
        series = {"recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=MO,TH"], "summary": "Jour fixe", **at("2026-03-16")}
        for end in ("start", "end"):
            series[end] = {**series[end], "timeZone": "Europe/Berlin"}
        event = office.edit_google("create", set=series)
        await sync(office)
        office.termin(501)
        lines = await TermineStream(office.pairs).describe("AB")
        assert any("501" in line for line in lines)
        assert await office.why_held() == ["serie_ohne_gegenstueck"]
        assert event["id"]

    in_office(tmp_path, story)


def test_the_stream_names_itself_its_systems_and_its_locks(tmp_path: Path) -> None:
    """By these the queue, the pauses and the old system's locks know it."""

    async def story(office: Office) -> None:
        stream = TermineStream(office.pairs)
        assert stream.name == "termine"
        assert stream.systems == {"advoware", "google"}
        assert stream.entity_lock("AB") == "calendar_sync:employee:AB"

    in_office(tmp_path, story)


@pytest.mark.parametrize("masks", [True, False])
def test_a_name_typed_in_google_is_masked_within_seconds(tmp_path: Path, *, masks: bool) -> None:
    """What was entered there asks for one more pass, which takes the title off it; unmasked nothing is to be done."""

    async def story(office: Office) -> None:
        await sync(office)
        office.google.seed(
            {"events": [{"calendar": calendar_of("AB"), "summary": TITLE, **at("2026-03-20")}]}
        )
        arrived = await sync(office)
        assert arrived.facts["left_creates"] == 1
        assert arrived.again_in == (AGAIN_SECONDS if masks else None)
        assert (await sync(office)).again_in is None
        assert [event["summary"] for event in office.events()] == ["Termin" if masks else TITLE]

    in_office(tmp_path, story, masks=masks)
