"""What tests of an erasure share: its tools on a world, Dagster's history in this process, and a search everywhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select

from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.domain.erasure import Kind, Mention
from bitbylaw_pipeline.inbox import schema
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.erasure import Asked, Erased, erase, plan_erasure
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.wiring import Runtime
from tests.conftest import ENCRYPTION_KEY

UNREADABLE = ("egress", "egress_head", "erasure")


@dataclass(slots=True)
class NotedHistory:
    """Stands where Dagster's history is: notes what it is asked to forget (`tests/orchestration` tries the real one)."""

    names: int = 1
    erased: list[Mention] = field(default_factory=list)

    async def count(self, mention: Mention) -> int:
        """As many as there are until they are erased."""
        del mention
        return self.names

    async def erase(self, mention: Mention) -> int:
        """All of them; none is left."""
        self.erased.append(mention)
        self.names = 0
        return 0


def tools_of(runtime: Runtime, history: Any, **changed: Any) -> ErasureTools:
    """An erasure's tools on that runtime."""
    given: dict[str, Any] = {
        "settings": runtime.settings,
        "database": runtime.database,
        "coordination": runtime.coordination,
        "records": runtime.records,
        "xai": runtime.xai,
        "streams": runtime.streams,
        "history": history,
        "version": "1",
        "tasks": Tasks(runtime.espocrm),
        "pairs": None if runtime.advoware is None else runtime.advoware.pairs,
        "termine": None if runtime.calendars is None else runtime.calendars.pairs,
        "wait_seconds": 0.5,
    }
    return ErasureTools(**{**given, **changed})


@dataclass(slots=True)
class Clerk:
    """Erases things, and looks for what is left."""

    tools: ErasureTools

    async def plan(self, kind: Kind, subject: str, **named: Any) -> ErasurePlan:
        """What would be done."""
        return await plan_erasure(self.tools, Asked(kind, subject, **named))

    async def erase(
        self, kind: Kind, subject: str, on_step: Callable[[str], None] = lambda _: None, **named: Any
    ) -> Erased:
        """Does it."""
        return await erase(self.tools, Asked(kind, subject, **named), on_step)


def rows_naming(database: Database, words: set[str]) -> list[tuple[str, str]]:
    """(table, word) for every word in any column of any table, encrypted columns read with the key."""
    found = []
    with database.engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                text = " ".join(_opened(value) for value in row)
                found += [(table.name, word) for word in words if word in text]
    return found


def bytes_naming(folder: Path, words: set[str]) -> list[tuple[str, str]]:
    """(file, word) for every word in the bytes of any file below the folder."""
    return [
        (file.name, word)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        for word in words
        if word.encode() in file.read_bytes()
    ]


def neighbours_of(database: Database, words: set[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Table -> its rows that name none of the words, to compare before and after."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with database.engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name in (*UNREADABLE, "flag", "sync_run_lease"):
                continue
            rows[table.name] = sorted(
                (
                    tuple(row)
                    for row in connection.execute(select(table))
                    if not any(word in " ".join(_opened(value) for value in row) for word in words)
                ),
                key=repr,
            )
    return rows


def journal_bytes(database: Database) -> int:
    """How long SQLite's log is."""
    file = Path(str(database.engine.url.database))
    log = file.with_name(file.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def whole(file: Path) -> bool:
    """Whether SQLite finds its file in order."""
    with closing(sqlite3.connect(file)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def _opened(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    try:
        return Fernet(ENCRYPTION_KEY).decrypt(value.encode()).decode()
    except (InvalidToken, ValueError, UnicodeError):
        return value


def as_text(state: Any) -> str:
    """A stand-in's whole state."""
    return json.dumps(state, default=str)
