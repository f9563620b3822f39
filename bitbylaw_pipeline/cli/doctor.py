"""`bitbylaw doctor`: is everything there that the pipeline needs, and if not, what to do."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import click

from bitbylaw_pipeline.cli.advoware_checks import check_advoware, check_proxy
from bitbylaw_pipeline.cli.checking import Check, attempt
from bitbylaw_pipeline.cli.espocrm_checks import check_espocrm
from bitbylaw_pipeline.cli.findings import Finding, bad, print_findings
from bitbylaw_pipeline.cli.google_checks import check_google
from bitbylaw_pipeline.cli.own_checks import check_redis, check_settings, check_spool, check_state
from bitbylaw_pipeline.cli.screen import OK, WARNING, WRONG, screen
from bitbylaw_pipeline.cli.state import load_settings, open_own_state, state_file
from bitbylaw_pipeline.cli.telling_checks import check_alerts, check_credentials, check_status_page
from bitbylaw_pipeline.cli.xai_checks import check_xai
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings


@click.command()
@click.option("--quiet", is_flag=True, help="Only what is not ok.")
@click.option(
    "--forget-refusal", is_flag=True, help="Try Advoware's login again although it was refused a moment ago."
)
def doctor(quiet: bool, forget_refusal: bool) -> None:
    """Check every system, key, right, field and webhook, and say what to do.

    Changes nothing in any system. The exit code is 1 if anything is wrong; warnings do not count.
    """
    settings = load_settings()
    counts: Counter[str] = Counter()

    async def run() -> None:
        async for finding in diagnose(settings, forget_refusal=forget_refusal):
            counts[finding.level] += 1
            if not (quiet and finding.level == OK):
                print_findings([finding])

    asyncio.run(run())
    screen().print(f"\n{counts[OK]} ok, {counts[WARNING]} warnings, {counts[WRONG]} wrong")
    if counts[WRONG]:
        sys.exit(1)


async def diagnose(settings: Settings, *, forget_refusal: bool = False) -> AsyncIterator[Finding]:
    """Every finding, as it is made."""
    database: Database | None = None
    is_opened = False
    try:
        database = await asyncio.to_thread(_open_existing, settings)
        is_opened = True
    except Exception as error:  # noqa: BLE001  # also a wrong URL or driver is something to be told
        yield bad(
            "state", f"The state database cannot be opened ({type(error).__name__}).", "check STATE_DB_URL."
        )
    try:
        checks: tuple[tuple[str, str, Check], ...] = (
            ("settings", "settings", lambda: check_settings(settings)),
            ("state", "state database", lambda: check_state(settings, database)),
            ("Redis", "Redis server", lambda: check_redis(settings)),
            ("spool", "spool folder", lambda: check_spool(settings)),
            ("EspoCRM", "EspoCRM server", lambda: check_espocrm(settings, database)),
            ("xAI", "xAI hosts", lambda: check_xai(settings)),
            (
                "Advoware",
                "connection to Advoware",
                lambda: check_advoware(settings, database, forget_refusal=forget_refusal),
            ),
            ("Google", "Google's calendars", lambda: check_google(settings)),
            ("proxy", "proxy", lambda: check_proxy(settings)),
            ("secrets", "credentials", lambda: check_credentials(settings, datetime.now(UTC).date())),
            ("alerts", "alerts", lambda: check_alerts(settings)),
            ("status", "status page", lambda: check_status_page(settings)),
        )
        for area, name, check in checks:
            if area == "state" and not is_opened:
                continue  # what is the matter with it has been said
            async for finding in attempt(area, name, check):
                yield finding
    finally:
        if database is not None:
            await database.aclose()


def _open_existing(settings: Settings) -> Database | None:
    file = state_file(settings)
    return None if file is not None and not file.exists() else open_own_state(settings)
