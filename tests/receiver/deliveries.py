"""Requests as EspoCRM sends them: recorded ones, and signed ones of our own making."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

CASES = Path(__file__).parent / "cases"
JSON = {"content-type": "application/json"}
SHARED_SECRET = "a-shared-secret-of-some-length"
BY_SECRET = JSON | {"x-webhook-secret": SHARED_SECRET}


@dataclass(frozen=True, slots=True)
class Signer:
    """A registered webhook, from EspoCRM's side."""

    webhook_id: str
    event: str
    secret: str

    def digest(self, body: bytes) -> bytes:
        """The HMAC of a body."""
        return hmac.new(self.secret.encode(), body, hashlib.sha256).digest()

    def hex_header(self, body: bytes) -> str:
        """The value of `Signature`."""
        return encoded(self.webhook_id, self.digest(body).hex().encode())

    def raw_header(self, body: bytes) -> str:
        """The value of `X-Signature`."""
        return encoded(self.webhook_id, self.digest(body))

    def headers(self, body: bytes) -> dict[str, str]:
        """The headers that EspoCRM sends with a body."""
        return JSON | {"signature": self.hex_header(body), "x-signature": self.raw_header(body)}


def encoded(webhook_id: str, digest: bytes) -> str:
    """A signature header's outer form."""
    return base64.b64encode(webhook_id.encode() + b":" + digest).decode()


DOCUMENT_UPDATE = Signer("6b02a2157006773d5", "CDokumente.update", "efccd3acc76ac946b00bb7ff94d20679")
DOCUMENT_CREATE = Signer("6b02a21564b2be830", "CDokumente.create", "ffda812734ed14b0e203266c39c738e0")
DOCUMENT_FIELD = Signer(
    "6b02a2158e341f5cc", "CDokumente.fieldUpdate.dokument", "4d950c13192089c42e2d7b289547382e"
)
OWNER_UPDATE = Signer("6b02a21500000aaaa", "CVmhRumungsklage.update", "00b7ff94d20679efccd3acc76ac946b0")
REPLACED_LATELY = Signer("6b02a21500000bbbb", "CDokumente.update", "11b7ff94d20679efccd3acc76ac946b0")
REPLACED_LONG_AGO = Signer("6b02a21500000cccc", "CDokumente.update", "22b7ff94d20679efccd3acc76ac946b0")
SIGNERS = (DOCUMENT_UPDATE, DOCUMENT_CREATE, DOCUMENT_FIELD, OWNER_UPDATE, REPLACED_LATELY, REPLACED_LONG_AGO)

ADVOWARE: dict[str, Any] = {
    "advoware_api_key": "app",
    "advoware_api_secret": "c2VjcmV0",
    "advoware_api_base_url": "http://127.0.0.1:1",
}
"""Settings with which Advoware counts as configured; nothing is asked there for a webhook."""

UPDATE = "/vmh/webhook/document/update"
RESEND_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


def status_of(answer: httpx.Response) -> int:
    """For `resent`."""
    return answer.status_code


def resent(send: Callable[[], T], status: Callable[[T], int]) -> T:
    """Sends, and sends again for up to a minute while the answer is 503, as EspoCRM does; returns the last answer.

    A receiver with its own second of patience says 503 whenever the disk stalls for longer.
    """
    deadline = time.monotonic() + RESEND_SECONDS
    while status(answer := send()) == 503 and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    return answer


async def resent_by(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """`resent` for a client of an event loop."""
    deadline = time.monotonic() + RESEND_SECONDS
    while (answer := await send()).status_code == 503 and time.monotonic() < deadline:  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(_PAUSE_SECONDS)
    return answer


def listed(*ids: str, **attributes: Any) -> bytes:
    """A body that names these records."""
    return json.dumps([{"id": record_id, **attributes} for record_id in ids]).encode()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A delivery of a real EspoCRM."""

    name: str
    signer: Signer
    headers: dict[str, str]
    body: bytes
    ids: list[str]


@functools.cache
def recorded() -> tuple[Recorded, ...]:
    """Every recorded delivery, of three versions."""
    return tuple(_read(path) for path in sorted(CASES.glob("*.json")))


def _read(path: Path) -> Recorded:
    case = json.loads(path.read_text("utf-8"))
    request, webhook = case["request"], case["webhook"]
    sent = ("Content-Type", "Signature", "X-Signature")
    return Recorded(
        path.stem,
        Signer(webhook["id"], webhook["event"], webhook["secretKey_test_only"]),
        {name: request["headers"][name] for name in sent},
        request["body_raw"].encode(),
        [item["id"] for item in request["body"]],
    )
