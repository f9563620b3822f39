"""Advoware's token: asked for once, however many want it, and never again soon after a refusal (`facts/advoware.md` 2)."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_errors import LoginRefused, TokenRefused
from bitbylaw_pipeline.clients.advoware_host import Host
from bitbylaw_pipeline.clients.advoware_login import Login
from bitbylaw_pipeline.clients.advoware_moments import epoch_seconds, ticks_text
from bitbylaw_pipeline.clients.advoware_surface import SENTENCES, Trouble
from bitbylaw_pipeline.clients.answer import Answer

log = structlog.get_logger(__name__)

MARGIN_SECONDS = 120.0
"""A token is given up so long before its end: the call that takes it must still arrive in time."""
SHORTEST_SECONDS = 60.0
"""A token that seems to have ended already (one of the clocks is wrong) is used for so long all the same: a 401 tells."""
REFUSAL_SECONDS = 15 * 60.0
REFUSAL_PREFIX = "advoware-refusal:"
"""What is cached under such a key is no secret."""
LOCK_SECONDS = 40.0
VAIN_SECONDS = 60.0


class TokenCache(Protocol):
    """What all processes share (Redis); it may lose anything at any time, and its lock saves work only."""

    async def cache_get(self, key: str) -> str | None:
        """The text, None if it is not there."""
        ...

    async def cache_put(self, key: str, text: str, ttl: float) -> None:
        """Keeps the text for so many seconds."""
        ...

    def lock(self, name: str, ttl: float, *, wait: float = 0.0) -> AbstractAsyncContextManager[bool]:
        """Holds a lock for at most `ttl` seconds, after waiting `wait` seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """A token and until when it is used (UTC epoch seconds)."""

    value: str = field(repr=False)
    use_until: float


class TokenKeeper:
    """The present token, in memory and in the cache; one request at a time, over all processes that share the cache.

    `host` gives the token service's host, `clock` is UTC epoch seconds, `new_nonce` gives a new text each time.
    """

    def __init__(
        self,
        login: Login,
        addresses: str,
        host: Callable[[], Awaitable[Host]],
        cache: TokenCache | None,
        clock: Callable[[], float],
        new_nonce: Callable[[], str],
    ) -> None:
        self._login = login
        self._host = host
        self._cache = cache
        self._clock = clock
        self._new_nonce = new_nonce
        name = login.cache_name(addresses)
        self._token_key, self._refusal_key = f"advoware-token:{name}", f"{REFUSAL_PREFIX}{name}"
        self._kept: Token | None = None
        self._refusal: tuple[Trouble, float] | None = None
        self._dead = ""
        self._vain_until = -math.inf
        self._flight: asyncio.Task[Token] | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long the token in memory will still be used, None if there is none."""
        left = 0.0 if self._kept is None else self._kept.use_until - self._clock()
        return left if left > 0 else None

    async def token(self) -> str:
        """A token to call with. Raises LoginRefused, also where the refusal was up to 15 minutes ago."""
        if self._kept is not None and self._kept.use_until > self._clock():
            return self._kept.value
        return (await self._one_flight()).value

    async def renewed(self, refused: str) -> str:
        """Another token than the one that was answered 401. Raises TokenRefused if the last new one was no better."""
        if self._kept is not None and self._kept.value != refused:
            return await self.token()  # somebody else has renewed it meanwhile
        if self._clock() < self._vain_until:
            raise TokenRefused(
                "advoware accepts none of the tokens that it gives us: has this user the right?",
                system="advoware",
                status=401,
            )
        self._kept, self._dead = None, refused
        token = await self._one_flight()
        if token.value == refused:  # a flight that had begun before the 401 found the old one in the cache
            self._kept = None
            token = await self._one_flight()
        return token.value

    def note_vain(self) -> None:
        """A brand-new token was refused: no other is asked for within the next minute."""
        self._vain_until = self._clock() + VAIN_SECONDS

    async def forget_refusal(self) -> None:
        """Lets the next call try to log in at once: a person has mended what was refused."""
        self._refusal = None
        if self._cache is not None:
            await self._cache.cache_put(self._refusal_key, "", 0.001)

    async def remembered_refusal(self) -> Trouble | None:
        """Why logging in is not tried at present, None if it may be."""
        now = self._clock()
        if self._refusal is not None and self._refusal[1] > now:
            return self._refusal[0]
        text = await self._cache.cache_get(self._refusal_key) if self._cache is not None else None
        if text not in list(Trouble):
            return None
        return Trouble(text)

    async def aclose(self) -> None:
        """Ends a request that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _one_flight(self) -> Token:
        # A task of its own: whoever gives up waiting takes nothing from the others, and a failure is shared, too,
        # instead of each of a hundred waiters trying (and counting as a wrong login) in turn.
        if self._flight is None:
            self._flight = asyncio.create_task(self._obtain())
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    def _landed(self, flight: asyncio.Task[Token]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # seen: everybody who waited may have given up

    async def _obtain(self) -> Token:
        self._kept = await self._found() or await self._asked_by_one()
        return self._kept

    async def _asked_by_one(self) -> Token:
        if self._cache is None:
            return await self._ask()
        async with self._cache.lock(f"lock:{self._token_key}", LOCK_SECONDS, wait=LOCK_SECONDS):
            return await self._found() or await self._ask()

    async def _found(self) -> Token | None:
        """The cache's token if it is still good."""
        if (trouble := await self.remembered_refusal()) is not None:
            raise LoginRefused(
                f"advoware {SENTENCES[trouble]} (seen within the last 15 minutes; not asked again).",
                trouble=trouble,
            )
        text = await self._cache.cache_get(self._token_key) if self._cache is not None else None
        try:
            data = json.loads(text) if text else {}
            token = Token(str(data["token"]), float(data["use_until"]))
        except (ValueError, TypeError, KeyError):
            return None
        return token if token.use_until > self._clock() and token.value != self._dead else None

    async def _ask(self) -> Token:
        host = await self._host()
        body = self._login.request(self._new_nonce(), ticks_text(self._clock()))
        try:
            answer = await host.ask("POST", surface.TOKEN_PATH, operation="token", value=body)
        except LoginRefused as error:
            await self._remember(error.trouble)
            raise
        now = self._clock()
        token = _token_of(answer, now)
        self._refusal = None
        if self._cache is not None:
            text = json.dumps({"token": token.value, "use_until": token.use_until})
            await self._cache.cache_put(self._token_key, text, token.use_until - now)
        return token

    async def _remember(self, trouble: Trouble) -> None:
        log.error("advoware_login_refused", trouble=trouble.value, not_tried_for=REFUSAL_SECONDS)
        self._refusal = (trouble, self._clock() + REFUSAL_SECONDS)
        if self._cache is not None:
            await self._cache.cache_put(self._refusal_key, trouble.value, REFUSAL_SECONDS)


def _token_of(answer: Answer, now: float) -> Token:
    data = answer.data[0] if isinstance(answer.data, list) and len(answer.data) == 1 else answer.data
    value = data.get("access_token") if isinstance(data, dict) else None
    if (
        not isinstance(value, str)
        or not value
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        raise answer.nonsense("no token")
    ends = epoch_seconds(data.get("expiration_utc"))
    left = surface.TOKEN_LIFETIME_SECONDS if ends is None else ends - now
    if left - MARGIN_SECONDS < SHORTEST_SECONDS:
        log.warning("advoware_token_ends_at_once", seconds=round(left), hint="is this machine's clock right?")
    return Token(value, now + max(left - MARGIN_SECONDS, SHORTEST_SECONDS))
