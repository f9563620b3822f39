"""Requests to one system: everything that is the same for each is made and checked once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from bitbylaw_pipeline.settings import SettingsError

CONNECT_SECONDS = 5.0
_PIECE_BYTES = 256 * 1024


class PiecewiseBody(httpx.AsyncByteStream):
    """A large body in pieces: written in one go it would hold the event loop until the socket has it all."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), _PIECE_BYTES):
            yield self._content[start : start + _PIECE_BYTES]


class RequestBuilder:
    """Builds requests below `base_url` with the system's headers. Raises SettingsError for what cannot be either."""

    def __init__(self, name: str, base_url: str, headers: Mapping[str, str], timeout: float) -> None:
        self.base_url = base_url.rstrip("/")
        origin = _origin(name, self.base_url)
        self._above = origin if self.base_url == origin else self.base_url.rpartition("/")[0]
        self._headers = _checked_headers(name, origin, headers)
        connect = min(CONNECT_SECONDS, timeout)
        self._whole_call = {"timeout": {"connect": connect}}
        self._per_read = {"timeout": {"connect": connect, "read": timeout}}

    def build(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        value: Any = None,
        stream: httpx.AsyncByteStream | None = None,
        headers: Mapping[str, str] | None = None,
        above_base: bool = False,
        is_download: bool = False,
    ) -> httpx.Request:
        """One request; `path` is made of checked parts and joined as it stands, `value` is sent as JSON.

        `above_base` joins it one level higher (`https://host/v1` -> `https://host`).

        Joined as text on purpose: httpx would follow a path that begins with `//` to another host, key and all.
        """
        url = (self._above if above_base else self.base_url) + path
        if params:
            url += "?" + urlencode(params)
        extensions = self._per_read if is_download else self._whole_call
        content = None
        if value is not None:
            content = json.dumps(value, separators=(",", ":")).encode()
            headers = {**(headers or {}), "Content-Type": "application/json"}
            if len(content) > _PIECE_BYTES:
                headers["Content-Length"] = str(len(content))
                stream = PiecewiseBody(content)
        if stream is not None:
            return httpx.Request(
                method, url, headers=self._headers_with(headers), stream=stream, extensions=extensions
            )
        return httpx.Request(
            method, url, headers=self._headers_with(headers), content=content, extensions=extensions
        )

    def _headers_with(self, more: Mapping[str, str] | None) -> httpx.Headers:
        if not more:
            return self._headers
        headers = self._headers.copy()
        headers.update(more)
        return headers


def _origin(name: str, base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise SettingsError(
            f"The address of {name} is not usable: write it as https://host/path, without user, query or fragment."
        )
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _checked_headers(name: str, origin: str, headers: Mapping[str, str]) -> httpx.Headers:
    # Checked here because the libraries' own complaint would carry the key.
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise SettingsError(f"The key of {name} contains characters that no key has: copy it again.")
    return httpx.Headers(
        {
            "Host": origin.partition("://")[2],
            "Accept": "application/json, */*",
            # Compressed answers are refused: a bomb is cheapest to survive unopened.
            "Accept-Encoding": "identity",
            "User-Agent": "bitbylaw-pipeline",
            **headers,
        }
    )
