"""The setting names another calendar for an employee: nothing is deleted anywhere, and the new one is filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bitbylaw_pipeline.inbox.schema import sync_link
from bitbylaw_pipeline.sync.termine_audit import audit_each
from bitbylaw_pipeline.sync.termine_pairs import ANOTHER_CALENDAR, SettingsChanged
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import Office, calendar_of, in_office, mail_of

NEW = "neu@group.calendar.google.com"


def _point_to(office: Office, calendar_id: str) -> None:
    office.pairs.calendars = {
        **office.pairs.calendars,
        "AB": replace(office.pairs.calendars["AB"], calendar_id=calendar_id),
    }


def _shown(office: Office, calendar_id: str) -> list[str]:
    (found,) = [one for one in office.google.state()["calendars"] if one["id"] == calendar_id]
    return sorted(event["start"]["dateTime"] for event in found["events"] if event["status"] != "cancelled")


async def _stored(office: Office) -> list[Any]:
    return await office.database.run(lambda c: [tuple(row) for row in c.execute(select(sync_link))])


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("count", [1, 12])
def test_a_new_calendar_is_filled_and_the_old_one_left(tmp_path: Path, count: int, *, masks: bool) -> None:
    """One Termin, for which no guard would speak up, and a dozen: all stay, each has one event in the new calendar."""

    async def story(office: Office) -> None:
        office.google.seed({"calendars": [{"id": NEW, "owner": mail_of("AB"), "summary": "Termine"}]})
        for number in range(1, count + 1):
            office.termin(number, uhrzeitVon=f"{7 + number:02}:00:00", uhrzeitBis=f"{7 + number:02}:30:00")
        await office.run()
        before = office.termine()
        old = _shown(office, calendar_of("AB"))
        written = len(office.writes("advoware"))
        _point_to(office, NEW)
        assert await TermineStream(office.pairs).describe("AB") == [
            "The calendar is another one than before: what was known of the former one is forgotten first."
        ]
        links = await _stored(office)
        (audited,) = (await audit_each(office.pairs, ["AB"])).failed.values()
        assert isinstance(audited, SettingsChanged)
        assert str(audited) == ANOTHER_CALENDAR
        with pytest.raises(SettingsChanged):
            async with office.pairs.trial("AB"):
                pass
        assert len(links) == count
        assert await _stored(office) == links
        await office.run()
        await office.is_at_rest("AB")
        assert office.termine() == before
        assert len(office.writes("advoware")) == written
        assert _shown(office, NEW) == old == _shown(office, calendar_of("AB"))
        assert len(old) == count

    in_office(tmp_path, story, masks=masks)


def test_the_way_back_finds_every_event_again(tmp_path: Path) -> None:
    """A wrong calendar for a while: back in the right one, what is there is taken over and nothing is made twice."""

    async def story(office: Office) -> None:
        office.google.seed({"calendars": [{"id": NEW, "owner": mail_of("AB"), "summary": "Termine"}]})
        for number in range(1, 6):
            office.termin(number, uhrzeitVon=f"{7 + number:02}:00:00", uhrzeitBis=f"{7 + number:02}:30:00")
        await office.run()
        before, old = office.termine(), _shown(office, calendar_of("AB"))
        _point_to(office, NEW)
        await office.run()
        _point_to(office, calendar_of("AB"))
        await office.run()
        await office.run()
        await office.is_at_rest("AB")
        assert office.termine() == before
        assert _shown(office, calendar_of("AB")) == old

    in_office(tmp_path, story, masks=True)
