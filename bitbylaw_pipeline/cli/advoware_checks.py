"""doctor's checks of Advoware: settings, addresses, login, connector, what is listed, clock; and of the proxy.

A login is tried once at most, and not at all where a refusal is remembered: wrong ones may lock the user out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from bitbylaw_pipeline.cli.checking import Check, attempt, clock_difference, clock_finding
from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.termine_checks import check_termine
from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_errors import LoginRefused, TokenRefused
from bitbylaw_pipeline.clients.advoware_surface import Trouble
from bitbylaw_pipeline.domain.errors import Permanent, Unreachable
from bitbylaw_pipeline.inbox import outages
from bitbylaw_pipeline.inbox.advoware_token_cache import open_token_cache
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.login_refusals import StateTokenCache
from bitbylaw_pipeline.sync.outage import REFUSED

AREA = "Advoware"
CLOCK_SECONDS = 60.0
"""The token service takes a request for so long at least; its own limit is not documented (`facts/advoware.md` 2)."""
EACH_IS_A_TRY = "Without REDIS_HOST and without a state each doctor is one more login, and several wrong ones may lock the user out."
CLEAR = "bitbylaw doctor --forget-refusal tries the login again."

REMEDIES: Mapping[Trouble, str] = MappingProxyType(
    {
        Trouble.OFFLINE: "start the service Advoware-Netzwerk-Zugriff on the firm's server, or wait: nothing is lost, and it "
        "is tried again by itself.",
        Trouble.NOT_ENABLED: "have advoware GmbH enable the App-ID and the product, and the firm's administrator the user. "
        f"Then {CLEAR}",
        Trouble.NOT_REGISTERED: f"correct ADVOWARE_KANZLEI and ADVOWARE_DATABASE; a changed setting is tried at once, else {CLEAR}",
        Trouble.CREDENTIALS: "correct ADVOWARE_USER (a Kürzel) and ADVOWARE_PASSWORD; a changed one is tried at once. Mended "
        f"at Advoware's side: {CLEAR}",
        Trouble.REFUSED: "compare App-ID, key, ADVOWARE_ROLE and ADVOWARE_PRODUCT with what advoware GmbH sent, and this "
        f"machine's clock. Then {CLEAR}",
    }
)


async def check_advoware(
    settings: Settings, database: Database | None, *, forget_refusal: bool = False
) -> AsyncIterator[Finding]:
    """Everything about Advoware, as it is found out; one line where it is not configured."""
    if not settings.has_advoware:
        yield _not_configured(settings)
        return
    cache = open_token_cache(settings)
    try:
        remembers = cache or (StateTokenCache(database) if database is not None else None)
        client = Advoware.open(settings, cache=remembers)
        try:
            form = "full" if settings.advoware_app_id else "short"
            yield fine(AREA, f"The settings are complete (the {form} form).")
            if forget_refusal:
                await client.forget_refusal()
                if database is not None:
                    await database.run(lambda c: outages.resume(c, "advoware"))
            async for finding in _reach(settings, client, database):
                yield finding
        finally:
            await client.aclose()
    finally:
        if cache is not None:
            await cache.aclose()


def _not_configured(settings: Settings) -> Finding:
    given = sorted(
        name.upper()
        for name in settings.model_fields_set
        if name.startswith("advoware_") and getattr(settings, name) and not name.startswith("advoware_proxy_")
    )
    if given:
        return bad(
            AREA,
            f"Set, and yet not enough to log in: {', '.join(given)}.",
            "an address and a key are missing; docs/configuration.md shows both forms.",
        )
    return fine(AREA, "Not configured: parties, bank accounts and matters are not kept equal with Advoware.")


async def _reach(settings: Settings, client: Advoware, database: Database | None) -> AsyncIterator[Finding]:
    facts = await client.describe_connection()
    if settings.advoware_configurator_url and facts.source == "settings":
        yield odd(
            AREA,
            "The configurator does not tell the present addresses; those of the settings are used.",
            "check ADVOWARE_CONFIGURATOR_URL and ADVOWARE_KANZLEI, if this lasts.",
        )
    else:
        told = (
            "from the settings" if facts.source == "settings" else f"the configurator names a {facts.source}"
        )
        yield fine(AREA, f"The addresses are known ({told}).")
    if facts.refusal is not None:
        yield bad(AREA, f"Advoware {surface.SENTENCES[facts.refusal]} (seen within 15 minutes; not asked again).",
                  REMEDIES[facts.refusal])  # fmt: skip
        return
    if database is not None and await _is_refused(database):
        yield bad(
            AREA,
            "The running pipeline's login was refused a moment ago; it is not tried from here.",
            f"see the log (advoware_login_refused) for the reason. {CLEAR}",
        )
        return
    try:
        async for finding in _log_in(client):
            yield finding
    except LoginRefused as error:
        again = "" if settings.redis_host or database is not None else f" {EACH_IS_A_TRY}"
        yield bad(AREA, str(error), REMEDIES[error.trouble] + again)
        return
    except TokenRefused as error:
        yield bad(
            AREA, str(error), "have the firm's administrator give the user the rights of a member of staff."
        )
        return
    except Unreachable as error:
        yield bad(AREA, str(error), REMEDIES[Trouble.OFFLINE])
        return
    checks: tuple[tuple[str, Check], ...] = (
        ("list of parties", lambda: _lists(settings, client)),
        ("Termine", lambda: check_termine(settings, client)),
    )
    for name, check in checks:
        async for finding in attempt(AREA, name, check):
            yield finding


async def _is_refused(database: Database) -> bool:
    """True if a batch was refused and its pause lasts: without Redis it is all that this process can know of it."""

    def read() -> bool:
        return database.read(
            lambda c: any(
                one.system == "advoware" and one.until > database.now(c) and one.reason == REFUSED
                for one in outages.listing(c)
            )
        )

    return await asyncio.to_thread(read)


async def _log_in(client: Advoware) -> AsyncIterator[Finding]:
    """One authenticated call: token, connector and clock in one."""
    before = time.time()
    answer = await client.connection.call("GET", (surface.PROBE,), operation="doctor")
    after = time.time()
    yield fine(AREA, "The token service takes our login, and the firm's connector is online.")
    yield clock(before, answer.server_time(), after)


def clock(before: float, at: float | None, after: float) -> Finding:
    """Judges Advoware's time `at` of an answer that was asked for at `before` and came at `after` (epoch seconds)."""
    off = None if at is None else clock_difference(before, at, after)
    matters = "its token service refuses a request that is too old"
    return clock_finding(AREA, "Advoware's", off, longest=CLOCK_SECONDS, matters=matters)


async def _lists(settings: Settings, client: Advoware) -> AsyncIterator[Finding]:
    if not settings.advoware_lists_beteiligte:
        yield fine(
            AREA, "Parties are read one by one, all of them once a day (ADVOWARE_LISTS_BETEILIGTE=false)."
        )
        return
    try:
        parties = await client.list_beteiligte()
    except Permanent as error:
        if error.reason != "no_list":
            raise
        yield bad(
            AREA,
            "Advoware does not list its parties: no pass over all of them is possible.",
            "set ADVOWARE_LISTS_BETEILIGTE=false: linked parties are then read one by one.",
        )
        return
    yield fine(AREA, f"Advoware lists its parties ({len(parties)}).")


async def check_proxy(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the proxy lets anybody in, and what it passes on."""
    keys = len(settings.proxy_api_keys)
    if not keys:
        yield fine("proxy", "The proxy to Advoware is off: PROXY_API_KEYS is empty.")
    elif not settings.has_advoware:
        yield odd(
            "proxy", "PROXY_API_KEYS is set, but Advoware is not configured.", "set the ADVOWARE_* settings."
        )
    else:
        writes = "passes on no writes" if settings.advoware_proxy_read_only else "passes writes on"
        yield fine("proxy", f"The proxy to Advoware takes {keys} keys and {writes}.")
