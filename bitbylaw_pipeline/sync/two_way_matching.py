"""A run's records that have no link: what is linked, what is new, and what is held about them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold, Link
from bitbylaw_pipeline.domain.two_way_match import Matched, decide_records, focused, link_id_of, match_records
from bitbylaw_pipeline.domain.two_way_state import Changes, LinkChanged
from bitbylaw_pipeline.sync.two_way_run import Run, chunks


def match(run: Run, focus: tuple[Side, str] | None) -> Matched:
    """The records without a link, sorted; with a focus, that one alone."""
    free, linked, looks = {}, {}, {}
    for side in Side:
        freed = {link.id(side) for link in run.dissolved}
        found = {own for link in run.links if (own := link.id(side)) is not None}
        linked[side] = frozenset((run.snapshot.linked[side] - freed) | found)
        free[side] = {
            record_id: record
            for record_id, record in run.observed[side].items.items()
            if record.is_in_scope and record_id not in linked[side]
        }
        if run.bench.policy.holds_look_alikes:
            items = run.observed[side].items
            looks[side] = {one: items[one] for one in linked[side] & items.keys()}
    matched = match_records(
        free,
        run.bench.policy,
        is_linked=linked,
        has_links=bool(run.snapshot.linked[Side.LEFT] or run.snapshot.linked[Side.RIGHT]),
        is_complete={side: run.observed[side].complete for side in Side},
        linked_records=looks,
    )
    _hold_crowded(run, matched)
    decide_records(matched, free, run.snapshot.decisions)
    return matched if focus is None else focused(matched, focus)


def _hold_crowded(run: Run, matched: Matched) -> None:
    """Where a record may be made only for a parent that has none yet: the others wait for a person."""
    if not run.bench.policy.create_alone:
        return
    crowded = {
        side: {record.parent for record in run.observed[side].items.values()} - {None} for side in Side
    }
    new, matched.new = matched.new, []
    for side, record_id in new:
        if run.observed[side].items[record_id].parent in crowded[side.other]:
            matched.held.append((side, record_id, "approval:create"))
        else:
            matched.new.append((side, record_id))


async def adopt(run: Run, matched: Matched) -> list[Link]:
    """Links what belongs together; nothing is agreed yet, so the merge decides by the bootstrap policy."""
    adopted: list[Link] = []
    for chunk in chunks(
        [named(run, Link(one.link_id, one.left_id, one.right_id, gen=one.gen)) for one in matched.pairs]
    ):
        try:
            adopted += await run.bench.store.commit(Changes(links=tuple(chunk)))
        except LinkChanged:
            for link in chunk:
                with contextlib.suppress(LinkChanged):
                    adopted += await run.bench.store.commit(Changes(links=(link,)))
    for link in adopted:
        run.report.result(link).is_new = True
    return adopted


def named(run: Run, link: Link) -> Link:
    """The link under a name that is free.

    A record that had been replaced and came out of the bin is new: the link that has its name, and the create
    keys up to its generation, belong to the one that took its place.
    """
    if run.generations is None:
        run.generations = {}
        dissolved = {one.link_id for one in run.dissolved}
        for one in run.snapshot.links:
            if one.link_id not in dissolved:
                name = one.link_id.partition("#")[0]
                run.generations[name] = max(one.gen, run.generations.get(name, 0))
    if link.link_id not in run.generations:
        return link
    gen = run.generations[link.link_id] = max(run.generations[link.link_id] + 1, link.gen)
    return replace(link, link_id=f"{link.link_id}#{gen}", gen=gen)


def hold_records(run: Run, matched: Matched) -> None:
    """What the matching could not tell waits for a person."""
    run.holds += [
        Hold(link_id_of(side, record_id), why, side=side, record_id=record_id)
        for side, record_id, why in matched.held
    ]


def hold_withheld(run: Run) -> None:
    """What is withheld keeps the holds it has; a reason that only a person can end becomes one."""
    by_id = {
        (side, own): link.link_id
        for link in run.snapshot.links
        for side in Side
        if (own := link.id(side)) is not None
    }
    for side in Side:
        for record_id, why in run.observed[side].withheld.items():
            subject = by_id.get((side, record_id), link_id_of(side, record_id))
            run.spared.add(subject)
            if why in run.bench.policy.told:
                run.holds.append(Hold(subject, why, side=side, record_id=record_id))
