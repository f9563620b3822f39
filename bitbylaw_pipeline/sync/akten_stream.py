"""One Akte, after something may have changed about it: the stream's pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bitbylaw_pipeline.domain.akte_match import (
    AktenMatch,
    AkteRef,
    AkteState,
    AkteStatus,
    Contested,
    Matter,
    match_akten,
)
from bitbylaw_pipeline.domain.errors import Permanent, Unexpected
from bitbylaw_pipeline.domain.outcome import Outcome
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
from bitbylaw_pipeline.sync.akten_sides import PAIR, AktenSides

SYSTEMS = frozenset({"espocrm", "advoware"})


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found out about one Akte."""

    former: AkteState | None
    akten: Sequence[AkteRef]
    matters: Sequence[Matter]
    found: AktenMatch
    doubts: Sequence[Contested]


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
            if former is None and not looked.doubts:
                raise Permanent(
                    f"Advoware has no Akte {key} and never showed it.", system="advoware", reason="no_akte"
                )
            # One that only a matter's typing error names is told of to a person, and remembered by nobody.
            state = replace(former or AkteState(key, AkteStatus.GONE), status=AkteStatus.GONE)
        subjects = {f"right:{key}", *(f"left:{matter.key}" for matter in looked.matters)}
        is_known = former is not None or state.status is not AkteStatus.GONE
        changed = [state] if is_known and former != state else []
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
            if akte_id not in {one.id for one in akten}:
                raise Unexpected(
                    f"advoware shows Akte {akte_id} and does not list it (list_akten).", system="advoware"
                )
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


def _akte_id(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= 18 and not key.startswith("0")):
        raise Permanent("An Akte's key is its id at Advoware, a whole number.", reason="bad_key")
    return int(key)
