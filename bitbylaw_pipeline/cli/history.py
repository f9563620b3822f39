"""Dagster's history from a command: another process does the work, for these commands do not load Dagster."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass

from bitbylaw_pipeline.domain.erasure import Mention
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.erasure_plan import NotErased

MODULE = "bitbylaw_pipeline.orchestration.history_erasure"


@dataclass(frozen=True, slots=True)
class DagsterHistory:
    """The history in DAGSTER_HOME, or on the server of DAGSTER_POSTGRES_URL; none where Dagster never ran."""

    settings: Settings

    async def count(self, mention: Mention) -> int:
        """How much of it names the subject. Raises NotErased where it cannot be looked at."""
        return await self._ask(mention, "--count")

    async def erase(self, mention: Mention) -> int:
        """Erases it and returns how much is left. Raises NotErased while a run of the subject is under way."""
        return await self._ask(mention)

    async def _ask(self, mention: Mention, *arguments: str) -> int:
        home = self.settings.home
        if not (home / "dagster.yaml").is_file():
            return 0
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULE,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )
        # On standard input: a list of processes would show it.
        answer, complaint = await process.communicate(mention.to_json().encode())
        if process.returncode != 0:
            said = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise NotErased(f"Dagster's history: {said[-1]}")
        found = json.loads(answer.splitlines()[-1])
        return int(found["runs"]) + int(found["rows"]) + int(found["files"])

    def _environment(self) -> dict[str, str]:
        url = self.settings.dagster_postgres_url.get_secret_value()
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.settings.home.absolute()),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **({"DAGSTER_POSTGRES_URL": url} if url else {}),
        }
