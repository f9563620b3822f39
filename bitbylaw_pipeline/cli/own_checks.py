"""doctor's checks of our own side: settings, state, Redis, the spool folder, and what may leave the firm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.state import is_embedded, state_file
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import batches, remaining_count, webhooks
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.egress_switch import LIFTED_BY
from bitbylaw_pipeline.inbox.overview import EGRESS_IN_WORDS
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.wiring import REQUIRED

REDIS_SECONDS = 2.0


async def check_settings(settings: Settings) -> AsyncIterator[Finding]:
    """What is set, and what may leave the firm."""
    missing = [name.upper() for name in REQUIRED if not _is_set(settings, name)]
    if missing:
        yield bad("settings", f"Not set: {', '.join(missing)}.", "put it into .env (see .env.example).")
    if settings.state_encryption_key.get_secret_value():
        Cipher(settings.state_encryption_key.get_secret_value())
        yield fine("settings", "The encryption key of the state is usable.")
    elif is_embedded(settings):
        yield odd(
            "settings", "There is no encryption key yet.", "bitbylaw up and setup-espocrm --apply make one."
        )
    level = odd if settings.xai_egress is EgressRule.OFF else None
    says = f"XAI_EGRESS is {EGRESS_IN_WORDS[settings.xai_egress]}."
    yield (
        level("egress", says, "decide on collection or field, and set it.") if level else fine("egress", says)
    )
    if settings.webhook_allow_unsigned:
        yield odd(
            "settings",
            "WEBHOOK_ALLOW_UNSIGNED is on: whoever reaches the receiver can set our work going.",
            "switch it off; it is for the sandbox.",
        )


def _is_set(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    if name == "state_encryption_key":
        return bool(value.get_secret_value()) or is_embedded(settings)
    return bool(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


async def check_state(settings: Settings, database: Database | None) -> AsyncIterator[Finding]:
    """The state database and the secrets in it."""
    if database is None:
        yield odd("state", f"There is no state at {state_file(settings)} yet.", "bitbylaw up makes it.")
        return
    flags, hooks = await database.run(
        lambda conn: (
            {
                name
                for name in (batches.DRAIN, batches.EGRESS_STOP)
                if batches.get_flag(conn, name) is not None
            },
            webhooks.listing(conn),
        )
    )
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    yield fine("state", f"The state database answers ({kind}).")
    if hooks:
        # Raises CipherError where the key is not the one that the state was written with.
        await database.run(lambda conn: webhooks.secret_by_id(conn, database.cipher, hooks[0].webhook_id))
        yield fine("state", "The stored secrets open with the encryption key.")
    if batches.DRAIN in flags:
        yield odd(
            "state",
            "The drain flag is raised: no batch starts.",
            "start bitbylaw up; it takes the flag down.",
        )
    if batches.EGRESS_STOP in flags:
        yield odd(
            "egress",
            "The kill switch is on: nothing leaves the firm.",
            f"{LIFTED_BY} lifts it, once it has done its work.",
        )
    forbidden = await database.run(lambda conn: remaining_count.count_forbidden(conn, settings))
    if forbidden:
        yield odd(
            "egress",
            f"{forbidden} files or collections are at xAI although somebody has forbidden it.",
            "bitbylaw egress remaining lists them, each with the command that erases it.",
        )


async def check_redis(settings: Settings) -> AsyncIterator[Finding]:
    """Redis, which is not needed but makes a waiting batch start at once."""
    if not settings.redis_host:
        yield odd(
            "Redis",
            "REDIS_HOST is empty: no entity locks and no wake-up, so an event waits up to BATCH_POLL_SECONDS.",
            "everything is correct without it; set it to be faster.",
        )
        return

    def ping() -> None:
        with redis.Redis(
            settings.redis_host,
            settings.redis_port,
            settings.redis_db,
            settings.redis_password.get_secret_value() or None,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()

    try:
        await asyncio.to_thread(ping)
    except (RedisError, OSError) as error:
        yield bad(
            "Redis",
            f"{settings.redis_host}:{settings.redis_port} does not answer as it should ({type(error).__name__}).",
            "start it, or correct REDIS_HOST, REDIS_PORT and REDIS_PASSWORD; the pipeline works on meanwhile.",
        )
    else:
        yield fine("Redis", f"{settings.redis_host}:{settings.redis_port} answers.")


async def check_spool(settings: Settings) -> AsyncIterator[Finding]:
    """The folder for files on their way: writable, private, and with room."""
    folder = settings.spool_dir or settings.home / "spool"
    present = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
    try:
        _try_writing(present)
    except OSError as error:
        yield bad(
            "spool",
            f"{folder} cannot be written: {error.strerror}.",
            "correct its owner and rights, or SPOOL_DIR.",
        )
        return
    free = shutil.disk_usage(present).free
    needed = settings.xai_max_file_bytes * settings.sync_concurrency
    if free < needed:
        yield odd(
            "spool",
            f"{folder} has {free // 1_000_000} MB free; {settings.sync_concurrency} large files at once need "
            f"{needed // 1_000_000} MB.",
            "make room, or lower SYNC_CONCURRENCY.",
        )
    else:
        yield fine("spool", f"{folder} can be written and has room.")


def _try_writing(folder: Path) -> None:
    probe = folder / f".bitbylaw-{uuid.uuid4().hex}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
