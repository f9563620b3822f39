"""A service account's key, employees, and clients of a Google whose answers a test writes itself."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from tests.clients.wire_server import Received, Reply, WireServer, reply_json, wire_server

CLIENT_ID = "104860104860104860104"
ACCOUNT = "sync@sample.iam.gserviceaccount.com"
ANNA = CalendarUser("AB", "anna.berg@kanzlei.example")
CARL = CalendarUser("CD", "carl.dorn@kanzlei.example")
EVA = CalendarUser("EF", "eva.fink@kanzlei.example")
CALENDAR = "c_1a2b3c@group.calendar.google.com"
NOW = 1_780_000_000.0
PERSONAL = ("anna", "berg", "carl", "dorn", "eva", "fink", "kanzlei.example", CALENDAR, "Mustermann")
"""What must stand in no message, log line or repr."""

Handler = Callable[[Received], Reply]


@functools.cache
def private_key() -> str:
    """A key of this process's own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def key_info(**changes: Any) -> dict[str, Any]:
    """A key file's content; None leaves a field out."""
    info = {
        "type": "service_account",
        "project_id": "sample",
        "private_key_id": "0123456789abcdef",
        "private_key": private_key(),
        "client_email": ACCOUNT,
        "client_id": CLIENT_ID,
        **changes,
    }
    return {name: value for name, value in info.items() if value is not None}


@functools.cache
def key_file() -> str:
    """A good key file's path."""
    return write_key(Path(tempfile.mkdtemp(prefix="google-key-")), key_info())


def write_key(folder: Path, content: Any) -> str:
    """A file with that content (text, bytes, or what becomes JSON)."""
    path = folder / "key.json"
    raw = content if isinstance(content, bytes) else str(content).encode()
    path.write_bytes(json.dumps(content).encode() if isinstance(content, dict | list) else raw)
    return str(path)


class Clock:
    """A time that stands still until it is moved; sleeping moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        """The present time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves the time."""
        self.slept.append(seconds)
        self.now += seconds


def token_reply(value: str = "ya29.token", seconds: Any = 3600) -> Reply:
    """A token as Google gives it."""
    return reply_json({"access_token": value, "expires_in": seconds, "token_type": "Bearer"})


def refusal(status: int, reason: str, *, domain: str = "global", **more: Any) -> Reply:
    """An error as the API gives it; a person's name in the message."""
    message = "No access for Mustermann"
    row = {"domain": domain, "reason": reason, "message": message, **more}
    headers = {"Retry-After": "17"} if reason == "with_wait" else {}
    body = {"error": {"code": status, "message": message, "errors": [row]}}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def oauth_refusal(status: int, code: str, text: str = "") -> Reply:
    """An error as the token endpoint gives it."""
    return reply_json({"error": code, "error_description": text}, status)


def an_event(event_id: str = "abcde", **changes: Any) -> dict[str, Any]:
    """An event as the API shows it."""
    return {
        "kind": "calendar#event",
        "id": event_id,
        "etag": '"3181161784712000"',
        "status": "confirmed",
        "updated": "2026-03-20T08:00:00.123Z",
        "summary": "Termin Mustermann",
        "start": {"dateTime": "2026-03-20T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-20T10:00:00+01:00", "timeZone": "Europe/Berlin"},
        "organizer": {"email": CALENDAR, "self": True},
        **changes,
    }


def a_page(*rows: Any, **more: Any) -> dict[str, Any]:
    """A page of a list."""
    return {
        "kind": "calendar#events",
        "accessRole": "owner",
        "timeZone": "Europe/Berlin",
        "items": list(rows),
        **more,
    }


@asynccontextmanager
async def google_at(
    api: Handler | list[Reply],
    *,
    token: Handler | None = None,
    clock: Callable[[], float] = lambda: NOW,
    users: Iterable[CalendarUser] = (),
    **given: Any,
) -> AsyncIterator[tuple[Google, WireServer]]:
    """A client of a server whose API answers as written; tokens are ya29.1, ya29.2, ... unless `token` says else."""
    rest = list(api) if isinstance(api, list) else []
    count = iter(range(1, 1000))

    def answer(request: Received) -> Reply:
        if request.path == "/token":
            return token(request) if token else token_reply(f"ya29.{next(count)}")
        if callable(api):
            return api(request)
        return rest.pop(0) if len(rest) > 1 else rest[0]

    async with wire_server(answer) as server:
        connection = GoogleConnection(
            key_file(), f"{server.url}/calendar/v3", f"{server.url}/token", timeout=30.0, **given
        )
        client = Google.open(connection, users=users, clock=clock)
        try:
            yield client, server
        finally:
            await client.aclose()


def calls(server: WireServer) -> list[Received]:
    """The requests to the API so far."""
    return [request for request in server.requests if request.path != "/token"]


def token_calls(server: WireServer) -> list[Received]:
    """The requests for a token so far."""
    return [request for request in server.requests if request.path == "/token"]


def says_nothing(*texts: object) -> bool:
    """True if no text holds what must stand nowhere."""
    shown = " ".join(f"{text} {text!r}" for text in texts).lower()
    secrets = (*PERSONAL, "ya29", "PRIVATE KEY", private_key()[40:80], ACCOUNT)
    return not any(secret.lower() in shown for secret in secrets)
