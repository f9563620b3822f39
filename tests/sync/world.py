"""A firm in small: both stand-ins without a socket, a real state database, and a person who works in EspoCRM."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.inbox import document_states, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.espocrm import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.xai import XaiSandbox
from bitbylaw_pipeline.sandbox.xai import create_app as create_xai
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.wiring import Runtime, open_runtime
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url

KLAGE = "CVmhRumungsklage"
PERMISSION_FIELDS = {
    "kiFreigabe": {"type": "bool"},
    "kiFreigabeReferenz": {"type": "varchar", "maxLength": 255},
    "kiFreigabeDatum": {"type": "date"},
}
ESPOCRM_KEY = "sandbox-espocrm-key"
HASTE: dict[str, Any] = {
    "espocrm_api_timeout_seconds": 1.0,
    "xai_timeout_seconds": 1.0,
    "xai_settle_seconds": 0.2,
    "xai_indexing_check_seconds": 0.1,
    "lease_seconds": 3.0,
    "batch_poll_seconds": 0.05,
    "retry_first_seconds": 0.05,
    "outage_probe_seconds": 0.15,
}


class Tap(httpx.AsyncBaseTransport):
    """Passes requests on to a stand-in, telling a listener before and after each: where tests break things."""

    def __init__(self, app: Any, system: str, world: World) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self._system = system
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, with the listeners' leave."""
        name = f"{self._system} {request.method} {request.url.path}"
        await self._world.tell("before", name)
        # A real transport gives up a read after so long; the one beneath knows no time.
        read_seconds = request.extensions.get("timeout", {}).get("read")
        async with asyncio.timeout(read_seconds):
            response = await self._inner.handle_async_request(request)
        await self._world.tell("after", name)
        return response


Listener = Callable[[str, str], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class World:
    """What a test works with; open it with `open_world`."""

    espocrm_app: Any
    xai: XaiSandbox
    clock: FakeClock
    folder: Path
    listener: Listener | None = None
    calls: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    """What the passes of `drain` came to."""
    runtime: Runtime = field(init=False)
    person: httpx.AsyncClient = field(init=False)

    async def tell(self, when: str, name: str) -> None:
        """The taps' hook."""
        if when == "before":
            self.calls.append(name)
        if self.listener is not None:
            await self.listener(when, name)

    @property
    def database(self) -> Database:
        """The state database."""
        return self.runtime.database

    # a person's doings

    async def espo(self, method: str, path: str, body: Any = None) -> Any:
        """A call of EspoCRM's API by the person; raises for anything but success."""
        response = await self.person.request(method, f"/api/v1/{path}", json=body)
        assert response.status_code in (200, 201), (method, path, response.status_code, response.headers)
        return response.json()

    async def seed(self, seed: dict[str, Any]) -> None:
        """Seeds the stand-in of EspoCRM."""
        response = await self.person.post("/sandbox/seed", json=seed)
        assert response.status_code == 200, response.text

    async def new_matter(self, entity_type: str = KLAGE, **values: Any) -> str:
        """A matter with permission, unless the values say otherwise."""
        granted = {"kiFreigabe": True, "kiFreigabeReferenz": "Mandat 7", "kiFreigabeDatum": "2023-01-02"}
        record = await self.espo("POST", entity_type, {"name": "Matter", **granted, **values})
        return str(record["id"])

    async def upload(self, content: bytes, name: str = "Klage.txt", content_type: str = "text/plain") -> str:
        """A file for a document's file field; returns the attachment's id."""
        data = base64.b64encode(content).decode()
        record = await self.espo(
            "POST",
            "Attachment",
            {
                "name": name,
                "type": content_type,
                "role": "Attachment",
                "relatedType": "CDokumente",
                "field": "dokument",
                "file": f"data:{content_type};base64,{data}",
            },
        )
        return str(record["id"])

    async def new_document(
        self, content: bytes | None, *matters: str, name: str = "Klage.txt", content_type: str = "text/plain"
    ) -> str:
        """A document with a file, linked to the Räumungsklagen."""
        values: dict[str, Any] = {"name": name}
        if content is not None:
            values["dokumentId"] = await self.upload(content, name, content_type)
        record = await self.espo("POST", "CDokumente", values)
        for matter in matters:
            await self.link(matter, record["id"])
        return str(record["id"])

    async def new_version(self, document: str, content: bytes, name: str = "Klage.txt") -> None:
        """Replaces the document's file."""
        await self.espo("PUT", f"CDokumente/{document}", {"dokumentId": await self.upload(content, name)})

    async def link(self, matter: str, document: str, entity_type: str = KLAGE) -> None:
        """Links a document to a matter."""
        await self.espo("POST", f"{entity_type}/{matter}/dokumentes", {"id": document})

    async def unlink(self, matter: str, document: str, entity_type: str = KLAGE) -> None:
        """Takes the link away."""
        await self.espo("DELETE", f"{entity_type}/{matter}/dokumentes", {"id": document})

    async def restore(self, entity_type: str, record_id: str) -> None:
        """Undelete, as an administrator does it."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.espocrm_app),
            base_url="http://espocrm.test",
            auth=("admin", "sandbox-admin"),
        ) as admin:
            path = f"/api/v1/{entity_type}/action/restoreDeleted"
            response = await admin.post(path, json={"id": record_id})
            assert response.status_code == 200, response.headers

    async def document(self, document: str) -> dict[str, Any]:
        """The record as EspoCRM shows it."""
        record: dict[str, Any] = await self.espo("GET", f"CDokumente/{document}")
        return record

    # the pipeline

    async def sync(self, document: str) -> Outcome:
        """One pass over one document."""
        return await self.runtime.streams["documents"].sync(document)

    async def want(self, *documents: str) -> None:
        """An event for each document."""
        await self.database.run(lambda conn: work_queue.want(conn, self.clock(), "documents", documents))

    async def want_owner(self, *keys: str) -> None:
        """An event for each owner, written {EntityType}:{id}."""
        await self.database.run(lambda conn: work_queue.want(conn, self.clock(), "collections", keys))

    async def drain(self, *, patience: int = 60) -> list[str]:
        """Passes over everything wanted, until nothing is (delays pass by themselves); returns the errors met."""
        errors: list[str] = []
        for _ in range(patience):
            claims = [claim for name in self.runtime.streams for claim in await self._claim(name)]
            if not claims:
                due = [await self._next_due(name) for name in self.runtime.streams]
                times = [time for time in due if time is not None]
                if not times:
                    return errors
                step = max(0.0, min(times) - self.clock()) + 0.01
                self.clock.advance(step)
                self.xai.clock.advance(step)
                continue
            for claim in claims:
                errors += await self._pass(claim)
        raise AssertionError(f"The work does not come to rest: {errors[-5:]}")

    async def some_passes(self, number: int) -> None:
        """At most so many passes of what is ready now, in either stream."""
        for name in self.runtime.streams:
            for claim in await self._claim(name, limit=number):
                await self._pass(claim)

    async def _claim(self, stream: str, limit: int = 50) -> list[work_queue.Claim]:
        return await self.database.run(
            lambda conn: work_queue.claim(conn, self.clock(), stream, limit=limit, lease_seconds=1000.0)
        )

    async def _next_due(self, stream: str) -> float | None:
        return await self.database.run(lambda conn: work_queue.next_due(conn, self.clock(), stream))

    async def _pass(self, claim: work_queue.Claim) -> list[str]:
        try:
            outcome = await self.runtime.streams[claim.stream].sync(claim.key)
        except SyncError as error:
            text = f"{type(error).__name__}: {error}"
            reason = getattr(error, "reason", None)
            if reason is not None:
                await self.database.run(
                    lambda conn: work_queue.park(conn, self.clock(), claim, reason=reason, error=text)
                )
            else:
                await self.database.run(
                    lambda conn: work_queue.retry(conn, self.clock(), claim, error=text, delay=5.0)
                )
            return [text]
        self.outcomes.append(outcome)
        again = {} if outcome.again_in is None else {claim.key: self.clock() + outcome.again_in}
        await self.database.run(lambda conn: work_queue.complete(conn, self.clock(), [claim], again=again))
        return []

    @asynccontextmanager
    async def batches(self, *, polls_feed: bool = False) -> AsyncIterator[list[Finished]]:
        """A lingering batch on each stream, for worlds that live in real time; yields what they record."""
        stop, recorded = asyncio.Event(), []  # type: tuple[asyncio.Event, list[Finished]]

        async def beat(activity: str) -> bool:
            return True

        tasks = [
            asyncio.create_task(
                self.runtime.worker(name, polls_feed=polls_feed).work(
                    stop=stop, record=recorded.extend, beat=beat
                )
            )
            for name in self.runtime.streams
        ]
        try:
            yield recorded
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], what: str = "") -> None:
        """Waits, in real time, until the condition holds."""
        deadline = time.monotonic() + 20.0
        while True:
            holds = condition()
            if await holds if isinstance(holds, Awaitable) else holds:
                return
            assert time.monotonic() < deadline, what or "What was waited for did not come about."
            await asyncio.sleep(0.05)

    async def rest(self) -> None:
        """Waits, in real time, until nothing is open any more but what is parked."""
        await self.until(self._is_at_rest, "The work does not come to rest.")

    async def _is_at_rest(self) -> bool:
        return not any([await self._next_due(name) is not None for name in self.runtime.streams])

    async def calls_of(self, document: str) -> list[str]:
        """The calls that one more pass makes."""
        self.calls.clear()
        with counting():
            await self.sync(document)
        return list(self.calls)

    # what is where

    def files(self) -> dict[str, dict[str, Any]]:
        """xAI's files by id."""
        return {file["id"]: file for file in self.xai.state()["files"]}

    def collections(self) -> dict[str, dict[str, Any]]:
        """xAI's collections by name."""
        return {collection["name"]: collection for collection in self.xai.state()["collections"]}

    def files_in(self, matter: str, entity_type: str = KLAGE) -> set[str]:
        """The ids of the files in a matter's collection."""
        collection = self.collections().get(f"espocrm:{entity_type}:{matter}")
        return {member["file_id"] for member in collection["members"]} if collection else set()

    async def state(self, document: str) -> DocumentState | None:
        """What the pipeline has agreed about the document."""
        return await self.database.run(lambda conn: document_states.get(conn, document))


def make_folder(folder: Path) -> None:
    """The world's folder, if a test has not made it."""
    folder.mkdir(parents=True, exist_ok=True)


@asynccontextmanager
async def open_world(
    folder: Path, *, kind: str = "sqlite", is_real_time: bool = False, **overrides: Any
) -> AsyncIterator[World]:
    """A fresh firm. Settings can be overridden by name; `kind` is the state database's.

    Its time is a clock that moves when told to, unless `is_real_time`: for batches, with short settings.
    """
    make_folder(folder)
    clock = FakeClock()
    overrides = {**HASTE, **overrides} if is_real_time else overrides
    processing = 0 if is_real_time else 5
    xai = create_xai(
        {"stage_seconds": {"PROCESSING": processing, "CHUNKED": 0, "EMBEDDING": 0, "WRITING": 0}}
    )
    world = World(create_espocrm(), xai, clock, folder)
    settings = Settings(
        _env_file=None,
        **{
            "espocrm_api_base_url": "http://espocrm.test/api/v1",
            "espocrm_api_key": ESPOCRM_KEY,
            "xai_api_key": xai.api_key,
            "xai_management_key": xai.management_key,
            "xai_api_base_url": "http://files.test/v1",
            "xai_management_base_url": "http://management.test/v1",
            "xai_egress": "field",
            "xai_indexing_check_seconds": 10.0,
            "state_encryption_key": ENCRYPTION_KEY,
            "spool_dir": folder / "spool",
            **overrides,
        },
    )
    database = Database.open(
        migrated_url(kind, folder), clock=None if is_real_time else clock, encryption_key=ENCRYPTION_KEY
    )
    transports = {
        "espocrm": Tap(world.espocrm_app, "espocrm", world),
        "xai-files": Tap(xai.files_app, "xai-files", world),
        "xai-management": Tap(xai.management_app, "xai-management", world),
    }
    person = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=world.espocrm_app),
        base_url="http://espocrm.test",
        headers={"X-Api-Key": ESPOCRM_KEY},
    )
    try:
        async with person, open_runtime(settings, database=database, transports=transports) as runtime:
            world.runtime, world.person = runtime, person
            await world.seed({"entities": {KLAGE: {"fields": PERMISSION_FIELDS}}})
            yield world
    finally:
        await database.aclose()


def in_world(
    folder: Path,
    story: Callable[[World], Coroutine[Any, Any, None]],
    *,
    kind: str = "sqlite",
    **overrides: Any,
) -> None:
    """Runs the story in a fresh firm."""

    async def run() -> None:
        async with open_world(folder, kind=kind, **overrides) as world:
            await story(world)

    asyncio.run(run())


def kinds(calls: Iterable[str]) -> list[str]:
    """Calls without their ids, for comparing with what a flow may cost."""
    return [
        " ".join(part for part in (call.split()[0], call.split()[1], _route(call.split()[2])))
        for call in calls
    ]


def _route(path: str) -> str:
    parts = path.strip("/").removeprefix("api/").split("/")
    return "/".join(
        "{id}" if any(char.isdigit() for char in part) and len(part) > 8 else part for part in parts[1:]
    )
