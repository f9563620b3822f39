"""Access tokens, one for each user and scope: asked for once, however many want it (`facts/two_way_sync.md` 2, Auth).

A refusal may be about one employee or about the whole service account, and Google does not always say which:
`unauthorized_client` comes for a missing delegation, and for a single user of a domain that is not ours. So another
employee's token is asked for: if that is given, the refusal is the one employee's own.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import structlog

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.google_account import ServiceAccount
from bitbylaw_pipeline.clients.google_connection import SYSTEM, CalendarUser, Scope
from bitbylaw_pipeline.clients.google_refusals import DelegationMissing, GrantRefused
from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.clients.request_builder import PiecewiseBody
from bitbylaw_pipeline.domain.errors import AuthFailed, ScopeRefused, SyncError

log = structlog.get_logger(__name__)

MARGIN_SECONDS = 60.0
"""A token is given up so long before its end: the call that takes it must still arrive in time."""
ASKED_OTHERS = 3
"""How many other users are asked whether a refusal is only about one."""
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Token:
    """A token and until when it is used (UTC epoch seconds)."""

    value: str = field(repr=False)
    use_until: float


KeptTokens = dict[tuple[str, Scope], Token]
"""By the user's address and the scope."""


class TokenKeeper:
    """The present tokens, in memory. `host` is the token endpoint, `audience` its address, `clock` UTC epoch seconds.

    `users` are those that may be asked whether a refusal is only about one; whoever asks for a token joins them. `kept`
    is where the tokens are, if they are to outlive the keeper.
    """

    def __init__(
        self,
        account: ServiceAccount,
        host: System,
        audience: str,
        clock: Callable[[], float],
        users: Iterable[CalendarUser] = (),
        kept: KeptTokens | None = None,
    ) -> None:
        self._account = account
        self._host = host
        self._audience = audience
        self._clock = clock
        self._users = {user.email: user for user in users}
        self._kept: KeptTokens = {} if kept is None else kept
        self._flights: dict[tuple[str, Scope], asyncio.Task[Token]] = {}

    def __repr__(self) -> str:
        return f"TokenKeeper(users={len(self._users)})"

    async def token(self, user: CalendarUser, scope: Scope) -> str:
        """A token to call with. Raises ScopeRefused for this user alone, AuthFailed where all are refused."""
        self._users.setdefault(user.email, user)
        kept = self._kept.get((user.email, scope))
        if kept is not None and kept.use_until > self._clock():
            return kept.value
        return (await self._one_flight(user, scope)).value

    async def renewed(self, user: CalendarUser, scope: Scope, refused: str) -> str:
        """Another token than the one that was answered 401; many callers at once share one request."""
        kept = self._kept.get((user.email, scope))
        if kept is not None and kept.value == refused:
            self._kept.pop((user.email, scope), None)
        return await self.token(user, scope)

    async def check(self, user: CalendarUser, scope: Scope) -> None:
        """Asks for a new token whatever is kept: raises what is wrong with this user, this scope, or the key."""
        self._users.setdefault(user.email, user)
        self._kept.pop((user.email, scope), None)
        await self._one_flight(user, scope)

    async def probe(self) -> None:
        """Asks for a new token for some known user. Raises what concerns all; one user's own refusal is none."""
        is_accepted, refusals = await self._ask_some(self._candidates(Scope.EVENTS), Scope.EVENTS)
        # One user who is refused without a reason may have left the firm; two are no coincidence.
        if not is_accepted and refusals and (len(refusals) > 1 or isinstance(refusals[0], DelegationMissing)):
            raise refusals[0]

    async def aclose(self) -> None:
        """Ends the requests that are under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _one_flight(self, user: CalendarUser, scope: Scope) -> Token:
        # A task of its own: whoever gives up waiting takes nothing from the others, and a failure is shared, too.
        key = (user.email, scope)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._obtain(user, scope))
            flight.add_done_callback(functools.partial(self._landed, key))
        return await asyncio.shield(flight)

    def _landed(self, key: tuple[str, Scope], flight: asyncio.Task[Token]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen: everybody who waited may have given up

    async def _obtain(self, user: CalendarUser, scope: Scope) -> Token:
        try:
            token = await self._ask(user, scope)
        except (DelegationMissing, GrantRefused) as refusal:
            raise await self._verdict(refusal, user, scope) from None
        return self._keep(user, scope, token)

    def _keep(self, user: CalendarUser, scope: Scope, token: Token) -> Token:
        self._kept[user.email, scope] = token
        return token

    async def _verdict(self, refusal: AuthFailed, user: CalendarUser, scope: Scope) -> SyncError:
        """The refusal, as one employee's own or as everybody's. Raises what keeps us from finding out."""
        others = [other for other in self._candidates(scope) if other.email != user.email]
        is_accepted, refusals = await self._ask_some(others, scope)
        is_grant = isinstance(refusal, GrantRefused)
        return _own(refusal, user) if is_accepted or (is_grant and not refusals) else refusal

    async def _ask_some(self, users: Sequence[CalendarUser], scope: Scope) -> tuple[bool, list[AuthFailed]]:
        """Whether one of the first few gets a token, and the refusals before. Raises what is not about users."""
        refusals: list[AuthFailed] = []
        for user in users[:ASKED_OTHERS]:
            try:
                self._keep(user, scope, await self._ask(user, scope))
            except ScopeRefused:
                continue  # about that user, and it says so: no sign of anything else
            except (DelegationMissing, GrantRefused) as error:
                refusals.append(error)
            else:
                return True, refusals
        return False, refusals

    def _candidates(self, scope: Scope) -> list[CalendarUser]:
        """All known users, those first who have had a token."""
        return sorted(self._users.values(), key=lambda user: (user.email, scope) not in self._kept)

    async def _ask(self, user: CalendarUser, scope: Scope) -> Token:
        asked_at = self._clock()
        assertion = self._account.assertion(
            subject=user.email, scope=scope.value, audience=self._audience, now=asked_at
        )
        body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode("ascii")
        answer = await self._host.call(
            "POST",
            "",
            operation="token",
            subject=user.kuerzel,
            stream=PiecewiseBody(body),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(body)),
            },
        )
        return _token_of(answer, asked_at)


def _own(refusal: AuthFailed, user: CalendarUser) -> ScopeRefused:
    """The refusal, now that it is known to be about this employee alone."""
    log.warning("google_user_refused", kuerzel=user.kuerzel, error=type(refusal).__name__)
    return ScopeRefused(
        f"google refuses {user.kuerzel}'s Google user: the account is unknown, suspended or not of our domain; check this"
        f" Kürzel's user in the calendar setting (token {user.kuerzel}, {refusal.status}).",
        system=SYSTEM,
        status=refusal.status,
        reason="access_withdrawn" if isinstance(refusal, DelegationMissing) else "user_unknown",
    )


def _token_of(answer: Answer, asked_at: float) -> Token:
    value, seconds = answer.text("access_token"), answer.mapping().get("expires_in")
    # Checked here: in a header a stray sign would end in an error that carries the token.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise answer.nonsense("no token")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise answer.nonsense("a token that has no end")
    # One that ends within the margin is used for half of its time: asked for before each call it would be no better.
    return Token(value, asked_at + max(seconds - MARGIN_SECONDS, min(seconds / 2, MARGIN_SECONDS)))
