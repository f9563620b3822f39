"""The events in Google that stand for a matter's Termine.

Our state does not say which matter a Termin belongs to: Advoware does, as long as it has the Termin. So a person is told
the numbers, deletes the Termine there, and names them here.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, or_, select

from bitbylaw_pipeline.clients.google_events import NotAnEvent, parse_event
from bitbylaw_pipeline.domain.erasure import Kind
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import two_way_mirror
from bitbylaw_pipeline.inbox.schema import akte_state, sync_link
from bitbylaw_pipeline.inbox.traces import Traces
from bitbylaw_pipeline.inbox.two_way_mirror import MirrorPlace
from bitbylaw_pipeline.sync.erasure_plan import CalendarEvent, ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.erasure_writes import insist
from bitbylaw_pipeline.sync.termine_google import FR_NR
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs

STILL_THERE = (
    "Advoware still has {count} Termine of it ({numbers}): their events stay in Google. Delete them in Advoware, then erase"
    " again with {options}."
)

NO_AKTE = (
    "No Akte of it is known here, so in Google only the events of Termine that --termin names are looked for: see in"
    " Advoware which it had."
)


async def plan_termine(tools: ErasureTools, akten: Iterable[str], numbers: Iterable[int]) -> ErasurePlan:
    """What there is of the Termine of these Akten, and of those that a person has named. Raises `domain.errors`."""
    plan = ErasurePlan(Kind.MATTER, "")
    pairs = tools.termine
    if pairs is None:
        return plan
    aktennummern = await tools.read(lambda conn: _aktennummern(conn, akten))
    if not aktennummern:
        plan |= ErasurePlan(Kind.MATTER, "", unsearched=(NO_AKTE,))
    there = await _still_in_advoware(pairs, aktennummern) if aktennummern else set()
    for number in sorted(set(numbers)):
        if number in there or await pairs.termine.get(number) is not None:
            there.add(number)
            continue
        for kuerzel in sorted(pairs.calendars):
            plan |= await _plan_one(tools, pairs, kuerzel, number)
    if there:
        sentence = STILL_THERE.format(
            count=len(there),
            numbers=", ".join(map(str, sorted(there))),
            options=" ".join(f"--termin {number}" for number in sorted(there)),
        )
        plan |= ErasurePlan(Kind.MATTER, "", remaining=(sentence,))
    return plan


async def delete_event(pairs: TerminePairs, event: CalendarEvent) -> None:
    """Deletes it, and nobody gets a mail. Raises Conflict where it keeps changing."""
    of = pairs.calendars[event.kuerzel]
    calendar = pairs.google.calendar(of.user, of.calendar_id)

    async def write() -> None:
        current = await calendar.get(event.event_id)
        if not current.is_cancelled:
            await calendar.delete(event.event_id, etag=current.etag)

    await insist(write)


async def is_there(pairs: TerminePairs, event: CalendarEvent) -> bool:
    """Whether the calendar still shows the event."""
    of = pairs.calendars[event.kuerzel]
    try:
        found = await pairs.google.calendar(of.user, of.calendar_id).get(event.event_id)
    except NotFound:
        return False
    return not found.is_cancelled


async def _still_in_advoware(pairs: TerminePairs, aktennummern: frozenset[int]) -> set[int]:
    window = pairs.rules.window(pairs.clock())
    found: set[int] = set()
    for kuerzel in sorted(pairs.calendars):
        listed = await pairs.termine.list_for(kuerzel, window.first, window.last)
        found |= {one.fr_nr for one in listed if one.akte_nr in aktennummern and not one.is_synthetic}
    return found


async def _plan_one(tools: ErasureTools, pairs: TerminePairs, kuerzel: str, number: int) -> ErasurePlan:
    pair = pairs.pair(kuerzel)
    links, event_ids = await tools.read(lambda conn: _known(conn, tools, pair, str(number)))
    if not links and not event_ids:
        return ErasurePlan(Kind.MATTER, "")
    events = {CalendarEvent(kuerzel, event_id) for event_id in event_ids}
    return ErasurePlan(
        Kind.MATTER,
        "",
        events=frozenset([event for event in sorted(events) if await is_there(pairs, event)]),
        traces=Traces(
            links=frozenset((pair, link) for link in links),
            sides=frozenset(
                {(pair, "left", str(number)), *((pair, "right", event_id) for event_id in event_ids)}
            ),
            mentions=frozenset(event_ids),
        ),
        leases=frozenset({pair}),
    )


def _known(conn: Connection, tools: ErasureTools, pair: str, number: str) -> tuple[set[str], set[str]]:
    """The links of the Termin, and the events that stand for it: by a link, or because they bear its number."""
    rows = conn.execute(
        select(sync_link.c.link_id, sync_link.c.right_id).where(
            sync_link.c.pair == pair,
            or_(sync_link.c.left_id == number, sync_link.c.link_id == f"left:{number}"),
        )
    ).all()
    events = {row.right_id for row in rows if row.right_id is not None}
    mirrored = two_way_mirror.records(conn, tools.database.cipher, MirrorPlace(pair, Side.RIGHT, ""))
    for event_id, document in mirrored.items():
        try:
            event = parse_event(document)
        except NotAnEvent:
            continue
        if event.private.get(FR_NR) == number:
            events.add(event_id)
    return {row.link_id for row in rows}, events


def _aktennummern(conn: Connection, akten: Iterable[str]) -> frozenset[int]:
    rows = conn.execute(
        select(akte_state.c.aktennummer).where(akte_state.c.akte_id.in_(sorted(akten)))
    ).scalars()
    return frozenset(number for number in rows if number is not None)
