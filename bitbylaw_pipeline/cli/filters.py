"""The filters that the inbox's commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from bitbylaw_pipeline.cli.pair_names import ADVOWARE_PAIRS, TERMINE

STREAM_NAMES = ("documents", "collections", *ADVOWARE_PAIRS, TERMINE)
ADVOWARE_STREAMS = ADVOWARE_PAIRS
"""Those that are there where Advoware is configured; `termine` is there with calendars alone."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}

F = TypeVar("F", bound=Callable[..., Any])


class Since(click.ParamType[Any]):
    """A point in time: how long ago (`90s`, `30m`, `2h`, `7d`), or a date with an optional time (local)."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A function from now to the point in time, both in UTC epoch seconds."""
        if callable(value):
            return value
        if found := _SPAN.fullmatch(value.strip()):
            seconds = float(found[1]) * _SECONDS[found[2]]
            return lambda now: now - seconds
        try:
            at = datetime.fromisoformat(value.strip()).astimezone().timestamp()
        except ValueError:
            self.fail(
                f"{value!r} is no time: write 30m, 2h, 7d, or 2026-11-23 or 2026-11-23T14:30.", param, ctx
            )
        return lambda _: at


def stream_option(function: F) -> F:
    """--stream"""
    chosen = click.Choice(STREAM_NAMES)
    return click.option("--stream", type=chosen, default=None, help="Only this stream.")(function)


def key_option(function: F) -> F:
    """--key"""
    shown = "Only this record's id, this owner (EntityType:id), or this employee (Kürzel)."
    return click.option("--key", default=None, help=shown)(function)


def since_option(function: F) -> F:
    """--since"""
    shown = "Only from then on: 30m, 2h, 7d, or a date."
    return click.option("--since", type=Since(), default=None, metavar="WHEN", help=shown)(function)


def reason_option(function: F) -> F:
    """--reason"""
    return click.option("--reason", default=None, help="Only what is parked for this reason.")(function)
