"""What is odd and real: series older than the window, an emptied one, the end of time, hidden, forbidden, unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sync.termine.busy import WEEKLY, WHOLE_DAY
from tests.sync.termine.office import Office, calendar_of, in_office

DAY = 86_400.0
LONG: dict[str, Any] = {**WHOLE_DAY, "datumBis": "2026-07-31"}
KINDS = {"series": WEEKLY, "absence": LONG}


async def _months_later(office: Office, kind: str) -> None:
    """A long one that began on 10 March, in step, two months on, and an ordinary one of today."""
    office.termin(1, day="2026-03-10", **KINDS[kind])
    await office.run()
    assert office.event_of(1)
    for _ in range(2):
        office.advance(30 * DAY)
        await office.run()
    office.termin(2, day="2026-05-12")
    await office.run()


@pytest.mark.parametrize("window", ["start", "overlap"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_one_is_followed_as_long_as_it_lasts(tmp_path: Path, kind: str, window: str) -> None:
    """Shortened, and then deleted in Advoware: Google follows, however Advoware's list understands its window."""

    async def story(office: Office) -> None:
        await _months_later(office, kind)
        before = office.event_of(1)
        office.edit_termin(1, datumBis="2026-06-08")
        await office.run()
        after = office.event_of(1)
        assert (after["end"], after.get("recurrence")) != (before["end"], before.get("recurrence"))
        office.delete_termin(1)
        await office.run()
        assert [event["id"] for event in office.events()] == [office.event_of(2)["id"]]

    in_office(tmp_path, story, advoware={"window": window})


def test_the_last_one_of_the_window_can_be_deleted(tmp_path: Path) -> None:
    """What lies outside is no reason to doubt a window in which nothing is left."""

    async def story(office: Office) -> None:
        for number in (1, 2, 3):
            office.termin(number, day=f"2026-03-1{number}")
        await office.run()
        office.advance(60 * DAY)
        office.termin(4, day="2026-05-20")
        await office.run()
        office.delete_termin(4)
        await office.run()
        assert await office.why_held() == []
        assert len(office.events()) == 3

    in_office(tmp_path, story)


def test_the_last_day_that_there_is_stops_nobody_else(tmp_path: Path) -> None:
    """An absence until .NET's last day cannot be shown, and an event in such a year not be read: the others are."""

    async def story(office: Office) -> None:
        office.termin(1, **{**WHOLE_DAY, "datumBis": "9999-12-31"})
        office.termin(2)
        for first, last in (("9999-12-30", "9999-12-31"), ("0001-01-01", "0001-01-02")):
            event = {"calendar": calendar_of("AB"), "start": {"date": first}, "end": {"date": last}}
            office.google.seed({"events": [event]})
        await office.run()
        report = await office.run()
        assert office.event_of(2)
        assert [getattr(error, "reason", "") for error in report.errors.values()] in (["no_times"], [])
        assert len(office.termine()) == 2

    in_office(tmp_path, story)


@pytest.mark.parametrize("visibility", ["private", "confidential"])
def test_an_event_that_its_user_hides_is_told_of(tmp_path: Path, visibility: str) -> None:
    """It is left alone, a person hears of it, and visible again it is followed again."""

    async def story(office: Office) -> None:
        office.termin(1, text="Frist Klage")
        office.termin(2)
        await office.run()
        event = office.event_of(1)
        office.edit_google("edit", event, set={"visibility": visibility})
        office.edit_termin(1, datum="2026-03-24", datumBis="2026-03-24")
        written = len(office.writes("google"))
        await office.run()
        assert await office.why_held() == ["privat_in_google"]
        assert len(office.writes("google")) == written
        office.edit_google("edit", event, set={"visibility": "default"})
        await office.run()
        assert await office.why_held() == []
        assert office.event_of(1)["start"]["dateTime"].startswith("2026-03-24")

    in_office(tmp_path, story)


def test_a_termin_that_becomes_private_is_told_of_once(tmp_path: Path) -> None:
    """Its copy in Google stays as it was, which a notice says; one that was private from the beginning is nobody's business."""

    async def story(office: Office) -> None:
        office.termin(1)
        office.termin(2)
        await office.run()
        office.edit_termin(1, privat=1, datum="2026-03-24", datumBis="2026-03-24")
        office.termin(3, privat=1)
        await office.run()
        found = [(hold.why, hold.record_id, hold.is_notice) for hold in await office.holds()]
        assert found == [("privat_in_advoware", "1", True)]

    in_office(tmp_path, story)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_create_that_cannot_be_read_back_is_not_made_twice(tmp_path: Path, status: int) -> None:
    """Made in Google, made in Advoware, and the look at it is refused: one Termin, one event, whatever comes after."""

    async def story(office: Office) -> None:
        office.termin(1)
        await office.run()
        when = {
            "start": {"dateTime": "2026-03-20T14:00:00+01:00"},
            "end": {"dateTime": "2026-03-20T15:00:00+01:00"},
        }
        office.google.seed({"events": [{"calendar": calendar_of("AB"), "summary": "Neu", **when}]})
        office.fail("advoware", ".*/Termine", method="GET", status=status, after=1, times=1)
        await office.run()
        assert status in [entry.status for entry in office.advoware.ledger.entries]
        for _ in range(4):
            await office.run()
        assert (len(office.termine()), len(office.events())) == (2, 2)

    in_office(tmp_path, story, masks=True)


def test_one_event_that_google_forbids_stops_no_other(tmp_path: Path) -> None:
    """A 403 about one event: that appointment is refused and told of, the calendar's others go through."""

    async def story(office: Office) -> None:
        for number in (1, 2, 3):
            office.termin(number)
        await office.run()
        said = {"domain": "global", "reason": "forbidden", "message": "Forbidden"}
        office.fail(
            "google", f".*/events/{office.event_of(1)['id']}", method="PATCH", status=403, times=100,
            body={"error": {"code": 403, "message": "Forbidden", "errors": [said]}},
        )  # fmt: skip
        for number in (1, 2, 3):
            office.edit_termin(number, text="Neu")
        office.termin(4)
        report = await office.run()
        assert [getattr(error, "reason", "") for error in report.errors.values()] == ["forbidden"]
        assert sorted(event["summary"] for event in office.events()) == [
            "Besprechung 1",
            "Besprechung 4",
            "Neu",
            "Neu",
        ]

    in_office(tmp_path, story)


def test_a_field_that_no_row_has_lets_nothing_be_deleted(tmp_path: Path) -> None:
    """A mistyped rule for Fristen: every Termin counts as one, as without a rule."""

    async def story(office: Office) -> None:
        office.termin(1, text="Berufungsfrist")
        office.termin(2)
        await office.run()
        office.edit_google("delete", office.event_of(1))
        await office.run()
        assert office.at_advoware(1)
        assert office.event_of(1)

    in_office(tmp_path, story, fristen="feld:terminArtt=Frist")


def test_an_address_in_brackets_comes_back_from_google(tmp_path: Path) -> None:
    """Notes with signs of markup: what the employee adds in Google is added in Advoware, and nothing goes."""

    async def story(office: Office) -> None:
        office.termin(1, notiz="Rückruf Max <max@firma.example>")
        office.termin(2)
        await office.run()
        shown = office.event_of(1)["description"]
        assert "&lt;max@firma.example&gt;" in shown
        office.edit_google("edit", office.event_of(1), set={"description": f"<p>{shown}</p><p>dringend</p>"})
        await office.run()
        assert office.at_advoware(1)["notiz"] == "Rückruf Max <max@firma.example>\r\ndringend"
        await office.is_at_rest("AB")

    in_office(tmp_path, story)
