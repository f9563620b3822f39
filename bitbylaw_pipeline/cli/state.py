"""Settings and state for a command: the same key and database that the running pipeline uses."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import SecretStr

from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.logs import configure_process
from bitbylaw_pipeline.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

KEY_FILE = "state.key"
_SQLITE = "sqlite:///"


def load_settings(*, make_key: bool = False) -> Settings:
    """The settings with the state's encryption key in them; `make_key` makes one where the state is embedded.

    Raises SettingsError with one sentence.
    """
    settings = Settings.load()
    # A person reads tables; the running parts write their own lines at LOG_LEVEL.
    configure_process("WARNING")
    return with_key(settings, make=make_key)


def with_key(settings: Settings, *, make: bool) -> Settings:
    """The settings with the key from STATE_ENCRYPTION_KEY, else from the file beside an embedded state."""
    if settings.state_encryption_key.get_secret_value():
        return settings
    key = _key_beside_the_state(settings, make=make)
    return settings.model_copy(update={"state_encryption_key": SecretStr(key)}) if key else settings


def _key_beside_the_state(settings: Settings, *, make: bool) -> str:
    if not is_embedded(settings):
        if make:
            raise SettingsError(
                "STATE_ENCRYPTION_KEY must be set where STATE_DB_URL names a PostgreSQL server: its secrets must not "
                "depend on a file of this machine."
            )
        return ""
    file = settings.home / KEY_FILE
    if not file.exists():
        if not make:
            return ""
        _make_key(file)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{file} can be read by others: make it private with chmod 600.")
    return file.read_text("ascii").strip()


def _make_key(file: Path) -> None:
    from cryptography.fernet import Fernet  # noqa: PLC0415  # 0.1 s that other commands need not spend

    file.parent.mkdir(parents=True, exist_ok=True)
    # Two programs may start at once: whoever comes second must find the first one's key, whole.
    descriptor, draft = tempfile.mkstemp(prefix="state.key-", dir=file.parent)  # private from the start
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(Fernet.generate_key() + b"\n")
    try:
        os.link(draft, file)
        log.info("encryption_key_made")
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def is_embedded(settings: Settings) -> bool:
    """True if the state is a file of SQLite on this machine."""
    return settings.database_url.startswith("sqlite")


def state_file(settings: Settings) -> Path | None:
    """SQLite's file, None where the state is on a server."""
    return Path(settings.database_url.removeprefix(_SQLITE)) if is_embedded(settings) else None


@contextmanager
def open_state(settings: Settings) -> Iterator[Database]:
    """The state database, migrated. Raises Problem where there is none yet: looking must not make one."""
    file = state_file(settings)
    if file is not None and not file.exists():
        raise Problem(
            f"There is no state at {file} yet: start bitbylaw up, or set DAGSTER_HOME or STATE_DB_URL."
        )
    database = open_own_state(settings)
    try:
        yield database
    finally:
        database.close()


def open_own_state(settings: Settings) -> Database:
    """The state database, made where it is not there yet; close it. Raises SettingsError for a URL of another kind."""
    from bitbylaw_pipeline.wiring import open_database  # noqa: PLC0415  # it imports the clients

    try:
        return open_database(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
