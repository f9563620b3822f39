"""A process of its own that syncs a small and then a large document and prints how much memory the latter took.

Arguments: the ids of both documents. Settings come from the environment. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.entity_pass import Finished
from bitbylaw_pipeline.wiring import open_runtime


def memory(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_peak() -> int:
    """Resets the peak and returns the memory in use now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


async def main(small: str, large: str) -> None:
    """The whole flow, twice; what is made once is not counted."""
    results: dict[str, str] = {}

    def note(finished: Sequence[Finished]) -> None:
        results.update((one.key, one.outcome.result if one.outcome else str(one.error)) for one in finished)

    async with open_runtime(Settings.load(_env_file=None)) as runtime:
        owners = await runtime.records.load_document(small)
        for owner in owners.owners:
            await runtime.streams["collections"].sync(str(owner))
        await runtime.worker("documents").work_keys(
            [small], stop=asyncio.Event(), record=note, wait_seconds=5
        )
        before = forget_peak()
        await runtime.worker("documents").work_keys(
            [large], stop=asyncio.Event(), record=note, wait_seconds=5
        )
        growth = memory("VmHWM") - before
    print(json.dumps({"growth": growth, "results": results}))  # noqa: T201  # what the test reads


asyncio.run(main(*sys.argv[1:]))
