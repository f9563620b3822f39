"""From a match of Akten and matters to what is remembered, held and told about each Akte: ids and numbers alone. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from bitbylaw_pipeline.domain.akte_match import (
    AktenMatch,
    AkteRef,
    AkteState,
    AkteStatus,
    Contested,
    aktenzeichen_differ,
)
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold

ASSET = "advoware/akten"


def states_of(
    found: AktenMatch, akten: Iterable[AkteRef], collections: Mapping[str, str | None]
) -> dict[str, AkteState]:
    """The new state of each Akte, by its id; `collections`: matter -> id of its collection."""
    numbers = {akte.id: akte.aktennummer for akte in akten}
    states = [
        AkteState(
            str(link.akte.id),
            AkteStatus.LINKED,
            link.akte.aktennummer,
            str(link.matter.key),
            collections.get(str(link.matter.key)),
        )
        for link in found.links
    ]
    states += [AkteState(str(one), AkteStatus.UNMATCHED, numbers.get(one)) for one in found.unmatched]
    states += [
        AkteState(str(one), AkteStatus.HELD, numbers.get(one))
        for contested in found.contested
        for one in contested.akten
    ]
    return {state.akte_id: state for state in states}


def holds_of(contested: Iterable[Contested]) -> list[Hold]:
    """One hold for each record that is in doubt, so that all of them are named; a digest stands for the group."""
    holds: list[Hold] = []
    for group in contested:
        ids = (*group.matters, *(str(one) for one in (*group.akten, *group.gone)))
        digest = hashlib.sha256("|".join(ids).encode()).hexdigest()[:16]
        sides = [(Side.LEFT, one) for one in group.matters]
        sides += [(Side.RIGHT, str(one)) for one in group.akten]
        holds += [
            Hold(f"{side.value}:{one}", group.why.value, side=side, record_id=one, digest=digest)
            for side, one in sides
        ]
    return holds


def doubts(contested: Iterable[Contested]) -> dict[str, Contested]:
    """Akte -> the group in doubt that it is part of; the ids of Akten that are gone are among them."""
    return {str(one): group for group in contested for one in (*group.akten, *group.gone)}


def odd_numbers(found: AktenMatch) -> frozenset[str]:
    """The linked Akten whose Aktenzeichen is not their matter's: somebody may have mistyped the number."""
    return frozenset(
        str(link.akte.id)
        for link in found.links
        if aktenzeichen_differ(link.akte.aktenzeichen, link.matter.aktenzeichen)
    )


def outcome_of(
    state: AkteState, former: AkteState | None, doubt: Contested | None, *, is_written: bool, is_odd: bool
) -> Outcome:
    """What a pass over the Akte came to. It is an asset once it belongs to a matter, and when it no longer does."""
    is_changed = is_written or former != state
    was_linked = former is not None and former.owner_key is not None
    named = {
        "matter": state.owner_key,
        "collection_id": state.collection_id,
        "aktennummer": state.aktennummer,
    }
    facts: dict[str, Fact] = {"status": state.status.value}
    facts |= {name: value for name, value in named.items() if value is not None}
    if is_odd:
        facts["aktenzeichen_differs"] = True
    if doubt is not None:
        facts["held"] = doubt.why.value
    return Outcome(
        key=state.akte_id,
        result=_result(state, is_changed=is_changed),
        facts=facts,
        assets=(ASSET,) if is_changed and (state.owner_key is not None or was_linked) else (),
        warning=None if doubt is None else in_words(doubt),
    )


def in_words(doubt: Contested) -> str:
    """The doubt as one sentence, with the ids of all that are part of it."""
    akten = ", ".join(str(one) for one in (*doubt.akten, *doubt.gone))
    matters = ", ".join(doubt.matters) or "none"
    return (
        f"Waits for a person: {doubt.why.value} (Akten {akten or 'none'}; matters {matters}). "
        "It ends by itself once each number stands on one record of each side."
    )


def _result(state: AkteState, *, is_changed: bool) -> Result:
    match state.status:
        case AkteStatus.HELD:
            return Result.WAITING
        case AkteStatus.GONE:
            return Result.DELETED
    return Result.SYNCED if is_changed else Result.UNCHANGED
