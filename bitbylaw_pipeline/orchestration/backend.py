"""Where the Dagster layer gets the rest of the project from: opened inside a tick or a run, never at import."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.logs import configure_structure
from bitbylaw_pipeline.settings import Settings

if TYPE_CHECKING:
    from bitbylaw_pipeline.clients.token_memory import TokenMemory
    from bitbylaw_pipeline.wiring import Runtime


class Backend(dg.ConfigurableResource[Any]):
    """The project's settings, its state database, and the running parts of one process.

    Its own imports of the wiring stand inside the functions: clients, aiohttp and cryptography would otherwise be
    loaded by the webserver and by every reload of the code location.
    """

    # A resource without any field makes Dagster fall back to a deprecated way of pydantic's, which warns.
    env_file: str = ".env"

    def settings(self) -> Settings:
        """The settings as the environment and `.env` have them now. Raises SettingsError with one sentence."""
        configure_structure()
        return Settings.load(_env_file=self.env_file)

    def database(self) -> Database:
        """The state database, one for all ticks of this process; reaches nothing else. Raises DatabaseUnavailable."""
        return _open_database_once(self.settings().database_url, self._open_database)

    def check(self) -> None:
        """Raises SettingsError, in one sentence, if something that every run needs is not set."""
        from bitbylaw_pipeline.wiring import REQUIRED  # noqa: PLC0415  # brings the clients

        self.settings().require(*REQUIRED)

    def open_runtime(self) -> "AbstractAsyncContextManager[Runtime]":
        """Everything a run needs: clients, queue, worker; closed when the block ends."""
        from bitbylaw_pipeline.wiring import open_runtime  # noqa: PLC0415  # brings the clients

        return open_runtime(self.settings(), memory=_tokens())

    def _open_database(self) -> Database:
        from bitbylaw_pipeline.wiring import open_database  # noqa: PLC0415  # brings the clients

        return open_database(self.settings())


@cache
def _tokens() -> "TokenMemory":
    # Each tick opens a runtime of its own, and would log in anew.
    from bitbylaw_pipeline.clients.token_memory import TokenMemory  # noqa: PLC0415  # brings the clients

    return TokenMemory()


@cache
def _databases() -> dict[str, Database]:
    return {}


def _open_database_once(url: str, open_database: Callable[[], Database]) -> Database:
    # A tick comes every five seconds: a pool of its own for each would be all it does.
    opened = _databases()
    if url not in opened:
        opened[url] = open_database()
    return opened[url]
