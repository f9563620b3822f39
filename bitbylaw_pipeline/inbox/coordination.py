"""What Redis adds: a lock around each entity, wake-up messages, a small cache. Everything works without it.

A lock here saves work; it never makes anything correct (the work queue's tokens do): it runs out, and Redis may lose
it. So a Redis that is absent, dead or hanging is treated as a lock that was granted and a message that did not come.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeVar

import redis
import redis.asyncio
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError
from redis.retry import Retry as SyncRetry

from bitbylaw_pipeline.settings import Settings

log = structlog.get_logger(__name__)
T = TypeVar("T")

TIMEOUT_SECONDS = 1.0
REST_SECONDS = 3.0
"""How long a Redis that failed is left alone: a hanging one would cost its timeout at every call."""
LOCK_POLL_SECONDS = 0.05


class Coordination:
    """Locks, wake-ups and a cache over Redis, for one event loop; `clock` is monotonic, in seconds."""

    def __init__(self, options: dict[str, Any] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._client: redis.asyncio.Redis | None = None
        if options is not None:
            self._client = redis.asyncio.Redis(**options, retry=Retry(NoBackoff(), 0))
        self._failed_at: float | None = None

    @classmethod
    def open(cls, settings: Settings | None, *, socket_timeout: float = TIMEOUT_SECONDS) -> Self:
        """Coordination over the Redis in the settings; no connection is made yet. Without REDIS_HOST, one warning.

        A Redis that has not answered after `socket_timeout` seconds counts as hanging.
        """
        if settings is None or not settings.redis_host:
            log.warning("redis_not_configured", effect="no entity lock, no cache, wake-up by polling")
            return cls(None)
        return cls(
            {
                "host": settings.redis_host,
                "port": settings.redis_port,
                "password": settings.redis_password.get_secret_value() or None,
                "db": settings.redis_db,
                "socket_timeout": socket_timeout,
                "socket_connect_timeout": socket_timeout,
                "decode_responses": True,
                "protocol": 2,
            }
        )

    @contextlib.asynccontextmanager
    async def lock(self, name: str, ttl: float, *, wait: float = 0.0) -> AsyncIterator[bool]:
        """Holds the named lock for at most `ttl` seconds: True if held, or if Redis cannot be asked.

        False if somebody else still holds it after `wait` seconds.
        """
        held: Lock | None = None
        is_granted = True
        if self._client is not None:
            held = self._client.lock(
                name, timeout=ttl, sleep=LOCK_POLL_SECONDS, blocking_timeout=wait, thread_local=False
            )
            is_granted = await self._ask(held.acquire(), otherwise=True)
        try:
            yield is_granted
        finally:
            if held is not None and held.local.token is not None:
                await self._release(held, name)

    async def _release(self, held: Lock, name: str) -> None:
        try:
            await self._ask(held.release(), otherwise=None)
        except LockError:
            log.info("lock_ran_out", lock=name)

    async def wake(self, stream: str) -> None:
        """Tells everybody who waits for the stream that there is work."""
        if self._client is not None:
            await self._ask(self._client.publish(_channel(stream), "1"), otherwise=0)

    def wake_sync(self, stream: str) -> None:
        """`wake` for callers without an event loop."""
        if self._options is None:
            return
        with redis.Redis(**self._options, retry=SyncRetry(NoBackoff(), 0)) as client:
            try:
                client.publish(_channel(stream), "1")
            except (RedisError, OSError) as error:
                self.note_failure(error)

    def wakeups(self, stream: str) -> Wakeups:
        """A subscription to the stream's wake-ups; close it with `aclose`."""
        return Wakeups(self, stream)

    async def cache_get(self, key: str) -> str | None:
        """The cached text, None if there is none (any more) or no Redis."""
        if self._client is None:
            return None
        found: str | None = await self._ask(self._client.get(_cache_key(key)), otherwise=None)
        return found

    async def cache_put(self, key: str, text: str, ttl: float) -> None:
        """Caches the text for `ttl` seconds."""
        if self._client is not None and ttl > 0:
            await self._ask(
                self._client.set(_cache_key(key), text, px=max(1, int(ttl * 1000))), otherwise=None
            )

    def new_subscription(self) -> PubSub:
        """For `Wakeups`: not yet subscribed to anything."""
        if self._client is None:
            raise RuntimeError("There is no Redis to subscribe to.")
        return self._client.pubsub(ignore_subscribe_messages=True)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()

    @property
    def rest_seconds(self) -> float:
        """How long Redis is to be left alone yet: 0 if it is usable, infinite if there is none."""
        if self._client is None:
            return float("inf")
        if self._failed_at is None:
            return 0.0
        return max(0.0, self._failed_at + REST_SECONDS - self._clock())

    async def _ask(self, question: Awaitable[T], otherwise: Any) -> Any:
        if self.rest_seconds > 0:
            # Never awaited, a coroutine would complain.
            if asyncio.iscoroutine(question):
                question.close()
            return otherwise
        try:
            answer = await question
        except LockError:
            raise
        except (RedisError, OSError) as error:
            self.note_failure(error)
            return otherwise
        self.note_success()
        return answer

    def note_failure(self, error: BaseException) -> None:
        """Begins a rest; the first of an outage is a warning."""
        if self._failed_at is None:
            log.warning("redis_unavailable", error=type(error).__name__)
        self._failed_at = self._clock()

    def note_success(self) -> None:
        """Ends an outage."""
        if self._failed_at is not None:
            log.info("redis_back")
            self._failed_at = None


class Wakeups:
    """The wake-ups of one stream. It survives Redis dying and coming back, and without Redis it just sleeps."""

    def __init__(self, coordination: Coordination, stream: str) -> None:
        self._coordination = coordination
        self._channel = _channel(stream)
        self._subscription: PubSub | None = None

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 - what the wait is for
        """True as soon as a wake-up has come since the last call, False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (remaining := deadline - loop.time()) > 0:
            rest = self._coordination.rest_seconds
            if rest > 0:
                await asyncio.sleep(min(rest, remaining))
                continue
            was_subscribed = self._subscription is not None
            try:
                if await self._receive(remaining):
                    return True
            except (RedisError, OSError) as error:
                await self.aclose()
                if not was_subscribed:
                    # Else the connection may be an old one, from before a restart: only a new one can tell.
                    self._coordination.note_failure(error)
        return False

    async def _receive(self, seconds: float) -> bool:
        if self._subscription is None:
            self._subscription = self._coordination.new_subscription()
            await self._subscription.subscribe(self._channel)
        is_woken = await self._subscription.get_message(timeout=seconds) is not None
        if is_woken:
            # What has arrived by now is the same wake-up.
            while await self._subscription.get_message(timeout=0) is not None:
                pass
        self._coordination.note_success()
        return is_woken

    async def aclose(self) -> None:
        """Ends the subscription."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(RedisError, OSError):
                await subscription.aclose()  # type: ignore[no-untyped-call]  # redis-py's


def _channel(stream: str) -> str:
    return f"bitbylaw:wake:{stream}"


def _cache_key(key: str) -> str:
    return f"bitbylaw:cache:{key}"
