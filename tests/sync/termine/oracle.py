"""What both calendars have to show at rest, read out of the stand-ins alone: nothing of the engine's decides here.

What waits for a person is the one excuse, and it is asked for by Termin or event.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from tests.sync.termine.office import EMPLOYEES, Row
from tests.sync.termine.world import FRIST, World

_BERLIN = ZoneInfo("Europe/Berlin")
_FIELDS = ("text", "notiz", "ort", "start", "end", "ganztags", "serie", "art")
_FROM_GOOGLE = "Termin (aus Google Kalender)"
Span = tuple[bool, str, str]


async def mismatches(world: World) -> list[str]:
    """What is not as it should be, in words; empty if all is well."""
    found = list(world.broken)
    for kuerzel in EMPLOYEES:
        found += await _Check.of(world, kuerzel)
    return found


@dataclass(slots=True)
class _Check:
    world: World
    kuerzel: str
    excuses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    found: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, world: World, kuerzel: str) -> list[str]:
        """One employee's calendar against Advoware."""
        check = cls(world, kuerzel)
        await check._read_excuses()
        check._compare()
        return [f"{kuerzel}: {line}" for line in check.found]

    async def _read_excuses(self) -> None:
        links = {link.link_id: link for link in (await self.world.pairs.store(self.kuerzel).load()).links}
        for hold in await self.world.holds(self.kuerzel):
            ids = {hold.subject.partition(":")[2]}
            link = links.get(hold.subject)
            if link is not None:
                ids |= {str(link.left_id), str(link.right_id)}
            for one in ids:
                self.excuses[one] |= fields_of(hold.why)

    def _compare(self) -> None:
        events = [event for event in self.world.events(self.kuerzel) if "recurringEventId" not in event]
        termine = {row["frNr"]: row for row in self.world.termine() if self._is_owner(row)}
        ours: dict[int, list[Row]] = defaultdict(list)
        others = []
        for event in events:
            number = _number_in(event)
            # Nothing of ours is written into an event with guests: what stands there may be the number of a former Termin.
            if number is not None and (number in termine or not event.get("attendees")):
                ours[number].append(event)
            else:
                others.append(event)
        for number, row in termine.items():
            self._one(row, ours.pop(number, []), others)
        for number, left in ours.items():
            for event in left:
                if not self._is_excused(event["id"], str(number)) and is_in_scope(event):
                    self.found.append(f"an event of the Termin {number}, which is gone")
        for event in others:
            if (
                is_in_scope(event)
                and not self._is_excused(event["id"])
                and self._is_in_window(span_of_event(event))
            ):
                self.found.append(f"the event {event.get('summary')} has no Termin")

    def _one(self, row: Row, events: list[Row], others: list[Row]) -> None:
        number = str(row["frNr"])
        if len(events) > 1:
            self.found.append(f"the Termin {number} has {len(events)} events")
            return
        if row["privat"]:
            return
        if not events:
            # Nothing of ours may be written into an event with guests, our mark neither.
            same = [
                event
                for event in others
                if event.get("attendees")
                and is_in_scope(event)
                and self._is_same(self._span(row), span_of_event(event))
            ]
            if same:
                others.remove(same[0])
            elif not self._is_excused(number) and self._is_in_window(self._span(row)):
                self.found.append(f"the Termin {number} ({row['text']}) has no event")
            return
        if is_in_scope(events[0]):
            self._same(row, events[0])

    def _same(self, row: Row, event: Row) -> None:
        left, right = self._span(row), span_of_event(event)
        both = str(row["frNr"]), event["id"]
        if not self._is_same(left, right) and not self._is_excused(*both, name="start"):
            self.found.append(f"the Termin {row['frNr']} is {left}, its event {right}")
        if bool(event.get("recurrence")) != bool(row["dauertermin"]) and not self._is_excused(
            *both, name="serie"
        ):
            self.found.append(f"the Termin {row['frNr']} is a series in one calendar alone")
        for name, told, shown in self._texts(row, event):
            if told != shown and not self._is_excused(*both, name=name):
                self.found.append(f"{name} of the Termin {row['frNr']}: {told!r}, its event {shown!r}")

    def _texts(self, row: Row, event: Row) -> list[tuple[str, str | None, str | None]]:
        title, place = _trimmed(row["text"]), _trimmed(row["ort"])
        notes, shown = _lines(row["notiz"]), _lines(event.get("description"))
        # Google shows what it was given, or that as markup: `<mehr>` or `&lt;mehr&gt;`.
        if notes != shown:
            shown = lines_of(event.get("description"))
        # A person may have typed markup into a Notiz, too.
        if notes != shown:
            notes = lines_of(row["notiz"])
        if self.world.masks:
            title = "Frist" if FRIST.search(row["text"] or "") and not row["dauertermin"] else "Termin"
            place = notes = None
        summary = _trimmed(event.get("summary"))
        if title == _FROM_GOOGLE and summary is None:
            title = None
        return [
            ("text", title, summary),
            ("ort", place, _trimmed(event.get("location"))),
            ("notiz", notes, shown),
        ]

    def _is_same(self, left: Span, right: Span) -> bool:
        if self.world.google.switches.drops_seconds:
            left = left[0], _whole_minute(left[1]), _whole_minute(left[2])
        return same_span(left, right, keeps_fold=self._keeps_fold)

    def _span(self, row: Row) -> Span:
        # ActiveSync knows no begin without a time: it shows midnight.
        if self.world.surface is Surface.ACTIVE_SYNC and row["uhrzeitVon"] is None:
            row = {**row, "uhrzeitVon": "00:00:00"}
        return span_of_termin(row, keeps_fold=self._keeps_fold)

    @property
    def _keeps_fold(self) -> bool:
        return bool(self.world.pairs.termine.keeps_fold)

    def _is_owner(self, row: Row) -> bool:
        return row["frNr"] > 0 and self.kuerzel in row["anwalt"].split(",")

    def _is_excused(self, *ids: str, name: str | None = None) -> bool:
        whys = set[str]().union(*(self.excuses.get(one, set()) for one in ids))
        return "*" in whys or (name is not None and name in whys)

    def _is_in_window(self, span: Span) -> bool:
        today = datetime.fromtimestamp(self.world.clock(), UTC).astimezone(_BERLIN).date()
        begin = date.fromisoformat(span[1][:10])
        return today - timedelta(days=29) <= begin <= today + timedelta(days=364)


def fields_of(why: str) -> set[str]:
    """The fields that a hold is about; "*" for the whole record."""
    named = set(re.split(r"[:+]", why)) & set(_FIELDS)
    return named or {"*"}


def is_in_scope(event: Row) -> bool:
    """Whether an event is one that is kept in step."""
    return (
        bool(event.get("organizer", {}).get("self"))
        and event.get("visibility") not in ("private", "confidential")
        and event.get("eventType", "default") == "default"
    )


def span_of_termin(row: Row, *, keeps_fold: bool = False) -> Span:
    """All-day or not, begin and end of a Termin as it is stored; of a series the first day's."""
    last = row["datum"] if row["dauertermin"] else row["datumBis"] or row["datum"]
    if row["abwesenheit"]:
        return True, row["datum"], last
    folds = (row["vonFold"], row["bisFold"]) if keeps_fold else (0, 0)
    begin = _moment(row["datum"], row["uhrzeitVon"] or "09:00:00", folds[0])
    end = _moment(last, row["uhrzeitBis"], folds[1])
    if end <= begin:
        end = _moment(last, row["uhrzeitBis"], 1)
    if end <= begin:
        end = begin + timedelta(minutes=15)
    return False, _utc(begin), _utc(end)


def span_of_event(event: Row) -> Span:
    """All-day or not, begin and end of an event; the last day of whole ones is included."""
    if "date" in event["start"]:
        last = date.fromisoformat(event["end"]["date"]) - timedelta(days=1)
        return True, event["start"]["date"], last.isoformat()
    begin, end = (datetime.fromisoformat(event[name]["dateTime"]) for name in ("start", "end"))
    return False, _utc(begin), _utc(end)


def same_span(left: Span, right: Span, *, keeps_fold: bool) -> bool:
    """Whether they are the same, as far as Advoware can say it: of two equal wall times it keeps one."""
    if keeps_fold or left[0] or right[0]:
        return left == right
    return [_first(one) for one in left[1:]] == [_first(one) for one in right[1:]]


def lines_of(text: str | None) -> str | None:
    """The text's lines without markup and empty ones."""
    plain = re.sub(r"<(br|/?p|/?div)[^>]*>", "\n", text or "")
    plain = html.unescape(re.sub(r"<[a-zA-Z!/][^<>]*>", "", plain)).replace("\xa0", " ").replace("\r", "\n")
    return _lines(plain)


def _lines(text: str | None) -> str | None:
    plain = (text or "").replace("\r", "\n")
    return "\n".join(line.strip() for line in plain.split("\n") if line.strip()) or None


def _number_in(event: Row) -> int | None:
    private = event.get("extendedProperties", {}).get("private", {})
    if private.get("bitbylaw_event") != event["id"] or not private.get("bitbylaw_frnr"):
        return None
    return int(private["bitbylaw_frnr"])


def _moment(day: str, clock: str, fold: int) -> datetime:
    wall = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock).replace(fold=fold), _BERLIN)
    return wall.astimezone(UTC)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _whole_minute(text: str) -> str:
    return text if len(text) == 10 else f"{text[:17]}00Z"


def _first(text: str) -> str:
    local = datetime.fromisoformat(text).astimezone(_BERLIN)
    return _utc(local.replace(fold=0))


def _trimmed(text: str | None) -> str | None:
    return (text or "").strip() or None
