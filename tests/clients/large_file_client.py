"""A process of its own that moves one large file from EspoCRM to xAI and prints how much memory that took.

Arguments: EspoCRM's address, xAI's address, attachment id, upload route. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.spool import SpoolFile, spooled
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import SpooledUpload
from bitbylaw_pipeline.settings import Settings, UploadRoute


def memory(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_peak() -> int:
    """Resets the peak and returns the memory in use now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


async def move(
    espocrm: EspoCrm, xai: Xai, file: SpoolFile, attachment_id: str, route: UploadRoute
) -> dict[str, object]:
    """Down and up again, measured one by one."""
    collection = await xai.create_collection("c", "", {})
    before = forget_peak()
    await espocrm.download(attachment_id, file.write, max_bytes=60_000_000)
    down = memory("VmHWM") - before
    before = forget_peak()
    upload = SpooledUpload(file.path, file.size, "application/pdf", "bb-large-file-token~x.pdf")
    stored = await xai.upload(upload, route, collection.collection_id)
    up = memory("VmHWM") - before
    return {"down": down, "up": up, "size": stored.size, "sha256": file.sha256}


async def main(espocrm_url: str, xai_url: str, attachment_id: str, route: str, folder: Path) -> None:
    """Moves a small file first, so that what is made once is not counted."""
    settings = Settings.load(
        espocrm_api_base_url=espocrm_url,
        espocrm_api_key="sandbox-espocrm-key",
        xai_api_base_url=f"{xai_url}/api/v1",
        xai_management_base_url=f"{xai_url}/management/v1",
        xai_api_key="sandbox-xai-api-key",
        xai_management_key="sandbox-xai-management-key",
        _env_file=None,
    )
    espocrm, xai = EspoCrm.open(settings), Xai.open(settings)
    with spooled(folder) as file:
        await move(espocrm, xai, file, "6b02a1efbed120d00", UploadRoute(route))
    with spooled(folder) as file:
        result = await move(espocrm, xai, file, attachment_id, UploadRoute(route))
    await espocrm.aclose()
    await xai.aclose()
    print(json.dumps(result))  # noqa: T201  # what the test reads


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as spool:
        asyncio.run(main(*sys.argv[1:], Path(spool)))  # type: ignore[call-arg, arg-type]  # the test's own command line
