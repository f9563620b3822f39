"""The stand-ins as a process and in a thread."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from bitbylaw_pipeline.sandbox.server import running_sandbox

COMMAND = [sys.executable, "-m", "bitbylaw_pipeline.sandbox.server"]


def test_running_sandbox_serves_all_stand_ins_on_free_ports() -> None:
    """The yielded URLs and keys work over HTTP, each call of the context manager is fresh."""
    stopped = ""
    for _ in range(2):
        with running_sandbox(xai_switches={"re_add": 409}) as sandbox:
            stopped = sandbox.xai_url
            keys = {"Authorization": f"Bearer {sandbox.xai_management_key}"}
            listed = httpx.get(f"{sandbox.xai_management_base_url}/collections", headers=keys)
            assert listed.json() == {"collections": []}
            httpx.post(
                f"{sandbox.xai_management_base_url}/collections", headers=keys, json={"collection_name": "a"}
            )
            files = httpx.get(
                f"{sandbox.xai_api_base_url}/files",
                headers={"Authorization": f"Bearer {sandbox.xai_api_key}"},
            )
            assert files.json() == {"data": []}
            assert httpx.get(f"{sandbox.xai_url}/sandbox/switches").json()["re_add"] == 409
            assert httpx.get(f"{sandbox.espocrm_api_base_url}/App/user").status_code == 401
            firm = {"Kanzlei": sandbox.advoware_settings["advoware_kanzlei"]}
            configurator = sandbox.advoware_settings["advoware_configurator_url"]
            where = httpx.get(f"{configurator}/AdvonetConfigurator/api/Url", params=firm)
            assert where.json()["securityGateway"] == f"{sandbox.advoware_url}/security/"
            assert httpx.get(f"{sandbox.espocrm_url}/sandbox/counts").json() == {"GET /api/v1/App/user": 1}
    with pytest.raises(httpx.ConnectError):
        httpx.get(stopped)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_listens_and_stops_cleanly(stop: signal.Signals) -> None:
    """One line when ready, exit code 0 and nothing on stderr after SIGTERM or SIGINT, even with a client connected."""
    ports = [part for name in ("espocrm", "xai", "advoware", "google") for part in (f"--{name}-port", "0")]
    command = [*COMMAND, *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"sandbox ready espocrm=(http://\S+) xai=(http://\S+) advoware=(http://\S+) google=(http://\S+)\n",
            line,
        )
        assert found is not None, line
        with httpx.Client(base_url=found[2]) as client:
            assert client.get("/sandbox/state").json() == {"files": [], "collections": []}
            assert httpx.get(f"{found[3]}/sandbox/state").json()["beteiligte"] == []
            assert httpx.get(f"{found[4]}/sandbox/state").json()["calendars"] == []
            process.send_signal(stop)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_one_clear_sentence() -> None:
    """With a port in use the process ends with code 2 and says what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*COMMAND, "--espocrm-port", "0", "--xai-port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("The sandbox cannot listen: ")
    assert "Traceback" not in done.stderr
