"""Every request with its body, by operation: what a test reads to show that something was never asked for."""

from __future__ import annotations

import json
from collections import Counter, deque
from typing import Any

from bitbylaw_pipeline.sandbox.ledger import query_without_secrets

SCOPE_KEY = "sandbox.google.journal"


class JournalEntry:
    """One request. `user` and `operation` are "" until the app knows them (a fault may come before)."""

    __slots__ = ("at", "body", "calendar", "method", "n", "operation", "path", "query", "status", "user")

    def __init__(self, n: int, at: float, method: str, path: str, query: str, body: bytes) -> None:
        self.n = n
        self.at = at
        self.method = method
        self.path = path
        self.query = query
        # The body of the token endpoint holds a signed assertion: a secret, and never of use to a test.
        self.body = b"" if path == "/token" else body
        self.operation = ""
        self.user = ""
        self.calendar = ""
        self.status: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry, its body as JSON where it is JSON, else as text, None without one."""
        body: Any = None
        if self.body:
            try:
                body = json.loads(self.body)
            except ValueError:
                body = self.body.decode("utf-8", "replace")
        shown: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "body"}
        return {**shown, "body": body}


class Journal:
    """Requests in the order of their arrival, and counts per operation, and per user and operation."""

    def __init__(self, keep: int | None = 100_000) -> None:
        self.entries: deque[JournalEntry] = deque(maxlen=keep)
        self.operations: Counter[str] = Counter()
        self.by_user: Counter[tuple[str, str]] = Counter()
        self.total = 0

    def add(self, at: float, method: str, path: str, query: bytes, body: bytes) -> JournalEntry:
        """Note a request."""
        self.total += 1
        entry = JournalEntry(self.total, at, method, path, query_without_secrets(query), body)
        self.entries.append(entry)
        return entry

    def named(self, entry: JournalEntry, operation: str, user: str, calendar: str) -> None:
        """Count what the app took the request for."""
        entry.operation, entry.user, entry.calendar = operation, user, calendar
        self.operations[operation] += 1
        self.by_user[user, operation] += 1

    def select(self, since: int = 0, operation: str = "", user: str = "") -> list[dict[str, Any]]:
        """Entries with n > `since`, of this operation and this user if given."""
        return [
            entry.as_json()
            for entry in self.entries
            if entry.n > since
            and (not operation or entry.operation == operation)
            and (not user or entry.user == user)
        ]

    def counts(self) -> dict[str, Any]:
        """`{"operations": {...}, "users": {mail: {...}}}`."""
        users: dict[str, dict[str, int]] = {}
        for (user, operation), count in sorted(self.by_user.items()):
            users.setdefault(user, {})[operation] = count
        return {"operations": dict(sorted(self.operations.items())), "users": users}

    def clear(self) -> None:
        """Forget everything; numbering starts at 1 again."""
        self.entries.clear()
        self.operations.clear()
        self.by_user.clear()
        self.total = 0
