"""A Termin read out of either surface's row, and a change laid over the whole row as it was sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict

from bitbylaw_pipeline.clients.advoware_moments import epoch_seconds
from bitbylaw_pipeline.clients.advoware_termin_forms import TerminForm, flag, whole_number
from bitbylaw_pipeline.clients.advoware_termin_series import OPEN_END_YEAR, TerminSeries, series_of
from bitbylaw_pipeline.clients.advoware_termin_times import StoredTimes, stored_form, times_of
from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.domain.termin_times import TerminTimes

EVERYBODY = "Allgemein"
"""The calendar of the Termine that belong to nobody or everybody (`facts/advoware.md` 3.1)."""

_EVERYBODY = frozenset({"", "alle", "allgemein"})
_NEVER_SENT = "uhrzeitBisTicks"
"""Derived; sent back it overrides UhrzeitBis."""


class TerminPatch(TypedDict, total=False):
    """The fields of a Termin that can be written; one that is missing stays as it is."""

    times: TerminTimes
    text: str | None
    notiz: str | None
    ort: str | None
    owners: tuple[str, ...]
    is_private: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Termin:
    """A Termin, the same whichever surface it came from. Empty texts are None, line ends are LF.

    `owners` are Kürzel in Advoware's order, `("Allgemein",)` for nobody and everybody; in a list a shared Termin may
    name the asked one alone, `Termine.get` names all. `times` is None where they cannot be read: it exists and must
    not be taken for missing. Of a series `times` is the first occurrence.
    """

    fr_nr: int
    times: TerminTimes | None
    series: TerminSeries | None
    text: str | None = field(repr=False)
    notiz: str | None = field(repr=False)
    ort: str | None = field(repr=False)
    owners: tuple[str, ...]
    is_private: bool
    akte_nr: int | None
    changed_at: datetime | None
    """Aware, UTC."""
    last_day: str | None = None
    """YYYY-MM-DD: the last day of a series with an end, else None."""
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """The row as it was sent; goes back whole in a PUT. Never to be logged."""

    @property
    def is_synthetic(self) -> bool:
        """Made up by Advoware beside a Termin (Vortermin, Hinfahrt, Urlaub): never written, never linked."""
        return self.fr_nr < 0

    @property
    def unmapped(self) -> str | None:
        """Why the other calendar cannot show it: "unreadable", the series' reason, or None."""
        if self.times is None:
            return "unreadable"
        return None if self.series is None else self.series.reason


def termin(row: Mapping[str, Any], form: TerminForm) -> Termin | None:
    """A row as a Termin; None for one without a number."""
    number = whole_number(row.get(form.name("frNr")))
    if number is None:
        return None
    times, series, last_day = _when(row, form)
    nr = whole_number(row.get(form.name("nr")))
    changed = epoch_seconds(row.get(form.name("zuletztGeaendertAm")))
    return Termin(
        fr_nr=number,
        times=times,
        series=series,
        text=_text(row.get(form.name("text"))),
        notiz=stored_text(_text(row.get(form.name("notiz")))),
        ort=_text(row.get(form.name("ort"))),
        owners=owners_in(row.get(form.name("anwalt"))),
        is_private=flag(row.get(form.name("privat"))),
        akte_nr=nr if nr is not None and nr > 0 else None,
        changed_at=None if changed is None else datetime.fromtimestamp(changed, UTC),
        last_day=last_day,
        raw=dict(row),
    )


def stored_text(text: str | None) -> str | None:
    """A text as it is read again: LF for every line end, None for an empty one."""
    return None if text is None else text.replace("\r\n", "\n").replace("\r", "\n") or None


def owners_in(value: Any) -> tuple[str, ...]:
    """The Kürzel in `Anwalt`, each once."""
    names = [name.strip() for name in str(value or "").split(",")]
    found = tuple(dict.fromkeys(name for name in names if name))
    return (EVERYBODY,) if not found or is_everybody(found[0]) else found


def is_everybody(kuerzel: str) -> bool:
    """Whether it stands for nobody and everybody."""
    return kuerzel.strip().casefold() in _EVERYBODY


def same_kuerzel(one: str, other: str) -> bool:
    """Whether both are the same employee: an umlaut has two spellings in Unicode, and case says nothing."""
    return _folded(one) == _folded(other) or (is_everybody(one) and is_everybody(other))


def wire_values(patch: TerminPatch, form: TerminForm) -> dict[str, Any]:
    """The patch as members of a row."""
    values: dict[str, Any] = {}
    if "times" in patch:
        values |= form.write_times(patch["times"])
    if "text" in patch:
        values[form.name("text")] = patch["text"] or ""
    if "notiz" in patch:
        values[form.name("notiz")] = (stored_text(patch["notiz"]) or "").replace("\n", "\r\n")
    if "ort" in patch:
        values[form.name("ort")] = patch["ort"] or ""
    if "owners" in patch:
        values[form.name("anwalt")] = _anwalt(patch["owners"])
    if "is_private" in patch:
        values[form.name("privat")] = int(patch["is_private"])
    return values


def differing(present: Termin, patch: TerminPatch, form: TerminForm) -> TerminPatch:
    """What of the patch Advoware does not hold yet, by what it would store of it."""
    found = TerminPatch()
    if "times" in patch and stored_form(patch["times"], keeps_fold=form.keeps_fold) != present.times:
        found["times"] = patch["times"]
    if "text" in patch and (patch["text"] or None) != present.text:
        found["text"] = patch["text"]
    if "notiz" in patch and stored_text(patch["notiz"]) != present.notiz:
        found["notiz"] = patch["notiz"]
    if "ort" in patch and (patch["ort"] or None) != present.ort:
        found["ort"] = patch["ort"]
    if "owners" in patch and _set(patch["owners"]) != _set(present.owners):
        found["owners"] = patch["owners"]
    if "is_private" in patch and patch["is_private"] != present.is_private:
        found["is_private"] = patch["is_private"]
    return found


def overlaid(present: Termin, values: Mapping[str, Any], form: TerminForm) -> dict[str, Any]:
    """The whole row for a PUT, members that nobody here knows included: one that a PUT leaves out is cleared."""
    never = form.name(_NEVER_SENT)
    return {key: value for key, value in {**present.raw, **values}.items() if key != never}


def _when(
    row: Mapping[str, Any], form: TerminForm
) -> tuple[TerminTimes | None, TerminSeries | None, str | None]:
    is_series = flag(row.get(form.name("dauertermin")))
    try:
        stored = form.read_times(row)
        if not is_series:
            return times_of(stored), None, None
        first = times_of(stored.first_occurrence())
    except (ValueError, OverflowError):
        # Unreadable is not gone: one odd row must neither stop a list nor look like a deletion.
        return None, TerminSeries(None, "unreadable") if is_series else None, None
    return first, _series(row, form, stored), _last_day(stored)


def _series(row: Mapping[str, Any], form: TerminForm, stored: StoredTimes) -> TerminSeries:
    return series_of(
        stored, whole_number(row.get(form.name("turnus"))), whole_number(row.get(form.name("turnusArt")))
    )


def _last_day(stored: StoredTimes) -> str | None:
    day = stored.end_day
    return None if day is None or day.year >= OPEN_END_YEAR else day.isoformat()


def _anwalt(owners: tuple[str, ...]) -> str:
    if not owners or any("," in owner or not owner.strip() for owner in owners):
        # Nobody at all would be everybody to Advoware: the Termin would turn up in the calendar of all.
        raise Permanent(
            "A Termin needs at least one Kürzel, each without a comma; to take the last employee off it, delete it.",
            system="advoware",
            reason="no_owner",
        )
    return "" if is_everybody(owners[0]) else ",".join(owners)


def _set(owners: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_folded(EVERYBODY if is_everybody(owner) else owner) for owner in owners)


def _folded(kuerzel: str) -> str:
    return unicodedata.normalize("NFC", kuerzel.strip()).casefold()


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
