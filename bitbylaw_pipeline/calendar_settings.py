"""The setting that says whose appointments go into which calendar: Kürzel, Google user, dedicated calendar.

Nothing here repeats an address in an error: it names a person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_MAKE_ONE = "make one for the Termine alone (bitbylaw setup-calendar)"
_KUERZEL = re.compile(r"[^\W_](?:[\w.-]{0,18}[^\W_])?")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


class CalendarSetting(BaseModel):
    """One employee's: the address of the Google account, and the calendar made for the Termine alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(repr=False)
    calendar: str = Field(repr=False)


_MAPPING = TypeAdapter(dict[str, CalendarSetting])
_SECONDARY = "@group.calendar.google.com"
"""How the ids of calendars end that are nobody's main one."""
_FORM = 'write {"AB": {"user": "ab@firm.example", "calendar": "…@group.calendar.google.com"}, …}'


def read_calendars(path: Path) -> dict[str, CalendarSetting]:
    """The checked mapping of a JSON file. Raises ValueError with one sentence that repeats no address of it."""
    try:
        text = path.expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"the file cannot be read ({type(error).__name__}): check the path and its rights"
        ) from None
    try:
        calendars = _MAPPING.validate_json(text)
    except ValidationError:
        raise ValueError(f"{_FORM} into it") from None
    check_calendars(calendars)
    return calendars


def parse_calendars(given: object) -> dict[str, CalendarSetting]:
    """The checked mapping of a setting. Raises ValueError with one sentence that repeats no address of it.

    The library's own errors name the keys of a mapping, where an address has been written by mistake.
    """
    try:
        calendars = _MAPPING.validate_python(given)
    except ValidationError:
        raise ValueError(_FORM) from None
    check_calendars(calendars)
    return calendars


def check_kuerzel(kuerzel: str) -> None:
    """Raises ValueError with one sentence for what cannot be a Kürzel."""
    # It becomes the key of a partition, and a part of paths and log lines.
    if not _KUERZEL.fullmatch(kuerzel):
        raise ValueError("a Kürzel is up to 20 letters and digits, as Advoware has it")


def check_user(kuerzel: str, user: str) -> None:
    """Raises ValueError with one sentence for what cannot be the employee's Google account."""
    if not _MAIL.fullmatch(user):
        raise ValueError(f"the user of {kuerzel} is not the mail address of a Google account")


def check_calendars(calendars: Mapping[str, CalendarSetting]) -> None:
    """Raises ValueError with one sentence for a mapping by which two employees' appointments could get mixed up."""
    mains = {"primary", *(one.user.casefold() for one in calendars.values())}
    for kuerzel, one in calendars.items():
        check_kuerzel(kuerzel)
        check_user(kuerzel, one.user)
        _check_calendar(kuerzel, one.calendar, mains)
    twins = [name for name, count in Counter(map(str.casefold, calendars)).items() if count > 1]
    if twins:
        raise ValueError(f"the Kürzel {twins[0].upper()} is there twice")
    shared = Counter(one.calendar.casefold() for one in calendars.values())
    doubled = [kuerzel for kuerzel, one in calendars.items() if shared[one.calendar.casefold()] > 1]
    if doubled:
        raise ValueError(f"{' and '.join(doubled)} share a calendar: each needs one of their own")


def _check_calendar(kuerzel: str, calendar: str, mains: Collection[str]) -> None:
    if not calendar.strip() or calendar.strip() != calendar:
        raise ValueError(f"the calendar of {kuerzel} is empty or has a space at its end")
    # Whatever is in the calendar is ours by definition: a person's own one would be copied into Advoware whole.
    if calendar.casefold() in mains:
        raise ValueError(f"the calendar of {kuerzel} is an employee's own main one: {_MAKE_ONE}")
    if not calendar.casefold().endswith(_SECONDARY):
        raise ValueError(f"the calendar of {kuerzel} does not end with {_SECONDARY}: {_MAKE_ONE}")
