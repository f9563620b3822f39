"""A large file goes through the whole flow without being held in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.sandbox.server import running_sandbox
from tests.conftest import ENCRYPTION_KEY
from tests.sync.world import ESPOCRM_KEY, KLAGE, PERMISSION_FIELDS

MATTER, SMALL, LARGE = "6b0000000000000a1", "6b0000000000000d1", "6b0000000000000d2"
LARGE_BYTES = 48_000_000


@pytest.mark.slow
def test_48_mb_pass_through_with_less_than_20_mb_of_memory(tmp_path: Path) -> None:
    """Download, hashes, upload, link and write-back of 48 MB: the process grows by less than 20 MB."""
    seed = {
        "entities": {KLAGE: {"fields": PERMISSION_FIELDS}},
        "attachments": [
            {"id": "6b0000000000000f1", "name": "klein.txt", "type": "text/plain", "size": 1000, "fill": "1"},
            {
                "id": "6b0000000000000f2",
                "name": "gross.txt",
                "type": "text/plain",
                "size": LARGE_BYTES,
                "fill": "2",
            },
        ],
        "records": {
            KLAGE: [{"id": MATTER, "name": "M"}],
            "CDokumente": [
                {
                    "id": SMALL,
                    "name": "klein",
                    "dokumentId": "6b0000000000000f1",
                    "rumungsklagesIds": [MATTER],
                },
                {
                    "id": LARGE,
                    "name": "gross",
                    "dokumentId": "6b0000000000000f2",
                    "rumungsklagesIds": [MATTER],
                },
            ],
        },
    }
    with running_sandbox() as sandbox:
        seeded = httpx.post(f"{sandbox.espocrm_url}/sandbox/seed", json=seed, timeout=60)
        assert seeded.status_code == 200, seeded.text
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("large_document_pass.py")), SMALL, LARGE],
            env={
                "ESPOCRM_API_BASE_URL": sandbox.espocrm_api_base_url,
                "ESPOCRM_API_KEY": ESPOCRM_KEY,
                "XAI_API_BASE_URL": sandbox.xai_api_base_url,
                "XAI_MANAGEMENT_BASE_URL": sandbox.xai_management_base_url,
                "XAI_API_KEY": sandbox.xai_api_key,
                "XAI_MANAGEMENT_KEY": sandbox.xai_management_key,
                "XAI_EGRESS": "collection",
                "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY,
                "DAGSTER_HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["results"] == {SMALL: "synced", LARGE: "synced"}
        assert told["growth"] < 20_000_000
        assert LARGE_BYTES in {file["size"] for file in sandbox.xai.state()["files"]}
    assert list((tmp_path / "spool").iterdir()) == []
