"""How a person names a pair of systems: parties, accounts, Akten, and one employee's appointments, `termine:AB`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from bitbylaw_pipeline import calendar_settings
from bitbylaw_pipeline.cli.problems import NotUsable
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.settings import Settings

ADVOWARE_PAIRS = ("beteiligte", "bankverbindungen", "akten")
"""Between EspoCRM and Advoware."""
DOCUMENTS = "documents"
"""Documents and collections, between EspoCRM and xAI: no pair to pass over, but one with deletes to approve."""
TERMINE = "termine"
"""The stream of appointments, and as a pair: those of all employees."""
_SHOWN = f"{TERMINE}:"

_PARTIES = MappingProxyType({"left": "EspoCRM", "right": "Advoware"})
_FILES = MappingProxyType({"left": "EspoCRM", "right": "xAI"})
_CALENDARS = MappingProxyType({"left": "Advoware", "right": "Google"})
SIDES = tuple(_PARTIES)


def kuerzel_of(pair: str) -> str | None:
    """Whose appointments the pair is about; None for any other pair."""
    return pair.removeprefix(PAIR_PREFIX) if pair.startswith(PAIR_PREFIX) else None


def shown(pair: str) -> str:
    """The pair as a person names it."""
    kuerzel = kuerzel_of(pair)
    return pair if kuerzel is None else _SHOWN + kuerzel


def stream_of(pair: str) -> str:
    """The stream of the work queue that carries out what is decided about the pair."""
    return TERMINE if kuerzel_of(pair) is not None else pair


def sides_of(pair: str) -> Mapping[str, str]:
    """Which system is left and which is right."""
    if pair == DOCUMENTS:
        return _FILES
    return _PARTIES if kuerzel_of(pair) is None and pair != TERMINE else _CALENDARS


def legend_of(pair: str) -> str:
    """The same as a phrase."""
    sides = sides_of(pair)
    return f"left is {sides['left']}, right is {sides['right']}"


def is_among(pair: str, chosen: str | None) -> bool:
    """Whether the pair is the chosen one, or one of the chosen ones ("termine": every employee's; None: all)."""
    return chosen in (None, pair, stream_of(pair))


def asked_for(chosen: str | None) -> str | None:
    """The one pair to ask the state for; None where more than one is chosen, for `is_among` to sort."""
    return None if chosen == TERMINE else chosen


def check_kuerzel(text: str) -> None:
    """Raises NotUsable for what cannot be a Kürzel."""
    try:
        calendar_settings.check_kuerzel(text)
    except ValueError as error:
        raise NotUsable(f"{text!r} is no Kürzel: {error}.") from None


def named_kuerzel(settings: Settings, text: str) -> str:
    """The Kürzel as the setting has it, however its letters are typed; as it is typed where nobody has it."""
    return next((one for one in settings.calendars if one.casefold() == text.casefold()), text)


def named_pair(settings: Settings, pair: str) -> str:
    """The same for a pair; of somebody who is not in the setting any more there may still be links and holds."""
    kuerzel = kuerzel_of(pair)
    return pair if kuerzel is None else PAIR_PREFIX + named_kuerzel(settings, kuerzel)


def require_calendars(settings: Settings) -> None:
    """Raises NotUsable where appointments are not kept in step."""
    if not settings.has_calendars:
        raise NotUsable(
            "Appointments are not configured: set GOOGLE_CALENDARS and the ADVOWARE_* settings (docs/configuration.md), "
            "then see bitbylaw doctor."
        )


def require_kuerzel(settings: Settings, kuerzel: str) -> None:
    """Raises NotUsable for somebody without a calendar."""
    require_calendars(settings)
    if kuerzel not in settings.calendars:
        raise NotUsable(f"{kuerzel} has no calendar: name user and calendar in GOOGLE_CALENDARS.")


class PairName(click.ParamType[str]):
    """One of the pairs by its name; one employee's appointments as `termine:AB`, and also as our state has it."""

    name = "pair"

    def __init__(self, others: tuple[str, ...] = ADVOWARE_PAIRS, *, takes_all: bool = False) -> None:
        self._others = others
        self._takes_all = takes_all
        """Whether "termine", every employee's, will do."""

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self._others, f"{_SHOWN}KÜRZEL", *([TERMINE] if self._takes_all else []))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """For the help: what can stand there."""
        del ctx
        names = "|".join(self._names)
        return f"{{{names}}}" if param.required else f"[{names}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as our state has it."""
        text = str(value)
        if text in self._others or (text == TERMINE and self._takes_all):
            return text
        kuerzel = text.removeprefix(PAIR_PREFIX if text.startswith(PAIR_PREFIX) else _SHOWN)
        if kuerzel == text:
            self.fail(f"{text!r} is no pair: write {', '.join(self._names)}.", param, ctx)
        check_kuerzel(kuerzel)
        return PAIR_PREFIX + kuerzel
