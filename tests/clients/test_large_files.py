"""A file near xAI's limit goes through with flat memory."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from bitbylaw_pipeline.sandbox import espocrm, xai
from bitbylaw_pipeline.sandbox.espocrm import seeding
from bitbylaw_pipeline.sandbox.serving import serving

LARGE = "6b02a1efbed120d8d"
SIZE = 48_000_000
MOST_BYTES = 20_000_000


@pytest.mark.slow
@pytest.mark.parametrize("route", ["files", "management"])
def test_memory_stays_flat_down_and_up(route: str) -> None:
    """48 MB from EspoCRM to disk and from disk to xAI, by either route, take less than 20 MB of memory each."""
    crm, files = espocrm.create_app(), xai.create_app()
    small = base64.b64encode(b"x" * 300_000).decode()
    attachments = [
        {"id": "6b02a1efbed120d00", "name": "k.pdf", "contentBase64": small},
        {"id": LARGE, "name": "g.pdf", "size": SIZE, "fill": "1"},
    ]
    seeding.seed(crm.espo, {"attachments": attachments})
    with serving(crm, files) as urls:
        command = [sys.executable, "-m", "tests.clients.large_file_client", *urls, LARGE, route]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["size"] == SIZE
    assert result["sha256"] in {stored.sha256 for stored in files.store.files.values()}
    assert result["down"] < MOST_BYTES
    assert result["up"] < MOST_BYTES
