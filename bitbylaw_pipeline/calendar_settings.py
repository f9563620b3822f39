"""The setting that says whose appointments go into which calendar: Kürzel, Google user, dedicated calendar.

Nothing here repeats an address in an error: it names a person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_KUERZEL = re.compile(r"[^\W_](?:[\w.-]{0,18}[^\W_])?")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


class CalendarSetting(BaseModel):
    """One employee's: the address of the Google account, and the calendar made for the Termine alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(repr=False)
    calendar: str = Field(repr=False)


_MAPPING = TypeAdapter(dict[str, CalendarSetting])


def read_calendars(path: Path) -> dict[str, CalendarSetting]:
    """The mapping of a JSON file. Raises ValueError with one sentence that repeats nothing of the file."""
    try:
        text = path.expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"the file cannot be read ({type(error).__name__}): check the path and its rights"
        ) from None
    try:
        return _MAPPING.validate_json(text)
    except ValidationError:
        raise ValueError(
            'write {"AB": {"user": "ab@firm.example", "calendar": "…@group.calendar.google.com"}, …} into it'
        ) from None


def check_calendars(calendars: Mapping[str, CalendarSetting]) -> None:
    """Raises ValueError with one sentence for a mapping by which two employees' appointments could get mixed up."""
    for kuerzel, one in calendars.items():
        # It becomes the key of a partition, and a part of paths and log lines.
        if not _KUERZEL.fullmatch(kuerzel):
            raise ValueError("a Kürzel is up to 20 letters and digits, as Advoware has it")
        if not _MAIL.fullmatch(one.user):
            raise ValueError(f"the user of {kuerzel} is not the mail address of a Google account")
        if not one.calendar.strip() or one.calendar.strip() != one.calendar:
            raise ValueError(f"the calendar of {kuerzel} is empty or has a space at its end")
        # Whatever is in the calendar is ours by definition: a person's own one would be copied into Advoware whole.
        if one.calendar == "primary" or one.calendar.casefold() == one.user.casefold():
            raise ValueError(
                f"the calendar of {kuerzel} is the employee's own main one: make one for the Termine alone"
                " (bitbylaw setup-calendar)"
            )
    twins = [name for name, count in Counter(map(str.casefold, calendars)).items() if count > 1]
    if twins:
        raise ValueError(f"the Kürzel {twins[0].upper()} is there twice")
    shared = Counter(one.calendar for one in calendars.values())
    doubled = [kuerzel for kuerzel, one in calendars.items() if shared[one.calendar] > 1]
    if doubled:
        raise ValueError(f"{' and '.join(doubled)} share a calendar: each needs one of their own")
