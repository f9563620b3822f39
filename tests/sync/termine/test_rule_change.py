"""Masking switched on or off, another rule for Fristen: the next pass puts right what stands in Google, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.inbox.schema import sync_link
from bitbylaw_pipeline.sync.termine_audit import audit
from bitbylaw_pipeline.sync.termine_pairs import SettingsChanged
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import Office, in_office

COUNT = 80
"""More than a third of all, and more than fifty: what the guard against mass changes would hold back."""


def _fill(office: Office) -> None:
    for number in range(1, COUNT + 1):
        title = "Frist Sache Meier" if number % 2 else "Besprechung Meier"
        office.termin(
            number, day=f"2026-03-{10 + number % 15:02}", text=title, notiz="Akte Meier", ort="Bei Meier"
        )


def _told(office: Office) -> set[str | None]:
    return {event.get(name) for event in office.events() for name in ("summary", "description", "location")}


def _set(office: Office, *, masks: bool | None = None, fristen: str | None = None) -> None:
    rules = office.pairs.rules
    if masks is not None:
        rules = replace(rules, masks=masks)
    if fristen is not None:
        rules = replace(rules, fristen=FristRule.parse(fristen))
    office.pairs.rules = rules


async def _is_left_to_a_pass(office: Office) -> None:
    before = await _stored(office)
    with pytest.raises(SettingsChanged, match="compares every appointment anew"):
        await audit(office.pairs, "AB")
    with pytest.raises(SettingsChanged):
        async with office.pairs.trial("AB"):
            pass
    assert await _stored(office) == before


async def _stored(office: Office) -> list[Any]:
    return await office.database.run(lambda c: [tuple(row) for row in c.execute(select(sync_link))])


def test_masking_switched_on_takes_every_name_out_of_google(tmp_path: Path) -> None:
    """Also of what the window has left behind: one pass, no approval, nothing written to Advoware."""

    async def story(office: Office) -> None:
        _fill(office)
        await office.run()
        old = office.events()[0]
        office.advance(60 * 86_400.0)
        await office.run()
        before, written = office.termine(), len(office.writes("advoware"))
        _set(office, masks=True)
        assert await TermineStream(office.pairs).describe("AB") == [
            "TERMINE_MASKED or TERMINE_FRISTEN has changed: the next pass compares every appointment anew."
        ]
        await _is_left_to_a_pass(office)
        report = await office.run()
        assert report.holds == []
        assert _told(office) == {"Frist", "Termin", None}
        assert old["id"] in {event["id"] for event in office.events()}
        assert (office.termine(), len(office.writes("advoware"))) == (before, written)
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=False)


def test_masking_switched_off_tells_the_names_and_carries_no_mask_back(tmp_path: Path) -> None:
    """The titles go to Google; in Advoware nothing is called "Termin" afterwards."""

    async def story(office: Office) -> None:
        _fill(office)
        await office.run()
        before, written = office.termine(), len(office.writes("advoware"))
        _set(office, masks=False)
        report = await office.run()
        assert report.holds == []
        assert _told(office) == {"Frist Sache Meier", "Besprechung Meier", "Akte Meier", "Bei Meier"}
        assert (office.termine(), len(office.writes("advoware"))) == (before, written)
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


def test_masking_switched_off_while_a_termin_is_deleted_deletes_it(tmp_path: Path) -> None:
    """A mask is no edit of a person's: what Advoware deletes in that quarter of an hour goes in Google, too."""

    async def story(office: Office) -> None:
        _fill(office)
        await office.run()
        office.delete_termin(2)
        _set(office, masks=False)
        await office.run()
        assert (len(office.termine()), len(office.events())) == (COUNT - 1, COUNT - 1)
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)


def test_another_rule_for_fristen_is_followed_at_once(tmp_path: Path) -> None:
    """What is no Frist any more can be moved in Google; what still is one is put back."""

    async def story(office: Office) -> None:
        _fill(office)
        await office.run()
        _set(office, fristen="text:^Frist")
        report = await office.run()
        assert report.holds == []
        assert {event["summary"] for event in office.events()} == {"Frist", "Termin"}
        for number in (1, 2):
            day = office.at_advoware(number)["datum"][:10]
            later = {
                "start": {"dateTime": f"{day}T14:00:00+01:00"},
                "end": {"dateTime": f"{day}T15:00:00+01:00"},
            }
            office.edit_google("move", office.event_of(number), set=later)
        await office.run()
        assert office.at_advoware(1)["uhrzeitVon"] == "09:30:00"
        assert office.at_advoware(2)["uhrzeitVon"] == "14:00:00"
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True, fristen="alle")


def test_what_is_typed_over_a_mask_is_kept_in_the_log(tmp_path: Path) -> None:
    """It is put back, for the place of titles is Advoware; the person who typed it finds it again."""

    async def story(office: Office) -> None:
        office.termin(1, text="Besprechung Meier")
        office.termin(2, text="Besprechung Meier")
        await office.run()
        office.edit_google("edit", office.event_of(1), set={"summary": "Mit Unterlagen"})
        await office.run()
        assert office.event_of(1)["summary"] == "Termin"
        assert [(one.what, one.right) for one in await office.conflicts()] == [
            ("text", {"text": "Mit Unterlagen"})
        ]
        await office.is_at_rest("AB")

    in_office(tmp_path, story, masks=True)
