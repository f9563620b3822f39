"""Akten: each Akte of Advoware is tied to the matter of EspoCRM with its number, and through it to its collection.

Advoware is only read. EspoCRM gets the Akte's id, once; `akte_state` remembers the rest. What is doubtful is held for a
person: nothing is written for it, and nothing that stands there is overwritten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from bitbylaw_pipeline.domain.akte_match import (
    AkteLink,
    AktenMatch,
    AkteState,
    AkteStatus,
    match_akten,
)
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    RateLimited,
    SyncError,
    Unreachable,
)
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import akte_states
from bitbylaw_pipeline.sync.akte_verdict import (
    doubts,
    holds_of,
    in_words,
    odd_numbers,
    outcome_of,
    states_of,
)
from bitbylaw_pipeline.sync.akten_sides import PAIR, AktenSides, refuse_lost_akten
from bitbylaw_pipeline.sync.akten_stream import AktenStream
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.pair_pass import PairPass, hand_over

__all__ = ["AktenSides", "AktenStream", "AktenSweep"]

log = structlog.get_logger(__name__)

CONCURRENCY = 4


@dataclass(slots=True)
class _Written:
    """What became of the links that had to be written to EspoCRM, by the Akte's id."""

    done: set[str]
    failed: dict[str, SyncError]
    stopped_by: SyncError | None = None


@dataclass(frozen=True, slots=True)
class AktenSweep:
    """The scheduled pass over all Akten and all matters: one list of each, then what is new."""

    sides: AktenSides
    clock: Callable[[], float] = time.perf_counter

    async def run(self) -> PairPass:
        """One pass; skipped while another run has it. Raises the error of a listing that failed or makes no sense:
        then nothing was changed.
        """
        async with pair_lease(self.sides.database, PAIR) as is_ours:
            return await self._run() if is_ours else PairPass(PAIR, is_skipped=True)

    async def _run(self) -> PairPass:
        started = self.clock()
        with counting() as calls:
            former = await self.sides.read(akte_states.load)
            types = await self.sides.records.types()
            matters = await self.sides.records.list_matters(types)
            await self.sides.refuse_lost_matters(matters, former)
            akten = await self.sides.list_akten()
            refuse_lost_akten(akten, matters, former)
            found = match_akten(akten, matters)
            written = await self._write(found.links)
        states = states_of(found, akten, await self.sides.collections_of(found.links))
        states |= _gone(former, states)
        for akte_id in written.failed:
            # Not agreed: the former state stands until EspoCRM has the id.
            del states[akte_id]
        changed = {key: state for key, state in states.items() if former.get(key) != state}
        await self.sides.store(list(changed.values()), HoldChanges(holds_of(found.contested)))
        if written.stopped_by is None:
            await hand_over(self.sides.database, PAIR, written.failed)
        seconds = self.clock() - started
        counts = {**_counts(found, states, written, len(changed), len(matters)), "calls": calls[0]}
        for doubt in found.contested:
            log.info("akten_held", says=in_words(doubt))
        log.info("pair_passed", pair=PAIR, seconds=round(seconds, 1), **counts)
        finished = _finished(found, states, former, written.done, seconds)
        return PairPass(PAIR, counts, finished, seconds, stopped_by=written.stopped_by)

    async def _write(self, links: Iterable[AkteLink]) -> _Written:
        written = _Written(set(), {})
        slots = asyncio.Semaphore(CONCURRENCY)

        async def write(link: AkteLink) -> None:
            key = str(link.akte.id)
            async with slots:
                if written.stopped_by is not None:
                    written.failed[key] = written.stopped_by
                    return
                try:
                    await self.sides.records.write_akte_id(link.matter, link.akte.id)
                except SyncError as error:
                    written.failed[key] = error
                    if isinstance(error, (AuthFailed, RateLimited, Unreachable)):
                        written.stopped_by = error
                    log.warning("akte_not_written", akte=key, error=type(error).__name__, says=str(error))
                else:
                    written.done.add(key)

        await asyncio.gather(*(write(link) for link in links if link.is_to_write))
        return written


def _gone(former: Mapping[str, AkteState], present: Mapping[str, AkteState]) -> dict[str, AkteState]:
    return {
        key: replace(state, status=AkteStatus.GONE) for key, state in former.items() if key not in present
    }


def _counts(
    found: AktenMatch, states: Mapping[str, AkteState], written: _Written, changed: int, matters: int
) -> dict[str, int]:
    by_status = {status.value: 0 for status in AkteStatus}
    for state in states.values():
        by_status[state.status.value] += 1
    return {
        **by_status,
        "matters": matters,
        "matters_without_akte": len(found.without_akte),
        "matters_held": sum(len(doubt.matters) for doubt in found.contested),
        "aktenzeichen_differ": len(odd_numbers(found)),
        "written": len(written.done),
        "changed": changed,
        "failed": len(written.failed),
    }


def _finished(
    found: AktenMatch,
    states: Mapping[str, AkteState],
    former: Mapping[str, AkteState],
    written: set[str],
    seconds: float,
) -> list[Finished]:
    in_doubt, odd = doubts(found.contested), odd_numbers(found)
    finished: list[Finished] = []
    for key, state in states.items():
        doubt = in_doubt.get(key)
        outcome = outcome_of(state, former.get(key), doubt, is_written=key in written, is_odd=key in odd)
        if outcome.assets or outcome.warning:
            finished.append(Finished(key, outcome, None, is_parked=False, seconds=seconds, calls=0))
    return finished
