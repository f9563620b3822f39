"""What an erasure works with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.erasure import Mention
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.stream import Stream
from bitbylaw_pipeline.sync.termine_pairs import TerminePairs
from bitbylaw_pipeline.sync.two_way_pairs import Pairs

T = TypeVar("T")


class History(Protocol):
    """Dagster's history, which is another process's business."""

    async def count(self, mention: Mention) -> int:
        """How much of it names the subject."""
        ...

    async def erase(self, mention: Mention) -> int:
        """Erases it and returns how much is left. Raises NotErased while a run of the subject is under way."""
        ...


@dataclass(frozen=True, slots=True)
class ErasureTools:
    """The clients, the state, and Dagster's history. `pairs` and `termine` are None where they are not configured."""

    settings: Settings
    database: Database
    coordination: Coordination
    records: DocumentRecords
    xai: Xai
    streams: Mapping[str, Stream]
    history: History
    version: str
    """This program's, for the proof."""
    tasks: Tasks
    pairs: Pairs | None = None
    termine: TerminePairs | None = None
    wait_seconds: float = 60.0
    """How long what is at work on the subject is waited for."""
    clock: Callable[[], float] = time.time
    """UTC epoch seconds, as this machine's files have them."""

    @property
    def spool_dir(self) -> Path:
        """Where files lie on their way."""
        return self.settings.spool_dir or self.settings.home / "spool"

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Reads the state, beside any writer."""
        return await asyncio.to_thread(self.database.read, work)
