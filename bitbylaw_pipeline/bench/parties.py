"""`--only parties`: thousands of parties on each side, from the first match to a quiet pass: times, calls, memory."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.firm import open_firm
from bitbylaw_pipeline.bench.ground import Ground, settings_of
from bitbylaw_pipeline.bench.options import Options
from bitbylaw_pipeline.bench.report import Number, Section
from bitbylaw_pipeline.sandbox.advoware.app import create_app
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from bitbylaw_pipeline.wiring import Runtime, open_runtime

ONE_SIDED = 20
"""Every twentieth party is in EspoCRM alone, every twentieth at Advoware alone."""
QUIET_PASSES = 8
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Passed:
    """One pass: seconds, what it counted, the requests that the stand-ins saw by route, and our memory after it."""

    seconds: float
    counts: dict[str, int]
    requests: Counter[str]
    megabytes: float


async def measure_parties(ground: Ground, options: Options) -> Section:
    """Raises BenchProblem unless both sides hold the same parties in the end and quiet passes write nothing."""
    await open_firm(ground.sandbox)
    # What was modified seconds ago is read again in the next pass; a firm's records are hours old.
    clock = {"advance": -3600.0}
    await ground.sandbox.control(ground.sandbox.espocrm_url, "POST", "clock", clock)
    count = options.parties
    await _seed(ground, count)
    advoware = create_app().settings(ground.sandbox.advoware_url)
    settings = settings_of(ground.values(ground.new_folder(), **advoware))
    async with open_runtime(settings) as runtime:
        first = await _pass(ground, runtime)
        settling = await _pass(ground, runtime)
        quiet = [await _pass(ground, runtime) for _ in range(QUIET_PASSES)]
    await _check(ground, count, first, quiet)
    found = [
        *_numbers("first match and first sync", first, f"{count} parties in all; every twentieth in EspoCRM alone, every twentieth at Advoware alone"),
        *_numbers("settling pass", settling, "each party read once more to remember its state"),
        *_numbers("quiet pass", quiet[-1], f"the last of {QUIET_PASSES}; nothing had changed"),
        Number(
            "memory grown over the quiet passes", quiet[-1].megabytes - quiet[1].megabytes, "MB",
            f"resident size after pass {QUIET_PASSES} less that after pass 2",
        ),
    ]  # fmt: skip
    notes = [f"Requests of a quiet pass: {_listed(quiet[-1].requests)}."]
    return Section("parties", "Parties: EspoCRM and Advoware", found, notes, details=dict(first.requests))


async def _pass(ground: Ground, runtime: Runtime) -> Passed:
    if runtime.advoware is None:
        raise BenchProblem("Advoware is not configured.")
    for root in (ground.sandbox.espocrm_url, ground.sandbox.advoware_url):
        await ground.sandbox.control(root, "DELETE", "ledger")
    started = time.perf_counter()
    done = await runtime.advoware.sweep.run_pair(Pair.BETEILIGTE)
    seconds = time.perf_counter() - started
    requests: Counter[str] = Counter()
    for system, root in (("espocrm", ground.sandbox.espocrm_url), ("advoware", ground.sandbox.advoware_url)):
        counts = await ground.sandbox.control(root, "GET", "counts")
        requests.update({f"{system} {name}": int(number) for name, number in counts.items()})
    return Passed(seconds, done.counts, requests, resident_megabytes())


async def _check(ground: Ground, count: int, first: Passed, quiet: Sequence[Passed]) -> None:
    left = await ground.sandbox.records("CBeteiligte")
    state = await ground.sandbox.control(ground.sandbox.advoware_url, "GET", "state")
    right = {party["betNr"]: party for party in state["beteiligte"]}
    names = Counter((party["nachname"], party["betnr"]) for party in left.values())
    if names != Counter((party["name"], betnr) for betnr, party in right.items()) or len(left) != count:
        raise BenchProblem(
            f"FAILED: {len(left)} parties in EspoCRM, {len(right)} at Advoware, not the same ones."
        )
    if first.counts["failed"] or any(passed.counts["writes"] or passed.counts["failed"] for passed in quiet):
        raise BenchProblem("FAILED: a quiet pass wrote, or a record failed.")


def _numbers(name: str, passed: Passed, how: str) -> list[Number]:
    return [
        Number(f"{name}: time", passed.seconds, "s", how),
        Number(f"{name}: requests", float(passed.requests.total()), "", how),
        Number(f"{name}: writes", float(passed.counts["writes"]), "", how),
        Number(f"{name}: resident memory", passed.megabytes, "MB", "of the whole process, after it"),
    ]


def _listed(requests: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(requests.items()))


def resident_megabytes() -> float:
    """This process's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


async def _seed(ground: Ground, count: int) -> None:
    sandbox = ground.sandbox
    espo = [_espo_party(n) for n in range(count) if n % ONE_SIDED != 0]
    advoware = [_advoware_party(n) for n in range(count) if n % ONE_SIDED != 1]
    await sandbox.seed({"records": {"CBeteiligte": espo}})
    await sandbox.control(sandbox.advoware_url, "POST", "seed", {"beteiligte": advoware})


def _espo_party(number: int) -> dict[str, Any]:
    mail = f"p{number}@example.org"
    return {
        "id": f"{number + 1:017x}",
        "name": f"Nachname{number}, Vorname{number}",
        "nachname": f"Nachname{number}",
        "vorname": f"Vorname{number}",
        "geburtsdatum": _birth(number),
        "adresseStreet": f"Weg {number}",
        "adressePostalCode": "10115",
        "adresseCity": "Berlin",
        "emailAddress": mail,
        "emailAddressData": [
            {"emailAddress": mail, "lower": mail, "primary": True, "optOut": False, "invalid": False}
        ],
    }


def _advoware_party(number: int) -> dict[str, Any]:
    return {
        "betNr": 30_000 + number,
        "name": f"Nachname{number}",
        "vorname": f"Vorname{number}",
        "geburtsdatum": f"{_birth(number)}T00:00:00Z",
        "adressen": [
            {"id": 100_000 + number, "strasse": f"Weg {number}", "plz": "10115", "ort": "Berlin", "standardAnschrift": True}
        ],
        "kommunikation": [{"id": 200_000 + number, "tlf": f"p{number}@example.org", "kommKz": 4}],
        "bankverbindungen": [],
    }  # fmt: skip


def _birth(number: int) -> str:
    return f"19{50 + number % 50}-0{1 + number % 9}-1{number % 10}"
