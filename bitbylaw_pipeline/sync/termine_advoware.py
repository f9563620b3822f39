"""One employee's Termine in Advoware, as the left side of the pair with a Google calendar (`facts/advoware.md` 3.1).

A Termin can have several employees: each of them has a link of their own to it, and deleting it for one of them takes
that one off it, never the Termin away from the others.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from bitbylaw_pipeline.clients.advoware_termin_rows import Termin, TerminPatch, same_kuerzel
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Transient, reading_back
from bitbylaw_pipeline.domain.event_text import plain_text
from bitbylaw_pipeline.domain.termin_kind import MASKED, UNTITLED, FristRule, TerminKind
from bitbylaw_pipeline.domain.termin_times import (
    TerminTimes,
    days_touched,
    first_of_two,
    from_berlin,
    instant,
    moment_of,
    to_berlin,
)
from bitbylaw_pipeline.domain.three_way import Fields
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Observation, Record, Settled
from bitbylaw_pipeline.sync.two_way_adapter import Taken

_UNTIL = re.compile(r"UNTIL=(\d{8})")
MADE_PRIVATE = "privat_in_advoware"
PRIVATE = "private"
"""Why a Termin is withheld that its owner keeps to himself: it is nobody's business, and no person is told of it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days, in Berlin, that are kept in step; both included."""

    first: date
    last: date

    def holds(self, fields: Fields) -> bool:
        """Whether an appointment touches these days, a series up to its last day.

        Whether Advoware lists by begin or by overlap is not known. What it does not list is asked for by its number
        before it counts as gone: a weekly series that began before the window was followed by nobody otherwise.
        """
        times = times_in(fields)
        if times is None:
            return False
        first, last = days_touched(times)
        if fields.get("serie"):
            last = _last_day(str(fields["serie"]))
        return first <= self.last and self.first <= last


class TerminLock(Protocol):
    """Keeps the passes of two employees from writing one Termin at the same time."""

    def __call__(self, fr_nr: int) -> AbstractAsyncContextManager[bool]:
        """True inside while the Termin is ours."""
        ...


class AdvowareTermineSide:
    """The Termine of one Kürzel in a window. Raises the errors of `clients.advoware_termine`."""

    capabilities = Capabilities()

    def __init__(
        self, termine: Termine, kuerzel: str, window: Window, fristen: FristRule, lock: TerminLock
    ) -> None:
        self._termine = termine
        self._kuerzel = kuerzel
        self._window = window
        self._fristen = fristen
        self._lock = lock

    @property
    def system(self) -> str:
        """Advoware."""
        return "advoware"

    def put(self, field: str, value: Any) -> Any:
        """What Advoware keeps: line ends as LF, no title that is masked, no second one of two equal hours."""
        match field, value:
            case "text", None | str():
                return UNTITLED if value in (None, MASKED) else value.strip() or UNTITLED
            case "notiz", str():
                return None if value == MASKED else value.replace("\r\n", "\n").replace("\r", "\n") or None
            case "start" | "end", str() if value.endswith("Z") and not self._termine.keeps_fold:
                return first_of_two(value)
            case _:
                return value

    async def observe(self, known: Mapping[str, Settled]) -> Observation:
        """The window's Termine, by one list call; FilterIgnored where the rows are not what was asked for."""
        found = await self._termine.list_for(self._kuerzel, self._window.first, self._window.last)
        items: dict[str, Record] = {}
        withheld: dict[str, str] = {}
        for one in found:
            if one.is_synthetic:
                continue
            why, record_id = _why_withheld(one), str(one.fr_nr)
            if why is None:
                items[record_id] = self._record(one)
            else:
                # What Google shows of it stays as it was: that must be known, of one that was never there it is nobody's
                # business.
                withheld[record_id] = MADE_PRIVATE if why == PRIVATE and record_id in known else why

        def covers(record_id: str) -> bool:
            return record_id in known and self._window.holds(known[record_id].fields)

        return Observation(items, withheld=withheld, covers=covers, reads_beyond=True)

    async def get(self, record_id: str) -> Record | None:
        """The Termin; None also where this employee is no longer one of its owners."""
        found = await self._termine.get(int(record_id))
        if found is None or not self._is_owner(found):
            return None
        return self._record(found)

    async def find_by_key(self, key: str) -> Taken | None:
        """Never asked for: a Termin has no free field."""
        raise NotImplementedError

    async def create(self, key: str, fields: Fields, nonce: str, origin: Record) -> Record | Taken:
        """A Termin of this employee alone."""
        patch = _patch(fields, {})
        patch["owners"] = (self._kuerzel,)
        fr_nr = await self._termine.create(patch)
        with reading_back(f"The Termin {fr_nr}"):
            made = await self._termine.get(fr_nr)
            if made is None:
                raise Transient("Advoware does not show it.", system=self.system)
        return self._record(made)

    async def update(self, expected: Record, patch: Fields, nonce: str) -> Record:
        """Changes the Termin if it still is what was planned on, its employees left as they are."""
        fr_nr = int(expected.id)
        before = _patch(expected.fields, {})
        # As they were read: tidied for writing, an empty title or a blank line would look like somebody's edit for ever.
        before["text"], before["notiz"] = expected.fields["text"], expected.fields["notiz"]
        # One that its owner has made private meanwhile is nobody's to change.
        before["is_private"] = False
        async with self._alone(fr_nr):
            after = await self._termine.change(
                fr_nr, _patch(patch, expected.fields), before, check=self._check_is_owner
            )
        return self._record(after)

    async def delete(self, expected: Record) -> None:
        """Takes this employee off the Termin; the last one takes the Termin away."""
        fr_nr = int(expected.id)
        async with self._alone(fr_nr):
            found = await self._termine.get(fr_nr)
            if found is None:
                raise NotFound(f"advoware knows no Termin {fr_nr}.", system=self.system)
            self._check_is_owner(found)
            self._check_is_expected(found, expected)
            others = tuple(one for one in found.owners if not same_kuerzel(one, self._kuerzel))
            if others:
                await self._termine.change(
                    fr_nr, TerminPatch(owners=others), TerminPatch(owners=found.owners)
                )
            elif not await self._termine.delete(fr_nr):
                raise NotFound(f"advoware knows no Termin {fr_nr}.", system=self.system)

    async def link_back(self, record: Record, partner: Record) -> None:
        """Nothing: a Termin has no field for Google's id."""

    @contextlib.asynccontextmanager
    async def _alone(self, fr_nr: int) -> AsyncIterator[None]:
        async with self._lock(fr_nr) as is_ours:
            if not is_ours:
                raise Transient(
                    f"The Termin {fr_nr} is being written for another employee; it is looked at again.",
                    system="pipeline",
                )
            yield

    def _check_is_expected(self, found: Termin, expected: Record) -> None:
        # Compared, for Advoware has no version that a deletion could be tied to.
        present = self._record(found)
        if present.fields != expected.fields or present.is_in_scope != expected.is_in_scope:
            raise Conflict(
                f"Advoware holds other values than this deletion was planned on (Termin {expected.id}).",
                system=self.system,
            )

    def _check_is_owner(self, found: Termin) -> None:
        # Given to others, or to everybody, since it was listed: it is theirs to keep as it is.
        if not self._is_owner(found):
            raise NotFound(f"advoware knows no Termin {found.fr_nr} of this employee.", system=self.system)

    def _is_owner(self, one: Termin) -> bool:
        return any(same_kuerzel(owner, self._kuerzel) for owner in one.owners)

    def _record(self, one: Termin) -> Record:
        kind = TerminKind.TERMIN
        if one.series is not None:
            kind = TerminKind.SERIE
        elif self._fristen.counts(one.text, one.raw):
            kind = TerminKind.FRIST
        times = one.times
        return Record(
            id=str(one.fr_nr),
            fields={
                "text": one.text,
                "notiz": one.notiz,
                "ort": one.ort,
                "start": times.start if times else None,
                "end": times.end if times else None,
                "ganztags": times.is_all_day if times else None,
                "serie": one.series.rrule if one.series else None,
                "art": kind.value,
            },
            version=one.changed_at.isoformat() if one.changed_at else None,
            is_in_scope=_why_withheld(one) is None and not one.is_synthetic,
        )


def _last_day(rrule: str) -> date:
    until = _UNTIL.search(rrule)
    return date.fromisoformat(until[1]) if until else date.max


def times_in(fields: Fields) -> TerminTimes | None:
    """Begin and end of neutral fields; None where there are none."""
    start, end = fields.get("start"), fields.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    return TerminTimes(start, end, is_all_day=bool(fields.get("ganztags")))


def _why_withheld(one: Termin) -> str | None:
    return PRIVATE if one.is_private else one.unmapped


def _patch(fields: Fields, present: Fields) -> TerminPatch:
    """Neutral fields as Advoware's; begin and end go together, whichever of them has changed."""
    patch = TerminPatch()
    if "text" in fields:
        patch["text"] = fields["text"] or UNTITLED
    if "notiz" in fields:
        patch["notiz"] = plain_text(fields["notiz"]) if fields["notiz"] else None
    if "ort" in fields:
        patch["ort"] = fields["ort"]
    if any(name in fields for name in ("start", "end", "ganztags")):
        times = times_in({**present, **fields})
        if times is not None:
            patch["times"] = _second_of_two(times)
    return patch


def _second_of_two(times: TerminTimes) -> TerminTimes:
    """An end that `put` has taken for the first of two equal hours, and that is not after its begin, is the second."""
    if times.is_all_day or moment_of(times.end) > moment_of(times.start):
        return times
    local = to_berlin(times.end)
    return replace(times, end=instant(from_berlin(local.date(), local.time().replace(fold=1))))
