"""An appointment as it is stored: Berlin's wall time, full-replace, and the rows that Advoware makes up beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import bad_request
from bitbylaw_pipeline.sandbox.advoware.store import Row

TEXTS = ("text", "notiz", "ort", "anwalt", "sb", "optionalAttendees")
NUMBERS = ("privat", "abwesenheit", "nr", "dauertermin", "turnus", "turnusArt", "erinnerung")
# Minutes before or after the Termin; only a seed sets them.
JOURNEYS = ("vortermin", "hinfahrt", "rueckfahrt")
# A series without an end is stored with this year (`facts/advoware.md` 3.1).
OPEN_END = date(2037, 12, 31)
NOBODY = "Allgemein"


def common_fields(given: Mapping[str, Any]) -> Row:
    """Texts and numbers from a body in camelCase; what is missing is CLEARED. Raises Refusal (400)."""
    fields: Row = {name: _text(name, given.get(name)) for name in TEXTS}
    fields |= {name: _number(name, given.get(name)) for name in NUMBERS}
    # Advoware keeps Windows line ends, whatever was sent.
    fields["notiz"] = fields["notiz"].replace("\r\n", "\n").replace("\n", "\r\n")
    if fields["dauertermin"]:
        if fields["turnus"] < 1:
            raise bad_request("Turnus is needed for a Dauertermin.")
        if fields["turnusArt"] not in (1, 2, 3, 4):
            raise bad_request("TurnusArt is 1, 2, 3 or 4.")
    return fields


def time_fields(begin: datetime, has_time: bool, end_day: date, end_time: time) -> Row:
    """Begin and end as stored, from Berlin's wall time, and of two equal ones in a night in autumn which one."""
    return {
        "datum": begin.date().isoformat(),
        "uhrzeitVon": begin.time().isoformat("seconds") if has_time else None,
        "datumBis": end_day.isoformat(),
        "uhrzeitBis": end_time.isoformat("seconds"),
        "vonFold": begin.fold,
        "bisFold": end_time.fold,
    }


def begin_of(row: Row) -> datetime:
    """The begin, Berlin's wall time."""
    return datetime.combine(
        date.fromisoformat(row["datum"]), time.fromisoformat(row["uhrzeitVon"] or "00:00")
    )


def owners(row: Row) -> list[str]:
    """The Kürzel of the employees whose calendar shows the row; `Allgemein` for nobody and everybody."""
    found = [name.strip() for name in row["anwalt"].split(",") if name.strip()]
    return [NOBODY] if not found or found[0].upper() in ("ALLE", "ALLGEMEIN") else found


def is_in_window(row: Row, first: date | None, last: date | None, mode: str) -> bool:
    """Whether the row is in the days `first`..`last`, by its begin (mode `start`) or by any day of it."""
    begin = date.fromisoformat(row["datum"])
    end = begin if mode == "start" else date.fromisoformat(row["datumBis"])
    return (last is None or begin <= last) and (first is None or end >= first)


def synthetic_rows(row: Row) -> Iterator[Row]:
    """Vortermin, Hinfahrt and Rückfahrt: rows with a negative frNr that are nobody's to change."""
    for place, (journey, title) in enumerate(
        zip(JOURNEYS, ("Vortermin", "Hinfahrt", "Rückfahrt"), strict=True)
    ):
        length = timedelta(minutes=row[journey])
        if not length:
            continue
        if journey == "rueckfahrt":
            begin = datetime.combine(
                date.fromisoformat(row["datumBis"]), time.fromisoformat(row["uhrzeitBis"])
            )
        else:
            begin = begin_of(row) - length
        end = begin + length
        yield {
            **row,
            **time_fields(begin, True, end.date(), end.time()),
            "frNr": -(row["frNr"] * 4 + place),
            "text": f"{title}: {row['text']}",
            "dauertermin": 0,
            "turnus": 0,
            "turnusArt": 0,
        }


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad_request(f"The value of {name} is no text.")
    return value


def _number(name: str, value: Any) -> int:
    if value is None:
        return 0
    # The connector wants an integer; "1" made it fail for Turnus (`facts/advoware.md` 3.1).
    if not isinstance(value, int):
        raise bad_request(f"The value of {name} is no integer.")
    return int(value)
