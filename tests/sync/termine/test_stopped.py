"""The kill switch and appointments: nothing is written to Google while it is on, a pass under way is broken off."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.inbox import calendar_passes, egress_switch
from bitbylaw_pipeline.sync.termine_stream import STOPPED_AGAIN_SECONDS, TermineStream
from tests.sync.termine.office import Office, in_office


async def stop(office: Office) -> None:
    """What `bitbylaw egress stop` does."""
    await office.database.run(lambda c: egress_switch.stop(c, office.database.now(c)))


async def allow(office: Office) -> None:
    """What `bitbylaw egress allow` does."""
    await office.database.run(lambda c: egress_switch.allow(c, office.database.now(c)))


def test_while_the_switch_is_on_no_pass_is_run(tmp_path: Path) -> None:
    """It waits a minute and tries again, notes neither success nor failure, and goes on once the switch is lifted."""

    async def story(office: Office) -> None:
        office.termin(501)
        await stop(office)
        outcome = await TermineStream(office.pairs).sync("AB")
        assert (outcome.result, outcome.again_in) == (Result.WITHHELD, STOPPED_AGAIN_SECONDS)
        assert outcome.facts == {"reason": "egress is stopped"}
        assert office.writes("google") == []
        assert await office.database.run(lambda c: calendar_passes.get(c, "AB")) is None
        await allow(office)
        assert (await TermineStream(office.pairs).sync("AB")).result is Result.SYNCED
        assert len(office.events()) == 1

    in_office(tmp_path, story)


def test_a_pass_under_way_is_broken_off_and_loses_nothing(tmp_path: Path) -> None:
    """Within seconds, whatever Google is doing; afterwards each appointment is there once."""

    async def story(office: Office) -> None:
        for number in range(3):
            office.termin(501 + number)
        fault = office.fail("google", "/calendar/v3/.*", method="POST", kind="hang", seconds=600.0)
        passing = asyncio.create_task(TermineStream(office.pairs).sync("AB"))
        while not fault.applied:  # noqa: ASYNC110  # the stand-in knows no event to wait for
            await asyncio.sleep(0.01)
        await stop(office)
        assert (await asyncio.wait_for(passing, 20)).result is Result.WITHHELD
        assert office.events() == []
        office.mend()
        await allow(office)
        office.advance(900.0)
        await TermineStream(office.pairs).sync("AB")
        office.advance(900.0)
        await TermineStream(office.pairs).sync("AB")
        assert len(office.events()) == 3

    in_office(tmp_path, story)
