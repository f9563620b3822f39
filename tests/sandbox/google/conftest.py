"""A client of the stand-in of Google, in process, and its clock pinned at a known moment."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.sandbox.google import GoogleSandbox, create_app

START = 1_773_000_000.25  # 2026-03-08T20:00:00.25Z
ROOT = "http://google"
PM, MW = "pm@kanzlei.example", "mw@kanzlei.example"
CALENDAR = "termine-pm@group.calendar.google.com"
SCOPE = "https://www.googleapis.com/auth/calendar"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Google's library has no types of its own.
_CRYPT: Any = importlib.import_module("google.auth.crypt")
_JWT: Any = importlib.import_module("google.auth.jwt")
SEED = {
    "users": [{"mail": PM, "name": "Probst"}, {"mail": MW}],
    "calendars": [{"id": CALENDAR, "owner": PM, "summary": "Termine PM"}],
}


def timed(day: str = "2026-03-20", begin: str = "09:00", end: str = "10:00", **more: Any) -> dict[str, Any]:
    """The body of an event with times in Berlin."""
    zone = "Europe/Berlin"
    return {
        "summary": "Besprechung",
        "start": {"dateTime": f"{day}T{begin}:00", "timeZone": zone},
        "end": {"dateTime": f"{day}T{end}:00", "timeZone": zone},
        **more,
    }


class Office:
    """The stand-in and calls of it in a user's name."""

    def __init__(self, sandbox: GoogleSandbox) -> None:
        self.sandbox = sandbox
        self.tokens: dict[str, str] = {}

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request as it is."""

        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self.sandbox)
            async with httpx.AsyncClient(transport=transport, base_url=ROOT) as client:
                return await client.request(method, path, **request)

        return asyncio.run(main())

    def assertion(self, **changes: Any) -> str:
        """A signed assertion for PM; `changes` of None leave a claim out."""
        info = self.sandbox.service_account_info(ROOT)
        now = int(self.sandbox.clock.now())
        claims = {
            "iss": info["client_email"],
            "scope": SCOPE,
            "aud": f"{ROOT}/token",
            "iat": now,
            "exp": now + 3600,
            "sub": PM,
            **changes,
        }
        signer = _CRYPT.RSASigner.from_service_account_info(info)
        assertion: bytes = _JWT.encode(
            signer, {name: value for name, value in claims.items() if value is not None}
        )
        return assertion.decode()

    def ask_token(self, **changes: Any) -> httpx.Response:
        """Ask for a token."""
        form = {"grant_type": GRANT_TYPE, "assertion": self.assertion(**changes)}
        return self.send("POST", "/token", data=form)

    def token(self, user: str) -> str:
        """A token of that user, asked for once."""
        if user not in self.tokens:
            self.tokens[user] = self.ask_token(sub=user).json()["access_token"]
        return self.tokens[user]

    def call(self, method: str, path: str, *, user: str = PM, **request: Any) -> httpx.Response:
        """One call of the API in the name of `user`."""
        headers = {"Authorization": f"Bearer {self.token(user)}", **request.pop("headers", {})}
        return self.send(method, f"/calendar/v3/{path}", headers=headers, **request)

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a 200; fails the test for any other status."""
        answer = self.call(method, path, **request)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def refused(self, method: str, path: str, **request: Any) -> tuple[int, str]:
        """Status and reason of an error, whose JSON has Google's form."""
        answer = self.call(method, path, **request)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        (first,) = error["errors"]
        assert first["message"] == error["message"]
        return answer.status_code, first["reason"]

    def insert(self, calendar: str = CALENDAR, **body: Any) -> Any:
        """Insert an event."""
        return self.json("POST", f"calendars/{calendar}/events", json=body or timed())

    def listing(self, calendar: str = CALENDAR, **query: Any) -> Any:
        """One page of a listing."""
        user = query.pop("user", PM)
        return self.json("GET", f"calendars/{calendar}/events", params=query, user=user)

    def ids(self, **query: Any) -> list[str]:
        """The ids of one page."""
        return [item["id"] for item in self.listing(**query)["items"]]

    def event(self, event_id: str, calendar: str = CALENDAR) -> Any:
        """An event as events.get shows it."""
        return self.json("GET", f"calendars/{calendar}/events/{event_id}")

    def control(self, path: str, body: Any) -> Any:
        """The JSON of a control route's 200 after a POST."""
        answer = self.send("POST", f"/sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **switches: Any) -> None:
        """Turn switches through the control route."""
        self.control("switches", switches)

    def edit(self, do: str, event: str | None = None, **more: Any) -> Any:
        """A user's edit in the calendar."""
        (done,) = self.control("edits", {"do": do, "calendar": CALENDAR, "event": event, **more})
        return done

    def script(self, kind: str, **more: Any) -> None:
        """Set a script."""
        self.control("scripts", {"kind": kind, **more})


EVENTS = f"calendars/{CALENDAR}/events"


@pytest.fixture
def office() -> Office:
    """A stand-in with two users and a calendar, whose clock stands still until it is advanced."""
    sandbox = create_app()
    sandbox.clock.pin(START)
    sandbox.seed(SEED)
    return Office(sandbox)
