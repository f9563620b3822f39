"""doctor's checks of xAI: two hosts, two keys, their rights and clocks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from bitbylaw_pipeline.cli.checking import Check, attempt, clock_difference, clock_finding
from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.xai import KeyReport, Xai
from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError
from bitbylaw_pipeline.settings import Settings

AREA = "xAI"
CLOCK_SECONDS = 60.0
_CONSOLE = "console.x.ai"
_ENDPOINT = "team-token:endpoint:"
_ADD = "AddFileToCollection"
_USED = (
    "CreateCollection", "ListCollections", "UpdateCollection", "DeleteCollection", "ListDocuments",
    "GetDocumentMetadata", "RemoveDocumentFromCollection",
)  # fmt: skip
"""Names of the group "Collections Endpoint"; the spelling of these is not documented one by one (`facts/xai.md` 1)."""


async def check_xai(settings: Settings) -> AsyncIterator[Finding]:
    """Each host with its key by itself, then what both say together, then whether collections can be read."""
    xai = Xai.open(settings)
    hosts = (
        (settings.xai_api_base_url, "XAI_API_KEY", "an API key", partial(_files_answer, xai)),
        (
            settings.xai_management_base_url,
            "XAI_MANAGEMENT_KEY",
            "a management key",
            partial(_management_answer, xai),
        ),
    )
    try:
        is_well = True
        for url, key, kind, ask in hosts:
            async for finding in attempt(AREA, key, partial(_accepts, ask, url, key, kind)):
                is_well = is_well and finding.level != "wrong"
                yield finding
        if not is_well:
            async for finding in attempt(AREA, "keys", partial(_swapped, settings)):
                yield finding
            return
        checks: tuple[tuple[str, Check], ...] = (
            ("keys", lambda: _keys(xai)),
            ("collections", lambda: _collections(xai)),
        )
        for name, check in checks:
            async for finding in attempt(AREA, name, check):
                yield finding
    finally:
        await xai.aclose()


async def _files_answer(xai: Xai) -> Answer:
    return await xai.files.call("GET", "/api-key", operation="doctor")


async def _management_answer(xai: Xai) -> Answer:
    return await xai.management.call(
        "GET", "/auth/management-keys/validation", above_base=True, operation="doctor"
    )


async def _accepts(
    ask: Callable[[], Awaitable[Answer]], url: str, key: str, kind: str
) -> AsyncIterator[Finding]:
    before = time.time()
    try:
        answer = await ask()
    except AuthFailed as error:
        yield bad(AREA, str(error), f"put {kind} that is valid into {key} ({_CONSOLE}).")
        return
    after = time.time()
    yield fine(AREA, f"{url} answers and accepts {key}.")
    at = answer.server_time()
    off = None if at is None else clock_difference(before, at, after)
    yield clock_finding(
        AREA,
        f"{url}: its",
        off,
        longest=CLOCK_SECONDS,
        matters="times of files there cannot be compared with ours",
    )


async def _swapped(settings: Settings) -> AsyncIterator[Finding]:
    """Whether each key would do at the other host, which takes one question each."""
    exchanged = settings.model_copy(
        update={"xai_api_key": settings.xai_management_key, "xai_management_key": settings.xai_api_key}
    )
    xai = Xai.open(exchanged)
    try:
        await xai.probe_files()
        await xai.probe_management()
    except SyncError:
        return
    finally:
        await xai.aclose()
    yield bad(
        AREA,
        "XAI_API_KEY holds the management key, and XAI_MANAGEMENT_KEY the API key.",
        "exchange them in .env.",
    )


async def _keys(xai: Xai) -> AsyncIterator[Finding]:
    report = await xai.check_keys()
    for problem in report.problems:
        yield bad(AREA, problem, f"put two keys of the same, active team into .env ({_CONSOLE}).")
    if not report.problems:
        yield fine(AREA, "Both keys are active and belong to the same team.")
    yield _rights(report)
    if report.files_rights and not any(
        right.startswith("api-key:endpoint:") for right in report.files_rights
    ):
        yield odd(
            AREA,
            "XAI_API_KEY may use models and, as it seems, no endpoint: files cannot be uploaded with it.",
            f"in {_CONSOLE}, API Keys: give it the endpoints (Files among them).",
        )


def _rights(report: KeyReport) -> Finding:
    names = {
        right.removeprefix(_ENDPOINT) for right in report.management_rights if right.startswith(_ENDPOINT)
    }
    if not report.management_rights or "*" in names:
        return fine(
            AREA, "XAI_MANAGEMENT_KEY has the rights for every collection endpoint, as far as xAI tells."
        )
    where = f'in {_CONSOLE}, Settings > Management Keys: give it "{_ADD}" and the whole group "Collections Endpoint".'
    if _ADD not in names:
        return bad(AREA, f"XAI_MANAGEMENT_KEY lacks the right {_ADD}: no file gets into a collection.", where)
    missing = [name for name in _USED if name not in names]
    if missing:
        return odd(AREA, f"XAI_MANAGEMENT_KEY does not list the rights {', '.join(missing)}.", where)
    return fine(AREA, "XAI_MANAGEMENT_KEY has the rights for collections and for adding files to them.")


async def _collections(xai: Xai) -> AsyncIterator[Finding]:
    async for _ in xai.list_collections():
        break
    yield fine(AREA, "Collections can be listed.")
