"""A program of the firm's that uses the proxy to Advoware: a read, a write, and tricks that must lead nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import httpx

SECONDS = 20.0
KEY = "sandbox-proxy-key"
TRICKS = (
    "../Token",
    "Beteiligte/../Akten",
    "%2e%2e/Akten",
    "//evil.example/Akten",
    "https://evil.example/Akten",
    "@evil.example/Akten",
    "Beteiligte/1\r\nX-Evil: 1",
    "Rechnungen",
)
TRICK_PATHS = r".*(\.\.|%2e|evil|Rechnungen).*"
"""What would stand in Advoware's ledger had one of them got through."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The statuses of all answers; `is_read_right` if the read brought the party that was asked for."""

    read: int
    is_read_right: bool
    without_key: int
    write: int
    tricks: Sequence[int]


def visit_proxy(receiver_url: str, betnr: int) -> Visit:
    """Makes all the calls, on the party with that number. Raises httpx.HTTPError where nobody answers."""
    with httpx.Client(base_url=receiver_url, timeout=SECONDS) as client:

        def read(endpoint: str, key: str | None = KEY) -> httpx.Response:
            headers = {} if key is None else {"X-Api-Key": key}
            return client.get("/advoware/proxy", params={"endpoint": endpoint}, headers=headers)

        party = f"Beteiligte/{betnr}"
        found = read(party)
        written = client.put(
            "/advoware/proxy",
            json={"endpoint": party, "data": {"titel": "Prof."}},
            headers={"X-Api-Key": KEY},
        )
        return Visit(
            read=found.status_code,
            is_read_right=found.is_success and f'"betNr":{betnr}' in found.text.replace(" ", ""),
            without_key=read(party, key=None).status_code,
            write=written.status_code,
            tricks=[read(trick).status_code for trick in TRICKS],
        )
