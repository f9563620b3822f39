"""doctor's checks of EspoCRM."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from urllib.parse import urlsplit

from bitbylaw_pipeline.cli.checking import Check, attempt, clock_difference, clock_finding
from bitbylaw_pipeline.cli.espocrm_facts import read_definitions
from bitbylaw_pipeline.cli.espocrm_model import check_model, existing_types
from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.two_way_model import two_way_types
from bitbylaw_pipeline.cli.webhook_plan import check_address, check_webhooks, webhook_needs
from bitbylaw_pipeline.clients.espocrm import AppUser, EspoCrm
from bitbylaw_pipeline.clients.espocrm_lists import PAGE_SIZE
from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, Transient
from bitbylaw_pipeline.inbox import webhooks
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings

AREA = "EspoCRM"
CLOCK_SECONDS = 5.0
OLDEST = (9, 0)
LOCKED_OUT = (
    "ten wrong logins within a minute did that, and it ends by itself after a minute; look for the program at our address "
    "that knocks with a wrong key."
)
UNREACHED = "check ESPOCRM_API_BASE_URL, the network between us, and whether EspoCRM is up."


async def check_espocrm(settings: Settings, database: Database | None) -> AsyncIterator[Finding]:
    """Reachable, key, version, rights, model, clock, webhooks; `database` is None where there is no state yet."""
    espocrm = EspoCrm.open(settings)
    try:
        try:
            user = await espocrm.app_user()
        except AuthFailed as error:
            yield bad(
                AREA,
                str(error),
                "compare ESPOCRM_API_KEY with Administration > API Users: active, authentication method API Key.",
            )
            return
        except Transient as error:
            yield bad(AREA, str(error), LOCKED_OUT if error.status == 403 else UNREACHED)
            return
        yield fine(
            AREA,
            f"{settings.espocrm_api_base_url} answers and accepts the key (version {user.server_version}).",
        )
        checks: tuple[tuple[str, Check], ...] = (
            ("version", lambda: _version(user)),
            ("rights", lambda: _rights(settings, user)),
            ("tasks", lambda: _tasks(espocrm, settings)),
            ("data model", lambda: _model(espocrm, settings)),
            ("lists", lambda: _lists(espocrm, settings)),
            ("webhooks", lambda: _webhooks(espocrm, settings, user, database)),
            ("receiver", lambda: _receiver(settings)),
        )
        for name, check in checks:
            async for finding in attempt(AREA, name, check):
                yield finding
    finally:
        await espocrm.aclose()


async def _version(user: AppUser) -> AsyncIterator[Finding]:
    version = user.server_version or ""
    release = tuple(int(part) for part in version.split(".") if part.isdigit())
    if not release:
        yield odd(AREA, "EspoCRM does not tell its version.", "check that our API user may read App/user.")
    elif release[:2] < OLDEST:
        yield bad(
            AREA,
            f"EspoCRM {version} signs its webhooks in a way of its own.",
            "update EspoCRM to 9.0 or later, or use WEBHOOK_SHARED_SECRET with hooks written by hand.",
        )
    elif release[:2] < (9, 2):
        yield odd(
            AREA,
            f"EspoCRM {version} does not know skipOwn: our own writes come back.",
            "update to 9.2 or later.",
        )


async def _rights(settings: Settings, user: AppUser) -> AsyncIterator[Finding]:
    names = [
        settings.document_fields.entity_type,
        *(owner.entity_type for owner in settings.collection_owners),
    ]
    for name in names:
        if name not in user.rights:
            # A type that the server lacks, or one without any right: the data model's check says so.
            continue
        missing = [action for action in ("read", "edit") if not user.may(action, name)]
        if missing:
            yield bad(
                AREA,
                f"Our role lets us not {' or '.join(missing)} every {name}: records would seem to be deleted.",
                'set it to "all" in Administration > Roles.',
            )
        else:
            yield fine(AREA, f"{name}: the role lets us read and edit all (delete is not needed).")
    for name in two_way_types(settings):
        if name in user.rights and name in names and user.may("create", name):
            continue
        missing = [action for action in ("read", "create", "edit") if not user.may(action, name)]
        if missing:
            yield bad(
                AREA,
                f"Our role lets us not {', '.join(missing)} every {name}: it cannot be kept equal with Advoware.",
                'set them to "all" (create: "yes") in Administration > Roles.',
            )
        else:
            yield fine(AREA, f"{name}: the role lets us read, create and edit all.")


async def _tasks(espocrm: EspoCrm, settings: Settings) -> AsyncIterator[Finding]:
    """Where what Advoware cannot take becomes a task."""
    if not settings.has_advoware or not settings.advoware_tasks:
        return
    if await Tasks(espocrm).is_available():
        yield fine(AREA, "Task: what only a person can do in Advoware becomes a task in EspoCRM.")
    else:
        yield odd(
            AREA,
            "Our role may not read, create and edit all tasks: what only a person can do is parked instead.",
            'set Task to "all" in Administration > Roles, or ADVOWARE_TASKS=false.',
        )


async def _model(espocrm: EspoCrm, settings: Settings) -> AsyncIterator[Finding]:
    for finding in check_model(settings, await read_definitions(espocrm, settings)):
        yield finding


async def _lists(espocrm: EspoCrm, settings: Settings) -> AsyncIterator[Finding]:
    """A whole page of the change feed: whether EspoCRM gives so many rows, and what time it says it is."""
    before = time.time()
    pages = espocrm.iterate_changed(settings.document_fields.entity_type, None)
    try:
        page = await anext(aiter(pages), None)
    except Permanent as error:
        if error.reason != "page_too_large":
            raise
        yield bad(
            AREA,
            f"EspoCRM gives fewer than {PAGE_SIZE} rows at once: no list can be read.",
            f"set recordListMaxSizeLimit to {PAGE_SIZE} in its data/config.php, as it is by default.",
        )
        return
    off = None
    if page is not None and page.server_time is not None:
        off = clock_difference(before, page.server_time, time.time())
    matters = "the change feed goes by EspoCRM's, so nothing is lost meanwhile"
    yield clock_finding(AREA, "EspoCRM's", off, longest=CLOCK_SECONDS, matters=matters)


async def _webhooks(
    espocrm: EspoCrm, settings: Settings, user: AppUser, database: Database | None
) -> AsyncIterator[Finding]:
    if not user.has_webhooks:
        yield bad(
            "webhooks",
            "Our role has no right to webhooks: they can be neither seen nor registered.",
            "switch on the scope Webhook in Administration > Roles.",
        )
        return
    registered = await espocrm.list_webhooks()
    if not settings.receiver_public_url:
        yield odd(
            "webhooks",
            f"RECEIVER_PUBLIC_URL is empty: {len(registered)} webhooks of our user cannot be judged.",
            "set it to where EspoCRM reaches the receiver; without webhooks the change feed alone brings changes.",
        )
        return
    definitions = await read_definitions(espocrm, settings)
    needs = webhook_needs(settings, existing_types(settings, definitions))
    rows = await database.run(webhooks.listing) if database else []
    remembered = [row.webhook_id for row in rows if row.is_active]
    for finding in check_webhooks(needs, registered, remembered):
        yield finding
    for finding in check_address(settings.receiver_public_url, user.server_version, await _resolve(settings)):
        yield finding


async def _resolve(settings: Settings) -> Iterable[str]:
    host = urlsplit(settings.receiver_public_url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


async def _receiver(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the receiver answers at its public address, as far as that can be seen from here."""
    if not settings.receiver_public_url:
        return
    from bitbylaw_pipeline.cli.services import fetch_status  # noqa: PLC0415  # only where it is asked

    url = urlsplit(settings.receiver_public_url)
    if url.scheme == "https":
        yield odd(
            "webhooks",
            "RECEIVER_PUBLIC_URL is served by a proxy, which is not tried from here.",
            f"from EspoCRM's machine: curl -i {settings.receiver_public_url}/ready must answer 200; let the proxy turn "
            "502 and 504 into 503, since EspoCRM drops what meets the former.",
        )
        return
    status = await asyncio.to_thread(fetch_status, url.hostname or "", url.port or 80, f"{url.path}/ready")
    if status == 200:
        yield fine("webhooks", "The receiver answers at RECEIVER_PUBLIC_URL.")
    else:
        said = "does not answer" if status is None else f"answers {status}"
        yield odd("webhooks", f"The receiver {said} at RECEIVER_PUBLIC_URL.", "start it with bitbylaw up.")
