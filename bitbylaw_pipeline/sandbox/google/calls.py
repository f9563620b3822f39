"""One call of the API as its handlers see it, and what they answer with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.operations import Operation
from bitbylaw_pipeline.sandbox.google.token_endpoint import Grant

_FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON (None: no body) and, where there is one, the ETag header."""

    payload: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """Who asks for what. `calendar` is set, and its role checked, before a handler sees the call."""

    operation: Operation
    ids: dict[str, str]
    query: dict[str, list[str]]
    headers: dict[bytes, bytes]
    body: bytes
    grant: Grant
    calendar: Calendar | None = None
    role: str = "none"

    @property
    def user(self) -> str:
        """Whom the caller acts for."""
        return self.grant.user

    @property
    def known_calendar(self) -> Calendar:
        """The calendar named in the path."""
        if self.calendar is None:
            raise api_error("notFound")
        return self.calendar

    def header(self, name: bytes) -> str:
        """A header (name in lower case), or ""."""
        return self.headers.get(name, b"").decode("latin-1")

    def text(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false (without it: false). Raises ApiError."""
        value = self.text(name)
        if value is None:
            return False
        if value.lower() not in _FLAGS:
            raise invalid(f"Invalid boolean value: '{value}'.", parameter=name)
        return _FLAGS[value.lower()]

    def number(self, name: str, default: int, largest: int) -> int:
        """A positive number, cut to `largest` without a word. Raises ApiError."""
        value = self.text(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdigit() or not 0 < int(value) < 2**31:
            raise invalid(
                f"Invalid value '{value}'. Values must be within the range: [1, {largest}]", parameter=name
            )
        return min(int(value), largest)

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """One of these, or None. Raises ApiError."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise invalid(f"Invalid string value: '{value}'. Allowed values: {list(choices)}", parameter=name)
        return value

    def json_object(self) -> dict[str, Any]:
        """The body. Raises ApiError (parseError, required)."""
        if not self.body.strip():
            raise required("Required")
        try:
            data = json.loads(self.body)
        except ValueError:
            raise api_error("parseError") from None
        if not isinstance(data, dict):
            raise api_error("parseError")
        return data

    def check_if_match(self, etag: str) -> None:
        """Raise 412 unless `If-Match` is absent, `*`, or names this version."""
        wanted = self.header(b"if-match")
        if wanted and not matches(wanted, etag):
            raise api_error("conditionNotMet")


def own_url(scope: Scope) -> str:
    """The root under which the caller reached the stand-in, without a slash at the end."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}"


def matches(header: str, etag: str) -> bool:
    """Whether an If-Match or If-None-Match header names a version."""
    return header.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in header.split(","))
