"""The receiver as an ASGI app: its routes, and what is opened and closed with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bitbylaw_pipeline.inbox.calendar_channels import PATH as PUSH_PATH
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database, DatabaseUnavailable
from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.addresses import Address, LinkAddress
from webhook_sensor_app.calendar_push import CalendarPush
from webhook_sensor_app.calendar_sync import PATH as CALENDAR_PATH
from webhook_sensor_app.calendar_sync import STATUS_PATH, CalendarSync
from webhook_sensor_app.proxy import PATH as PROXY_PATH
from webhook_sensor_app.proxy import Proxy
from webhook_sensor_app.proxy_upstream import Upstream, open_upstream
from webhook_sensor_app.readiness import check_tables, open_database, prepare
from webhook_sensor_app.receiver import Receiver, error_response
from webhook_sensor_app.refusal import WAIT_SECONDS, Refusal, unavailable
from webhook_sensor_app.status_page import PATH as PAGE_PATH
from webhook_sensor_app.status_page import STYLE_PATH, StatusPage
from webhook_sensor_app.store import MAX_WAITING
from webhook_sensor_app.wake_ups import WakeUps

log = structlog.get_logger(__name__)

PREPARE_AGAIN_SECONDS = 1.0


def create_app(
    settings: Settings,
    database: Database | None = None,
    coordination: Coordination | None = None,
    upstream: Upstream | None = None,
    *,
    max_waiting: int = MAX_WAITING,
    wait_seconds: float = WAIT_SECONDS,
) -> Starlette:
    """The app; what is not handed in is opened from the settings and closed with the app.

    A database that is handed in has its tables already. Our own gets them when the app starts, which raises
    StartRefused if no sender could ever be recognised. Without a database the app starts all the same and answers
    503 until there is one: EspoCRM 10 loses what it sends to a closed port (`facts/espocrm.md` 11). Raises
    SettingsError for senseless ADVOWARE_PROXY_ROUTES.

    `wait_seconds` bounds each of a request's waits for the database; after that its sender is told to come again.
    """
    state = open_database(settings, wait_seconds=wait_seconds) if database is None else database
    redis = Coordination.open(settings) if coordination is None else coordination
    wake_ups = WakeUps(redis)
    receiver = Receiver(settings, state, wake_ups, max_waiting=max_waiting, wait_seconds=wait_seconds)
    proxy = Proxy(settings, state, wait_seconds=wait_seconds)
    calendars = CalendarSync(settings, state, receiver.store, wait_seconds=wait_seconds)
    push = CalendarPush(settings, state, wake_ups, wait_seconds=wait_seconds)
    status = StatusPage(settings, state, wait_seconds=wait_seconds)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if coordination is None:
                stack.push_async_callback(redis.aclose)
            stack.push_async_callback(wake_ups.aclose)
            if database is None:
                stack.push_async_callback(state.aclose)
                await stack.enter_async_context(_prepared(settings, state))
            proxy.upstream = (
                await stack.enter_async_context(open_upstream(settings)) if upstream is None else upstream
            )
            yield

    app = Starlette(
        routes=[
            *(_webhook(receiver, address) for address in receiver.subjects.link_addresses()),
            *(_webhook(receiver, address) for address in receiver.subjects.addresses()),
            Route(PROXY_PATH, proxy),
            Route(CALENDAR_PATH, calendars.ask, methods=["POST"]),
            Route(STATUS_PATH, calendars.tell, methods=["GET"]),
            Route(PUSH_PATH, push.answer, methods=["POST"]),
            Route(PAGE_PATH, status.show, methods=["GET"]),
            Route(STYLE_PATH, status.style, methods=["GET"]),
            Route("/health", _health),
            Route("/ready", _ready(state, wait_seconds)),
        ],
        exception_handlers={HTTPException: _not_routed, Exception: _unexpected},
        lifespan=lifespan,
    )
    # A redirect counts as delivered at EspoCRM, and nothing would have been stored.
    app.router.redirect_slashes = False
    return app


def _webhook(receiver: Receiver, address: Address | LinkAddress) -> Route:
    async def endpoint(request: Request) -> Response:
        return await receiver.answer(request, address)

    return Route(address.path, endpoint, methods=["POST"])


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


def _ready(database: Database, wait_seconds: float) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        try:
            # The way that webhooks take, so that it is that way which is tried.
            async with asyncio.timeout(wait_seconds):
                await database.run(check_tables)
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
            log.warning("not_ready", error=type(error).__name__)
            sentence = "The state database cannot be reached, or has no tables yet."
            return error_response(Refusal(503, sentence, "not_ready"))
        return JSONResponse({"status": "ready"})

    return endpoint


async def _not_routed(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    # The path is a stranger's text: it stays out of the log.
    log.warning("refused", status=status, reason="no_such_address")
    if status == 405:
        response = error_response(
            Refusal(405, "This address takes no such method: those it takes are in the Allow header.", "")
        )
        response.headers.update(getattr(error, "headers", None) or {})
        return response
    known = "There is no such address: webhooks go to /vmh/webhook/{word}/{action}, as setup-espocrm registers them."
    return error_response(Refusal(status, known, ""))


async def _unexpected(_: Request, error: Exception) -> Response:
    log.error("refused", status=503, reason="unexpected", error=type(error).__name__)
    return error_response(unavailable("unexpected"))


@contextlib.asynccontextmanager
async def _prepared(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Prepares the database before the first request, or, where it is not to be had, as soon as it is."""
    try:
        await asyncio.to_thread(prepare, settings, database)
    except DatabaseUnavailable:
        log.warning("database_unavailable_at_start", effect="webhooks are answered 503")
    else:
        yield
        return
    task = asyncio.create_task(_prepare_later(settings, database))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _prepare_later(settings: Settings, database: Database) -> None:
    while True:
        await asyncio.sleep(PREPARE_AGAIN_SECONDS)
        try:
            await asyncio.to_thread(prepare, settings, database)
        except DatabaseUnavailable:
            continue
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            log.error(  # noqa: TRY400 - a traceback of the driver's may hold the database's password
                "not_prepared", error=type(error).__name__, advice="restart the receiver to see why"
            )
            return
        log.info("database_prepared")
        return
