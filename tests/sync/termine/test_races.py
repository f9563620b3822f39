"""Somebody acts between our list and our write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sync.termine.wire import Wire, over_wire


@pytest.mark.parametrize("owner", ["CD", ""])
@pytest.mark.parametrize("deed", ["edit", "delete"])
def test_a_termin_that_was_handed_to_others_is_not_written(tmp_path: Path, owner: str, deed: str) -> None:
    """Given to a colleague, or to everybody, a moment before our write: it stays as it is.

    What AB has deleted is gone; what AB has edited is an appointment of AB's own from now on.
    """

    async def story(wire: Wire) -> None:
        office = wire.office
        office.termin(1)
        office.termin(2)
        await office.run()
        if deed == "edit":
            office.edit_google("edit", office.event_of(1), set={"location": "Saal 7"})
        else:
            office.edit_google("delete", office.event_of(1))
        wire.before_next("GET", r"frnr=1$", lambda: office.edit_termin(1, anwalt=owner))
        await office.run()
        assert [call.method for call in wire.to("advoware") if call.method in ("PUT", "DELETE")] == []
        await office.run()
        assert office.at_advoware(1)["ort"] in (None, "")
        assert office.at_advoware(1)["anwalt"] == owner
        own = [row["frNr"] for row in office.termine() if row["anwalt"] == "AB"]
        assert len(own) == len(office.events()) == (2 if deed == "edit" else 1)
        await office.is_at_rest("AB")

    over_wire(tmp_path, story)
