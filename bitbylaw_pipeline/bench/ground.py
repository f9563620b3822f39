"""What all scenarios stand on: PostgreSQL (or SQLite), Redis, the stand-ins, each a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from bitbylaw_pipeline.bench.cpu_time import CpuMeter
from bitbylaw_pipeline.bench.database_servers import (
    Server,
    create_database,
    running_postgres,
    running_redis,
)
from bitbylaw_pipeline.bench.sandbox_process import (
    ESPOCRM_KEY,
    MANAGEMENT_KEY,
    XAI_KEY,
    Sandbox,
    running_sandbox,
)
from bitbylaw_pipeline.settings import Settings

POSTGRESQL = "postgresql"


@dataclass(slots=True)
class Ground:
    """The servers, and a folder for what is written; `postgres` is None where SQLite is measured."""

    sandbox: Sandbox
    redis: Server
    postgres: Server | None
    folder: Path
    encryption_key: str = field(default_factory=lambda: Fernet.generate_key().decode(), repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_folder(self) -> Path:
        """An empty folder."""
        folder = self.folder / f"run{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        return folder

    def new_database(self, name: str) -> str:
        """The URL of a new, empty database."""
        label = f"{name}_{next(self._numbers)}"
        if self.postgres is None:
            return f"sqlite:///{self.folder / label}.sqlite"
        return create_database(self.postgres, label)

    def values(self, folder: Path, **more: Any) -> dict[str, Any]:
        """Settings by name for a pipeline of its own on these servers."""
        sandbox = self.sandbox
        return {
            "espocrm_api_base_url": f"{sandbox.espocrm_url}/api/v1",
            "espocrm_api_key": ESPOCRM_KEY,
            "xai_api_key": XAI_KEY,
            "xai_management_key": MANAGEMENT_KEY,
            "xai_api_base_url": f"{sandbox.xai_url}/api/v1",
            "xai_management_base_url": f"{sandbox.xai_url}/management/v1",
            "xai_egress": "field",
            "redis_host": "127.0.0.1",
            "redis_port": int(self.redis.address),
            "redis_db": 0,
            "state_db_url": self.new_database("state"),
            "state_encryption_key": self.encryption_key,
            "webhook_shared_secret": secrets.token_hex(16),
            "dagster_home": folder,
            "spool_dir": folder / "spool",
            **more,
        }

    def meter(self, **pids: int) -> CpuMeter:
        """A meter for these processes, the servers, and this process."""
        known = {"sandbox": self.sandbox.pid, "redis": self.redis.pid, **pids}
        if self.postgres is not None:
            known["postgres"] = self.postgres.pid
        return CpuMeter(known)


def settings_of(values: dict[str, Any]) -> Settings:
    """The settings with these values; a `.env` is not read. Raises SettingsError."""
    return Settings.load(_env_file=None, **values)


def environment_of(values: dict[str, Any]) -> dict[str, str]:
    """The same for another process: our environment with these values in it."""
    return {**os.environ, **{name.upper(): str(value) for name, value in values.items()}}


@contextlib.asynccontextmanager
async def open_ground(database: str) -> AsyncIterator[Ground]:
    """Starts everything that is needed and ends it again; `database` is sqlite or postgresql."""
    async with contextlib.AsyncExitStack() as stack:
        # Below the system's folder for such things: a socket's path must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        postgres = stack.enter_context(running_postgres()) if database == POSTGRESQL else None
        redis = stack.enter_context(running_redis())
        sandbox = await stack.enter_async_context(running_sandbox())
        yield Ground(sandbox, redis, postgres, folder)
