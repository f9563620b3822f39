"""The two forms of an appointment: general (camelCase, Berlin's time) and ActiveSync (PascalCase, UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from bitbylaw_pipeline.sandbox.advoware.exchange import bad_request
from bitbylaw_pipeline.sandbox.advoware.moments import (
    NO_DATE,
    from_ticks,
    parse_day,
    parse_moment,
    ticks,
    to_berlin,
    to_utc,
)
from bitbylaw_pipeline.sandbox.advoware.store import Row
from bitbylaw_pipeline.sandbox.advoware.switches import Switches
from bitbylaw_pipeline.sandbox.advoware.termin_rows import (
    NUMBERS,
    OPEN_END,
    TEXTS,
    begin_of,
    common_fields,
    time_fields,
)

_SAME = ("frNr", *TEXTS, *NUMBERS, "azRubrum", "zuletztGeaendertAm")


class TerminForm(Protocol):
    """How one surface writes and reads a Termin."""

    def shown(self, row: Row, switches: Switches) -> Row:
        """A stored row (with azRubrum) as this surface sends it."""

    def read(self, body: Mapping[str, Any]) -> Row:
        """All writable fields as stored, from a body. Raises Refusal (400)."""


class General:
    """`Termine`: local dates and times apart, named as they are stored."""

    def shown(self, row: Row, switches: Switches) -> Row:
        """See `TerminForm`."""
        hides_end = switches.single_day_datum_bis == "none" and row["datum"] == row["datumBis"]
        return {
            **{name: row[name] for name in _SAME},
            "datum": f"{row['datum']}T00:00:00",
            "uhrzeitVon": row["uhrzeitVon"],
            "datumBis": NO_DATE if hides_end else f"{row['datumBis']}T00:00:00",
            "uhrzeitBis": row["uhrzeitBis"],
            "erinnerungsDatum": row["erinnerungsDatum"] or NO_DATE,
        }

    def read(self, body: Mapping[str, Any]) -> Row:
        """See `TerminForm`."""
        fields = common_fields(body)
        try:
            day, end_day = parse_day(body.get("datum")), parse_day(body.get("datumBis"))
            clock, end_clock = _clock(body.get("uhrzeitVon")), _clock(body.get("uhrzeitBis"))
            reminder = None if parse_day(body.get("erinnerungsDatum")) is None else body["erinnerungsDatum"]
            # Taken as local time, even with a Z.
            reminder = reminder and datetime.fromisoformat(reminder[:19]).isoformat()
        except ValueError:
            raise bad_request("A date or time cannot be read.") from None
        if day is None:
            raise bad_request("datum is missing.")
        begin = datetime.combine(day, clock or time())
        end_day = end_day or (OPEN_END if fields["dauertermin"] else day)
        times = time_fields(begin, clock is not None, end_day, end_clock or begin.time())
        return {**fields, **times, "erinnerungsDatum": reminder}


class ActiveSync:
    """`TermineActiveSync`: the vendor's own calendar client's form (`facts/advoware.md` 3.1)."""

    def shown(self, row: Row, switches: Switches) -> Row:
        """See `TerminForm`."""
        keeps_fold = switches.repeated_hour == "kept"
        begin = begin_of(row).replace(fold=row["vonFold"] if keeps_fold else 0)
        # The end's offset is that of DatumBis. For a series that is the last day, perhaps in summer while the
        # first is in winter: then UhrzeitBis is off by the hour between them, as in the real system.
        end_clock = time.fromisoformat(row["uhrzeitBis"]).replace(fold=row["bisFold"] if keeps_fold else 0)
        end = to_utc(date.fromisoformat(row["datumBis"]), end_clock)
        reminder = row["erinnerungsDatum"]
        return {
            **{_pascal(name): row[name] for name in _SAME},
            "Datum": _utc_text(to_utc(begin.date(), begin.time())),
            "DatumBis": _utc_text(end),
            "UhrzeitBis": end.time().isoformat("seconds"),
            "UhrzeitBisTicks": ticks(end.time()),
            "ErinnerungsDatum": _utc_text(_instant(datetime.fromisoformat(reminder)))
            if reminder
            else NO_DATE,
        }

    def read(self, body: Mapping[str, Any]) -> Row:
        """See `TerminForm`. UhrzeitBisTicks, where it is sent, OVERRIDES UhrzeitBis."""
        camel = {name[:1].lower() + name[1:]: value for name, value in body.items()}
        fields = common_fields(camel)
        try:
            begin_utc = None if parse_day(body.get("Datum")) is None else parse_moment(body["Datum"])
            end_day = parse_day(body.get("DatumBis"))
            end_clock = _clock(body.get("UhrzeitBis"))
            given = body.get("ErinnerungsDatum")
            reminder = None if parse_day(given) is None else parse_moment(str(given))
        except ValueError:
            raise bad_request("A date or time cannot be read.") from None
        if begin_utc is None:
            raise bad_request("Datum is missing.")
        if isinstance(body.get("UhrzeitBisTicks"), int):
            end_clock = from_ticks(body["UhrzeitBisTicks"])
        begin_utc = begin_utc.astimezone(UTC)
        end_clock = end_clock or begin_utc.time()
        if end_day is None and fields["dauertermin"]:
            end_day = OPEN_END
        end = to_berlin(datetime.combine(end_day or begin_utc.date(), end_clock, UTC))
        times = time_fields(to_berlin(begin_utc), True, end.date(), end.time())
        local_reminder = to_berlin(reminder).isoformat() if reminder else None
        return {**fields, **times, "erinnerungsDatum": local_reminder}


def _clock(text: Any) -> time | None:
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise ValueError("A time is a text.")
    return time.fromisoformat(text).replace(microsecond=0, tzinfo=None)


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def _instant(local: datetime) -> datetime:
    return to_utc(local.date(), local.time())


def _utc_text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
