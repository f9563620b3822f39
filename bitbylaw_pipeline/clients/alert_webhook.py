"""A message to an address of the firm's choice by one POST of JSON: a chat's or pager's incoming webhook, or a program."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unreachable,
)

SYSTEM = "alert-webhook"
TIMEOUT_SECONDS = 10.0


class AlertWebhook:
    """Posts `{"text": ..., "alerts": [...]}`; chats show `text` and pass over the rest."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._token = token
        self._transport = transport
        self._timeout = timeout

    async def send(self, key: str, text: str, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Posts it, with `key` as Idempotency-Key. Redirects are not followed.

        Raises AuthFailed (401, 403), RateLimited, Permanent (another 3xx or 4xx) or Transient, without the address, which
        often is a secret by itself, and without anything from the answer.
        """
        headers = {"Idempotency-Key": key, "User-Agent": "bitbylaw"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            # Each time-out of httpx is for one step; the outer one is for all of them.
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(
                    transport=self._transport,
                    timeout=self._timeout,
                    follow_redirects=False,
                    trust_env=False,
                ) as client,
                client.stream(
                    "POST", self._url, json={"text": text, "alerts": list(alerts)}, headers=headers
                ) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"ALERT_WEBHOOK_URL cannot be reached or did not answer ({type(error).__name__}).",
                system=SYSTEM,
            ) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise Permanent(
                f"ALERT_WEBHOOK_URL is not usable ({type(error).__name__}).", system=SYSTEM
            ) from None
        if not 200 <= status < 300:
            raise _refusal(status)


def _refusal(status: int) -> SyncError:
    said = f"ALERT_WEBHOOK_URL answers {status}"
    if status in (401, 403):
        return AuthFailed(f"{said}: see ALERT_WEBHOOK_TOKEN.", system=SYSTEM, status=status)
    if status == 429:
        return RateLimited(f"{said}.", system=SYSTEM, status=status)
    if status >= 500 or status == 408:
        return Transient(f"{said}.", system=SYSTEM, status=status)
    return Permanent(f"{said}.", system=SYSTEM, status=status)
