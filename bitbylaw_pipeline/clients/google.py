"""Google Calendar v3, acting for each employee through one service account (`facts/two_way_sync.md` 2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import httpx

from bitbylaw_pipeline.clients.google_account import read_account
from bitbylaw_pipeline.clients.google_calendar import EmployeeCalendar
from bitbylaw_pipeline.clients.google_connection import SYSTEM, CalendarUser, GoogleConnection, Scope
from bitbylaw_pipeline.clients.google_errors import judge
from bitbylaw_pipeline.clients.google_quota import Quota
from bitbylaw_pipeline.clients.google_refusals import token_judge
from bitbylaw_pipeline.clients.google_session import Session
from bitbylaw_pipeline.clients.google_setup import CalendarSetup
from bitbylaw_pipeline.clients.google_tokens import KeptTokens, TokenKeeper
from bitbylaw_pipeline.clients.http import CallRecord, System, open_transport
from bitbylaw_pipeline.domain.errors import AuthFailed, NotFound, Permanent, RateLimited

TOKEN_SECONDS = 15.0


class Google:
    """All employees' calendars. One per process and event loop.

    Raises `domain.errors` with system "google"; what concerns one employee alone is ScopeRefused or ScopeLimited
    (`google_errors`).
    """

    def __init__(
        self, api: System, tokens: TokenKeeper, quota: Quota, clock: Callable[[], float], client_id: str
    ) -> None:
        self.client_id = client_id
        """The number under which the admin console knows our service account; "" if the key file does not say."""
        self._api = api
        self._tokens = tokens
        self._session = Session(api, tokens, quota, clock)

    @classmethod
    def open(
        cls,
        connection: GoogleConnection,
        *,
        users: Iterable[CalendarUser] = (),
        memory: dict[str, KeptTokens] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> Google:
        """The client of that connection. Raises SettingsError for a key file or an address that cannot be one.

        `users` are all employees of the setting: with them one's refusal is told from everybody's. `memory` is
        where tokens outlive this client. `transport`
        serves both hosts. `clock` is UTC epoch seconds; `ticks` and `sleep` are the quota's.
        """
        account = read_account(connection.service_account_file)
        way = transport or open_transport()

        host = System(
            SYSTEM,
            connection.token_url,
            {},
            timeout=min(TOKEN_SECONDS, connection.timeout),
            max_concurrency=connection.max_concurrency,
            transport=way,
            judge=token_judge(account.client_id),
            on_call=on_call,
            clock=clock,
        )
        api = System(
            SYSTEM,
            connection.api_base_url,
            {},
            timeout=connection.timeout,
            max_concurrency=connection.max_concurrency,
            transport=way,
            judge=judge,
            on_call=on_call,
            clock=clock,
        )
        quota = Quota(
            connection.requests_per_minute_per_user,
            connection.requests_per_minute,
            ticks=ticks,
            sleep=sleep,
        )
        kept = None if memory is None else memory.setdefault(f"{account.email} {host.base_url}", {})
        tokens = TokenKeeper(account, host, host.base_url, clock, users, kept)
        return cls(api, tokens, quota, clock, account.client_id)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._tokens.aclose()
        await self._api.aclose()

    def calendar(self, user: CalendarUser, calendar_id: str) -> EmployeeCalendar:
        """That calendar as this employee sees it. Raises Permanent("bad_name") for what cannot be a calendar's id."""
        return EmployeeCalendar(self._session, user, calendar_id)

    def setup(self, user: CalendarUser) -> CalendarSetup:
        """Makes and checks this employee's own calendars."""
        return CalendarSetup(self._session, user)

    async def check(self, user: CalendarUser, scope: Scope = Scope.EVENTS) -> None:
        """Asks for a new token, for `doctor`: raises what is wrong with the key, the delegation, the scope or the user."""
        await self._tokens.check(user, scope)

    async def server_time(self) -> float | None:
        """Google's clock in UTC epoch seconds, by the Date of an answer that needs no token."""
        answer = await self._api.call(
            "GET",
            "/calendars/primary/events",
            operation="server_time",
            params={"maxResults": "1"},
            ok=(200, 401, 403),
        )
        return answer.server_time()

    async def probe(self) -> None:
        """Whether Google answers and takes our key. One employee's own refusal is no failure."""
        await self._tokens.probe()
        try:
            # Without a token on purpose: no employee's quota or rights have a say in whether Google is there.
            await self._api.call(
                "GET", "/calendars/primary/events", operation="probe", params={"maxResults": "1"}
            )
        except (AuthFailed, Permanent, NotFound, RateLimited):
            return
