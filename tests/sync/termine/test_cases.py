"""The scenarios G1 to G33 of `facts/two_way_sync.md` 4.1, by number, over HTTP with both stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.errors import ScopeRefused, SyncError
from tests.sync.termine.office import EMPLOYEES, Office, berlin, calendar_of, in_office, mail_of

HOUR = {"uhrzeitVon": "09:30:00", "uhrzeitBis": "10:30:00"}


async def linked(office: Office, count: int = 3) -> list[dict[str, Any]]:
    """So many Termine of AB with their events, in step."""
    numbers = [office.termin(500 + n, f"2026-03-{16 + n:02}") for n in range(1, count + 1)]
    for _ in range(2):
        await office.run()
    return [office.event_of(number) for number in numbers]


def moved(day: str, begin: str = "14:00:00", end: str = "15:00:00") -> dict[str, Any]:
    """An hour in Berlin's winter, as a patch of an event."""
    return {"set": {"start": {"dateTime": f"{day}T{begin}+01:00"}, "end": {"dateTime": f"{day}T{end}+01:00"}}}


def test_g1_a_deletion_behind_an_expired_token_is_found_and_not_exported_again(tmp_path: Path) -> None:
    """G1: 410, and one event deleted meanwhile: its Termin goes, nothing comes back."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.edit_google("delete", first)
        office.edit_google("end_sync_tokens")
        await office.run()
        assert [row["frNr"] for row in office.termine()] == [502, 503]
        assert len(office.events()) == 2
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g1_also_where_the_tombstone_is_long_gone(tmp_path: Path) -> None:
    """G1: without a tombstone the one read of the event itself is the evidence."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.edit_google("delete", first)
        office.edit_google("purge_tombstones")
        office.edit_google("end_sync_tokens")
        await office.run()
        assert [row["frNr"] for row in office.termine()] == [502, 503]

    in_office(tmp_path, story)


def test_g2_two_410_and_a_503_leave_everything_as_it_was(tmp_path: Path) -> None:
    """G2: no cursor is stored, nothing is deleted, and the next run is fine."""

    async def story(office: Office) -> None:
        await linked(office)
        writes = office.writes("advoware")
        for _ in range(2):
            office.script("sync_token_gone")
            office.fail("google", ".*/events", method="GET", status=503, times=1, after=1)
            with pytest.raises(SyncError):
                await office.run()
        office.edit_termin(501, text="Neu")
        await office.run()
        await office.run()
        assert office.event_of(501)["summary"] == "Neu"
        assert office.writes("advoware") == writes
        assert len(office.termine()) == len(office.events()) == 3

    in_office(tmp_path, story)


def test_g3_a_failing_page_deletes_nothing_and_is_read_again(tmp_path: Path) -> None:
    """G3: the last page but one of a baseline fails: no delete, the cursor stays, the next run reads all."""

    async def story(office: Office) -> None:
        await linked(office)
        for number in range(120):
            office.edit_google("create", set={"summary": f"E{number}", **moved("2026-03-30")["set"]})
        office.edit_google("end_sync_tokens")
        office.google.switches.update({"page_cap": 50})
        office.script("error", operation="events.list", error="backendError", after=2)
        with pytest.raises(SyncError):
            await office.run()
        assert len(office.events()) == 123
        assert len(office.termine()) == 3
        await office.run()
        assert len(office.events()) == 123
        assert len(office.termine()) == 123

    in_office(tmp_path, story)


@pytest.mark.parametrize("style", ["first", "between"])
def test_g4_an_empty_page_is_not_the_end(tmp_path: Path, style: str) -> None:
    """G4: pages without events and with a token are read on."""

    async def story(office: Office) -> None:
        await linked(office, 5)
        office.google.switches.update({"page_cap": 2, "empty_pages": style})
        office.edit_google("end_sync_tokens")
        await office.run()
        assert len(office.termine()) == len(office.events()) == 5
        office.edit_google("move", office.event_of(505), **moved("2026-03-25"))
        await office.run()
        assert office.at_advoware(505)["datum"] == "2026-03-25"

    in_office(tmp_path, story)


def test_g5_an_insert_that_looked_failed_is_adopted(tmp_path: Path) -> None:
    """G5: 503 after the insert: the same id again, 409, adopted; exactly one event."""

    async def story(office: Office) -> None:
        office.termin(501)
        office.script("error_after", operation="events.insert", error="backendError")
        await office.run()
        office.advance(400.0)
        await office.run()
        await office.run()
        assert len(office.events()) == 1
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g6_an_id_that_a_user_has_deleted_is_a_deletion(tmp_path: Path) -> None:
    """G6: made, lost on the way to us, deleted by the user: it is not made a second time behind their back."""

    async def story(office: Office) -> None:
        await linked(office, 4)
        office.edit_google("delete", office.event_of(501))
        await office.run()
        assert office.at_advoware(501) == {}
        assert len(office.events()) == 3
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g7_a_user_who_moves_the_event_first_keeps_it_or_is_logged(tmp_path: Path) -> None:
    """G7: 412 because the user moved it a moment before: planned anew, the loser's time is in the log."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.edit_termin(501, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00")
        edit = {"do": "move", **moved("2026-03-17")}
        office.script("concurrent_edit", operation="events.patch", edit=edit)
        for _ in range(3):
            await office.run()
        assert berlin(office.event_of(501)) == "2026-03-17T11:00:00+01:00"
        (conflict,) = await office.conflicts()
        assert conflict.right is not None
        assert conflict.right["start"] == "2026-03-17T13:00:00Z"
        assert first["id"] == office.event_of(501)["id"]

    in_office(tmp_path, story)


def test_g8_an_edit_a_moment_before_the_delete_wins(tmp_path: Path) -> None:
    """G8: 412 on the delete: it is dropped, and the next run sees an edit against a deletion."""

    async def story(office: Office) -> None:
        await linked(office, 4)
        office.delete_termin(501)
        edit = {"do": "edit", "set": {"location": "Saal 7"}}
        office.script("concurrent_edit", operation="events.delete", edit=edit)
        for _ in range(3):
            await office.run()
        assert len(office.events()) == len(office.termine()) == 4
        assert "Saal 7" in {row["ort"] for row in office.termine()}

    in_office(tmp_path, story)


def test_g9_a_whole_day_stays_on_its_day(tmp_path: Path) -> None:
    """G9: 20 March ends, for Google, on the 21st, whatever zone the calendar has."""

    async def story(office: Office) -> None:
        office.google.switches.update({"answer_zone": "Pacific/Honolulu"})
        office.termin(501, "2026-03-20", abwesenheit=1, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00")
        await office.run()
        event = office.event_of(501)
        assert (event["start"]["date"], event["end"]["date"]) == ("2026-03-20", "2026-03-21")
        await office.is_at_rest("AB")
        office.edit_google(
            "edit", event, set={"start": {"date": "2026-03-21"}, "end": {"date": "2026-03-22"}}
        )
        await office.run()
        row = office.at_advoware(501)
        assert (row["datum"], row["datumBis"], row["abwesenheit"]) == ("2026-03-21", "2026-03-21", 1)

    in_office(tmp_path, story)


def test_g10_whole_days_include_the_last(tmp_path: Path) -> None:
    """G10: 24 to 26 December ends on the 27th in Google, and comes back as the 26th."""

    async def story(office: Office) -> None:
        office.termin(501, "2026-12-24", abwesenheit=1, uhrzeitVon="00:00:00", datumBis="2026-12-26", uhrzeitBis="23:59:00")  # fmt: skip
        await office.run()
        event = office.event_of(501)
        assert (event["start"]["date"], event["end"]["date"]) == ("2026-12-24", "2026-12-27")
        office.edit_google("edit", event, set={"end": {"date": "2026-12-28"}})
        await office.run()
        row = office.at_advoware(501)
        assert (row["datum"], row["datumBis"], row["uhrzeitBis"]) == ("2026-12-24", "2026-12-27", "23:59:00")
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g11_a_time_that_does_not_exist_is_an_hour_later_and_stays_there(tmp_path: Path) -> None:
    """G11: 29 March 2026, 02:30: half past three of summer in Google, and nothing goes to and fro."""

    async def story(office: Office) -> None:
        office.termin(501, "2026-03-29", uhrzeitVon="02:30:00", uhrzeitBis="04:00:00")
        await office.run()
        assert berlin(office.event_of(501)) == "2026-03-29T03:30:00+02:00"
        await office.is_at_rest("AB")
        assert office.writes("advoware") == []

    in_office(tmp_path, story)


def test_g12_the_two_half_past_twos_are_two_instants(tmp_path: Path) -> None:
    """G12: on 25 October 2026 a move from the first half past two to the second is a move; Advoware keeps one wall time."""

    async def story(office: Office) -> None:
        office.termin(501, "2026-10-25", uhrzeitVon="02:30:00", uhrzeitBis="02:45:00")
        await office.run()
        event = office.event_of(501)
        assert berlin(event) == "2026-10-25T02:30:00+02:00"
        times = {
            "start": {"dateTime": "2026-10-25T02:30:00+01:00"},
            "end": {"dateTime": "2026-10-25T02:45:00+01:00"},
        }
        office.edit_google("move", event, set=times)
        for _ in range(3):
            await office.run()
        row = office.at_advoware(501)
        assert (row["uhrzeitVon"], row["uhrzeitBis"]) == ("02:30:00", "02:45:00")
        writes = len(office.writes("google"))
        await office.run()
        assert len(office.writes("google")) == writes

    in_office(tmp_path, story)


@pytest.mark.parametrize("end", ["09:30:00", "09:00:00"])
def test_g13_an_end_that_is_none_is_widened_once(tmp_path: Path, end: str) -> None:
    """G13: an end before or at the begin becomes a quarter of an hour, and then there is rest."""

    async def story(office: Office) -> None:
        office.termin(501, uhrzeitVon="09:30:00", uhrzeitBis=end)
        await office.run()
        event = office.event_of(501)
        assert (berlin(event), berlin(event, "end")) == (
            "2026-03-20T09:30:00+01:00",
            "2026-03-20T09:45:00+01:00",
        )
        await office.is_at_rest("AB")
        assert office.at_advoware(501)["uhrzeitBis"] == end

    in_office(tmp_path, story)


@pytest.mark.parametrize("side", ["advoware", "google"])
def test_g14_moved_out_of_the_window_is_moved(tmp_path: Path, side: str) -> None:
    """G14: an edit that crosses the window's edge is an update on the other side, and so is the way back."""

    async def story(office: Office) -> None:
        await linked(office)
        far, near = "2028-03-20", "2026-03-24"
        for day in (far, near):
            if side == "advoware":
                office.edit_termin(501, datum=day, datumBis=day)
            else:
                office.edit_google("move", office.event_of(501), **moved(day))
            await office.run()
            assert office.at_advoware(501)["datum"] == day
            assert berlin(office.event_of(501)).startswith(day)
        made = [line for line in office.writes("google") if line.startswith(("POST", "DELETE"))]
        assert len(made) == 3

    in_office(tmp_path, story)


def test_g15_days_that_pass_delete_nothing(tmp_path: Path) -> None:
    """G15: what the window has left behind stays on both sides."""

    async def story(office: Office) -> None:
        await linked(office)
        for _ in range(6):
            office.advance(10 * 86400.0)
            await office.run()
        assert len(office.termine()) == len(office.events()) == 3
        assert not [line for line in office.writes("google") if line.startswith("DELETE")]

    in_office(tmp_path, story)


def test_g16_a_series_of_googles_is_told_of_and_left_alone(tmp_path: Path) -> None:
    """G16: Advoware cannot hold it: withheld, a person hears of it, nothing is written."""

    async def story(office: Office) -> None:
        series = {
            "summary": "Jour fixe",
            "recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=MO,TH"],
            **moved("2026-03-16")["set"],
        }
        for end in ("start", "end"):
            series[end] = {**series[end], "timeZone": "Europe/Berlin"}
        office.edit_google("create", set=series)
        await office.run()
        await office.run()
        assert office.termine() == []
        assert (office.writes("google"), office.writes("advoware")) == ([], [])
        assert await office.why_held() == ["serie_ohne_gegenstueck"]

    in_office(tmp_path, story)


@pytest.mark.parametrize("deed", ["move_instance", "cancel_instance"])
def test_g17_one_occurrence_is_no_deletion_of_the_series(tmp_path: Path, deed: str) -> None:
    """G17: a dragged or deleted occurrence of Advoware's series is told of; the series stays on both sides."""

    async def story(office: Office) -> None:
        office.termin(601, "2026-03-16", dauertermin=1, turnus=1, turnusArt=2, datumBis="2026-06-29")
        await linked(office)
        event = office.event_of(601)
        assert event["recurrence"] == ["RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260629T073000Z"]
        more = {} if deed == "cancel_instance" else moved("2026-03-24")
        office.edit_google(deed, event, original_start="2026-03-23T09:30:00+01:00", **more)
        for _ in range(2):
            await office.run()
        assert office.at_advoware(601)["dauertermin"] == 1
        assert office.event_of(601)["recurrence"] == event["recurrence"]
        assert await office.why_held() == ["ausnahme"]

    in_office(tmp_path, story)


@pytest.mark.parametrize("copies", [True, False])
def test_g18_a_copy_is_a_new_termin(tmp_path: Path, copies: bool) -> None:
    """G18: a duplicate, with or without our private properties, becomes a Termin; the original is untouched."""

    async def story(office: Office) -> None:
        office.google.switches.update({"duplicate_copies_private": copies})
        first, *_ = await linked(office)
        before = office.at_advoware(501)
        office.edit_google("duplicate", first, **moved("2026-03-27"))
        await office.run()
        assert len(office.termine()) == len(office.events()) == 4
        assert office.at_advoware(501) == before
        (new,) = [row for row in office.termine() if row["datum"] == "2026-03-27"]
        assert new["text"] == before["text"]
        await office.run()
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g19_moved_to_another_calendar_is_a_deletion_once(tmp_path: Path) -> None:
    """G19: for us it is gone: the Termin follows once; the move's own answer says cancelled and means nothing."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office, 4)
        office.edit_google("move_to_calendar", first, destination=mail_of("AB"))
        await office.run()
        assert office.at_advoware(501) == {}
        await office.is_at_rest("AB")
        assert len(office.termine()) == len(office.events()) == 3

    in_office(tmp_path, story)


@pytest.mark.parametrize("shared", ["rows", "joined"])
def test_g20_one_of_three_takes_herself_off(tmp_path: Path, shared: str) -> None:
    """G20: CD deletes the shared Termin in her calendar: she is off it, the Termin and the others' events stay."""

    async def story(office: Office) -> None:
        office.advoware.switches.update({"shared_termine": shared})
        office.termin(501, anwalt="AB,CD,EF")
        for number in (1, 2, 3):
            for kuerzel in EMPLOYEES:
                office.termin(510 + 10 * EMPLOYEES.index(kuerzel) + number, anwalt=kuerzel)
        for kuerzel in EMPLOYEES:
            await office.run(kuerzel)
        before = [office.event_of(501, kuerzel) for kuerzel in ("AB", "EF")]
        office.edit_google("delete", office.event_of(501, "CD"), "CD")
        for kuerzel in EMPLOYEES:
            await office.run(kuerzel)
        assert office.at_advoware(501)["anwalt"] == "AB,EF"
        assert [office.event_of(501, kuerzel) for kuerzel in ("AB", "EF")] == before
        assert len(office.events("CD")) == 3
        await office.is_at_rest()

    in_office(tmp_path, story)


def test_g21_two_of_three_edit_the_shared_termin(tmp_path: Path) -> None:
    """G21: the first one's edit reaches Advoware, the second's is a conflict in the log; two rounds and all agree."""

    async def story(office: Office) -> None:
        office.termin(501, anwalt="AB,CD,EF")
        for kuerzel in EMPLOYEES:
            await office.run(kuerzel)
        office.edit_google(
            "move", office.event_of(501, "AB"), "AB", **moved("2026-03-20", "11:00:00", "12:00:00")
        )
        office.edit_google(
            "move", office.event_of(501, "CD"), "CD", **moved("2026-03-20", "16:00:00", "17:00:00")
        )
        for _ in range(2):
            for kuerzel in EMPLOYEES:
                await office.run(kuerzel)
        assert {berlin(office.event_of(501, kuerzel)) for kuerzel in EMPLOYEES} == {
            "2026-03-20T11:00:00+01:00"
        }
        assert office.at_advoware(501)["uhrzeitVon"] == "11:00:00"
        (conflict,) = await office.conflicts("CD")
        assert conflict.right is not None
        assert conflict.right["start"] == "2026-03-20T15:00:00Z"
        await office.is_at_rest()

    in_office(tmp_path, story)


@pytest.mark.parametrize("status", [403, 404])
def test_g22_a_calendar_that_is_closed_to_us_deletes_nothing(tmp_path: Path, status: int) -> None:
    """G22: access revoked: this employee's pass is refused, nothing is deleted, the others go on."""

    async def story(office: Office) -> None:
        await linked(office)
        office.termin(601, anwalt="CD")
        await office.run("CD")
        office.edit_google("revoke_access", user=mail_of("AB"), status=status)
        with pytest.raises(ScopeRefused) as refused:
            await office.run()
        assert "AB" in str(refused.value)
        assert len(office.termine()) == 4
        office.edit_termin(601, text="Neu")
        await office.run("CD")
        assert office.event_of(601, "CD")["summary"] == "Neu"
        office.edit_google("restore_access", user=mail_of("AB"))
        await office.run()
        await office.is_at_rest("AB", "CD")

    in_office(tmp_path, story)


@pytest.mark.parametrize("form", ["html", "crlf"])
def test_g23_other_markup_is_no_change(tmp_path: Path, form: str) -> None:
    """G23: a description that comes back as HTML, or with other line ends, says the same: no write."""

    async def story(office: Office) -> None:
        office.google.switches.update({"description_form": form})
        office.termin(501, notiz="Vollmacht mitbringen\nRaum 3 & 4\n\nParken im Hof")
        await office.run()
        await office.is_at_rest("AB")
        assert office.writes("advoware") == []

    in_office(tmp_path, story)


def test_g24_a_strangers_invitation_is_not_ours(tmp_path: Path) -> None:
    """G24: a client's invitation in the synced calendar: no Termin, no write."""

    async def story(office: Office) -> None:
        await linked(office)
        writes = len(office.writes("google"))
        office.edit_google("invite", set={"summary": "Kommen Sie", **moved("2026-03-25")["set"]})
        for _ in range(2):
            await office.run()
        assert len(office.termine()) == 3
        assert len(office.writes("google")) == writes

    in_office(tmp_path, story)


@pytest.mark.parametrize("deed", ["edit", "delete"])
def test_g25_an_event_with_guests_is_changed_by_a_person(tmp_path: Path, deed: str) -> None:
    """G25: nobody is written to by accident: what Advoware changed becomes a task, the event stays."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office, 4)
        office.edit_google("add_guests", first, guests=["mandant@fremd.example"])
        await office.run()
        before = office.event_of(501)
        if deed == "edit":
            office.edit_termin(501, uhrzeitVon="11:00:00", uhrzeitBis="12:00:00")
        else:
            office.delete_termin(501)
        for _ in range(2):
            await office.run()
        assert office.event_of(501) == before
        assert office.google.state()["mails"] == []
        assert [why for why in await office.why_held() if why.startswith("task:right")]

    in_office(tmp_path, story)


@pytest.mark.parametrize("deed", ["move", "delete"])
def test_g26_a_frist_is_put_back_and_noted(tmp_path: Path, deed: str) -> None:
    """G26: edited or deleted in Google: as it was within one run, Advoware untouched, and it stands in the log."""

    async def story(office: Office) -> None:
        await linked(office)
        office.termin(601, "2026-03-24", text="Frist Berufung")
        await office.run()
        before = office.at_advoware(601)
        more = moved("2026-03-31") if deed == "move" else {}
        office.edit_google(deed, office.event_of(601), **more)
        await office.run()
        assert berlin(office.event_of(601)) == "2026-03-24T09:30:00+01:00"
        assert office.at_advoware(601) == before
        assert len(await office.conflicts()) == 1
        assert office.writes("advoware") == []
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


@pytest.mark.parametrize("status", [403, 429])
def test_g27_one_users_quota_is_that_users_alone(tmp_path: Path, status: int) -> None:
    """G27: a burst for one user: that pass stops, the others go on, and nothing is made twice."""

    async def story(office: Office) -> None:
        for number in range(8):
            office.termin(501 + number)
            office.termin(601 + number, anwalt="CD")
        reason = "userRateLimitExceeded" if status == 403 else "rateLimitExceeded"
        office.script("error", operation="events.insert", user=mail_of("AB"), error=reason, after=3, times=3)
        await office.run("AB")
        await office.run("CD")
        assert len(office.events("CD")) == 8
        for _ in range(3):
            office.advance(400.0)
            await office.run("AB")
        assert len(office.events("AB")) == 8
        await office.is_at_rest("AB", "CD")

    in_office(tmp_path, story)


def test_g30_a_token_that_ends_in_the_middle(tmp_path: Path) -> None:
    """G30: Advoware's token is refused in the middle of a run: a new one, every intent settled, nothing twice."""

    async def story(office: Office) -> None:
        for number in range(6):
            office.edit_google(
                "create", set={"summary": f"E{number}", **moved(f"2026-03-{20 + number}")["set"]}
            )
        office.fail("advoware", ".*Termine.*", method="POST", status=401, times=2, after=2)
        for _ in range(3):
            await office.run()
            office.advance(400.0)
        assert sorted(row["text"] for row in office.termine()) == [f"E{number}" for number in range(6)]
        await office.run()
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


@pytest.mark.parametrize("name", ["kuerzel", "from"])
def test_g31_an_answer_to_another_question_is_none(tmp_path: Path, name: str) -> None:
    """G31: Advoware ignores the filter and lists everybody's: rejected, no plan, nothing written or deleted."""

    async def story(office: Office) -> None:
        office.termin(601, anwalt="CD")
        office.termin(602, "2020-01-07")
        await linked(office)
        writes = office.writes("google")
        office.advoware.switches.update({"ignored_parameters": [name]})
        with pytest.raises(SyncError, match="filter_ignored"):
            await office.run()
        assert office.writes("google") == writes
        office.advoware.switches.update({"ignored_parameters": []})
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_g32_what_advoware_makes_up_is_left_out(tmp_path: Path) -> None:
    """G32: Vortermin and Hinfahrt have negative numbers: no event, no link, never written."""

    async def story(office: Office) -> None:
        office.termin(501, vortermin=15, hinfahrt=30, rueckfahrt=30)
        office.termin(-77, text="Urlaub")
        await office.run()
        assert [event["summary"] for event in office.events()] == ["Besprechung 501"]
        await office.is_at_rest("AB")
        assert office.writes("advoware") == []

    in_office(tmp_path, story)


def test_g33_what_becomes_private_leaks_nothing(tmp_path: Path) -> None:
    """G33: the link freezes: what is typed into it afterwards stays in the firm, and the copy stays as it was."""

    async def story(office: Office) -> None:
        await linked(office)
        before = office.event_of(501)
        office.edit_termin(501, privat=1, text="Arzttermin", ort="Praxis")
        office.termin(601, privat=1, text="Scheidung")
        for _ in range(2):
            await office.run()
        assert office.event_of(501) == before
        assert len(office.events()) == 3
        said = repr([entry.body for entry in office.google.ledger.entries if hasattr(entry, "body")])
        assert not any(word in said for word in ("Arzttermin", "Praxis", "Scheidung"))
        office.edit_termin(501, privat=0)
        await office.run()
        assert office.event_of(501)["summary"] == "Arzttermin"

    in_office(tmp_path, story)


def test_calendars_are_named_by_hash_alone(tmp_path: Path) -> None:
    """A calendar's id may be a mail address: nothing of it is kept in the clear."""

    async def story(office: Office) -> None:
        await linked(office)
        dump = await office.database.run(lambda c: c.exec_driver_sql("SELECT * FROM sync_cursor").all())
        assert calendar_of("AB") not in repr(dump)

    in_office(tmp_path, story)
