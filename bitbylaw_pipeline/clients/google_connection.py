"""What the client of Google Calendar has to know: addresses, the key file, and how fast it may go."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bitbylaw_pipeline.settings import SettingsError

SYSTEM = "google"
"""The system's name in errors, log lines and counters."""


class Scope(StrEnum):
    """What a token is good for; both are granted to the service account once, for the whole domain."""

    EVENTS = "https://www.googleapis.com/auth/calendar.events"
    SETUP = "https://www.googleapis.com/auth/calendar.app.created"
    """Makes calendars and sees those that we made; it is asked for by the set-up alone."""


@dataclass(frozen=True, slots=True)
class GoogleConnection:
    """How Google is reached. `service_account_file` is a path, times are in seconds.

    600 calls a minute and user and 10,000 a minute are allowed (`facts/two_way_sync.md` 2); we keep below both, because
    Google counts when a call arrives and other programs of the firm may use the same project.
    """

    service_account_file: str
    api_base_url: str = "https://www.googleapis.com/calendar/v3"
    token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address, no token
    requests_per_minute_per_user: int = 500
    requests_per_minute: int = 9000
    timeout: float = 30.0
    max_concurrency: int = 16


@dataclass(frozen=True, slots=True)
class CalendarUser:
    """An employee: the Kürzel, by which errors and log lines name them, and the address of their Google account."""

    kuerzel: str
    email: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.kuerzel or not self.kuerzel.isprintable() or "/" in self.kuerzel:
            raise SettingsError(
                "A Kürzel in the calendar setting is empty or holds a sign that none can hold."
            )
        if "@" not in self.email or not self.email.isprintable() or " " in self.email:
            raise SettingsError(
                f"The Google user of {self.kuerzel} in the calendar setting is not a mail address."
            )
