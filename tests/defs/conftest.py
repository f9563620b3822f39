"""The project's real definitions on the stand-ins of EspoCRM and xAI, on a real Dagster instance."""

import asyncio
import base64
import functools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from bitbylaw_pipeline.definitions import defs
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.sandbox.espocrm import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.xai import XaiSandbox
from bitbylaw_pipeline.sandbox.xai import create_app as create_xai
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import Runtime, open_runtime
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.orchestration.workbench import dagster_instance

ESPOCRM_KEY = "sandbox-espocrm-key"
KLAGE = "CVmhRumungsklage"


@dataclass(frozen=True, slots=True)
class StandIns:
    """The outside systems of one test."""

    espocrm: Any
    xai: XaiSandbox

    @property
    def transports(self) -> dict[str, httpx.AsyncBaseTransport]:
        """The ways to them without a socket."""
        return {
            "espocrm": httpx.ASGITransport(app=self.espocrm),
            "xai-files": httpx.ASGITransport(app=self.xai.files_app),
            "xai-management": httpx.ASGITransport(app=self.xai.management_app),
        }


_project = functools.cache(defs)

_stand_ins: dict[str, StandIns] = {}


class SandboxBackend(Backend):
    """The project's backend with its systems replaced by those registered under a name."""

    name: str
    database_url: str
    folder: str
    egress: str = "collection"
    feed_interval: float = 60.0

    def settings(self) -> Settings:
        xai = _stand_ins[self.name].xai
        return Settings.load(
            _env_file=None,
            state_db_url=self.database_url,
            state_encryption_key=ENCRYPTION_KEY,
            espocrm_api_base_url="http://crm.example/api/v1",
            espocrm_api_key=ESPOCRM_KEY,
            xai_api_key=xai.api_key,
            xai_management_key=xai.management_key,
            xai_api_base_url="http://files.example/v1",
            xai_management_base_url="http://management.example/v1",
            xai_egress=self.egress,
            spool_dir=Path(self.folder) / "spool",
            batch_linger_seconds=0.0,
            feed_interval_seconds=self.feed_interval,
        )

    def open_runtime(self) -> AbstractAsyncContextManager[Runtime]:
        return open_runtime(self.settings(), transports=_stand_ins[self.name].transports)


@dataclass(frozen=True, slots=True)
class Office:
    """A small firm: its records at the stand-ins, its state, its Dagster."""

    stand_ins: StandIns
    backend: SandboxBackend
    instance: dg.DagsterInstance
    database: Database

    def espo(self, method: str, path: str, body: Any = None) -> Any:
        """A person's call of EspoCRM's API."""

        async def call() -> Any:
            transport = httpx.ASGITransport(app=self.stand_ins.espocrm)
            headers = {"X-Api-Key": ESPOCRM_KEY}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://crm.example", headers=headers
            ) as person:
                response = await person.request(method, path, json=body)
                assert response.status_code in (200, 201), (path, response.status_code, response.headers)
                return response.json()

        return asyncio.run(call())

    def new_matter(self, name: str) -> str:
        """A Räumungsklage; returns its id."""
        return str(self.espo("POST", f"/api/v1/{KLAGE}", {"name": name})["id"])

    def new_document(self, matter: str, file_name: str, content: bytes) -> str:
        """A document with a file, linked to the matter; returns its id."""
        file = {
            "name": file_name, "type": "text/plain", "role": "Attachment", "relatedType": "CDokumente",
            "field": "dokument", "file": f"data:text/plain;base64,{base64.b64encode(content).decode()}",
        }  # fmt: skip
        attachment = self.espo("POST", "/api/v1/Attachment", file)["id"]
        document = self.espo("POST", "/api/v1/CDokumente", {"name": file_name, "dokumentId": attachment})[
            "id"
        ]
        self.espo("POST", f"/api/v1/{KLAGE}/{matter}/dokumentes", {"id": document})
        return str(document)

    def job(self, name: str) -> dg.JobDefinition:
        """One of the project's jobs, on this firm."""
        project = _project()
        ours = dg.Definitions(
            assets=project.assets, jobs=project.jobs, asset_checks=project.asset_checks,
            resources={"backend": self.backend}, executor=dg.in_process_executor,
        )  # fmt: skip
        return ours.resolve_job_def(name)

    def run(self, name: str, **given: Any) -> dg.ExecuteInProcessResult:
        """Runs the job in this process."""
        return self.job(name).execute_in_process(instance=self.instance, raise_on_error=False, **given)


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """A firm without records."""
    name = request.node.name
    _stand_ins[name] = StandIns(create_espocrm(), create_xai())
    url = migrated_url("sqlite", tmp_path)
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    home = tmp_path / "dagster"
    home.mkdir()
    try:
        with dagster_instance("sqlite", home) as instance:
            backend = SandboxBackend(name=name, database_url=url, folder=str(tmp_path))
            yield Office(_stand_ins[name], backend, instance, database)
    finally:
        database.close()
        del _stand_ins[name]
