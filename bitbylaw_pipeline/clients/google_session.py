"""Calls for one employee: within the quota, with their token, which is renewed once after a 401."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bitbylaw_pipeline.clients.answer import Answer
from bitbylaw_pipeline.clients.google_connection import SYSTEM, CalendarUser, Scope
from bitbylaw_pipeline.clients.google_errors import TokenRejected
from bitbylaw_pipeline.clients.google_quota import Quota
from bitbylaw_pipeline.clients.google_tokens import TokenKeeper
from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import ScopeRefused, SyncError

NEIGHBOUR_SECONDS = 120.0
"""Another employee's success counts for so long as a sign that Google accepts our tokens as such."""


def quota_user(email: str) -> str:
    """Whom Google counts a call for (at most 40 characters): a hash, so that no proxy's log holds the address."""
    return hashlib.sha256(email.encode()).hexdigest()[:40]


class Session:
    """What all calls to the API have in common. `clock` is UTC epoch seconds."""

    def __init__(self, api: System, tokens: TokenKeeper, quota: Quota, clock: Callable[[], float]) -> None:
        self._api = api
        self._tokens = tokens
        self._quota = quota
        self._clock = clock
        self._accepted_at: dict[str, float] = {}

    async def call(
        self,
        user: CalendarUser,
        method: str,
        path: str,
        *,
        operation: str,
        subject: str = "",
        scope: Scope = Scope.EVENTS,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (200,),
        writes: bool = False,
        units: int = 1,
    ) -> Answer:
        """One call as this user; `subject` is an event's id, `units` the call's weight in the quota.

        A write without a clear answer raises OutcomeUnknown. A 401 was not carried out, a write neither: it is
        repeated with a new token.
        """
        named = f"{user.kuerzel}/{subject}" if subject else user.kuerzel
        query = {**(params or {}), "quotaUser": quota_user(user.email)}

        async def attempt(token: str) -> Answer:
            await self._quota.take(user.email, units)
            return await self._api.call(
                method,
                path,
                operation=operation,
                subject=named,
                params=query,
                json=json,
                headers={**(headers or {}), "Authorization": f"Bearer {token}"},
                ok=ok,
                creates=writes,
            )

        answer = await self._with_token(user, scope, attempt)
        self._accepted_at[user.email] = self._clock()
        return answer

    async def _with_token(
        self, user: CalendarUser, scope: Scope, attempt: Callable[[str], Awaitable[Answer]]
    ) -> Answer:
        token = await self._tokens.token(user, scope)
        try:
            return await attempt(token)
        except TokenRejected:
            token = await self._tokens.renewed(user, scope, token)
        try:
            return await attempt(token)
        except TokenRejected as refusal:
            raise self._verdict(refusal, user) from None

    def _verdict(self, refusal: TokenRejected, user: CalendarUser) -> SyncError:
        """A brand-new token is refused: this employee's trouble where others' tokens are accepted, else everybody's."""
        since = self._clock() - NEIGHBOUR_SECONDS
        if not any(at >= since for email, at in self._accepted_at.items() if email != user.email):
            return refusal
        return ScopeRefused(
            f"google accepts none of the tokens that it gives us for {user.kuerzel}, and accepts those of others: was the"
            f" user's access withdrawn? ({user.kuerzel}, {refusal.status}).",
            system=SYSTEM,
            status=refusal.status,
            reason="token_refused",
        )
