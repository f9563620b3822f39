"""What the machine has found, as short as it can be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sync.termine.oracle import mismatches
from tests.sync.termine.world import Stage, World, open_stage

UNTIDY = [
    {"text": ""},
    {"text": "  "},
    {"notiz": "Akte\r\n\r\nmitbringen"},
    {"notiz": "  eingerückt"},
    {"notiz": "Zeichen <A> & B"},
    {"ort": " Saal 1 "},
]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """The servers of this file's offices."""
    with open_stage() as opened:
        yield opened


@pytest.mark.parametrize(
    "values", UNTIDY, ids=["untitled", "blank", "blank-line", "indented", "markup", "place"]
)
def test_an_edit_in_google_arrives_whatever_advoware_holds_besides(
    tmp_path: Path, stage: Stage, values: dict[str, str]
) -> None:
    """I3: texts that Google is told in another form were taken for a concurrent edit: nothing ever came back."""

    async def story(world: World) -> None:
        world.termin(501, **values)
        world.termin(502)
        await world.run()
        before = world.at_advoware(501)
        day = {
            "start": {"dateTime": "2026-03-21T14:00:00+01:00"},
            "end": {"dateTime": "2026-03-21T15:00:00+01:00"},
        }
        world.edit_google("move", world.event_of(501), set=day)
        await world.run()
        after = world.at_advoware(501)
        assert (after["datum"], after["uhrzeitVon"]) == ("2026-03-21", "14:00:00")
        assert [after[name] for name in ("text", "notiz", "ort")] == [
            before[name] for name in ("text", "notiz", "ort")
        ]
        await world.rests()
        assert await mismatches(world) == []

    stage.play(tmp_path, story)
