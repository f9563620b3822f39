"""The two forms of a Termin on the wire: general (camelCase, Berlin's time) and ActiveSync (PascalCase, UTC).

Both are read into the same `StoredTimes`. Sources: `facts/advoware.md` 3.1; the ActiveSync form is the vendor's own
calendar client's, and the better known of the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, Protocol

from bitbylaw_pipeline.clients.advoware_termin_times import StoredTimes, wall_span
from bitbylaw_pipeline.domain.termin_times import BERLIN, TerminTimes

_FRACTION = re.compile(r"\.(\d{1,6})\d*")


class Surface(StrEnum):
    """Which of Advoware's two surfaces is spoken to."""

    GENERAL = "general"
    ACTIVE_SYNC = "activesync"


class TerminForm(Protocol):
    """One surface: where it is, what it calls a field, how it writes times."""

    path: str
    keeps_fold: bool
    """It tells the two equal hours of a night in autumn apart."""
    stamps_changes: bool
    """The vendor's own client sends the time of its change along; nobody is known to do so on the other surface."""

    def name(self, field: str) -> str:
        """The wire name of a field given in camelCase."""

    def read_times(self, row: Mapping[str, Any]) -> StoredTimes:
        """Begin and end of a row. Raises ValueError for what cannot be read, OverflowError for years beyond all."""

    def write_times(self, times: TerminTimes) -> dict[str, Any]:
        """The members that say when a Termin is."""


class GeneralForm:
    """`Termine`: days and clock times apart, all of them Berlin's."""

    path = "Termine"
    keeps_fold = False
    stamps_changes = False

    def name(self, field: str) -> str:
        """See `TerminForm`."""
        return field

    def read_times(self, row: Mapping[str, Any]) -> StoredTimes:
        """See `TerminForm`."""
        day = _day(row.get("datum"))
        if day is None:
            raise ValueError("no begin")
        return StoredTimes(
            day,
            _clock(row.get("uhrzeitVon")),
            _day(row.get("datumBis")),
            _clock(row.get("uhrzeitBis")),
            is_all_day=flag(row.get("abwesenheit")),
        )

    def write_times(self, times: TerminTimes) -> dict[str, Any]:
        """See `TerminForm`."""
        begin, end = wall_span(times)
        return {
            "datum": f"{begin:%Y-%m-%d}T00:00:00",
            "uhrzeitVon": f"{begin:%H:%M:%S}",
            "datumBis": f"{end:%Y-%m-%d}T00:00:00",
            "uhrzeitBis": f"{end:%H:%M:%S}",
            "abwesenheit": int(times.is_all_day),
        }


class ActiveSyncForm:
    """`TermineActiveSync`: moments in UTC; the end is the day of DatumBis with the time UhrzeitBis, both UTC."""

    path = "TermineActiveSync"
    stamps_changes = True

    def __init__(self, *, keeps_fold: bool = False) -> None:
        self.keeps_fold = keeps_fold

    def name(self, field: str) -> str:
        """See `TerminForm`."""
        return field[:1].upper() + field[1:]

    def read_times(self, row: Mapping[str, Any]) -> StoredTimes:
        """See `TerminForm`."""
        begin = _moment(row.get("Datum"))
        if begin is None:
            raise ValueError("no begin")
        # Of a series DatumBis is the last day, and UhrzeitBis has that day's offset: only both together are a moment
        # whose wall time is the end of every occurrence, in summer and in winter.
        last = _moment(row.get("DatumBis"))
        clock = _clock(row.get("UhrzeitBis"))
        end = last if clock is None or last is None else datetime.combine(last.date(), clock, UTC)
        if end is None and clock is not None and not flag(row.get("Dauertermin")):
            end = datetime.combine(begin.date(), clock, UTC)
        local, local_end = begin.astimezone(BERLIN), None if end is None else end.astimezone(BERLIN)
        stored = StoredTimes(
            local.date(),
            local.time(),
            None if local_end is None else local_end.date(),
            None if local_end is None else local_end.time(),
            is_all_day=flag(row.get("Abwesenheit")),
        )
        return stored if self.keeps_fold else stored.without_fold()

    def write_times(self, times: TerminTimes) -> dict[str, Any]:
        """See `TerminForm`."""
        begin, end = wall_span(times)
        return {
            "Datum": utc_text(begin),
            "DatumBis": utc_text(end),
            "UhrzeitBis": f"{end.astimezone(UTC):%H:%M:%S}",
            "Abwesenheit": int(times.is_all_day),
        }


def form_of(surface: Surface, *, keeps_fold: bool = False) -> TerminForm:
    """The form of a surface; `keeps_fold` is looked at for ActiveSync alone, a wall time cannot keep it."""
    return ActiveSyncForm(keeps_fold=keeps_fold) if surface is Surface.ACTIVE_SYNC else GeneralForm()


def utc_text(moment: datetime) -> str:
    """An aware moment as the vendor's client writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def flag(value: Any) -> bool:
    """Whether a 0/1 member is set, also where it is a text or a truth value."""
    return str(value).strip().lower() not in ("", "none", "0", "false")


def whole_number(value: Any) -> int | None:
    """An int, also a negative one, or one in a text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def _day(text: Any) -> date | None:
    # Berlin's day as it stands, whatever offset is written behind it; the year 1 is .NET's "none".
    if text is None or text == "":
        return None
    day = date.fromisoformat(text.strip()[:10] if isinstance(text, str) else "")
    return None if day.year == 1 else day


def _moment(text: Any) -> datetime | None:
    if _day(text) is None:
        return None
    cut = _FRACTION.sub(r".\1", text.strip())
    moment = datetime.fromisoformat(cut)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _clock(text: Any) -> time | None:
    if text is None or text == "":
        return None
    cut = _FRACTION.sub(r".\1", text.strip()) if isinstance(text, str) else ""
    return time.fromisoformat(cut).replace(microsecond=0, tzinfo=None)
