"""The whole pipeline as `bitbylaw up` starts it, with real daemon and code server, and what its scenarios share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import aiohttp
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from bitbylaw_pipeline.bench.agreement import check_agreement
from bitbylaw_pipeline.bench.bare_loop import BareLoop
from bitbylaw_pipeline.bench.burst_trial import SHARED_CALLS
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import MATTER_TYPE, BenchDocument, add_documents, add_matters, open_firm
from bitbylaw_pipeline.bench.ground import Ground, environment_of, settings_of
from bitbylaw_pipeline.bench.options import MATTERS, WARM_UP_DOCUMENTS
from bitbylaw_pipeline.bench.programs import Pipeline, running_pipeline
from bitbylaw_pipeline.bench.queue_watch import until_quiet
from bitbylaw_pipeline.bench.sandbox_process import LedgerRow
from bitbylaw_pipeline.bench.webhooks import MOST_EVENTS, Registration, open_sender, register, send
from bitbylaw_pipeline.inbox import collection_states
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_database

NO_INDEX_CHECK_SECONDS = 3600.0
"""The later look at the indexing is one pass more; left on, it would fall into whatever is measured next."""
WARM_UP_PATIENCE = 180.0
MOST_FEED_ROUNDS = 6


@dataclass(slots=True)
class WholePipeline:
    """A warm pipeline; `collections` are ids by matter id."""

    ground: Ground
    programs: Pipeline
    settings: Settings
    database: Database
    registration: Registration
    session: aiohttp.ClientSession
    matters: Sequence[str]
    bare: BareLoop
    dagster_url: str
    collections: dict[str, str] = field(default_factory=dict)
    bare_matters: Sequence[str] = ()
    bare_collections: dict[str, str] = field(default_factory=dict)

    async def notify(self, ids: Sequence[str]) -> None:
        """Sends webhooks for these documents, 50 events each, one after the other."""
        for start in range(0, len(ids), MOST_EVENTS):
            request = self.registration.sign(ids[start : start + MOST_EVENTS])
            await send(self.session, self.programs.receiver_url, request)

    async def until_feed_has_passed(self) -> None:
        """Returns when a whole round of the change feed has brought nothing more in.

        It shows the pipeline's own writes (a matter's collection id) once more, and that is not to be measured.
        """
        sandbox = self.ground.sandbox
        for _ in range(MOST_FEED_ROUNDS):
            await sandbox.reset_ledgers()
            await asyncio.sleep(self.settings.feed_interval_seconds + 1.0)
            await until_quiet(self.database)
            if not any(row.name not in SHARED_CALLS for row in await sandbox.calls_since_reset()):
                return
        raise BenchProblem(
            "FAILED: the pipeline does not come to rest: the change feed brings in its own writes."
        )

    async def check(self, documents: Sequence[BenchDocument]) -> None:
        """Raises BenchProblem unless everything agrees and, on PostgreSQL, Dagster has both materializations of each."""
        await check_agreement(self.ground.sandbox, documents, self.collections, self.database)
        if self.dagster_url:
            found = await asyncio.to_thread(self._materializations, [document.id for document in documents])
            if found < 2 * len(documents):
                raise BenchProblem(
                    f"FAILED: {found} materializations in Dagster for {len(documents)} documents, two each are due."
                )

    def _materializations(self, ids: Sequence[str]) -> int:
        engine = create_engine(self.dagster_url, poolclass=NullPool)
        statement = text(
            "SELECT count(*) FROM event_logs "
            "WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = ANY(:ids)"
        )
        with engine.connect() as connection:
            return int(connection.execute(statement, {"ids": list(ids)}).scalar_one())


@contextlib.asynccontextmanager
async def open_whole_pipeline(ground: Ground) -> AsyncIterator[WholePipeline]:
    """Starts everything, with collections for its matters made and both batches lingering."""
    sandbox = ground.sandbox
    await open_firm(sandbox)
    matters = await add_matters(sandbox, "pipeline", MATTERS)
    folder = ground.new_folder()
    dagster_url = ground.new_database("dagster") if ground.postgres else ""
    more = {"dagster_postgres_url": dagster_url} if dagster_url else {}
    values = ground.values(folder, xai_indexing_check_seconds=NO_INDEX_CHECK_SECONDS, **more)
    settings = settings_of(values)
    database = open_database(settings)
    try:
        registration = register(database)
        with running_pipeline(environment_of(values), folder) as programs:
            async with open_sender() as session, BareLoop(sandbox) as bare:
                opened = WholePipeline(
                    ground, programs, settings, database, registration, session, matters, bare, dagster_url
                )
                await _warm_up(opened)
                # Only now: the change feed's first reading takes in all matters that there are.
                opened.bare_matters = await add_matters(sandbox, "bare", MATTERS)
                opened.bare_collections = await bare.create_collections(opened.bare_matters)
                yield opened
    finally:
        database.close()


async def _warm_up(pipeline: WholePipeline) -> None:
    made = await add_documents(pipeline.ground.sandbox, "warm", WARM_UP_DOCUMENTS, pipeline.matters)
    await pipeline.notify([document.id for document in made])
    keys = [f"{MATTER_TYPE}:{matter}" for matter in pipeline.matters]
    deadline = time.monotonic() + WARM_UP_PATIENCE

    def read(conn: Connection) -> dict[str, str]:
        states = collection_states.get_many(conn, keys)
        return {
            key.partition(":")[2]: state.collection_id for key, state in states.items() if state.collection_id
        }

    while len(pipeline.collections) < len(keys):
        pipeline.collections.update(await asyncio.to_thread(pipeline.database.read, read))
        if time.monotonic() > deadline:
            raise BenchProblem("The pipeline did not get warm: see its log.")
        await asyncio.sleep(0.2)
    await until_quiet(pipeline.database)
    await pipeline.until_feed_has_passed()
    await pipeline.check(made)


def linked_at(rows: Sequence[LedgerRow], file_ids: dict[str, str]) -> dict[str, float]:
    """When each document's file was linked (UTC epoch seconds), by document id; `file_ids` are document ids by file."""
    found: dict[str, float] = {}
    for row in rows:
        file_id = row.path.rpartition("/")[2]
        if row.system == "xai_management" and row.method == "POST" and file_id in file_ids:
            found.setdefault(file_ids[file_id], row.ended)
    return found
