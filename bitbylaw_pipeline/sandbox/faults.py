"""Faults that a stand-in shows on chosen routes, set while it runs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    {"latency", "status", "html", "cut_body", "hang", "close", "timeout_after_commit"},
)
_HTML = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


@dataclass(slots=True)
class Fault:
    """One fault on one route.

    `method` is a name or `*`; `path` is a regular expression for the WHOLE path. The first `after` matching
    requests pass untouched, then `times` requests are hit (None: until cleared).

    | kind | what the client sees |
    |---|---|
    | latency | `seconds` more, then the ordinary answer |
    | status | `status` with `headers` and `body` (text, or any JSON value) instead of the app's answer |
    | html | an HTML page with `status` (200 unless given) |
    | cut_body | the app's answer promised in full by Content-Length, half of it sent, then a close |
    | hang | nothing for `seconds`, then a close; the app never sees the request |
    | close | a close at once (a reset, if the client is still writing); the app never sees the request |
    | timeout_after_commit | the app handles the request, nothing is answered for `seconds`, then a close |
    """

    kind: str
    path: str
    method: str = "*"
    times: int | None = None
    after: int = 0
    seconds: float = 0.0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = ""
    id: int = 0
    seen: int = 0
    applied: int = 0
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.pattern = re.compile(self.path)
        self.method = self.method.upper()

    @classmethod
    def from_json(cls, data: object) -> Fault:
        """A fault from a control request's JSON. Raises ValueError with one sentence for bad input."""
        if not isinstance(data, dict):
            raise ValueError("A fault is a JSON object with at least kind and path.")
        known = {"kind", "path", "method", "times", "after", "seconds", "status", "headers", "body"}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"Unknown fault settings {unknown}; known are {sorted(known)}.")
        if data.get("kind") not in KINDS:
            raise ValueError(f"A fault's kind is one of {sorted(KINDS)}.")
        if not isinstance(data.get("path"), str):
            raise ValueError("A fault needs path, a regular expression for the whole path.")
        if data["kind"] == "html":
            data = {"status": 200, **data}
        try:
            return cls(**data)
        except (re.error, TypeError, AttributeError) as error:
            raise ValueError(f"The fault cannot be set: {error}.") from error

    def answer(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body of kinds `status` and `html`."""
        if self.kind == "html":
            content_type, body = "text/html; charset=UTF-8", str(self.body or _HTML).encode()
        elif isinstance(self.body, str):
            content_type, body = "text/plain; charset=utf-8", self.body.encode()
        else:
            content_type, body = "application/json", json.dumps(self.body).encode()
        headers = {
            "content-type": content_type,
            **{key.lower(): value for key, value in self.headers.items()},
        }
        headers["content-length"] = str(len(body))
        return self.status, [(key.encode(), value.encode()) for key, value in headers.items()], body

    def as_json(self) -> dict[str, Any]:
        """The fault as `GET /sandbox/faults` shows it, with how often it matched and was applied."""
        shown = ("id", "kind", "method", "path", "times", "after", "seconds", "status", "headers", "body")
        return {name: getattr(self, name) for name in (*shown, "seen", "applied")}


class Faults:
    """The faults set at present, in the order in which they were set."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self._ids: Iterator[int] = itertools.count(1)

    def add(self, fault: Fault) -> Fault:
        """Set a fault; returns it with its id."""
        fault.id = next(self._ids)
        self.rules.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; returns how many were removed."""
        kept = [] if fault_id is None else [rule for rule in self.rules if rule.id != fault_id]
        removed = len(self.rules) - len(kept)
        self.rules = kept
        return removed

    def pick(self, method: str, path: str) -> tuple[float, Fault | None]:
        """Count this request; returns the latency to add (seconds) and the first other fault due, if any."""
        latency, chosen = 0.0, None
        for rule in self.rules:
            if rule.method not in ("*", method) or not rule.pattern.fullmatch(path):
                continue
            if rule.kind != "latency" and chosen is not None:
                continue
            rule.seen += 1
            if rule.seen <= rule.after or (rule.times is not None and rule.applied >= rule.times):
                continue
            rule.applied += 1
            if rule.kind == "latency":
                latency += rule.seconds
            else:
                chosen = rule
        return latency, chosen
