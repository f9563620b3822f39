"""What a stand-in was asked: an append-only list of requests, and a counter per route."""

from __future__ import annotations

import re
from collections import Counter, deque
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

_SECRET_QUERY_KEYS = frozenset(
    {"access_token", "api_key", "apikey", "hmac", "key", "password", "secret", "signature", "token"}
)
# An id is 17 hex digits (EspoCRM), a number, a UUID, or one of xAI's `file_<uuid>`, `collection_<uuid>`.
_ID_SEGMENT = re.compile(r"(?<=/)(?:(?:file_|collection_)?[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{17}|\d+)(?=/|$)")


class LedgerEntry(NamedTuple):
    """One request that reached the stand-in. `at` is the sandbox clock (seconds UTC) at its arrival."""

    n: int
    at: float
    app: str
    method: str
    path: str
    query: str
    route: str
    status: int | None
    duration_ms: float
    request_bytes: int
    response_bytes: int
    fault: str | None


def route_template(path: str) -> str:
    """The path with every id replaced by `{id}`, for stand-ins that do not name their routes themselves."""
    return _ID_SEGMENT.sub("{id}", path)


def query_without_secrets(query_string: bytes) -> str:
    """The query string with the values of keys, tokens and signatures replaced by `***`."""
    if not query_string:
        return ""
    text = query_string.decode("latin-1")
    lowered = text.lower()
    if not any(name in lowered for name in _SECRET_QUERY_KEYS):
        return text
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode(
        [(key, "***" if key.lower() in _SECRET_QUERY_KEYS else value) for key, value in pairs], safe="*"
    )


class Ledger:
    """Requests in the order in which they ended. `keep` bounds the entries held (None: all); counts stay."""

    def __init__(self, keep: int | None = 50_000) -> None:
        self.total = 0
        self.entries: deque[LedgerEntry] = deque(maxlen=keep)
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, entry: LedgerEntry) -> None:
        """Append an entry made with `n=ledger.total + 1`."""
        self.total = entry.n
        self.entries.append(entry)
        self._counts[entry.method, entry.route] += 1

    def counts(self) -> dict[str, int]:
        """Requests per `"METHOD /route/{id}"`."""
        return {f"{method} {route}": count for (method, route), count in sorted(self._counts.items())}

    def select(self, since: int = 0, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """Entries with n > `since`, of `method` if given, whose whole path matches the regex `path` if given."""
        pattern = re.compile(path) if path else None
        return [
            entry._asdict()
            for entry in self.entries
            if entry.n > since
            and (not method or entry.method == method)
            and (pattern is None or pattern.fullmatch(entry.path))
        ]

    def clear(self) -> None:
        """Forget all entries and counts; numbering starts at 1 again."""
        self.total = 0
        self.entries.clear()
        self._counts.clear()
