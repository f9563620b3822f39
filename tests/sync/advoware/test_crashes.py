"""The process killed at every boundary of an HTTP call: the next passes come to the same end, with one record each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sync.advoware.picture import picture
from tests.sync.advoware.stories import STORIES, new_in_advoware
from tests.sync.advoware.world import Firm, in_firm

WITH_READS = ("edits_of_several_parts",)
"""The stories that are broken at each read, too."""


async def _end(firm: Firm) -> object:
    await firm.sweep()
    await firm.sweeps_quietly()
    return await picture(firm)


@pytest.mark.parametrize("name", STORIES)
def test_a_crash_at_any_call_changes_nothing_of_the_end(tmp_path: Path, name: str) -> None:
    """Before each call and after it, in whatever the first pass does."""
    undisturbed: list[object] = []

    async def whole(firm: Firm) -> None:
        await STORIES[name](firm)
        firm.counts_reads, firm.boundaries = name in WITH_READS, 0
        await firm.sweep()
        undisturbed.append(firm.boundaries)
        undisturbed.append(await _end(firm))

    in_firm(tmp_path / "whole", whole)
    assert isinstance(undisturbed[0], int)
    assert undisturbed[0] >= 4
    for boundary in range(1, undisturbed[0] + 1):

        async def broken(firm: Firm, boundary: int = boundary) -> None:
            await STORIES[name](firm)
            firm.counts_reads = name in WITH_READS
            assert await firm.dies_at(boundary, firm.sweep)
            assert await _end(firm) == undisturbed[1], boundary

        in_firm(tmp_path / str(boundary), broken)


def test_a_crash_leaves_one_record_also_where_espocrm_has_no_field_for_our_key(tmp_path: Path) -> None:
    """The recorded server: what a lost create has made is found by its content."""
    boundary, died = 0, True
    while died:
        boundary += 1

        async def broken(firm: Firm, boundary: int = boundary) -> None:
            nonlocal died
            await new_in_advoware(firm)
            died = await firm.dies_at(boundary, firm.sweep)
            await firm.sweep()
            await firm.sweep()
            await firm.sweeps_quietly()
            assert len(await firm.parties()) == len(await firm.accounts()) == len(firm.betnrs()) == 1

        in_firm(tmp_path / str(boundary), broken, model="recorded")
    assert boundary >= 4


@pytest.mark.parametrize("name", ["new_in_espocrm", "edits_of_several_parts"])
def test_a_crash_in_an_event_is_settled_by_the_next_one(tmp_path: Path, name: str) -> None:
    """The pass over one record, killed after a write, and the same record once more, then the scheduled pass."""
    ends: list[object] = []

    async def whole(firm: Firm) -> None:
        await STORIES[name](firm)
        ends.append(await _end(firm))

    in_firm(tmp_path / "whole", whole)
    boundary, died = 0, True
    while died:
        boundary += 2

        async def broken(firm: Firm, boundary: int = boundary) -> None:
            nonlocal died
            await STORIES[name](firm)
            (record,) = await firm.parties()
            died = await firm.dies_at(boundary, lambda: firm.sync(record["id"]))
            await firm.sync(record["id"])
            assert await _end(firm) == ends[0], boundary

        in_firm(tmp_path / str(boundary), broken)


def test_the_process_may_die_again_and_again(tmp_path: Path) -> None:
    """Each pass gets one call further than the one before; the end is the same."""
    ends: list[object] = []

    async def story(firm: Firm, dies: bool = True) -> None:
        await STORIES["edits_of_several_parts"](firm)
        boundary = 2
        while dies and await firm.dies_at(boundary, firm.sweep):
            boundary += 1
        ends.append(await _end(firm))

    in_firm(tmp_path / "broken", story)

    async def whole(firm: Firm) -> None:
        await story(firm, dies=False)

    in_firm(tmp_path / "whole", whole)
    assert ends[0] == ends[1]
