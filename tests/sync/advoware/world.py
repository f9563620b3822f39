"""A firm with EspoCRM and Advoware in small: both stand-ins without a socket, on one clock that moves when told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import ConflictView, HoldView
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.espocrm import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from bitbylaw_pipeline.wiring import AdvowareParts, Runtime, open_runtime
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.sync.advoware.wire import Killed, Tap, Wire

PARTY, ACCOUNT, TASK = "CBeteiligte", "CBankverbindungen", "Task"
PREFIX = "/relay/api/v1/advonet/"
ESPOCRM_KEY = "sandbox-espocrm-key"
AFTER_A_CRASH = 2000.0
"""Seconds after which nobody takes a dead process's work for work in progress any more."""


@dataclass(slots=True, kw_only=True)
class Firm(Wire):
    """What a test works with; open it with `open_firm`."""

    espocrm_app: Any
    advoware: Any
    clock: FakeClock
    folder: Path
    settings: Settings
    database: Database
    passes: list[PairPass] = field(default_factory=list)
    runtime: Runtime = field(init=False)
    person: httpx.AsyncClient = field(init=False)

    def advance(self, seconds: float) -> None:
        """Time passes, everywhere."""
        now = self.clock.advance(seconds)
        self.espocrm_app.clock.pin(now)
        self.advoware.clock.pin(now)

    def fail(self, system: str, path: str, *, method: str = "*", kind: str = "status", **more: Any) -> None:
        """A fault on the paths of one system; "5xx after commit" is kind="timeout_after_commit"."""
        app = self.espocrm_app if system == "espocrm" else self.advoware
        app.faults.add(Fault(kind, path, method=method, **more))

    def mend(self) -> None:
        """No faults any more."""
        self.espocrm_app.faults.clear()
        self.advoware.faults.clear()

    # what people do

    async def espo(self, method: str, path: str, body: Any = None) -> Any:
        """A call of EspoCRM's API by a person; raises for anything but success."""
        response = await self.person.request(method, f"/api/v1/{path}", json=body)
        assert response.status_code in (200, 201), (method, path, response.status_code, response.headers)
        return response.json()

    async def seed(self, records: Mapping[str, Any], *, model: str = "kanzlei", **more: Any) -> None:
        """EspoCRM from scratch."""
        document = {"reset": True, "model": model, "records": records, **more}
        response = await self.person.post("/sandbox/seed", json=document)
        assert response.status_code == 200, response.text

    async def new_party(self, nachname: str, vorname: str | None = None, **values: Any) -> str:
        """A party in EspoCRM."""
        shown = ", ".join(part for part in (nachname, vorname) if part)
        body = {"name": shown, "nachname": nachname, "vorname": vorname, **values}
        return str((await self.espo("POST", PARTY, body))["id"])

    async def party(self, record_id: str) -> dict[str, Any]:
        """A party as EspoCRM shows it."""
        record: dict[str, Any] = await self.espo("GET", f"{PARTY}/{record_id}")
        return record

    async def parties(self) -> list[dict[str, Any]]:
        """EspoCRM's parties as its list shows them."""
        rows: list[dict[str, Any]] = (await self.espo("GET", PARTY))["list"]
        return rows

    async def edit_party(self, record_id: str, **values: Any) -> None:
        """A person edits a party in EspoCRM."""
        await self.espo("PUT", f"{PARTY}/{record_id}", values)

    async def new_account(self, party: str, iban: str, **values: Any) -> str:
        """An account in EspoCRM."""
        body = {"name": "Konto", "iban": iban, "beteiligteId": party, **values}
        return str((await self.espo("POST", ACCOUNT, body))["id"])

    async def accounts(self) -> list[dict[str, Any]]:
        """EspoCRM's accounts."""
        rows: list[dict[str, Any]] = (await self.espo("GET", ACCOUNT))["list"]
        return rows

    async def restore(self, entity_type: str, record_id: str) -> None:
        """Undelete, as an administrator does it."""
        way = httpx.ASGITransport(app=self.espocrm_app)
        login = ("admin", "sandbox-admin")
        async with httpx.AsyncClient(transport=way, base_url="http://espocrm.test", auth=login) as admin:
            path = f"/api/v1/{entity_type}/action/restoreDeleted"
            response = await admin.post(path, json={"id": record_id})
            assert response.status_code == 200, response.headers

    async def tasks(self) -> list[dict[str, Any]]:
        """EspoCRM's tasks."""
        rows = (await self.espo("GET", TASK))["list"]
        return [await self.espo("GET", f"{TASK}/{row['id']}") for row in rows]

    def in_advoware(self, nachname: str, vorname: str | None = None, **values: Any) -> int:
        """A party that people made in Advoware."""
        given = {"name": nachname, "vorname": vorname, **values}
        (row,) = self.advoware.edit({"table": "beteiligte", "set": given})
        return int(row["betNr"])

    def edit_advoware(self, betnr: int, **values: Any) -> None:
        """A person edits a party in Advoware."""
        self.advoware.edit({"table": "beteiligte", "id": betnr, "set": values})

    def edit_row(self, betnr: int, table: str, number: int = 0, **values: Any) -> None:
        """A person edits one of a party's rows in Advoware."""
        row_id = self.rows(betnr, table)[number]["id"]
        self.advoware.edit({"table": table, "id": row_id, "betNr": betnr, "set": values})

    def add_row(self, betnr: int, table: str, **values: Any) -> None:
        """A person adds a row to a party in Advoware."""
        self.advoware.edit({"table": table, "betNr": betnr, "set": values})

    def betnrs(self) -> list[int]:
        """The numbers of Advoware's parties."""
        return [row["betNr"] for row in self.advoware.state()["beteiligte"]]

    def at_advoware(self, betnr: int) -> dict[str, Any]:
        """A party as it stands in Advoware, with all its rows."""
        found: dict[str, Any] = next(
            row for row in self.advoware.state()["beteiligte"] if row["betNr"] == betnr
        )
        return found

    def rows(self, betnr: int, table: str) -> list[dict[str, Any]]:
        """A party's rows in Advoware."""
        found: list[dict[str, Any]] = self.at_advoware(betnr)[table]
        return found

    def numbers(self, betnr: int) -> list[str]:
        """The telephone numbers of a party in Advoware, in the order of rows, without empty slots."""
        found = [row["tlf"] or "" for row in self.rows(betnr, "kommunikation")]
        return [text for text in found if text and "@" not in text]

    # the pipeline

    @property
    def parts(self) -> AdvowareParts:
        """What is under test."""
        assert self.runtime.advoware is not None
        return self.runtime.advoware

    async def sweep(self) -> list[PairPass]:
        """The scheduled pass over parties and accounts, some time after what happened before."""
        self.advance(60.0)
        passes = self.parts.passes()
        done = [await passes[pair.value]() for pair in Pair]
        self.passes += done
        return done

    async def sweeps_quietly(self) -> None:
        """One more pass writes nothing anywhere."""
        before = len(self.writes())
        done = await self.sweep()
        assert self.writes()[before:] == []
        assert [one.counts["failed"] + one.counts["unsettled"] for one in done] == [0, 0]

    async def sync(self, key: str, stream: str = "beteiligte") -> Outcome:
        """One pass over one of EspoCRM's records."""
        self.advance(60.0)
        return await self.runtime.streams[stream].sync(key)

    async def holds(self, pair: Pair = Pair.BETEILIGTE, *, notices: bool = False) -> list[HoldView]:
        """What waits for a person, or with `notices` what was told."""
        found = await self.database.run(lambda c: two_way_desk.list_holds(c, pair.value))
        return [hold for hold in found if hold.is_notice is notices]

    async def whys(self, pair: Pair = Pair.BETEILIGTE, *, notices: bool = False) -> list[str]:
        """The reasons of what waits, sorted."""
        return sorted(hold.why for hold in await self.holds(pair, notices=notices))

    async def decide(self, why: str, take: str, *, subject: str = "", pair: Pair = Pair.BETEILIGTE) -> None:
        """A person answers the one hold of that kind (about that subject)."""
        found = [one for one in await self.holds(pair) if one.why == why and subject in ("", one.subject)]
        assert len(found) == 1, found
        await self.database.run(
            lambda c: two_way_desk.decide(
                c,
                self.clock(),
                Cipher(ENCRYPTION_KEY),
                found[0].hold_id,
                take,
                "clerk",
                shown=found[0].digest,
            )
        )

    async def conflicts(self, pair: Pair = Pair.BETEILIGTE) -> list[ConflictView]:
        """The log of conflicts, with values."""
        cipher = Cipher(ENCRYPTION_KEY)
        return await self.database.run(
            lambda c: two_way_desk.list_conflicts(c, cipher, pair.value, with_values=True, with_closed=True)
        )

    async def dies_at(self, boundary: int, doing: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Kills the process at that boundary of what it does; False if that has fewer. Then lets time pass."""
        self.kill_at, self.boundaries, self.is_dead = boundary, 0, False
        try:
            await doing()
        except (Killed, BaseExceptionGroup):
            if not self.is_dead:
                raise
        died, self.kill_at, self.is_dead = self.is_dead, None, False
        self.advance(AFTER_A_CRASH)
        return died


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


@asynccontextmanager
async def open_firm(
    folder: Path, *, switches: Mapping[str, Any] | None = None, model: str = "kanzlei", **overrides: Any
) -> AsyncIterator[Firm]:
    """A firm without a record. `switches` are Advoware's; settings can be overridden by name."""
    _make(folder)
    clock = FakeClock(float(int(time.time())))
    # Tokens are asked for by this machine's clock, and the firm's is far ahead of it after two hours.
    advoware = create_advoware({"clock_window_seconds": 1e9, **(switches or {})}, clock=SandboxClock())
    espocrm = create_espocrm(clock=SandboxClock())
    settings = Settings(
        _env_file=None,
        **{
            "espocrm_api_base_url": "http://espocrm.test/api/v1",
            "espocrm_api_key": ESPOCRM_KEY,
            "xai_api_key": "unused",
            "xai_management_key": "unused",
            "state_encryption_key": ENCRYPTION_KEY,
            "spool_dir": folder / "spool",
            **advoware.settings("http://advoware.test"),
            **overrides,
        },
    )
    database = Database.open(migrated_url("sqlite", folder), clock=clock, encryption_key=ENCRYPTION_KEY)
    firm = Firm(
        espocrm_app=espocrm,
        advoware=advoware,
        clock=clock,
        folder=folder,
        settings=settings,
        database=database,
    )
    firm.advance(0.0)
    person = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=espocrm),
        base_url="http://espocrm.test",
        headers={"X-Api-Key": ESPOCRM_KEY},
    )
    transports = {"espocrm": Tap(espocrm, "espocrm", firm), "advoware": Tap(advoware, "advoware", firm)}
    try:
        async with person, open_runtime(settings, database=database, transports=transports) as runtime:
            firm.runtime, firm.person = runtime, person
            firm.parts.pairs.clock = clock
            await firm.seed({}, model=model)
            yield firm
    finally:
        await database.aclose()


def in_firm(folder: Path, story: Callable[[Firm], Coroutine[Any, Any, None]], **given: Any) -> None:
    """Runs the story in a fresh firm."""

    async def run() -> None:
        async with open_firm(folder, **given) as firm:
            await story(firm)

    asyncio.run(run())
