"""Google is told when, and neither title nor notes nor place: no byte of a client's name leaves the firm."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sync.termine.busy import (
    CLIENTS,
    PLACE,
    SECRET,
    TITLE,
    WEEKLY,
    WHOLE_DAY,
    BusyOffice,
    at,
    configured,
)
from tests.sync.termine.office import EMPLOYEES, Office, Row, in_office
from tests.sync.termine.scan import google_breaches
from tests.sync.termine.wire import Wire, over_wire


def forms(name: str) -> set[str]:
    """The name in the forms that it may take in a text."""
    return {name, name.upper(), name.lower(), json.dumps(name).strip('"')}


def kept_in(folder: Path) -> dict[str, str]:
    """What stands in the state database's files."""
    found = {one.name: one.read_bytes().decode("utf-8", "replace") for one in folder.glob("state.sqlite*")}
    assert found
    return found


def test_no_name_reaches_google_and_none_is_written_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A week of everything with masks: not in a request, a log line, a column in clear, an error or an outcome."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    async def story(wire: Wire) -> None:
        busy = BusyOffice(wire)
        await busy.live()
        assert google_breaches(wire.to("google"), configured(), CLIENTS) == []
        assert any(name in call.said for call in wire.to("advoware") for name in CLIENTS)
        places = {
            "log": caplog.text,
            "outcomes": "\n".join(map(repr, busy.outcomes)),
            "errors": "\n".join(busy.errors),
            "holds": "\n".join([repr(hold) for one in EMPLOYEES for hold in await wire.office.holds(one)]),
            **kept_in(tmp_path),
        }
        assert all(places.values())
        assert len(places) > 4
        assert "reconciled" in places["log"]
        assert await wire.office.conflicts()
        sought = {form for name in (*CLIENTS, "@kanzlei.example", "@group.calendar") for form in forms(name)}
        assert [(place, form) for place, text in places.items() for form in sought if form in text] == []

    over_wire(tmp_path, story, masks=True)


def test_without_masks_nothing_is_written_down_either(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What Google may be told is told, and still stands in no log line, column in clear, error or outcome."""
    caplog.set_level(logging.DEBUG)

    async def story(wire: Wire) -> None:
        office = wire.office
        for number, more in ((501, {}), (502, WHOLE_DAY), (503, WEEKLY)):
            office.termin(number, "2026-03-16", **{**SECRET, **more})
        await office.run()
        office.edit_termin(501, uhrzeitVon="08:00:00", ort="Hof Müßig")
        office.edit_google("edit", office.event_of(501), set={"description": "Ilsebill"})
        office.edit_google("move", office.event_of(501), set=at("2026-03-18"))
        reports = [repr((await office.run()).counts())]
        assert any("Überlinger" in call.said for call in wire.to("google"))
        for text in (caplog.text, *kept_in(tmp_path).values(), *reports):
            assert [name for name in CLIENTS for form in forms(name) if form in text] == []

    over_wire(tmp_path, story, masks=False)


def shown(office: Office) -> list[tuple[object, object, object]]:
    """Title, notes and place of each event, in their order."""
    return [(one.get("summary"), one.get("description"), one.get("location")) for one in office.events()]


def test_what_google_is_told_and_keeps(tmp_path: Path) -> None:
    """One word for the kind of appointment, its times, and marks of ours that hold ids alone."""

    async def story(office: Office) -> None:
        for number, more in ((501, {}), (502, {"text": f"Frist {TITLE}"}), (503, WEEKLY), (504, WHOLE_DAY)):
            office.termin(number, "2026-03-16", **{**SECRET, **more})
        await office.run()
        assert shown(office) == [(title, None, None) for title in ("Termin", "Frist", "Termin", "Termin")]
        for event in office.events():
            properties: Row = event["extendedProperties"]["private"]
            assert set(properties) == {
                f"bitbylaw_{name}" for name in ("event", "key", "nonce", "frnr", "art")
            }
            assert properties["bitbylaw_key"] == f"left:{properties['bitbylaw_frnr']}:g0"
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


def test_a_name_typed_over_the_mask_goes(tmp_path: Path) -> None:
    """Typed into Google it is put back to the mask within one pass, and Advoware's title stays."""

    async def story(office: Office) -> None:
        office.termin(501, **SECRET)
        await office.run()
        text = {"summary": "Käthe", "description": "Müßig", "location": "Rosenstraße"}
        office.edit_google("edit", office.event_of(501), set=text)
        before = office.at_advoware(501)
        await office.run()
        assert shown(office) == [("Termin", None, None)]
        assert office.at_advoware(501) == before
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


def test_typed_in_google_it_reaches_advoware_once_and_is_masked_there(tmp_path: Path) -> None:
    """A new event's words go into the new Termin; then the mask stands in Google, and the Termin keeps them."""

    async def story(office: Office) -> None:
        text = {"summary": "Käthe", "description": "Müßig<br>zwei", "location": "Rosenstraße"}
        office.edit_google("create", set={**text, **at("2026-03-20")})
        await office.run()
        await office.run()
        assert shown(office) == [("Termin", None, None)]
        (row,) = office.termine()
        assert (row["text"], row["notiz"], row["ort"]) == ("Käthe", "Müßig\r\nzwei", "Rosenstraße")
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


def test_a_copy_of_a_masked_event_carries_no_mask_into_advoware(tmp_path: Path) -> None:
    """The mask's word is no title: the copy's Termin is called what it is, and the original keeps its own."""

    async def story(office: Office) -> None:
        office.termin(501, **SECRET)
        await office.run()
        office.edit_google("duplicate", office.event_of(501), set=at("2026-03-21"))
        await office.run()
        await office.run()
        assert sorted(row["text"] for row in office.termine()) == [TITLE, "Termin (aus Google Kalender)"]
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


async def switch(office: Office, *, masks: bool) -> None:
    """The firm changes the setting."""
    office.pairs.rules = replace(office.pairs.rules, masks=masks)
    await office.run()


@pytest.mark.parametrize("count", [3, 60])
def test_masks_switched_on_mask_what_stands_there(tmp_path: Path, count: int) -> None:
    """From the next pass on no title, note or place is in Google, however many; Advoware is not written."""

    async def story(wire: Wire) -> None:
        office = wire.office
        seed(office, count)
        await office.run()
        before = office.termine()
        assert all("Überlinger" in str(event["summary"]) for event in office.events())
        seen = len(wire.to("google"))
        await switch(office, masks=True)
        assert {(title, notes, place) for title, notes, place in shown(office)} == {
            ("Termin", None, None),
            ("Frist", None, None),
        }
        assert google_breaches(wire.to("google")[seen:], configured(), CLIENTS) == []
        assert office.termine() == before
        await office.is_at_rest("AB")

    over_wire(tmp_path, story, masks=False)


@pytest.mark.parametrize("count", [3, 60])
def test_masks_switched_off_show_what_advoware_has(tmp_path: Path, count: int) -> None:
    """Titles, notes and places appear, however many; nothing of the mask goes into Advoware."""

    async def story(office: Office) -> None:
        seed(office, count)
        await office.run()
        before = office.termine()
        await switch(office, masks=False)
        assert office.termine() == before
        assert office.writes("advoware") == []
        for row in before:
            event = office.event_of(row["frNr"])
            assert event["summary"] == row["text"]
            assert (event["description"], event["location"]) == ("Käthe kommt\nmit Müßig", PLACE)
        # What is in the log of it is the mask alone: nobody's words were lost.
        assert {(one.right or {}).get(one.what) for one in await office.conflicts()} <= {
            "Termin",
            "Frist",
            None,
        }
        await office.is_at_rest("AB")
        office.edit_google("edit", office.event_of(501), set={"summary": "Neuer Titel"})
        await office.run()
        assert office.at_advoware(501)["text"] == "Neuer Titel"

    in_office(tmp_path, story, masks=True)


def seed(office: Office, count: int) -> None:
    """So many Termine, a Frist and a series, all with names in them."""
    for number in range(501, 501 + count):
        office.termin(number, f"2026-03-{10 + number % 15:02}", **SECRET)
    office.termin(901, "2026-03-26", **{**SECRET, "text": f"Frist {TITLE}"})
    office.termin(902, "2026-03-16", **{**SECRET, **WEEKLY})
