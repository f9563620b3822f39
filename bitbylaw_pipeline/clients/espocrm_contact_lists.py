"""The lists behind EspoCRM's e-mail and phone fields: `[{"emailAddress"|"phoneNumber", primary, optOut, …}]`.

Only a single read carries them, a list row has the primary value alone; the answer to a PUT still shows the old ones
on 9.x (`facts/espocrm.md` 4 and recorded exchanges).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContactList:
    """What one kind of list looks like: `key` holds the value, `new_type` is the type of a number added by us."""

    key: str
    country: str = ""
    new_type: str | None = None

    def read(self, items: Any) -> list[str]:
        """The values in EspoCRM's order, the primary one first."""
        shown = sorted(_items(items, self.key), key=lambda item: item.get("primary") is not True)
        return [str(item[self.key]).strip() for item in shown]

    def as_stored(self, values: Iterable[str]) -> list[str]:
        """The values as EspoCRM would keep them, each once."""
        kept: dict[str, str] = {}
        for value in values:
            text = phone_as_stored(value, self.country) if self.country else value.strip()
            if text:
                kept.setdefault(self.identity(text), text)
        return list(kept.values())

    def identity(self, value: str) -> str:
        """Equal for what EspoCRM takes for the same address or number."""
        return phone_as_stored(value, self.country) if self.country else value.strip().lower()

    def differs(self, one: Iterable[str], other: Iterable[str]) -> bool:
        """True unless both hold the same values, in whatever order."""
        first, second = ({self.identity(value) for value in self.as_stored(side)} for side in (one, other))
        return first != second

    def written(self, items: Any, values: Iterable[str]) -> list[Item]:
        """The list to send so that exactly `values` stay: what was there keeps its type and flags, a mail its spelling.

        A number in the local form, from an old import say, goes along in the international one: EspoCRM refuses the
        whole list for it (`facts/espocrm.md` 4), and the party could never be changed again.
        """
        there = {self.identity(str(item[self.key])): item for item in _items(items, self.key)}
        made: list[Item] = []
        for value in self.as_stored(values):
            old = there.get(self.identity(value))
            if old is None:
                made.append(self._new(value))
                continue
            kept = phone_as_stored(str(old[self.key]), self.country) if self.country else old[self.key]
            made.append({**old, self.key: kept, "primary": old.get("primary") is True})
        if made and not any(item["primary"] for item in made):
            made[0]["primary"] = True
        return made

    def _new(self, value: str) -> Item:
        # EspoCRM reads `primary` of every item without looking whether it is there.
        item: Item = {self.key: value, "primary": False, "optOut": False, "invalid": False}
        return item | ({"type": self.new_type} if self.new_type else {})


def phone_as_stored(value: str, country: str) -> str:
    """A number in the international form that EspoCRM keeps and demands (`030 1234` -> `+49301234`).

    `country` such as "+49" belongs to numbers written without one. What is no number stays as it is, for EspoCRM
    to refuse.
    """
    text = value.strip()
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    if not digits or re.search(r"[^\W\d_]", text):
        return text
    if text.startswith("+"):
        return f"+{digits}"
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    return country + digits[1:] if digits.startswith("0") else text


def _items(items: Any, key: str) -> list[Item]:
    found = items if isinstance(items, list) else []
    return [item for item in found if isinstance(item, dict) and str(item.get(key) or "").strip()]
