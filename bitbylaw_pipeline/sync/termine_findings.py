"""What an audit of one employee's appointments can find, and what is done about it; ids, kinds and field names only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from bitbylaw_pipeline.domain.two_way_link import Link, Record


class Kind(StrEnum):
    """The kinds of findings."""

    TWO_EVENTS = "two_events_of_one_termin"
    COPY = "copy_of_an_event"
    TWIN_EVENTS = "twin_events"
    TWIN_TERMINE = "twin_termine"
    LINKED_TWICE = "linked_twice"
    EVENT_WITHOUT_LINK = "event_without_link"
    EVENT_WITHOUT_TERMIN = "event_without_termin"
    TERMIN_WITHOUT_LINK = "termin_without_link"
    LINK_WITHOUT_TERMIN = "link_without_termin"
    LINK_WITHOUT_EVENT = "link_without_event"
    LINK_OF_NOTHING = "link_of_nothing"
    TOMBSTONE_ALIVE = "tombstone_alive"
    DIFFERING = "differing"


class Repair(StrEnum):
    """What can be done about a finding. Of Advoware nothing is ever deleted or changed by a repair itself."""

    PASS = "pass"  # noqa: S105  # a pass over the calendar, no password
    """An ordinary pass, after a whole new list of the calendar."""
    DELETE_EVENT = "delete_event"
    """The event goes, in Google alone."""
    FORGET_AGREED = "forget_agreed"
    """What was agreed of the differing fields is forgotten, and a pass decides as between two that never agreed."""
    DROP_LINK = "drop_link"
    """A link that the event's own mark speaks against is forgotten; a pass finds a counterpart anew."""
    PERSON = "person"
    """Only a person can tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; `why` says what is done, or has to be, in words without any value.

    `event` and `termin` are what the plan was made of, to be found unchanged right before a write; `link` and `keeper`
    (the linked event that stays) likewise. `forget` are the fields whose agreement hides a difference.
    """

    kind: Kind
    repair: Repair
    why: str
    fr_nrs: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    link: Link | None = field(default=None, repr=False)
    event: Record | None = field(default=None, repr=False)
    termin: Record | None = field(default=None, repr=False)
    keeper: Record | None = field(default=None, repr=False)
    forget: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Which records it is about."""
        parts = [f"frNr {number}" for number in self.fr_nrs] + [f"event {event}" for event in self.events]
        if self.fields:
            parts.append("+".join(self.fields))
        return ", ".join(parts)

    @property
    def line(self) -> str:
        """The finding and its planned repair, for a person."""
        return f"{self.kind}: {self.subject} -> {self.why}"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What one audit of one employee's calendar came to; `events` is how many the calendar holds."""

    kuerzel: str
    events: int
    termine: int
    links: int
    findings: tuple[Finding, ...]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind found."""
        return dict(sorted(Counter(one.kind.value for one in self.findings).items()))

    def of(self, *repairs: Repair) -> list[Finding]:
        """The findings with one of these repairs, in their order."""
        return [one for one in self.findings if one.repair in repairs]
