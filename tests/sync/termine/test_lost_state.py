"""The state database is lost or young: appointments find each other again, and nothing is made twice for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.sync.termine.office import Office, Row, calendar_of, in_office

OLD = 4
"""A Termin of 2026-02-10; five days on it lies outside of Advoware's window."""
DAY = 86400.0


async def _with_an_old_one(office: Office) -> None:
    office.termin(1)
    office.termin(OLD, "2026-02-10")
    await office.run()
    office.advance(5 * DAY)
    await office.run()


def _empty(folder: Path) -> Path:
    """A folder for another database."""
    made = folder / "new"
    made.mkdir()
    return made


async def _lose_the_state(office: Office, folder: Path) -> None:
    await office.database.aclose()
    office.database = Database.open(
        migrated_url("sqlite", folder), clock=office.clock, encryption_key=ENCRYPTION_KEY
    )
    office.pairs = replace(office.pairs, database=office.database)


async def _answer(office: Office, take: str) -> None:
    """A person answers the one hold."""
    (hold,) = await office.holds()
    database = office.database
    await database.run(
        lambda c: two_way_desk.decide(c, database.now(c), database.cipher, hold.hold_id, take, "somebody")
    )


def _numbers(office: Office) -> list[int]:
    return sorted(row["frNr"] for row in office.termine())


async def _run_quietly(office: Office) -> None:
    report = await office.run()
    assert report.errors == {}


@pytest.mark.parametrize("masks", [False, True])
def test_an_event_whose_termin_lies_outside_the_window_is_linked_again(
    tmp_path: Path, *, masks: bool
) -> None:
    """Its Termin is asked for by itself, once; from then on both are followed as before."""

    async def story(office: Office) -> None:
        await _with_an_old_one(office)
        await _lose_the_state(office, _empty(tmp_path))
        written = office.writes("advoware"), office.writes("google")
        await _run_quietly(office)
        assert await office.why_held() == []
        await office.is_at_rest("AB")
        assert (office.writes("advoware"), office.writes("google")) == written
        office.edit_google("move", office.event_of(OLD), set={
            "start": {"dateTime": "2026-02-10T15:00:00+01:00"}, "end": {"dateTime": "2026-02-10T16:00:00+01:00"},
        })  # fmt: skip
        await _run_quietly(office)
        assert office.at_advoware(OLD)["uhrzeitVon"].endswith("15:00:00")
        assert _numbers(office) == [1, OLD]

    in_office(tmp_path, story, masks=masks)


def test_one_whose_termin_is_gone_waits_for_a_person(tmp_path: Path) -> None:
    """It is held under a reason of its own; `create` makes the Termin anew, once."""

    async def story(office: Office) -> None:
        await _with_an_old_one(office)
        await _lose_the_state(office, _empty(tmp_path))
        office.delete_termin(OLD)
        for _ in range(2):
            await _run_quietly(office)
            assert await office.why_held() == ["partner_gone"]
            assert _numbers(office) == [1]
        await _answer(office, "create")
        for _ in range(3):
            await _run_quietly(office)
        assert await office.why_held() == []
        assert len(_numbers(office)) == len(office.events()) == 2
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


def test_a_termin_that_is_back_is_not_made_beside_itself(tmp_path: Path) -> None:
    """Between the answer and the pass that would carry it out, the Termin was restored: it is linked."""

    async def story(office: Office) -> None:
        await _with_an_old_one(office)
        await _lose_the_state(office, _empty(tmp_path))
        office.delete_termin(OLD)
        await _run_quietly(office)
        await _answer(office, "create")
        office.termin(OLD, "2026-02-10")
        for _ in range(2):
            await _run_quietly(office)
        assert (await office.why_held(), _numbers(office)) == ([], [1, OLD])
        assert len(office.events()) == 2

    in_office(tmp_path, story)


@pytest.mark.parametrize("day", ["2026-02-10", "2026-03-21"])
def test_a_private_termin_is_neither_taken_nor_made_again(tmp_path: Path, day: str) -> None:
    """In the window or not: it is there and its owner's own business, whatever is answered."""

    async def story(office: Office) -> None:
        office.termin(1)
        office.termin(OLD, day)
        await office.run()
        office.advance(5 * DAY)
        await office.run()
        await _lose_the_state(office, _empty(tmp_path))
        office.edit_termin(OLD, privat=1)
        before = office.at_advoware(OLD)
        await _run_quietly(office)
        assert await office.why_held() == ["partner_withheld"]
        await _answer(office, "create")
        await _run_quietly(office)
        assert (_numbers(office), office.at_advoware(OLD)) == ([1, OLD], before)

    in_office(tmp_path, story)


def test_a_person_can_name_a_termin_outside_the_window(tmp_path: Path) -> None:
    """`link:<number>` finds what no listing shows."""

    async def story(office: Office) -> None:
        await _with_an_old_one(office)
        office.termin(7, "2026-02-10", text="Die richtige")
        await _lose_the_state(office, _empty(tmp_path))
        office.delete_termin(OLD)
        await _run_quietly(office)
        await _answer(office, "link:7")
        for _ in range(2):
            await _run_quietly(office)
        assert (await office.why_held(), _numbers(office)) == ([], [1, 7])
        assert office.event_of(7)["summary"] == "Die richtige"
        await office.is_at_rest("AB")

    in_office(tmp_path, story)


@pytest.mark.parametrize("mark", ["abc", "4_0", "-1", "٤", "9" * 19, "9" * 900])
def test_a_mark_that_is_no_number_of_advowares_stops_nothing(tmp_path: Path, mark: str) -> None:
    """A foreign mark names nothing: that one event waits, and no Termin of a like number is taken for it."""

    async def story(office: Office) -> None:
        office.termin(1)
        office.termin(4, "2026-02-10")
        office.termin(40, "2026-02-10")
        await office.run()
        office.advance(5 * DAY)
        private: Row = {"bitbylaw_event": "fremd1", "bitbylaw_frnr": mark}
        when = {
            "start": {"dateTime": "2026-03-24T09:00:00+01:00"},
            "end": {"dateTime": "2026-03-24T10:00:00+01:00"},
        }
        fields = {"summary": "Neu", "extendedProperties": {"private": private}, **when}
        office.google.seed({"events": [{"calendar": calendar_of("AB"), "id": "fremd1", **fields}]})
        office.edit_termin(1, text="Geändert")
        await _run_quietly(office)
        assert await office.why_held() == ["partner_gone"]
        assert office.event_of(1)["summary"] == "Geändert"
        assert _numbers(office) == [1, 4, 40]

    in_office(tmp_path, story)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_what_cannot_be_asked_now_is_left_as_it_is(tmp_path: Path, status: int) -> None:
    """An error about one Termin leaves its event alone and its hold open; the next pass asks again."""

    async def story(office: Office) -> None:
        await _with_an_old_one(office)
        await _lose_the_state(office, _empty(tmp_path))
        office.delete_termin(OLD)
        await _run_quietly(office)
        await _answer(office, "create")
        office.termin(OLD, "2026-02-10")
        office.fail("advoware", ".*/Termine", method="GET", status=status, after=1)
        report = await office.run()
        assert len(report.errors) == 1
        assert await office.why_held() == ["partner_gone"]
        assert _numbers(office) == [1, OLD]
        office.mend()
        office.advance(DAY / 24)
        await _run_quietly(office)
        assert (await office.why_held(), _numbers(office)) == ([], [1, OLD])

    in_office(tmp_path, story)


def test_one_answer_does_not_release_the_rest(tmp_path: Path) -> None:
    """Nothing fits, and a person makes one counterpart: with that one link all others still wait."""

    async def story(office: Office) -> None:
        for number in range(1, 7):
            day = f"2026-03-{10 + number}"
            office.termin(number, day)
            office.google.seed({"events": [{
                "calendar": calendar_of("AB"), "summary": f"123/26 {number}",
                "start": {"dateTime": f"{day}T09:30:00+01:00"}, "end": {"dateTime": f"{day}T10:30:00+01:00"},
            }]})  # fmt: skip
        await _run_quietly(office)
        first = (await office.holds())[0]
        database = office.database
        await database.run(
            lambda c: two_way_desk.decide(
                c, database.now(c), database.cipher, first.hold_id, "create", "somebody"
            )
        )
        for _ in range(3):
            await _run_quietly(office)
        assert await office.why_held() == ["bootstrap_unmatched"] * 11
        assert len(office.termine()) + len(office.events()) == 13

    in_office(tmp_path, story)


def test_one_lucky_match_does_not_double_the_rest(tmp_path: Path) -> None:
    """An older program's calendar with other titles: the one that fits is linked, all else waits on both sides."""

    async def story(office: Office) -> None:
        for number in range(1, 6):
            day = f"2026-03-{10 + number}"
            office.termin(number, day, text=f"Mandant {number}")
            title = "Mandant 1" if number == 1 else f"123/26 Mandant {number}"
            office.google.seed({"events": [{
                "calendar": calendar_of("AB"), "summary": title,
                "start": {"dateTime": f"{day}T09:30:00+01:00"}, "end": {"dateTime": f"{day}T10:30:00+01:00"},
            }]})  # fmt: skip
        for _ in range(3):
            await _run_quietly(office)
            assert await office.why_held() == ["bootstrap_unmatched"] * 8
            assert (len(office.termine()), len(office.events())) == (5, 5)
        office.edit_termin(1, text="Geändert")
        await _run_quietly(office)
        assert office.event_of(1)["summary"] == "Geändert"

    in_office(tmp_path, story)
