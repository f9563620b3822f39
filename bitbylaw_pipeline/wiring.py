"""Puts the parts together from the settings: the one place that knows them all, below Dagster and the CLI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.call_count import count_call
from bitbylaw_pipeline.sync.collections import CollectionStream
from bitbylaw_pipeline.sync.document_round import DocumentTools
from bitbylaw_pipeline.sync.documents import DocumentStream
from bitbylaw_pipeline.sync.feed import ChangeFeed
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.stream import Stream
from bitbylaw_pipeline.sync.sweep import Sweep
from bitbylaw_pipeline.sync.worker import Worker

REQUIRED = (
    "espocrm_api_base_url",
    "espocrm_api_key",
    "xai_api_key",
    "xai_management_key",
    "state_encryption_key",
)


def open_database(settings: Settings) -> Database:
    """The state database, migrated; cheap, and the only connection made is to it."""
    if settings.database_url.startswith("sqlite:///"):
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    key = settings.state_encryption_key.get_secret_value() or None
    return Database.open(settings.database_url, encryption_key=key, migrate=True)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a batch, a partition run or a command works with; open it with `open_runtime`."""

    settings: Settings
    database: Database
    coordination: Coordination
    espocrm: EspoCrm
    records: DocumentRecords
    xai: Xai
    feed: ChangeFeed
    outage_watch: OutageWatch
    streams: Mapping[str, Stream]

    def worker(self, stream_name: str, *, polls_feed: bool = True) -> Worker:
        """A new worker on that stream."""
        return Worker(
            stream=self.streams[stream_name],
            database=self.database,
            coordination=self.coordination,
            outage_watch=self.outage_watch,
            settings=self.settings,
            feed=self.feed if polls_feed else None,
        )

    def sweep(self) -> Sweep:
        """The nightly comparison."""
        return Sweep(self.espocrm, self.records, self.xai, self.database, self.coordination, self.settings)


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, database: Database | None = None, transports: Mapping[str, Any] | None = None
) -> AsyncIterator[Runtime]:
    """Opens database, Redis and clients and closes them again. Raises SettingsError for what is missing.

    `transports` replaces the clients' way out, by system ("espocrm", "xai-files", "xai-management"): tests reach the
    stand-ins without a socket.
    """
    ways = transports or {}
    settings.require(*REQUIRED)
    async with AsyncExitStack() as stack:
        if database is None:
            database = open_database(settings)
            stack.push_async_callback(database.aclose)
        coordination = Coordination.open(settings)
        stack.push_async_callback(coordination.aclose)
        espocrm = EspoCrm.open(
            settings, transport=ways.get("espocrm"), cache=coordination, on_call=count_call
        )
        stack.push_async_callback(espocrm.aclose)
        xai = Xai.open(
            settings,
            files_transport=ways.get("xai-files"),
            management_transport=ways.get("xai-management"),
            on_call=count_call,
        )
        stack.push_async_callback(xai.aclose)
        records = DocumentRecords(espocrm, settings.document_fields, settings.collection_owners)
        cipher = Cipher(settings.state_encryption_key.get_secret_value())
        outage_watch = OutageWatch(
            database,
            {"espocrm": espocrm.probe, "xai-files": xai.probe_files, "xai-management": xai.probe_management},
            settings.outage_probe_seconds,
        )
        feed = ChangeFeed(espocrm, database, coordination, settings, outage_watch)
        spool_dir = settings.spool_dir or settings.home / "spool"
        tools = DocumentTools(database, coordination, records, xai, cipher, settings, spool_dir)
        streams: dict[str, Stream] = {
            "documents": DocumentStream(tools),
            "collections": CollectionStream(database, coordination, records, xai, settings),
        }
        yield Runtime(settings, database, coordination, espocrm, records, xai, feed, outage_watch, streams)
