"""The stand-ins of EspoCRM, xAI, Advoware and Google in a process of their own, and their control routes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from bitbylaw_pipeline.bench.database_servers import BenchProblem

ESPOCRM_KEY = "sandbox-espocrm-key"
XAI_KEY = "sandbox-xai-api-key"
MANAGEMENT_KEY = "sandbox-xai-management-key"
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One request as the stand-in saw it: `at` UTC epoch seconds at its arrival, `seconds` until its answer was out."""

    at: float
    seconds: float
    system: str
    method: str
    path: str
    route: str
    status: int
    request_bytes: int
    response_bytes: int

    @property
    def ended(self) -> float:
        """UTC epoch seconds."""
        return self.at + self.seconds

    @property
    def name(self) -> str:
        """System, method and route: `espocrm GET /api/v1/CDokumente/{id}`."""
        return f"{self.system} {self.method} {self.route}"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the stand-ins listen, their process, and a client for their control routes."""

    pid: int
    espocrm_url: str
    xai_url: str
    advoware_url: str
    google_url: str
    session: aiohttp.ClientSession

    async def control(self, root: str, method: str, path: str, body: Any = None) -> Any:
        """A control route's JSON; raises BenchProblem for anything but 200."""
        async with self.session.request(method, f"{root}/sandbox/{path}", json=body) as response:
            if response.status != 200:
                text = (await response.text())[:300]
                raise BenchProblem(f"The sandbox answered {response.status} to {method} {path}: {text}")
            return await response.json(content_type=None)

    async def seed(self, document: Mapping[str, Any]) -> None:
        """Adds records, files and links to the stand-in of EspoCRM."""
        await self.control(self.espocrm_url, "POST", "seed", document)

    async def set_latency(self, milliseconds: float) -> None:
        """Every call takes so much longer from now on; 0 takes that away."""
        for root in (self.espocrm_url, self.xai_url):
            await self.control(root, "DELETE", "faults")
            if milliseconds:
                fault = {"kind": "latency", "path": ".*", "seconds": milliseconds / 1000}
                await self.control(root, "POST", "faults", fault)

    async def set_switches(self, **switches: Any) -> None:
        """Turns switches of xAI's stand-in."""
        await self.control(self.xai_url, "POST", "switches", switches)

    async def count(self, root: str, name: str) -> int:
        """How often a route (`PUT /api/v1/CDokumente/{id}`) of one stand-in was called since the ledgers were reset."""
        counts = await self.control(root, "GET", "counts")
        return int(counts.get(name, 0))

    async def reset_ledgers(self) -> None:
        """Forgets the requests so far, so that no ledger outgrows what it keeps."""
        for root in (self.espocrm_url, self.xai_url):
            await self.control(root, "DELETE", "ledger")

    async def calls_since_reset(self) -> list[LedgerRow]:
        """Every request since `reset_ledgers`, of both systems, in the order of arrival."""
        rows: list[LedgerRow] = []
        for root in (self.espocrm_url, self.xai_url):
            found = await self.control(root, "GET", "ledger")
            if found["total"] != len(found["entries"]):
                raise BenchProblem(
                    "The sandbox's ledger has forgotten its first entries: measure fewer documents."
                )
            rows += [_row(entry) for entry in found["entries"]]
        return sorted(rows, key=lambda row: row.at)

    async def records(self, entity_type: str) -> dict[str, dict[str, Any]]:
        """EspoCRM's records of one type by id."""
        state = await self.control(self.espocrm_url, "GET", f"state?entity={entity_type}")
        return {record["id"]: record for record in state["records"][entity_type]}

    async def xai_state(self) -> dict[str, Any]:
        """xAI's files and collections."""
        state: dict[str, Any] = await self.control(self.xai_url, "GET", "state")
        return state


def _row(entry: Mapping[str, Any]) -> LedgerRow:
    return LedgerRow(
        at=entry["at"],
        seconds=entry["duration_ms"] / 1000,
        system=entry["app"],
        method=entry["method"],
        path=entry["path"],
        route=entry["route"],
        status=entry["status"] or 0,
        request_bytes=entry["request_bytes"],
        response_bytes=entry["response_bytes"],
    )


@contextlib.asynccontextmanager
async def running_sandbox() -> AsyncIterator[Sandbox]:
    """The stand-ins on free ports in a new process, empty; stopped at the end."""
    process = subprocess.Popen(  # noqa: ASYNC220  # once, before anything is measured
        [
            sys.executable, "-m", "bitbylaw_pipeline.sandbox.server",
            "--espocrm-port", "0", "--xai-port", "0", "--advoware-port", "0", "--google-port", "0",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.match(r"sandbox ready espocrm=(\S+) xai=(\S+) advoware=(\S+) google=(\S+)", line)
        if not found:
            raise BenchProblem("The sandbox did not start.")
        # What the sandbox's state is, in one answer of many megabytes, needs its time.
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=120), json_serialize=json.dumps, read_bufsize=2**20
        ) as session:
            yield Sandbox(process.pid, found[1], found[2], found[3], found[4], session)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout:
            process.stdout.close()
