"""Advoware's answer on its way to the caller: status, content type and body, in pieces, up to a limit."""

from __future__ import annotations

import json
import re

from starlette.types import Send

from bitbylaw_pipeline.clients import advoware_errors
from bitbylaw_pipeline.clients.answer import Call
from webhook_sensor_app.proxy_upstream import RawAnswer
from webhook_sensor_app.refusal import Refusal

_CALL = Call("advoware", "proxy")
AT_ONCE_BYTES = 64 * 1024
"""An answer is begun when so much of it is there, or all of it: until then trouble can still be told."""
_CONTENT_TYPE = re.compile(
    r"[\w.+-]{1,80}/[\w.+-]{1,80}(?:; ?[\w.-]{1,40}=\"?[\w.+-]{1,80}\"?){0,3}", re.ASCII
)


def is_content_type(text: str) -> bool:
    """True for what is plainly the value of a Content-Type header."""
    return _CONTENT_TYPE.fullmatch(text) is not None


class Passage:
    """Passes one answer on; `has_begun` and `sent_bytes` say how far that got."""

    def __init__(self, send: Send, max_bytes: int) -> None:
        self._send = send
        self._max_bytes = max_bytes
        self.has_begun = False
        self.sent_bytes = 0

    async def pass_on(self, answer: RawAnswer) -> None:
        """Sends the answer.

        Raises Refusal (502) for one that is too large or a redirect, and AuthFailed or Unreachable for one that says
        by its text that Advoware refuses our credentials or is offline. Where `has_begun` is true then, nothing
        remains but to cut the connection: by that the caller sees that the answer is not whole.
        """
        _check_status(answer.status)
        held = bytearray()
        async for chunk in answer.chunks:
            if self.sent_bytes + len(held) + len(chunk) > self._max_bytes:
                raise Refusal(
                    502,
                    f"Advoware's answer is larger than {self._max_bytes} bytes: ask for less, or raise "
                    "ADVOWARE_PROXY_MAX_ANSWER_BYTES.",
                    "large_answer",
                )
            held += chunk
            if self.has_begun or len(held) > AT_ONCE_BYTES:
                await self._begin(answer, None)
                await self._give(bytes(held), more=True)
                held = bytearray()
        if not self.has_begun:
            _check_text(answer.status, bytes(held))
        await self._begin(answer, len(held))
        await self._give(bytes(held), more=False)

    async def _begin(self, answer: RawAnswer, length: int | None) -> None:
        if self.has_begun:
            return
        headers = []
        if answer.content_type is not None and is_content_type(answer.content_type):
            headers.append((b"content-type", answer.content_type.encode("ascii")))
        if length is not None and answer.status not in (204, 304):
            headers.append((b"content-length", str(length).encode("ascii")))
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _give(self, body: bytes, *, more: bool) -> None:
        self.sent_bytes += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _check_text(status: int, body: bytes) -> None:
    """Advoware says in a text, under any status, that the firm is offline (`facts/advoware.md` 2)."""
    text = body.decode("utf-8", "replace")
    try:
        said = advoware_errors.message_in(json.loads(text))
    except (ValueError, RecursionError):
        said = text
    trouble = advoware_errors.trouble_in(said if status < 400 else f"{said} {text}")
    if trouble is not None:
        raise advoware_errors.trouble_error(trouble, _CALL, status)


def _check_status(status: int) -> None:
    if status == 401:
        # Passed on, it would read as if the caller's own key were wrong.
        raise Refusal(
            502,
            "Advoware does not accept our token for this call: check the rights of ADVOWARE_USER in Advoware.",
            "token_refused",
        )
    if not 200 <= status < 600 or 300 <= status < 400:
        raise Refusal(502, "Advoware answered with a redirect, which is not followed.", "redirect")
