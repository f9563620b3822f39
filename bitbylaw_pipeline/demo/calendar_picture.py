"""Advoware's Termine and the calendars at Google side by side at one moment, and what our own state says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.inbox import calendar_passes, two_way_desk
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses
from bitbylaw_pipeline.inbox.schema import sync_conflict
from bitbylaw_pipeline.inbox.two_way_desk import HoldView, PairCounts
from bitbylaw_pipeline.sandbox.samples.calendars import (
    CALENDARS,
    Place,
    place_of_event,
    place_of_termin,
    tells_something,
)

FIRST_WRITABLE = 0
"""Below it are rows that Advoware makes up itself: a holiday, a journey."""


@dataclass(frozen=True, slots=True)
class Termin:
    """A Termin as Advoware has it."""

    fr_nr: int
    place: Place
    text: str
    is_private: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A living event of a calendar; `fr_nr` is the Termin that we noted on it. Not `is_plain` is what is nobody's
    business: a private one, a stranger's invitation.
    """

    id: str
    place: Place
    fr_nr: int | None
    summary: str
    tells_something: bool
    is_plain: bool


@dataclass(frozen=True, slots=True)
class CalendarPicture:
    """All by Kürzel; `mails` are those that Google would have sent because of us."""

    termine: Mapping[str, Mapping[int, Termin]] = field(default_factory=dict)
    events: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    passes: Mapping[str, CalendarPasses] = field(default_factory=dict)
    counts: Mapping[str, PairCounts] = field(default_factory=dict)
    holds: Sequence[HoldView] = ()
    noted: frozenset[tuple[str, str]] = frozenset()
    """Kürzel and link of each edit that is in the conflict log, decided by the rules or not."""
    mails: int = 0

    def event_of(self, kuerzel: str, fr_nr: int) -> Event | None:
        """The one event of a Termin; None where there is none, or more than one."""
        found = [one for one in self.events.get(kuerzel, ()) if one.fr_nr == fr_nr]
        return found[0] if len(found) == 1 else None

    def is_refused(self, kuerzel: str) -> bool:
        """Whether the employee's last pass failed."""
        passes = self.passes.get(kuerzel)
        return passes is not None and passes.failure is not None

    @property
    def links(self) -> int:
        """How many appointments are linked."""
        return sum(one.active for one in self.counts.values())


def read_calendars(
    conn: Connection, advoware: Mapping[str, Any], google: Mapping[str, Any]
) -> CalendarPicture:
    """From both stand-ins' states and our own database."""
    events = {one["id"]: one["events"] for one in google["calendars"]}
    return CalendarPicture(
        termine={one.kuerzel: _termine_of(one.kuerzel, advoware) for one in CALENDARS},
        events={
            one.kuerzel: [
                _event(row) for row in events.get(one.calendar_id, []) if row["status"] != "cancelled"
            ]
            for one in CALENDARS
        },
        passes=calendar_passes.load(conn, [one.kuerzel for one in CALENDARS]),
        counts={
            pair.removeprefix(PAIR_PREFIX): one
            for pair, one in two_way_desk.counts(conn).items()
            if pair.startswith(PAIR_PREFIX)
        },
        holds=tuple(
            one
            for one in two_way_desk.list_holds(conn)
            if one.pair.startswith(PAIR_PREFIX) and not one.is_notice
        ),
        noted=frozenset(
            (row.pair.removeprefix(PAIR_PREFIX), row.link_id)
            for row in conn.execute(select(sync_conflict.c.pair, sync_conflict.c.link_id))
        ),
        mails=len(google["mails"]),
    )


def _termine_of(kuerzel: str, advoware: Mapping[str, Any]) -> dict[int, Termin]:
    return {
        row["frNr"]: Termin(row["frNr"], place_of_termin(row), row["text"], bool(row["privat"]))
        for row in advoware["termine"]
        if kuerzel in [name.strip() for name in row["anwalt"].split(",")] and row["frNr"] > FIRST_WRITABLE
    }


def _event(row: Mapping[str, Any]) -> Event:
    number = row.get("extendedProperties", {}).get("private", {}).get("bitbylaw_frnr")
    return Event(
        id=row["id"],
        place=place_of_event(row),
        fr_nr=int(number) if number else None,
        summary=row.get("summary", ""),
        tells_something=tells_something(row),
        is_plain=row.get("visibility", "default") == "default" and bool(row["organizer"].get("self")),
    )
