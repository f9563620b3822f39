"""Advoware's REST API as one user sees it (`facts/advoware.md`); what it calls things is in `advoware_surface`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import httpx

from bitbylaw_pipeline.clients import advoware_parsing as parsing
from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.clients.advoware_connection import Connection, ConnectionFacts
from bitbylaw_pipeline.clients.advoware_host import RawAnswer
from bitbylaw_pipeline.clients.advoware_records import Records
from bitbylaw_pipeline.clients.advoware_rows import Akte, Mitarbeiter
from bitbylaw_pipeline.clients.advoware_token import TokenCache
from bitbylaw_pipeline.clients.http import CallRecord
from bitbylaw_pipeline.settings import Settings


class Advoware(Records):
    """Parties, matters, employees, and any other call for the proxy. One per process and event loop.

    Raises `domain.errors` with system "advoware": Unreachable with `retry_after` of 70 s and more while the firm's
    own service is not connected, AuthFailed where our login is refused (not tried again for 15 minutes),
    OutcomeUnknown where a create may have landed.
    """

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        cache: TokenCache | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
        new_nonce: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> Advoware:
        """The client that the settings describe; `clock` is UTC epoch seconds. Raises SettingsError.

        `transport` serves all three hosts. `cache` is shared by processes (`inbox.advoware_token_cache`); whoever
        gives it closes it.
        """
        connection = Connection(
            settings, transport=transport, cache=cache, on_call=on_call, clock=clock, new_nonce=new_nonce
        )
        return cls(connection, lists_beteiligte=settings.advoware_lists_beteiligte)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.connection.aclose()

    async def list_akten(self) -> list[Akte]:
        """All matters."""
        answer = await self._list(surface.AKTEN, operation="list_akten")
        return [parsing.akte(answer, row) for row in parsing.rows_of(answer, surface.AKTE.id)]

    async def akte(self, akte_id: int) -> Akte:
        """One matter. Raises NotFound."""
        answer, row = await self._one((surface.AKTEN, str(akte_id)), surface.AKTE, akte_id, "akte")
        return parsing.akte(answer, row)

    async def list_mitarbeiter(self) -> list[Mitarbeiter]:
        """All employees."""
        answer = await self._list(surface.MITARBEITER, operation="list_mitarbeiter")
        return [parsing.mitarbeiter(row) for row in parsing.rows_of(answer, surface.MITARBEITER_ROW.id)]

    async def describe_connection(self) -> ConnectionFacts:
        """How Advoware is reached and whether it takes our login, without a call to the API itself."""
        return await self.connection.facts()

    async def forget_refusal(self) -> None:
        """Lets the next call log in although Advoware has refused it: a person has mended what was wrong."""
        await self.connection.forget_refusal()

    async def raw(
        self,
        method: str,
        segments: Sequence[str],
        *,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
        content_type: str | None,
    ) -> AbstractAsyncContextManager[RawAnswer]:
        """Any call below the prefix: `async with await advoware.raw(...) as answer`, body in `answer.chunks`.

        `segments` are single path segments, not encoded. Every status of Advoware's is passed on, but a 401, after
        which the token is renewed and the call repeated once (then AuthFailed). Redirects are not followed. Raises
        Permanent("bad_name") for what could lead elsewhere; `chunks` raises when the connection breaks.
        """
        return await self.connection.raw(method, segments, query=query, body=body, content_type=content_type)
