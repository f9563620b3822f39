"""The yardstick: the calls of a new document and nothing else, by asyncio and aiohttp, sixteen documents at once.

No state, no retry, no lock, no journal, no check: kill it and everything in flight is lost. What it reaches is the most
that this machine, with the stand-ins on it, allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import aiohttp

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import MATTER_TYPE, BenchDocument
from bitbylaw_pipeline.bench.sandbox_process import ESPOCRM_KEY, MANAGEMENT_KEY, XAI_KEY, Sandbox

FIELDS = ("espocrm_entity_type", "espocrm_entity_id", "espocrm_document_id", "sha256")


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds from a document's first call to its link being made, and to its end."""

    linked: float
    whole: float


class BareLoop:
    """Use it as an async context manager: one connection pool."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._espocrm = f"{sandbox.espocrm_url}/api/v1"
        self._files = f"{sandbox.xai_url}/api/v1"
        self._management = f"{sandbox.xai_url}/management/v1"
        self._espocrm_headers = {"X-Api-Key": ESPOCRM_KEY, "Accept-Encoding": "identity"}
        self._files_headers = {"Authorization": f"Bearer {XAI_KEY}", "Accept-Encoding": "identity"}
        self._management_headers = {
            "Authorization": f"Bearer {MANAGEMENT_KEY}",
            "Accept-Encoding": "identity",
        }
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def create_collections(self, matters: Sequence[str]) -> dict[str, str]:
        """A collection for each matter, of the form that the pipeline makes; ids by matter id. Not measured."""
        made: dict[str, str] = {}
        for matter_id in matters:
            body = {
                "collection_name": f"espocrm:{MATTER_TYPE}:{matter_id}",
                "field_definitions": [{"key": key, "required": False} for key in FIELDS],
            }
            answer = await self._call(
                "POST", f"{self._management}/collections", self._management_headers, body=body
            )
            made[matter_id] = json.loads(answer)["collection_id"]
        return made

    async def run(
        self, documents: Sequence[BenchDocument], collections: Mapping[str, str], at_once: int
    ) -> list[Taken]:
        """Syncs all documents, `at_once` at a time; returns what each took."""
        waiting: Iterator[BenchDocument] = iter(documents)
        taken: list[Taken] = []

        async def work() -> None:
            for document in waiting:
                took = await self._sync(document, collections[document.matter_id])
                taken.append(took)

        await asyncio.gather(*(work() for _ in range(at_once)))
        return taken

    async def _sync(self, document: BenchDocument, collection_id: str) -> Taken:
        started = time.perf_counter()
        url = f"{self._espocrm}/{document.entity_type}/{document.id}"
        record = json.loads(await self._call("GET", url, self._espocrm_headers))
        content = await self._call(
            "GET", f"{self._espocrm}/Attachment/file/{record['dokumentId']}", self._espocrm_headers
        )
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        file_id = await self._upload(document, content, sha256)
        fields = dict(
            zip(FIELDS, (MATTER_TYPE, record["rumungsklagesIds"][0], document.id, sha256), strict=True)
        )
        await self._call(
            "POST",
            f"{self._management}/collections/{collection_id}/documents/{file_id}",
            self._management_headers,
            body={"fields": fields},
        )
        linked = time.perf_counter()
        written = {
            "xaiId": file_id,
            "xaiSyncedHash": md5,
            "fileStatus": "synced",
            "md5sum": md5,
            "sha256": sha256,
            "xaiCollections": [collection_id],
        }
        version = {"X-Version-Number": str(record["versionNumber"])}
        await self._call("PUT", url, {**self._espocrm_headers, **version}, body=written)
        json.loads(await self._call("GET", url, self._espocrm_headers))
        return Taken(linked - started, time.perf_counter() - started)

    async def _upload(self, document: BenchDocument, content: bytes, sha256: str) -> str:
        boundary = "bench-0123456789abcdef0123456789abcdef"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{document.id}-{sha256[:12]}-{document.name.replace(" ", "_")}"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        ).encode()
        headers = {**self._files_headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = head + content + f"\r\n--{boundary}--\r\n".encode()
        answer = await self._call("POST", f"{self._files}/files", headers, data=body)
        file_id: str = json.loads(answer)["id"]
        return file_id

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: object = None,
        data: bytes | None = None,
    ) -> bytes:
        assert self._session is not None  # noqa: S101  # calls are made inside the context manager alone
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers = {**headers, "Content-Type": "application/json"}
        async with self._session.request(method, url, headers=headers, data=data) as response:
            answer = await response.read()
            if response.status != 200:
                raise BenchProblem(
                    f"{method} {url.rpartition('/v1/')[2]} was answered {response.status}: {answer[:200]!r}"
                )
            return answer
