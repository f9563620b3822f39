"""What people do in an office with both calendars, one deed after the other; what they typed is remembered.

Every text that is typed is a word of its own, so that it can be looked for afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from tests.sync.termine.office import EMPLOYEES, Row, mail_of
from tests.sync.termine.oracle import span_of_event
from tests.sync.termine.world import World

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
WHOLE_DAY = {"abwesenheit": 1, "uhrzeitVon": "00:00:00", "uhrzeitBis": "23:59:00"}
TERMIN_TIMES = (
    "hour",
    "day",
    "days",
    "night",
    "gap",
    "fold",
    "fold_end",
    "none",
    "backwards",
    "clockless",
    "seconds",
)
EVENT_TIMES = (
    "hour",
    "day",
    "days",
    "night",
    "tokyo",
    "zoned",
    "gap",
    "fold",
    "second_fold",
    "utc",
    "seconds",
)
TERMIN_EDITS = (
    "text", "notiz", "ort", "times", "empty", "private", "public", "owners", "frist", "no_frist", "blank",
)  # fmt: skip
EVENT_EDITS = (
    "summary",
    "html",
    "lines",
    "location",
    "times",
    "empty",
    "guests",
    "no_guests",
    "private",
    "public",
)
OWNERS = ("AB", "CD", "AB,CD", "AB,CD,EF", "", "AB", "CD,AB")


class People:
    """Everybody who works in either calendar. `place` says which record is meant, among those that are there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.typed: dict[tuple[str, ...], str] = {}
        """The word typed last, by (system, ..., record, field)."""
        self.settled: set[str] = set()
        """Words that have been in both calendars."""

    # -- in Advoware

    def new_termin(self, owners: str, times: str, title: str = "text", *, private: bool = False) -> int:
        """A new Termin."""
        number = 500 + self._next()
        row = {
            "frNr": number, "anwalt": owners, "text": "", "notiz": "", "ort": "", "sb": "XY", "nr": 0,
            "optionalAttendees": "wer@fremd.example", "privat": int(private), **self._termin_times(times),
        }  # fmt: skip
        self.world.advoware.seed({"termine": [row]})
        if title != "empty":
            self._type_termin(number, "text", f"{title} Text" if title != "text" else "Text")
            self._type_termin(number, "notiz", "Notiz", "\r\nzweite Zeile\r\n\r\n- vierte")
        return number

    def new_series(self, owners: str, every: int) -> int:
        """A new series of Advoware's, in one of its four periods."""
        number = self.new_termin(owners, "hour")
        row = self.world.at_advoware(number)
        last = date.fromisoformat(row["datum"]) + timedelta(days=70)
        until = "2037-12-31" if every == 4 else last.isoformat()
        day = min(date.fromisoformat(row["datum"]).day, 28)
        begin = date.fromisoformat(row["datum"]).replace(day=day).isoformat()
        self.world.edit_termin(number, dauertermin=1, turnus=1, turnusArt=every, datum=begin, datumBis=until)
        return number

    def edit_termin(self, place: int, what: str, more: int = 0) -> None:
        """Somebody changes something of a Termin."""
        number = self._termin(place)
        if number is None:
            return
        edit = self.world.edit_termin
        match what:
            case "text":
                was = self.world.at_advoware(number)["text"] or ""
                self._type_termin(number, "text", "Frist Text" if was.startswith("Frist") else "Text")
            case "notiz":
                self._type_termin(number, "notiz", "Notiz", "\r\nund <mehr> & so")
            case "ort":
                self._type_termin(number, "ort", "Ort")
            case "times":
                if not self.world.at_advoware(number)["dauertermin"]:
                    edit(number, **self._termin_times(TERMIN_TIMES[more % len(TERMIN_TIMES)]))
            case "empty" | "blank":
                self._forget("advoware", str(number))
                edit(number, text="" if what == "empty" else "  ", notiz="", ort="")
            case "private" | "public":
                edit(number, privat=int(what == "private"))
            case "owners":
                edit(number, anwalt=OWNERS[more % len(OWNERS)])
            case "frist":
                self._type_termin(number, "text", "Frist Text")
            case "no_frist":
                self._type_termin(number, "text", "Text")

    def delete_termin(self, place: int) -> None:
        """Somebody deletes a Termin."""
        number = self._termin(place)
        if number is not None:
            self._forget("advoware", str(number))
            self.world.delete_termin(number)

    # -- in Google

    def new_event(self, kuerzel: str, times: str, kind: str = "plain") -> None:
        """Somebody makes an event in the calendar, or a stranger's invitation arrives."""
        fields: Row = {"summary": self._word("Text"), **self._event_times(times)}
        do = "create"
        match kind:
            case "private":
                fields["visibility"] = "private"
            case "guests":
                fields["attendees"] = [{"email": "gast@fremd.example"}]
            case "untitled":
                del fields["summary"]
            case "html":
                fields["description"] = f"<p>{self._word('Notiz')}<br>zwei &amp; drei</p>"
            case "series":
                fields["recurrence"] = ["RRULE:FREQ=WEEKLY;COUNT=4"]
            case "invitation":
                do = "invite"
        if kind == "series":
            for end in ("start", "end"):
                if "dateTime" in fields[end]:
                    fields[end]["timeZone"] = "Europe/Berlin"
        made = self.world.edit_google(do, kuerzel=kuerzel, set=fields)
        for name in ("summary", "description"):
            if name in fields:
                self.typed["google", kuerzel, made["id"], name] = _word_in(fields[name])

    def edit_event(self, kuerzel: str, place: int, what: str, more: int = 0) -> None:
        """Somebody changes something of an event."""
        event = self._event(kuerzel, place)
        if event is None or "recurringEventId" in event:
            return
        match what:
            case "summary":
                self._type_event(kuerzel, event, "summary", self._word("Text") + " ")
            case "html":
                self._type_event(
                    kuerzel, event, "description", f"<b>{self._word('Notiz')}</b>&nbsp;neu<br>zwei"
                )
            case "lines":
                self._type_event(kuerzel, event, "description", f"{self._word('Notiz')}\r\n\r\nzwei")
            case "location":
                self._type_event(kuerzel, event, "location", self._word("Ort"))
            case "times":
                if "recurrence" not in event:
                    self.world.edit_google(
                        "move",
                        event,
                        kuerzel,
                        set=_cleared(self._event_times(EVENT_TIMES[more % len(EVENT_TIMES)])),
                    )
            case "empty":
                self._forget("google", kuerzel, event["id"])
                self.world.edit_google("edit", event, kuerzel, set={"summary": None, "description": None})
            case "guests":
                self.world.edit_google("add_guests", event, kuerzel, guests=["gast@fremd.example"])
            case "no_guests":
                self.world.edit_google("edit", event, kuerzel, set={"attendees": None})
            case "private" | "public":
                visibility = "private" if what == "private" else "default"
                self.world.edit_google("make_private", event, kuerzel, visibility=visibility)

    def delete_event(self, kuerzel: str, place: int) -> None:
        """Somebody deletes an event, or one occurrence."""
        event = self._event(kuerzel, place)
        if event is not None:
            self._forget("google", kuerzel, event["id"])
            self.world.edit_google("delete", event, kuerzel)

    def undelete_event(self, kuerzel: str, place: int) -> None:
        """Somebody takes an event out of the bin."""
        found = [event for event in self.world.all_events(kuerzel).values() if _is_in_the_bin(event)]
        if found:
            self.world.edit_google("undelete", found[place % len(found)], kuerzel)

    def duplicate_event(self, kuerzel: str, place: int) -> None:
        """Somebody copies an event to another time; our private properties may go with it."""
        event = self._event(kuerzel, place)
        if event is not None and "recurrence" not in event and "recurringEventId" not in event:
            self.world.edit_google("duplicate", event, kuerzel, set=_cleared(self._event_times("hour")))

    def drag_occurrence(self, kuerzel: str, place: int, what: str) -> None:
        """Somebody moves or cancels one occurrence of a series, or splits the series there."""
        masters = [event for event in self.world.events(kuerzel) if event.get("recurrence")]
        if not masters:
            return
        event = masters[place % len(masters)]
        if any(word in event["recurrence"][0] for word in ("MONTHLY", "YEARLY")) or "date" in event["start"]:
            return
        step = 7 if "WEEKLY" in event["recurrence"][0] else 1
        begin = datetime.fromisoformat(event["start"]["dateTime"]) + timedelta(days=step)
        more = {} if what == "cancel_instance" else {"set": self._event_times("hour")}
        self.world.edit_google(what, event, kuerzel, original_start=begin.isoformat(), **more)

    def move_away(self, kuerzel: str, place: int) -> None:
        """Somebody puts an event into the calendar of their own private life."""
        event = self._event(kuerzel, place)
        if event is not None and "recurrence" not in event and "recurringEventId" not in event:
            primary = next(
                one for one in self.world.google.state()["calendars"] if one["id"] == mail_of(kuerzel)
            )
            if event["id"] not in {one["id"] for one in primary["events"]} and event["organizer"].get("self"):
                self._forget("google", kuerzel, event["id"])
                self.world.edit_google("move_to_calendar", event, kuerzel, destination=mail_of(kuerzel))

    # -- what was typed

    def note_settled(self) -> None:
        """What is in both calendars has arrived."""
        left, right = repr(self.world.termine()), repr([self.world.events(one) for one in EMPLOYEES])
        for at, word in self.typed.items():
            if word in (right if at[0] == "advoware" else left):
                self.settled.add(word)

    async def lost(self) -> set[str]:
        """Words that somebody typed last and that are nowhere: in no calendar, in no log, and that never arrived."""
        kept = [repr(self.world.termine())]
        for kuerzel in EMPLOYEES:
            kept.append(repr(list(self.world.all_events(kuerzel).values())))
            kept.append(repr(await self.world.conflicts(kuerzel)))
            snapshot = await self.world.pairs.store(kuerzel).load()
            kept.append(repr([link.archive for link in snapshot.links]))
        kept.append(repr(self.world.google.state()["calendars"]))
        return {word for word in self.typed.values() if not any(word in one for one in kept)} - self.settled

    # -- inner parts

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _word(self, kind: str) -> str:
        return f"{kind}{self._next()}w"

    def _forget(self, *at: str) -> None:
        self.typed = {key: word for key, word in self.typed.items() if key[: len(at)] != at}

    def _type_termin(self, number: int, name: str, kind: str, rest: str = "") -> None:
        word = self._word(kind)
        self.world.edit_termin(number, **{name: word + rest})
        self.typed["advoware", str(number), name] = word.split()[-1]

    def _type_event(self, kuerzel: str, event: Row, name: str, text: str) -> None:
        self.world.edit_google("edit", event, kuerzel, set={name: text})
        if self.world.masks:
            # Over the mask; a person who types there has been told that it does not stay.
            self.typed.pop(("google", kuerzel, event["id"], name), None)
        else:
            self.typed["google", kuerzel, event["id"], name] = _word_in(text)

    def _termin(self, place: int) -> int | None:
        numbers = sorted(row["frNr"] for row in self.world.termine() if row["frNr"] > 0)
        return numbers[place % len(numbers)] if numbers else None

    def _event(self, kuerzel: str, place: int) -> Row | None:
        # In an order of their own: which of several new ones was made first goes by the wire.
        found = sorted(self.world.events(kuerzel), key=_place_of)
        return found[place % len(found)] if found else None

    def _day(self) -> date:
        return date(2026, 3, 16) + timedelta(days=self._next() * 5 % 97)

    def _termin_times(self, kind: str) -> Row:
        day, minute = self._day(), self._next() % 60
        night = {"gap": SPRING, "fold": AUTUMN, "fold_end": AUTUMN}
        day = night.get(kind, day)
        begin, end, more = {
            "hour": (f"09:{minute:02}:00", f"10:{minute:02}:00", 0),
            "day": ("00:00:00", "23:59:00", 0),
            "days": ("00:00:00", "23:59:00", 2),
            "night": (f"22:{minute:02}:00", "06:30:00", 1),
            "gap": ("02:30:00", "04:00:00", 0),
            "fold": ("02:30:00", "02:45:00", 0),
            "fold_end": ("01:30:00", "02:15:00", 0),
            "none": (f"11:{minute:02}:00", f"11:{minute:02}:00", 0),
            "backwards": ("12:30:00", f"11:{minute:02}:00", 0),
            "clockless": (None, "10:00:00", 0),
            "seconds": (f"09:{minute:02}:17", f"10:{minute:02}:43", 0),
        }[kind]
        return {
            "datum": day.isoformat(), "uhrzeitVon": begin, "uhrzeitBis": end,
            "datumBis": (day + timedelta(days=more)).isoformat(), "abwesenheit": int(kind in ("day", "days")),
        }  # fmt: skip

    def _event_times(self, kind: str) -> Row:
        day, minute = self._day(), self._next() % 60
        if kind in ("day", "days"):
            last = day + timedelta(days=1 if kind == "day" else 3)
            return {"start": {"date": day.isoformat()}, "end": {"date": last.isoformat()}}
        shapes: dict[str, Callable[[], tuple[str, str, str | None]]] = {
            "hour": lambda: (f"{day}T08:{minute:02}:00Z", f"{day}T09:{minute:02}:00Z", "Europe/Berlin"),
            "night": lambda: (f"{day}T21:{minute:02}:00Z", f"{day + timedelta(days=1)}T03:00:00Z", None),
            "tokyo": lambda: (f"{day}T23:{minute:02}:00+09:00", f"{day + timedelta(days=1)}T00:{minute:02}:00+09:00", "Asia/Tokyo"),
            "zoned": lambda: (f"{day}T10:{minute:02}:00", f"{day}T11:{minute:02}:00", "America/New_York"),
            "gap": lambda: ("2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z", None),
            "fold": lambda: ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", None),
            "second_fold": lambda: ("2026-10-25T01:15:00Z", "2026-10-25T01:45:00Z", "Europe/Berlin"),
            "utc": lambda: (f"{day}T14:{minute:02}:00Z", f"{day}T15:{minute:02}:00Z", "UTC"),
            "seconds": lambda: (f"{day}T08:{minute:02}:17Z", f"{day}T09:{minute:02}:43Z", None),
        }  # fmt: skip
        begin, end, zone = shapes[kind]()
        shown = [
            {"dateTime": text, "timeZone": zone} if zone else {"dateTime": text} for text in (begin, end)
        ]
        return {"start": shown[0], "end": shown[1]}


def _cleared(times: Row) -> Row:
    """Begin and end as a patch of an event that may have been of the other kind."""
    return {end: {"date": None, "dateTime": None, "timeZone": None, **times[end]} for end in times}


def _word_in(text: str) -> str:
    return next(part for part in _split(text) if part.endswith("w") and part[-2].isdigit())


def _split(text: str) -> list[str]:
    for sign in "<>&\r\n/;":
        text = text.replace(sign, " ")
    return text.split()


def _place_of(event: Row) -> str:
    return str((span_of_event(event), event.get("summary"), event.get("description"), event["id"]))


def _is_in_the_bin(event: Row) -> bool:
    return event["status"] == "cancelled" and "recurringEventId" not in event
