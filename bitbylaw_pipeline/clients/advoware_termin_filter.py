"""Whether a list of Termine is the one that was asked for: Advoware ignores a parameter that it does not know. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from bitbylaw_pipeline.clients.advoware_termin_rows import Termin, is_everybody, same_kuerzel
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.termin_times import days_touched

_MARGIN = timedelta(days=1)
"""Whether the window's days are Berlin's or UTC's is not known: a row beside it is no sign of an ignored filter."""


class FilterIgnored(Unexpected):
    """The rows are not those that were asked for: nothing may be concluded from what is in the list and what is not.

    `foreign`: how many are another employee's, `outside`: how many lie outside the window, `total`: of how many.
    """

    reason = "filter_ignored"

    def __init__(self, *, foreign: int, outside: int, total: int) -> None:
        super().__init__(
            f"advoware answered list_termine with {foreign} rows of other employees and {outside} outside the window,"
            f" of {total} (filter_ignored); check the names of the query's parameters if this lasts.",
            system="advoware",
        )
        self.foreign = foreign
        self.outside = outside
        self.total = total


def checked(found: Sequence[Termin], kuerzel: str, first_day: date, last_day: date) -> list[Termin]:
    """The rows of that Kürzel in the days `first_day` to `last_day`, each Termin once. Raises FilterIgnored, Unexpected.

    Rows of everybody in an employee's list are left out, not refused: everybody is that employee too, and they come
    with the list of everybody. Rows that Advoware makes up are not checked, for they follow their Termin.
    """
    real = [one for one in found if not one.is_synthetic]
    foreign = sum(not _is_of(one, kuerzel) for one in real)
    outside = sum(_is_outside(one, first_day, last_day) for one in real)
    if foreign or outside:
        raise FilterIgnored(foreign=foreign, outside=outside, total=len(found))
    kept = [one for one in found if one.is_synthetic or _has(one, kuerzel)]
    return _each_once(kept)


def _has(one: Termin, kuerzel: str) -> bool:
    return any(same_kuerzel(owner, kuerzel) for owner in one.owners)


def _is_of(one: Termin, kuerzel: str) -> bool:
    return _has(one, kuerzel) or is_everybody(one.owners[0])


def _is_outside(one: Termin, first_day: date, last_day: date) -> bool:
    if one.times is None:
        return False
    begin, end = days_touched(one.times)
    if one.series is not None:
        end = max(end, date.fromisoformat(one.last_day)) if one.last_day else date.max
    return begin > last_day + _MARGIN or end < first_day - _MARGIN


def _each_once(found: Sequence[Termin]) -> list[Termin]:
    # What Advoware makes up may well share a number: Vortermin, Hinfahrt and Rückfahrt of one Termin.
    by_number: dict[int, Termin] = {}
    for one in found:
        if one.is_synthetic:
            continue
        if by_number.setdefault(one.fr_nr, one).raw != one.raw:
            raise Unexpected(
                f"advoware answered list_termine with rows of Termin {one.fr_nr} that contradict each other.",
                system="advoware",
            )
    return [*by_number.values(), *(one for one in found if one.is_synthetic)]
