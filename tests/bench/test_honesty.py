"""The benchmark prints no number for work that is not right, and counts what the stand-ins saw."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bitbylaw_pipeline.bench.agreement import check_agreement
from bitbylaw_pipeline.bench.bare_loop import BareLoop
from bitbylaw_pipeline.bench.burst_trial import measure
from bitbylaw_pipeline.bench.cpu_time import CpuMeter
from bitbylaw_pipeline.bench.database_servers import BenchProblem, wait_until
from bitbylaw_pipeline.bench.firm import BARE_TYPE, BenchDocument, add_documents, add_matters, open_firm
from bitbylaw_pipeline.bench.ground import open_ground, settings_of
from bitbylaw_pipeline.bench.reconcile import check_found, put_out_of_step, reconciled
from bitbylaw_pipeline.bench.sandbox_process import XAI_KEY, Sandbox, running_sandbox
from bitbylaw_pipeline.bench.synced_firm import make_synced_firm
from bitbylaw_pipeline.inbox.migrate import upgrade
from bitbylaw_pipeline.wiring import open_runtime


async def _spoil(sandbox: Sandbox, document: BenchDocument) -> None:
    """Deletes the document's file at xAI behind everybody's back."""
    file_id = (await sandbox.records(BARE_TYPE))[document.id]["xaiId"]
    url = f"{sandbox.xai_url}/api/v1/files/{file_id}"
    async with sandbox.session.delete(url, headers={"Authorization": f"Bearer {XAI_KEY}"}) as response:
        assert response.status == 200


def test_bare_loop_makes_six_calls_a_document_and_is_checked() -> None:
    """The yardstick really syncs: six calls each, all sides agree, and a file that is gone is noticed."""

    async def main() -> None:
        async with running_sandbox() as sandbox, BareLoop(sandbox) as bare:
            await open_firm(sandbox)
            matters = await add_matters(sandbox, "test", 2)
            collections = await bare.create_collections(matters)
            made = await add_documents(sandbox, "test", 4, matters, entity_type=BARE_TYPE)
            trial = await measure(
                sandbox, 4, CpuMeter({"sandbox": sandbox.pid}), lambda: bare.run(made, collections, 2)
            )
            assert sum(trial.calls.values()) == 24
            assert trial.sent_bytes > 4 * made[0].size
            await check_agreement(sandbox, made, collections)
            await _spoil(sandbox, made[2])
            with pytest.raises(BenchProblem, match=f"1 of 4.*{made[2].id}"):
                await check_agreement(sandbox, made, collections)

    asyncio.run(main())


@pytest.mark.slow
def test_calls_are_counted_end_to_end(tmp_path: Path) -> None:
    """`--only calls` starts everything, counts seven calls for a new document and one for a redundant event, and ends."""
    file = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "calls", "--database", "sqlite",
         "--call-documents", "1", "--json", file],
        capture_output=True, text=True, check=False, timeout=150, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Calls by event" in done.stdout
    numbers = {
        one["name"]: one["value"] for one in json.loads(file.read_text())["sections"]["calls"]["numbers"]
    }
    assert numbers["new document"] == 7
    assert numbers["redundant event, isolated"] == 1
    assert numbers["same bytes again"] == 2


@pytest.mark.slow
def test_a_quiet_pass_over_parties_lists_each_side_once(tmp_path: Path) -> None:
    """`--only parties` compares both sides, finds quiet passes without a write, and one list at Advoware in each."""
    file = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "parties", "--database", "sqlite",
         "--parties", "40", "--json", file],
        capture_output=True, text=True, check=False, timeout=150, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    section = json.loads(file.read_text())["sections"]["parties"]
    numbers = {one["name"]: one["value"] for one in section["numbers"]}
    assert numbers["first match and first sync: writes"] == 6
    assert numbers["quiet pass: writes"] == 0
    assert numbers["quiet pass: requests"] == 3
    assert "1 x advoware GET /relay/api/v1/advonet/Beteiligte," in section["notes"][0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_quiet_run_over_appointments_lists_each_side_once(tmp_path: Path) -> None:
    """`--only appointments` fills the calendars, finds quiet runs with one call a side and employee, and no write."""
    file = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "appointments", "--database", "sqlite",
         # Polls are minutes of waiting; tests/orchestration has them.
         "--no-polls", "--employees", "2", "--appointments", "40", "--json", file],
        capture_output=True, text=True, check=False, timeout=1100, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    section = json.loads(file.read_text())["sections"]["appointments"]
    numbers = {one["name"]: one for one in section["numbers"]}
    # Of each employee's forty Termine, two shared, one is private.
    assert numbers["first sync: writes"]["value"] == 78
    # A Termin in Advoware, and its number noted on the event.
    assert numbers["2 made in Google: writes"]["value"] == 4
    assert numbers["quiet run: calls"]["value"] == 4
    assert numbers["quiet run: calls"]["is_met"] is True
    assert numbers["quiet run: writes"]["is_met"] is True
    assert section["details"]["quiet"].keys() == {
        "advoware GET /relay/api/v1/advonet/Termine",
        "google GET /calendar/v3/calendars/{calendarId}/events",
    }


@pytest.mark.slow
def test_a_reconciliation_is_measured_that_finds_what_was_made(tmp_path: Path) -> None:
    """`--only reconcile` finds nothing in a firm in step, then exactly what drifted; its requests are the lists' pages."""
    file = tmp_path / "numbers.json"
    done = subprocess.run(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "reconcile", "--database", "sqlite",
         "--reconciled-documents", "400", "--json", file],
        capture_output=True, text=True, check=False, timeout=150, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    section = json.loads(file.read_text())["sections"]["reconcile"]
    numbers = {one["name"]: one for one in section["numbers"]}
    listed = section["details"]["400"]
    # Twenty matters: each one's documents and its collection's files by themselves.
    assert listed["espocrm GET /api/v1/CVmhRumungsklage/{id}/dokumentes"] == 20
    assert listed["xai GET /v1/collections/{id}/documents"] == 20
    assert all(name.split()[1] == "GET" for name in listed)
    assert numbers["400 documents, in step: requests"]["value"] == sum(listed.values())
    assert numbers["growth of requests"]["is_met"] is True
    assert "400 documents, 100 drifted: requests" in numbers


@pytest.mark.slow
def test_drift_that_is_overlooked_is_no_number() -> None:
    """A document that was found without having drifted, or drifted without being found, ends the measurement."""

    async def main() -> None:
        async with open_ground("sqlite") as ground:
            values = ground.values(ground.new_folder())
            async with open_runtime(settings_of(values)) as runtime:
                await asyncio.to_thread(upgrade, runtime.database)
                made = await make_synced_firm(ground.sandbox, runtime, 12, 3)
                assert await reconciled(runtime, is_dry=True) == []
                await put_out_of_step(ground.sandbox, runtime, made[:3])
                found = await reconciled(runtime, is_dry=False)
                check_found(found, made[:3], runtime)
                with pytest.raises(BenchProblem, match="1 documents were overlooked"):
                    check_found(found, made[:4], runtime)
                with pytest.raises(BenchProblem, match="1 documents were overlooked, or found without"):
                    check_found(found, made[:2], runtime)

    asyncio.run(main())


@pytest.mark.slow
def test_each_measurement_begins_at_our_time() -> None:
    """Whatever a measurement before it did to the stand-in's clock, whose times the ledger has."""

    async def main() -> float:
        async with running_sandbox() as sandbox:
            await sandbox.control(sandbox.espocrm_url, "POST", "clock", {"advance": -3600.0})
            await open_firm(sandbox)
            return float((await sandbox.control(sandbox.espocrm_url, "GET", "clock"))["now"])

    assert asyncio.run(main()) > time.time() - 600


@pytest.mark.slow
@pytest.mark.parametrize("children", [1, 2, 3])
def test_nothing_is_left_running_after_sigterm(children: int) -> None:
    """Ended by SIGTERM in the middle, also while a server is being started, the benchmark takes its servers along."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "receiver", "--database", "sqlite"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ours = psutil.Process(process.pid)
        wait_until(lambda: len(ours.children(recursive=True)) >= children, "The benchmark's servers")
        started = ours.children(recursive=True)
        process.terminate()
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_nonsense_on_the_command_line_is_refused() -> None:
    """An unknown scenario ends with one sentence that names the known ones."""
    done = subprocess.run(
        [sys.executable, "-m", "bitbylaw_pipeline.bench", "--only", "nothing"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "trickle" in done.stderr
