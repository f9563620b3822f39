"""doctor's checks of xAI: two hosts, two keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from bitbylaw_pipeline.cli.checking import Check, attempt
from bitbylaw_pipeline.cli.findings import Finding, bad, fine
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.settings import Settings

AREA = "xAI"


async def check_xai(settings: Settings) -> AsyncIterator[Finding]:
    """Each host with its key by itself, then what both say together, then whether collections can be read."""
    xai = Xai.open(settings)
    try:
        checks: tuple[tuple[str, Check], ...] = (
            (
                "files host",
                lambda: _accepts(xai.probe_files, settings.xai_api_base_url, "XAI_API_KEY"),
            ),
            (
                "management host",
                lambda: _accepts(
                    xai.probe_management, settings.xai_management_base_url, "XAI_MANAGEMENT_KEY"
                ),
            ),
        )
        is_well = True
        for name, check in checks:
            async for finding in attempt(AREA, name, check):
                is_well = is_well and finding.level != "wrong"
                yield finding
        if not is_well:
            return
        for name, check in (("keys", lambda: _keys(xai)), ("collections", lambda: _collections(xai))):
            async for finding in attempt(AREA, name, check):
                yield finding
    finally:
        await xai.aclose()


async def _accepts(probe: Callable[[], Awaitable[None]], url: str, key: str) -> AsyncIterator[Finding]:
    await probe()
    yield fine(AREA, f"{url} answers and accepts {key}.")


async def _keys(xai: Xai) -> AsyncIterator[Finding]:
    report = await xai.check_keys()
    for problem in report.problems:
        yield bad(AREA, problem, "put two keys of the same, active team into .env (console.x.ai).")
    if not report.problems:
        yield fine(AREA, "Both keys are active and belong to the same team.")


async def _collections(xai: Xai) -> AsyncIterator[Finding]:
    async for _ in xai.list_collections():
        break
    yield fine(AREA, "Collections can be listed.")
