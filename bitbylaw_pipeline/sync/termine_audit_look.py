"""A look at both sides of one employee's appointments that trusts neither the mirror nor the links.

The calendar is listed as a whole, Advoware's window anew, and what a link or a mark names without a list showing it is
read by itself. Nothing is written, not even to our own state.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware_termin_rows import Termin
from bitbylaw_pipeline.clients.google_events import GoogleEvent
from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState, Observation, Policy, Record, Settled
from bitbylaw_pipeline.domain.two_way_match import link_id_of
from bitbylaw_pipeline.domain.two_way_plan import GONE, UNKNOWN, Presence
from bitbylaw_pipeline.inbox import calendar_audits, two_way_desk, two_way_links
from bitbylaw_pipeline.sync.termine_advoware import AdvowareTermineSide, Window
from bitbylaw_pipeline.sync.termine_google import OWN_ID, GoogleTermineSide
from bitbylaw_pipeline.sync.termine_mirror import CalendarMirror, Seen
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.termine_policy import termine_policy

_FR_NR = re.compile(r"(?=0*[1-9])[0-9]{1,18}")
LOOKS = 3
"""How often both sides are looked at where a pass changes the links meanwhile."""
State = tuple[Sequence[Link], frozenset[str]]
"""The pair's links, and the subjects that wait for a person's answer."""


class WholeCalendar(CalendarMirror):
    """A calendar's mirror that remembers nothing: each look is a list of everything."""

    seen: Seen = Seen({}, frozenset())
    """What the last look showed."""

    async def read_on(self) -> Seen:
        """Everything that is there. Raises what the list raises, and Unexpected for one that does not end."""
        events, unreadable, _ = await self._list(None)
        alive = {event.id: event for event in events if not event.is_cancelled}
        self.seen = Seen(alive, unreadable)
        return self.seen

    def note_missing(self, event_id: str) -> None:
        """Nothing: there is no mirror to mend."""


class WatchedTermine(AdvowareTermineSide):
    """Advoware's side, which also says to which Akten the Termine that it showed belong."""

    def __init__(self, pairs: TerminePairs, kuerzel: str, window: Window) -> None:
        super().__init__(pairs.termine, kuerzel, window, pairs.rules.fristen, _never)
        self.akten: dict[str, int | None] = {}
        """The number of the Akte by frNr; None without one."""

    def _record(self, one: Termin) -> Record:
        self.akten[str(one.fr_nr)] = one.akte_nr
        return super()._record(one)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of one employee's pair, for looking; Advoware's cannot write."""

    left: WatchedTermine
    right: GoogleTermineSide
    calendar: WholeCalendar
    window: Window
    policy: Policy


def open_sides(pairs: TerminePairs, kuerzel: str) -> Sides:
    """Raises Permanent("unknown_kuerzel") for a Kürzel without a calendar."""
    pairs.check(kuerzel)
    of, pair, rules = pairs.calendars[kuerzel], pairs.pair(kuerzel), pairs.rules
    calendar = pairs.google.calendar(of.user, of.calendar_id)
    whole = WholeCalendar(calendar, of.calendar_id, pairs.database, pair)
    window = rules.window(pairs.clock())
    return Sides(
        WatchedTermine(pairs, kuerzel, window),
        GoogleTermineSide(calendar, whole, pair, masks=rules.masks),
        whole,
        window,
        termine_policy(masks=rules.masks),
    )


@contextlib.asynccontextmanager
async def _never(fr_nr: int) -> AsyncIterator[bool]:
    # The lock without which Advoware's side writes nothing.
    del fr_nr
    yield False


@dataclass(slots=True)
class Look:
    """What was seen. `links` are all of the pair's, `held` the subjects that wait for a person's answer.

    `written_at`: when the writes were begun whose nonces stand in events without a link (UTC epoch seconds).
    """

    kuerzel: str
    sides: Sides
    links: Sequence[Link]
    held: frozenset[str]
    observed: Mapping[Side, Observation]
    events: Mapping[str, GoogleEvent]
    written_at: Mapping[str, float] = field(default_factory=dict)
    read: dict[tuple[Side, str], Record | None] = field(default_factory=dict)
    """What was read by itself; None for what is gone."""

    def presence(self, side: Side, record_id: str | None) -> Presence:
        """The record if it is there and ours to keep in step, GONE if that is certain, else UNKNOWN."""
        seen = self.observed[side]
        if record_id is None or record_id in seen.withheld:
            return UNKNOWN
        key = (side, record_id)
        if record_id in seen.items:
            found: Record | None = seen.items[record_id]
        elif key in self.read:
            found = self.read[key]
        else:
            return UNKNOWN
        if found is None:
            return GONE
        return found if found.is_in_scope and not found.readonly_fields else UNKNOWN

    def records(self, side: Side) -> dict[str, Record]:
        """What the side's list showed, without what is none of our business or not ours to write."""
        return {
            record_id: record
            for record_id, record in self.observed[side].items.items()
            if isinstance(self.presence(side, record_id), Record)
        }

    def is_ours(self, event_id: str) -> bool:
        """Whether the event carries our mark as its own."""
        event = self.events.get(event_id)
        return event is not None and event.private.get(OWN_ID) == event_id

    def is_copy(self, event_id: str) -> bool:
        """Whether the event carries the mark of another one: a person has made a copy."""
        event = self.events.get(event_id)
        return event is not None and event.private.get(OWN_ID) not in (None, event_id)

    def is_held(self, link: Link | None, side: Side, record_id: str) -> bool:
        """Whether the link, or the record without one, waits for a person already."""
        return (link.link_id if link else link_id_of(side, record_id)) in self.held

    def begins_in_window(self, record: Record) -> bool:
        """Whether the appointment begins in the days that are kept in step."""
        return self.sides.window.holds(record.fields)


async def take_look(pairs: TerminePairs, kuerzel: str) -> Look:
    """Both sides as they are now, and the links. Raises `domain.errors`; ScopeRefused for this employee alone.

    A pass that is at work meanwhile would look like orphans: what was seen while links changed does not count.
    """
    for _ in range(LOOKS):
        before = await _state(pairs, kuerzel)
        look = await _look(pairs, kuerzel, before)
        if _revisions(await _state(pairs, kuerzel)) == _revisions(before):
            return look
    raise Transient(
        f"A pass is at work on the appointments of {kuerzel}: audit them again in a minute.",
        system="pipeline",
    )


async def _look(pairs: TerminePairs, kuerzel: str, state: State) -> Look:
    links, held = state
    sides = open_sides(pairs, kuerzel)
    known = {link.right_id: Settled(None, {}) for link in links if link.right_id is not None}
    observed = {Side.LEFT: await sides.left.observe({}), Side.RIGHT: await sides.right.observe(known)}
    look = Look(kuerzel, sides, links, held, observed, sides.calendar.seen.events)
    await _read_what_no_list_showed(look)
    nonces = {record.nonce for record in look.records(Side.RIGHT).values() if record.nonce}
    pair = pairs.pair(kuerzel)
    look.written_at = await asyncio.to_thread(
        pairs.database.read, lambda c: calendar_audits.written_at(c, pair, nonces)
    )
    return look


async def _state(pairs: TerminePairs, kuerzel: str) -> State:
    pair, cipher = pairs.pair(kuerzel), pairs.database.cipher

    def read(connection: Connection) -> State:
        holds = two_way_desk.list_holds(connection, pair)
        return (
            two_way_links.load(connection, cipher, pair),
            frozenset(hold.subject for hold in holds if not hold.is_notice),
        )

    return await asyncio.to_thread(pairs.database.read, read)


def _revisions(state: State) -> dict[str, int]:
    return {link.link_id: link.row_rev for link in state[0]}


async def _read_what_no_list_showed(look: Look) -> None:
    """A list that lies about one record must not become a finding: each that is missing is read by itself."""
    linked = set()
    for link in look.links:
        linked |= {link.left_id, link.right_id}
        if link.state is not LinkState.ACTIVE:
            continue
        await _read(look, Side.RIGHT, link.right_id)
        right = look.presence(Side.RIGHT, link.right_id)
        # Years of past Termine are out of every list: read are those that the window should have shown.
        if (
            right is GONE
            or look.sides.window.holds(link.base_left)
            or (isinstance(right, Record) and look.begins_in_window(right))
        ):
            await _read(look, Side.LEFT, link.left_id)
    for record in look.records(Side.RIGHT).values():
        if record.id not in linked and record.partner is not None:
            await _read(look, Side.LEFT, record.partner)


async def _read(look: Look, side: Side, record_id: str | None) -> None:
    seen = look.observed[side]
    if record_id is None or record_id in seen.items or record_id in seen.withheld:
        return
    if side is Side.LEFT and not _FR_NR.fullmatch(record_id):
        # A mark is a claim: anybody who can write the calendar can write it, with up to 1,024 digits.
        look.read[side, record_id] = None
        return
    adapter = look.sides.left if side is Side.LEFT else look.sides.right
    if (side, record_id) not in look.read:
        look.read[side, record_id] = await adapter.get(record_id)
