"""Akten: each Akte of Advoware is tied to the matter of EspoCRM with its number, and through it to its collection.

Advoware is only read. EspoCRM gets the Akte's id, once; `akte_state` remembers the rest. What is doubtful is held for a
person: nothing is written for it, and nothing that stands there is overwritten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_rows import Akte
from bitbylaw_pipeline.clients.espocrm_akten import MatterFields, MatterRecords
from bitbylaw_pipeline.domain.akte_match import (
    AkteLink,
    AktenMatch,
    AkteRef,
    AkteState,
    AkteStatus,
    Contested,
    Matter,
    match_akten,
)
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    NotFound,
    Permanent,
    RateLimited,
    SyncError,
    Unexpected,
    Unreachable,
)
from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import akte_states, collection_states, run_leases, two_way_holds, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import SWEEP_PRIORITY
from bitbylaw_pipeline.sync.akte_verdict import (
    doubts,
    holds_of,
    in_words,
    odd_numbers,
    outcome_of,
    states_of,
    without_time,
)
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.sync.two_way_sweep import LEASE_SECONDS, PairPass

log = structlog.get_logger(__name__)
T = TypeVar("T")

PAIR = "akten"
CONCURRENCY = 4
SYSTEMS = frozenset({"espocrm", "advoware"})


@dataclass(frozen=True, slots=True)
class AktenSides:
    """Both systems and the state, for the whole pass and for that of a single Akte."""

    database: Database
    advoware: Advoware
    records: MatterRecords

    async def list_akten(self) -> list[AkteRef]:
        """All of Advoware's Akten; Unexpected if one comes twice."""
        rows = await self.advoware.list_akten()
        if len({row.id for row in rows}) != len(rows):
            raise Unexpected("advoware lists an Akte twice (list_akten).", system="advoware")
        return [_ref(row) for row in rows]

    async def akte(self, akte_id: int) -> AkteRef | None:
        """One Akte, None if Advoware does not have it (any more)."""
        try:
            return _ref(await self.advoware.akte(akte_id))
        except NotFound:
            return None

    async def collections_of(self, links: Iterable[AkteLink]) -> dict[str, str | None]:
        """Matter -> id of its collection: what the matter says, else what was agreed with xAI."""
        matters = {str(link.matter.key): link.matter.collection_id for link in links}
        unknown = [key for key, collection_id in matters.items() if collection_id is None]
        states = await self.read(lambda c: collection_states.get_many(c, unknown))
        agreed = {key: state.collection_id for key, state in states.items() if state.deleted_at is None}
        return {**matters, **agreed}

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Reads the state, beside any writer."""
        return await asyncio.to_thread(self.database.read, work)

    async def store(self, states: Sequence[AkteState], holds: HoldChanges) -> None:
        """Commits states and holds together."""

        def commit(connection: Connection) -> None:
            now = self.database.now(connection)
            akte_states.put_many(connection, now, states)
            two_way_holds.replace_holds(connection, now, PAIR, holds)

        await self.database.run(commit)


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
        database = self.sides.database
        token = await database.run(lambda c: run_leases.take(c, database.now(c), PAIR, LEASE_SECONDS))
        if token is None:
            return PairPass(PAIR, is_skipped=True)
        try:
            return await self._run()
        finally:
            await database.run(lambda c: run_leases.release(c, PAIR, token))

    async def _run(self) -> PairPass:
        started = self.clock()
        with counting() as calls:
            former = await self.sides.read(akte_states.load)
            types = await self.sides.records.types()
            matters = await self.sides.records.list_matters(types)
            _refuse_lost_matters(types, matters, former)
            akten = await self.sides.list_akten()
            _refuse_lost_akten(akten, matters, former)
            found = match_akten(akten, matters)
            written = await self._write(found.links)
        states = states_of(found, akten, await self.sides.collections_of(found.links))
        states |= _gone(former, states)
        for akte_id in written.failed:
            # Not agreed: the former state stands until EspoCRM has the id.
            del states[akte_id]
        changed = {key: state for key, state in states.items() if without_time(former.get(key)) != state}
        await self.sides.store(list(changed.values()), HoldChanges(holds_of(found.contested)))
        retried = [] if written.stopped_by else sorted(written.failed)
        await self._hand_over(retried)
        seconds = self.clock() - started
        counts = {**_counts(found, states, written, len(changed), len(matters)), "calls": calls[0]}
        for doubt in found.contested:
            log.warning("akten_held", says=in_words(doubt))
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

    async def _hand_over(self, keys: Sequence[str]) -> None:
        """What failed is tried again by the queue, with its delays, and parked in the end."""
        database = self.sides.database
        if keys:
            await database.run(
                lambda c: work_queue.want(c, database.now(c), PAIR, keys, priority=SWEEP_PRIORITY)
            )


@dataclass(frozen=True, slots=True)
class AktenStream:
    """Stream `akten`: keys are ids of Akten."""

    sides: AktenSides
    name: str = PAIR
    systems: frozenset[str] = SYSTEMS

    def entity_lock(self, key: str) -> str:
        """`akten_sync:Akte:{id}`."""
        return f"akten_sync:Akte:{key}"

    async def sync(self, key: str) -> Outcome:
        """Reads the Akte and the matters that claim it, and puts right what differs."""
        akte_id = _akte_id(key)
        looked = await self._look(akte_id)
        link = next((one for one in looked.found.links if one.akte.id == akte_id), None)
        is_to_write = link is not None and link.is_to_write
        if link is not None and is_to_write:
            await self.sides.records.write_akte_id(link.matter, akte_id)
        states = states_of(
            looked.found, looked.akten, await self.sides.collections_of([link] if link else [])
        )
        former = looked.former
        state = states.get(key)
        if state is None:
            if former is None:
                raise Permanent(
                    f"Advoware has no Akte {key} and never showed it.", system="advoware", reason="no_akte"
                )
            state = replace(former, status=AkteStatus.GONE)
        subjects = {f"right:{key}", *(f"left:{matter.key}" for matter in looked.matters)}
        changed = [state] if without_time(former) != without_time(state) else []
        await self.sides.store(changed, HoldChanges(holds_of(looked.doubts), covers=frozenset(subjects)))
        return outcome_of(
            state,
            former,
            doubts(looked.doubts).get(key),
            is_written=is_to_write,
            is_odd=key in odd_numbers(looked.found),
        )

    async def describe(self, key: str) -> list[str]:
        """What a pass would do, as lines for a person; writes nothing."""
        akte_id = _akte_id(key)
        looked = await self._look(akte_id)
        lines = [in_words(doubt) for doubt in looked.doubts]
        lines += [
            f"write the Akte's id to {link.matter.key}"
            for link in looked.found.links
            if link.akte.id == akte_id and link.is_to_write
        ]
        return lines or ["nothing to write"]

    async def _look(self, akte_id: int) -> _Looked:
        sides = self.sides
        former = await sides.read(lambda c: akte_states.get(c, str(akte_id)))
        akte = await sides.akte(akte_id)
        number = akte.aktennummer if akte else None
        types = await sides.records.types()
        matters = await sides.records.matters_of(types, akte_id, number)
        akten = [akte] if akte else []
        akten += await self._others(akte_id, number, matters)
        found = match_akten(akten, matters)
        if any(link.is_to_write for link in found.links):
            # Only the whole list shows that no other Akte carries the number; read before a write alone.
            akten = await sides.list_akten()
            found = match_akten(akten, matters)
        about = [
            doubt
            for doubt in found.contested
            if doubt.matters or akte_id in doubt.akten or akte_id in doubt.gone
        ]
        return _Looked(former, akten, matters, found, about)

    async def _others(self, akte_id: int, number: int | None, matters: Iterable[Matter]) -> list[AkteRef]:
        """The other Akten that the matters name, or that carried the number when they were last seen."""
        ids = {matter.akte_id for matter in matters if matter.akte_id is not None}
        if number is not None:
            same = await self.sides.read(lambda c: akte_states.of_number(c, number))
            ids |= {int(state.akte_id) for state in same}
        others = [await self.sides.akte(one) for one in sorted(ids - {akte_id})]
        return [one for one in others if one is not None]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found out about one Akte."""

    former: AkteState | None
    akten: Sequence[AkteRef]
    matters: Sequence[Matter]
    found: AktenMatch
    doubts: Sequence[Contested]


def _ref(row: Akte) -> AkteRef:
    # 0 is Advoware's number of what has none.
    return AkteRef(row.id, row.aktennummer or None, row.az)


def _akte_id(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= 18 and not key.startswith("0")):
        raise Permanent("An Akte's key is its id at Advoware, a whole number.", reason="bad_key")
    return int(key)


def _refuse_lost_akten(
    akten: Sequence[AkteRef], matters: Iterable[Matter], former: Mapping[str, AkteState]
) -> None:
    known = sum(1 for state in former.values() if state.status is not AkteStatus.GONE)
    named = sum(1 for matter in matters if matter.akte_id is not None)
    if not akten and (known or named):
        raise Unexpected(
            f"advoware lists no Akte although {max(known, named)} are known here: look at our user's rights there "
            "before anything is taken for gone.",
            system="advoware",
        )


def _refuse_lost_matters(
    types: Iterable[MatterFields], matters: Iterable[Matter], former: Mapping[str, AkteState]
) -> None:
    """A type that was there and is not shown any more is a right taken away, not a firm without matters."""
    linked = {state.owner_key.partition(":")[0] for state in former.values() if state.owner_key is not None}
    listed = {matter.key.entity_type for matter in matters}
    lost = sorted(linked & {one.entity_type for one in types} - listed)
    if lost:
        raise Unexpected(
            f"EspoCRM lists no {', '.join(lost)} although some are linked with Akten: look at the API user's rights "
            "before anything is taken for deleted.",
            system="espocrm",
        )


def _gone(former: Mapping[str, AkteState], present: Mapping[str, AkteState]) -> dict[str, AkteState]:
    return {
        key: replace(state, status=AkteStatus.GONE, updated_at=0.0)
        for key, state in former.items()
        if key not in present
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
