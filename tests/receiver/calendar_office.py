"""What requests about calendars have in common: the settings of two employees, a key, and Google's messages."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.inbox.calendar_channels import token_of
from bitbylaw_pipeline.inbox.database import Database
from tests.receiver.deliveries import ADVOWARE

API_KEY = "key-of-the-calendar-program-91be"
OTHER_API_KEY = "key-of-another-program-03cd"
BY_API_KEY = {"x-api-key": API_KEY}
CALENDARS: dict[str, Any] = {
    "AB": {"user": "ab@kanzlei.example", "calendar": "c_ab@group.calendar.google.com"},
    "Cd": {"user": "cd@kanzlei.example", "calendar": "c_cd@group.calendar.google.com"},
    "MÜ": {"user": "mu@kanzlei.example", "calendar": "c_mu@group.calendar.google.com"},
}
OFFICE: dict[str, Any] = {
    **ADVOWARE,
    "google_calendars": CALENDARS,
    "api_keys": f"{API_KEY},{OTHER_API_KEY}",
    "google_push": True,
}
PERSONAL = ("kanzlei.example", "group.calendar", API_KEY, OTHER_API_KEY)
"""What must stand in no log line and no answer."""
CHANNEL = "0f" * 16


def message(database: Database, kuerzel: str = "AB", state: str = "exists", **changes: str) -> dict[str, str]:
    """The headers of a message of Google's; `changes` are further ones, with _ for -, "" leaves one out."""
    headers = {
        "x-goog-channel-id": CHANNEL,
        "x-goog-channel-token": token_of(database.cipher, kuerzel, CHANNEL),
        "x-goog-resource-state": state,
        "x-goog-message-number": "4",
        "x-goog-resource-id": "res0000000000000000000001",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in headers.items() if value}
