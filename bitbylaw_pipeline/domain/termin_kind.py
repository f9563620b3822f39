"""What kind of appointment a Termin is, and what may be told of it outside the firm. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class TerminKind(StrEnum):
    """Decides which way an appointment travels."""

    TERMIN = "termin"
    """Both ways."""
    FRIST = "frist"
    """A court's deadline: to Google alone, whatever is done to it there."""
    SERIE = "serie"
    """A series: to Google alone, for Advoware's have neither exceptions nor counts."""


MASKED = "(verdeckt)"
"""What stands, between the two systems, for a title that Google is not told."""
TITLES: Mapping[str, str] = {
    TerminKind.TERMIN: "Termin",
    TerminKind.FRIST: "Frist",
    TerminKind.SERIE: "Termin",
}
"""What Google shows in the place of a masked title."""
UNTITLED = "Termin (aus Google Kalender)"
"""The title in Advoware of an appointment that was made in Google and has none, or a masked one (a copy)."""

_EVERY = "alle"
_NONE = "keine"


@dataclass(frozen=True, slots=True)
class FristRule:
    """Which Termine are court deadlines: a setting, as `parse` reads it. The default counts every one."""

    pattern: re.Pattern[str] | None = None
    field: str | None = None
    value: str = ""
    counts_all: bool = True

    @classmethod
    def parse(cls, text: str) -> FristRule:
        """Reads "alle" (or nothing), "keine", "text:REGEX" (in the title) or "feld:NAME=VALUE" (of Advoware's row).

        Raises ValueError with a sentence that says what can stand there.
        """
        rule = text.strip()
        if rule.casefold() in ("", _EVERY):
            return cls()
        if rule.casefold() == _NONE:
            return cls(counts_all=False)
        kind, _, rest = rule.partition(":")
        if kind == "text" and rest:
            try:
                return cls(pattern=re.compile(rest, re.IGNORECASE), counts_all=False)
            except re.error as error:
                # Without the pattern's own words, which may name a client.
                raise ValueError(f"the pattern cannot be read (at position {error.pos})") from None
        name, equals, value = rest.partition("=")
        if kind == "feld" and name.strip() and equals:
            return cls(field=name.strip(), value=value.strip(), counts_all=False)
        raise ValueError('write "alle", "keine", "text:REGEX" or "feld:NAME=VALUE"')

    def counts(self, title: str | None, row: Mapping[str, Any]) -> bool:
        """Whether a Termin with that title and that row of Advoware is a Frist."""
        if self.counts_all:
            return True
        if self.pattern is not None:
            return self.pattern.search(title or "") is not None
        if self.field is None:
            return False
        # The two surfaces spell a field's first letter differently.
        wanted = self.field.casefold()
        values = [value for name, value in row.items() if name.casefold() == wanted]
        if not values:
            # A field that no row has, mistyped or the other surface's: what nobody can tell counts as a deadline.
            return True
        return values[0] is not None and str(values[0]).strip().casefold() == self.value.casefold()
