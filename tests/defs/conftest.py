"""The project's real definitions on the stand-ins of EspoCRM, xAI, Advoware and Google, on a real Dagster instance."""

import asyncio
import base64
import copy
import functools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from bitbylaw_pipeline.definitions import defs
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.sandbox.advoware import AdvowareSandbox
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.espocrm import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.espocrm.seeding import seed
from bitbylaw_pipeline.sandbox.google import GoogleSandbox
from bitbylaw_pipeline.sandbox.google import create_app as create_google
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.xai import XaiSandbox
from bitbylaw_pipeline.sandbox.xai import create_app as create_xai
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import Runtime, open_runtime
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.orchestration.workbench import dagster_instance
from tests.sync.termine.office import EMPLOYEES, calendar_of, mail_of

ESPOCRM_KEY = "sandbox-espocrm-key"
KLAGE = "CVmhRumungsklage"


@dataclass(frozen=True, slots=True)
class StandIns:
    """The outside systems of one test."""

    espocrm: EspoSandbox
    xai: XaiSandbox
    advoware: AdvowareSandbox
    google: GoogleSandbox
    clock: FakeClock | None = None
    """The state database's, where a test moves the time."""

    @property
    def transports(self) -> dict[str, httpx.AsyncBaseTransport]:
        """The ways to them without a socket."""
        return {
            "advoware": httpx.ASGITransport(app=self.advoware),
            "espocrm": httpx.ASGITransport(app=self.espocrm),
            "google": httpx.ASGITransport(app=self.google),
            "xai-files": httpx.ASGITransport(app=self.xai.files_app),
            "xai-management": httpx.ASGITransport(app=self.xai.management_app),
        }


_project = functools.cache(defs)
# Its files are made page by page: most of what opening such a firm costs.
_sample_firm = functools.cache(seed_document)

_stand_ins: dict[str, StandIns] = {}


class SandboxBackend(Backend):
    """The project's backend with its systems replaced by those registered under a name."""

    name: str
    database_url: str
    folder: str
    egress: str = "collection"
    feed_interval: float = 60.0
    has_advoware: bool = False
    employees: str = ""
    """Kürzel of those who have a calendar, with spaces between."""
    key_file: str = ""
    """Of Google's service account; empty: the stand-in's."""
    poll_seconds: float = 60.0
    batch_linger: float = 0.0

    def settings(self) -> Settings:
        xai = _stand_ins[self.name].xai
        given: dict[str, Any] = {}
        if self.has_advoware:
            given |= _stand_ins[self.name].advoware.settings("http://advoware.example")
        if self.employees:
            given |= _stand_ins[self.name].google.settings("http://google.example", Path(self.folder))
            if self.key_file:
                given["google_service_account_file"] = self.key_file
            given["google_calendars"] = {
                one: {"user": mail_of(one), "calendar": calendar_of(one)} for one in self.employees.split()
            }
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
            batch_linger_seconds=self.batch_linger,
            feed_interval_seconds=self.feed_interval,
            partition_wait_seconds=0.5,
            google_poll_seconds=self.poll_seconds,
            **given,
        )

    def _open_database(self) -> Database:
        return Database.open(
            self.database_url, clock=_stand_ins[self.name].clock, encryption_key=ENCRYPTION_KEY
        )

    def open_runtime(self) -> AbstractAsyncContextManager[Runtime]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Runtime]:
        database = self._open_database()
        try:
            transports = _stand_ins[self.name].transports
            async with open_runtime(self.settings(), database=database, transports=transports) as runtime:
                yield runtime
        finally:
            await database.aclose()


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


@contextmanager
def open_office(
    name: str,
    folder: Path,
    clock: FakeClock | None = None,
    *,
    has_advoware: bool = False,
    employees: str = "",
) -> Iterator[Office]:
    """A firm without records; with a clock, its state database goes by that."""
    _stand_ins[name] = StandIns(create_espocrm(), create_xai(), create_advoware(), create_google(), clock)
    url = migrated_url("sqlite", folder)
    database = Database.open(url, clock=clock, encryption_key=ENCRYPTION_KEY)
    home = folder / "dagster"
    home.mkdir()
    try:
        with dagster_instance("sqlite", home) as instance:
            backend = SandboxBackend(
                name=name,
                database_url=url,
                folder=str(folder),
                has_advoware=has_advoware,
                employees=employees,
            )
            yield Office(_stand_ins[name], backend, instance, database)
    finally:
        database.close()
        del _stand_ins[name]


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """A firm without records."""
    with open_office(request.node.name, tmp_path) as opened:
        yield opened


@pytest.fixture
def two_sided(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """The sample firm, in EspoCRM and in Advoware, on a clock that moves when told to."""
    with open_office(request.node.name, tmp_path, FakeClock(time.time()), has_advoware=True) as opened:
        seed(opened.stand_ins.espocrm.espo, copy.deepcopy(_sample_firm()))
        opened.stand_ins.advoware.seed(advoware_seed_document())
        yield opened


@pytest.fixture
def with_calendars(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """A firm of two employees, AB and CD, with a Google calendar each, on a clock that moves when told to."""
    clock = FakeClock(time.time())
    with open_office(request.node.name, tmp_path, clock, has_advoware=True, employees="AB CD") as opened:
        opened.stand_ins.advoware.seed({"mitarbeiter": [{"kuerzel": one, "name": one} for one in EMPLOYEES]})
        opened.stand_ins.google.seed(
            {
                "users": [{"mail": mail_of(one)} for one in EMPLOYEES],
                "calendars": [
                    {"id": calendar_of(one), "owner": mail_of(one), "summary": "Termine"} for one in EMPLOYEES
                ],
            }
        )
        yield opened
