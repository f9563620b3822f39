"""A stream of toys: the real queue, worker and Dagster definitions around entities that do as their key says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from bitbylaw_pipeline.domain.errors import Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, document_record, partitions_of
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.worker import Worker

FILES = dg.AssetKey(["xai", "files"])
MEMBERSHIPS = dg.AssetKey(["xai", "collection_documents"])
BOTH = ("xai/files", "xai/collection_documents")

TOYS = StreamAssets(
    name="documents",
    specs=tuple(
        dg.AssetSpec(key, skippable=True, partitions_def=partitions_of("documents"))
        for key in (FILES, MEMBERSHIPS)
    ),
    record_of=document_record,
    systems=frozenset({"espocrm"}),
)


@dataclass(frozen=True, slots=True)
class ToyStream:
    """Does with a key what its first word says, or what a file of its name in the folder says by now."""

    folder: Path
    name: str = "documents"
    systems: frozenset[str] = TOYS.systems

    def entity_lock(self, key: str) -> str:
        return f"document_sync:CDokumente:{key}"

    async def describe(self, key: str) -> list[str]:
        return [key]

    async def sync(self, key: str) -> Outcome:
        file = self.folder / key
        told = file.read_text() if file.exists() else key.partition("-")[0]
        match told:
            case "ok":
                return Outcome(
                    key, Result.SYNCED, {"file_id": f"file-{key}", "size": 7, "is_new": True}, BOTH
                )
            case "slow":
                (self.folder / f"begun-{key}").touch()
                await asyncio.sleep(120)
                return Outcome(key, Result.SYNCED, {}, BOTH)
            case "warn":
                return Outcome(key, Result.SYNCED, {}, BOTH, warning="xAI could not index it.")
            case "bad":
                raise Permanent("EspoCRM refuses it.", system="espocrm", status=400, reason="invalid")
            case "fail":
                raise Transient("xAI answers 503.", system="xai-files", status=503)
            case other:
                return Outcome(key, Result(other))


@dataclass(frozen=True, slots=True)
class ToyRuntime:
    """What a run of the toy stream works with."""

    settings: Settings
    database: Database
    coordination: Coordination
    stream: ToyStream

    def worker(self, stream_name: str, *, polls_feed: bool = True) -> Worker:
        assert stream_name == self.stream.name
        # Its batch reads EspoCRM's records, and so its change feed.
        assert polls_feed
        watch = OutageWatch(self.database, {}, self.settings.outage_probe_seconds)
        return Worker(self.stream, self.database, self.coordination, watch, self.settings)


class ToyBackend(Backend):
    """The project's backend with the toy stream in it; `given` are settings."""

    database_url: str
    folder: str
    given: dict[str, Any] = {}  # noqa: RUF012  # a field of a Dagster resource, not a class attribute

    def settings(self) -> Settings:
        chosen = {
            "batch_linger_seconds": 0.0,
            "retry_attempts": 3,
            "partition_wait_seconds": 0.5,
            **self.given,
        }
        return Settings.load(
            _env_file=None,
            state_db_url=self.database_url,
            espocrm_api_base_url="https://crm.example/api/v1",
            **chosen,
        )

    def check(self) -> None:
        """The toy stream reaches no system."""

    def _open_database(self) -> Database:
        return Database.open(self.database_url, migrate=True)

    @asynccontextmanager
    async def open_runtime(self) -> AsyncIterator[ToyRuntime]:  # type: ignore[override]  # a toy of the real one
        settings = self.settings()
        database = self._open_database()
        coordination = Coordination.open(settings)
        try:
            yield ToyRuntime(settings, database, coordination, ToyStream(Path(self.folder)))
        finally:
            await coordination.aclose()
            await database.aclose()


def toy_definitions(backend: ToyBackend) -> dg.Definitions:
    """The toy stream as a code location of its own."""
    job = build_stream_job(TOYS)
    return dg.Definitions(
        assets=[build_stream_assets(TOYS)],
        jobs=[job],
        sensors=[build_queue_sensor(TOYS, job)],
        resources={"backend": backend},
        executor=dg.in_process_executor,
    )
