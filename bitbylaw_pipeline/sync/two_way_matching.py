"""A run's records that have no link: what is linked, what is new, and what is held about them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Hold, Link, Record
from bitbylaw_pipeline.domain.two_way_match import (
    Free,
    Matched,
    Named,
    answered_links,
    decide_records,
    focused,
    link_id_of,
    match_records,
    missing_partners,
    settle_partners,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, LinkChanged
from bitbylaw_pipeline.sync.two_way_run import STOPPING, Run, chunks

Each = Callable[[Run, Sequence[Callable[[], Awaitable[None]]]], Awaitable[None]]
"""Takes these steps, so many at once as the run may."""
MOST_DIGITS = 18
"""Of a number that 64 bits hold in any case."""


async def match(run: Run, focus: tuple[Side, str] | None, each: Each) -> Matched:
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
    reachable = await _look_beyond(run, matched, free, linked, focus, each)
    decide_records(matched, reachable, run.snapshot.decisions)
    _show(run, matched, reachable)
    return matched if focus is None else focused(matched, focus)


async def _look_beyond(
    run: Run,
    matched: Matched,
    free: Free,
    linked: Mapping[Side, frozenset[str]],
    focus: tuple[Side, str] | None,
    each: Each,
) -> Free:
    """Settles what names a partner that was not seen; the free records, with those that were read by themselves.

    Without links (the state database was lost) an appointment whose Termin lies outside Advoware's window was held for
    ever, and the answer that made its counterpart made the Termin twice. What is found there is linked, and never asked
    for again; each one that is gone costs one read in each pass, for as long as a person lets it stand.
    """
    withheld = {
        side: seen.withheld.keys() | {one for one, record in seen.items.items() if not record.is_in_scope}
        for side, seen in run.observed.items()
    }
    asked: dict[Named, list[tuple[Side, str]]] = defaultdict(list)
    for wanted in (missing_partners(matched, free), answered_links(matched, free, run.snapshot.decisions)):
        for asker, (side, name) in wanted.items():
            is_known = name in linked[side] or name in withheld[side]
            if run.observed[side].reads_beyond and not is_known and focus in (None, asker):
                asked[side, name].append(asker)
    read: dict[Named, Record | None] = {}
    await each(run, [partial(_read, run, named, askers, read) for named, askers in asked.items()])
    unknown = {asker for named, askers in asked.items() if named not in read for asker in askers}
    # About these nothing could be found out: they stay as they are.
    run.spared |= {link_id_of(side, record_id) for side, record_id in unknown}
    matched.held = [one for one in matched.held if one[:2] not in unknown]
    settle_partners(matched, free, read, withheld)
    reachable = {side: dict(free[side]) for side in Side}
    for (side, name), record in read.items():
        if record is not None and record.is_in_scope:
            reachable[side][name] = record
    return reachable


async def _read(
    run: Run, named: Named, askers: Sequence[tuple[Side, str]], read: dict[Named, Record | None]
) -> None:
    side, name = named
    record = None
    # Names are what somebody has written: one that cannot be an id there names nothing.
    if not (name.isdecimal() and len(name) > MOST_DIGITS):
        try:
            record = await run.bench.adapters[side].get(name)
        except ValueError:
            # What a system answers never ends in this (`domain.errors`): the name is none of its numbers.
            record = None
        except SyncError as error:
            for asker in askers:
                run.report.errors[link_id_of(*asker)] = error
            if isinstance(error, STOPPING):
                run.report.stopped_by = error
            return
    # Read as a number, "4_0" is 40: that is another one's.
    read[named] = record if record is not None and record.id == name else None


def _show(run: Run, matched: Matched, reachable: Free) -> None:
    """What was read by itself and has a link now counts as seen: it need not be read again."""
    for side in Side:
        seen = run.observed[side]
        paired = {one.left_id if side is Side.LEFT else one.right_id for one in matched.pairs}
        found = {one: reachable[side][one] for one in paired - seen.items.keys()}
        if found:
            run.observed = {**run.observed, side: replace(seen, items={**seen.items, **found})}


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
            policy = run.bench.policy
            if why in policy.told or why in policy.noticed:
                is_notice = why in policy.noticed
                run.holds.append(Hold(subject, why, side=side, record_id=record_id, is_notice=is_notice))
