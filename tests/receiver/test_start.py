"""How the receiver starts, and when it does not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.receiver.conftest import register
from tests.receiver.deliveries import (
    BY_SECRET,
    DOCUMENT_UPDATE,
    SHARED_SECRET,
    UPDATE,
    listed,
    resent,
    status_of,
)
from tests.receiver.processes import ROOT, ReceiverProcess
from webhook_sensor_app.serving import listening_socket


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WEBHOOK_SHARED_SECRET": ""}, ["WEBHOOK_SHARED_SECRET", "setup-espocrm"]),
        ({"STATE_DB_URL": "mysql://x"}, ["STATE_DB_URL"]),
        ({"RECEIVER_PORT": "70000"}, ["RECEIVER_PORT"]),
        ({"RECEIVER_HOST": "203.0.113.1"}, ["RECEIVER_HOST", "203.0.113.1"]),
    ],
)
def test_a_start_that_makes_no_sense_ends_in_a_sentence(
    environment: dict[str, str], words: list[str], tmp_path: Path
) -> None:
    """Without anybody to recognise, or with senseless settings, it exits with one sentence and no traceback."""
    done = _start(tmp_path, migrated_url("sqlite", tmp_path), **environment)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert all(word in last for word in words)
    assert "Traceback" not in done.stderr


def test_a_wrong_encryption_key_ends_in_a_sentence(tmp_path: Path) -> None:
    """Secrets that were stored under another key are noticed at the start."""
    url = migrated_url("sqlite", tmp_path)
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    register(database, DOCUMENT_UPDATE)
    database.close()
    done = _start(tmp_path, url, STATE_ENCRYPTION_KEY="B" * 43 + "=")
    assert done.returncode == 1
    assert "STATE_ENCRYPTION_KEY" in done.stderr.strip().splitlines()[-1]


def _start(folder: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STATE_DB_URL": url,
        "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "WEBHOOK_SHARED_SECRET": SHARED_SECRET,
        "RECEIVER_PORT": "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "webhook_sensor_app"],
        cwd=folder, env=base | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_unsigned_is_allowed_when_told_so(tmp_path: Path) -> None:
    """The sandbox's receiver starts without secrets, says so in its log, and takes unsigned requests."""
    url = migrated_url("sqlite", tmp_path)
    with ReceiverProcess(url, tmp_path, WEBHOOK_SHARED_SECRET="", WEBHOOK_ALLOW_UNSIGNED="true") as receiver:
        answer = resent(lambda: httpx.post(receiver.url + UPDATE, json=[{"id": "d1"}]), status_of)
        assert answer.status_code == 202
        assert "unsigned_webhooks_are_accepted" in receiver.log()


def test_a_passed_socket_outlives_the_receiver(tmp_path: Path) -> None:
    """On a socket passed by systemd, requests that come between two lives of the receiver wait and are answered."""
    url = migrated_url("sqlite", tmp_path)
    launcher = (
        "import os, runpy; os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'; "
        "runpy.run_module('webhook_sensor_app', run_name='__main__')"
    )
    body = listed("d1")
    headers = BY_SECRET | {"host": "receiver", "content-length": str(len(body)), "connection": "close"}
    lines = [f"POST {UPDATE} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    request = "\r\n".join(lines).encode() + body

    def send(address: tuple[str, int]) -> socket.socket:
        client = socket.create_connection(address, timeout=60)
        client.sendall(request)
        return client

    def status(client: socket.socket) -> int:
        with client:
            return int(client.recv(65536).split(b" ", 2)[1])

    with socket.create_server(("127.0.0.1", 0)) as sock:
        early = [send(sock.getsockname())]
        process = subprocess.Popen(
            [sys.executable, "-c", f"import os; os.dup2({sock.fileno()}, 3); {launcher}"],
            cwd=tmp_path, pass_fds=[sock.fileno()], stderr=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STATE_DB_URL": url,
                "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY, "WEBHOOK_SHARED_SECRET": SHARED_SECRET,
            },
        )  # fmt: skip
        try:
            assert (
                resent(
                    lambda: status(early.pop() if early else send(sock.getsockname())), lambda found: found
                )
                == 202
            )
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_no_answer_waits_for_the_senders_acknowledgement() -> None:
    """The socket says that it is TCP: for any other asyncio leaves Nagle's algorithm on, and an answer takes 40 ms."""
    settings = Settings.load(_env_file=None, receiver_port=0)
    with contextlib.closing(listening_socket(settings)) as sock:
        assert sock.proto == socket.IPPROTO_TCP
