"""A client of the stand-in of Advoware, in process, and its clock pinned at a known moment."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.sandbox.advoware import AdvowareSandbox, create_app

START = 1_773_000_000.25  # 2026-03-08T20:00:00.25Z
API = "/relay/api/v1/advonet/"
_NONCES = itertools.count(1)


def signature(key: str, product: Any, app_id: str, nonce: str, sent: str) -> str:
    """HMAC512Signature as the vendor's documentation computes it."""
    message = f"{product}:{app_id}:{nonce}:{sent}".encode()
    return base64.b64encode(hmac.new(base64.b64decode(key), message, hashlib.sha512).digest()).decode()


class Firm:
    """The stand-in with one client; `call` has a valid token unless `headers` are given."""

    def __init__(self, sandbox: AdvowareSandbox) -> None:
        self.sandbox = sandbox
        self.token = ""

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request as it is."""

        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self.sandbox)
            async with httpx.AsyncClient(transport=transport, base_url="http://advoware") as client:
                return await client.request(method, path, **request)

        return asyncio.run(main())

    def token_request(self, **changes: Any) -> dict[str, Any]:
        """The body of a valid request for a token; `changes` are made before it is signed."""
        known = self.sandbox.credentials
        now = datetime.fromtimestamp(self.sandbox.clock.now(), UTC)
        body: dict[str, Any] = {
            "AppID": known.app_id,
            "Kanzlei": known.kanzlei,
            "Database": known.database,
            "User": known.user,
            "Password": known.password,
            "Role": 2,
            "Product": 64,
            "Nonce": f"nonce-{next(_NONCES)}",
            "RequestTimeStamp": now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z",
            **changes,
        }
        signed = (body["Product"], body["AppID"], body["Nonce"], body["RequestTimeStamp"])
        return {"HMAC512Signature": signature(known.api_key, *signed), **body}

    def ask_token(self, **changes: Any) -> httpx.Response:
        """Ask for a token."""
        return self.send("POST", "/security/api/v1/Token", json=self.token_request(**changes))

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One call of the API below the relay."""
        if not self.token:
            self.token = self.ask_token().json()["access_token"]
        request.setdefault("headers", {"Authorization": f"Bearer {self.token}"})
        return self.send(method, f"{API}{path}", **request)

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a 200; fails the test for any other status."""
        answer = self.call(method, path, **request)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def status(self, method: str, path: str, **request: Any) -> int:
        """The status alone."""
        return self.call(method, path, **request).status_code

    def control(self, path: str, body: Any) -> Any:
        """The JSON of a control route's 200 after a POST."""
        answer = self.send("POST", f"/sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **switches: Any) -> None:
        """Turn switches through the control route."""
        self.control("switches", switches)


PARTEI = {
    "betNr": 7,
    "name": "Wippersteg",
    "vorname": "Annegret",
    "geburtsdatum": "1961-03-14",
    "zusatzFeld1": "bleibt",
    "adressen": [
        {
            "id": 11,
            "strasse": "Kieselgrund 4",
            "plz": "00120",
            "ort": "Hollerstedt",
            "land": "DE",
            "bemerkung": "b",
        }
    ],
    "kommunikation": [{"id": 12, "tlf": "a@kanzlei-probe.example", "kommKz": 4}],
    "bankverbindungen": [{"id": 13, "iban": "DE02120300000000202051", "kontoinhaber": "A. Wippersteg"}],
}


@pytest.fixture
def firm() -> Firm:
    """A stand-in with one party, whose clock stands still until it is advanced."""
    sandbox = create_app()
    sandbox.clock.pin(START)
    sandbox.seed({"beteiligte": [PARTEI]})
    return Firm(sandbox)
