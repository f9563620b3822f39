"""Tokens outlive the runtime that asked for them, within one process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bitbylaw_pipeline.clients.token_memory import TokenMemory
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import open_runtime
from tests.conftest import ENCRYPTION_KEY, FakeClock

EMPLOYEES = ("AB", "CD")
GOOGLE = {
    "users": [{"mail": f"{one.lower()}@kanzlei.example"} for one in EMPLOYEES],
    "calendars": [
        {"id": f"c_{one.lower()}@group.calendar.google.com", "owner": f"{one.lower()}@kanzlei.example", "summary": "T"}
        for one in EMPLOYEES
    ],
}  # fmt: skip


def settings_of(sandbox: RunningSandbox, folder: Path) -> Settings:
    """Of a firm with two employees."""
    return Settings.load(
        **sandbox.settings,
        dagster_home=folder,
        state_encryption_key=ENCRYPTION_KEY,
        google_calendars={
            one: {
                "user": f"{one.lower()}@kanzlei.example",
                "calendar": f"c_{one.lower()}@group.calendar.google.com",
            }
            for one in EMPLOYEES
        },
        _env_file=None,
    )


async def passes(settings: Settings, memory: TokenMemory | None) -> None:
    """One pass of each employee, in a runtime of its own."""
    async with open_runtime(settings, memory=memory) as runtime:
        for one in EMPLOYEES:
            await runtime.streams["termine"].sync(one)


def token_calls(sandbox: RunningSandbox) -> tuple[int, int]:
    """How often Advoware and Google were asked for a token."""
    asked = [entry.path for entry in list(sandbox.advoware.ledger.entries)]
    return sum("oken" in path for path in asked), sum(
        entry.path == "/token" for entry in list(sandbox.google.ledger.entries)
    )


def test_runtimes_that_share_a_memory_ask_once(tmp_path: Path) -> None:
    """Three runtimes one after the other: one login at Advoware, one token for each employee at Google."""

    async def main() -> None:
        memory = TokenMemory()
        for _ in range(3):
            await passes(settings, memory)

    with running_sandbox(google_seed=GOOGLE) as sandbox:
        settings = settings_of(sandbox, tmp_path)
        asyncio.run(main())
        assert token_calls(sandbox) == (1, 2)


def test_without_one_each_asks_for_itself(tmp_path: Path) -> None:
    """A process that opens one runtime needs no memory, and nothing is kept behind its back."""

    async def main() -> None:
        for _ in range(2):
            await passes(settings, None)

    with running_sandbox(google_seed=GOOGLE) as sandbox:
        settings = settings_of(sandbox, tmp_path)
        asyncio.run(main())
        assert token_calls(sandbox) == (2, 4)


def test_a_token_that_is_refused_is_replaced_for_all(tmp_path: Path) -> None:
    """Tokens withdrawn by both systems: the next runtime asks anew, and those after it have what it got."""

    async def main() -> None:
        memory = TokenMemory()
        await passes(settings, memory)
        sandbox.google.tokens.revoke()
        for _ in range(2):
            await passes(settings, memory)

    with running_sandbox(google_seed=GOOGLE) as sandbox:
        settings = settings_of(sandbox, tmp_path)
        asyncio.run(main())
        assert token_calls(sandbox) == (1, 4)


def test_what_is_kept_ends() -> None:
    """A text is there until its time is over."""

    async def main() -> None:
        clock = FakeClock(1000.0)
        memory = TokenMemory(clock)
        await memory.cache_put("a", "x", 10.0)
        assert await memory.cache_get("a") == "x"
        clock.advance(10.0)
        assert await memory.cache_get("a") is None
        async with memory.lock("a", 1.0) as is_ours:
            assert is_ours

    asyncio.run(main())
