"""The parts of one stand-in, put together: configuration, store, users, and what a request carries."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.espocrm.store import Store

VERSIONS = ("9.2.7", "9.3.10", "10.0.0")

DEFAULT_CONFIG: dict[str, Any] = {
    "siteUrl": "http://localhost",
    "recordListMaxSizeLimit": 200,
    "maxSelectTextAttributeLengthForList": 10_000,
    "maintenanceMode": False,
    "databaseDown": False,
    "maxBodyBytes": 50 * 1024 * 1024,
    "maxUriBytes": 8192,
    "authMaxFailedAttemptNumber": 10,
    "authFailedAttemptsPeriodSeconds": 60,
    "webhookPeriodSeconds": None,
    "webhookAllowedAddressList": [],
    "webhookQueueEventPortionSize": 20,
    "webhookQueuePortionSize": 20,
    "webhookBatchSize": 50,
    "webhookMaxAttemptNumber": 4,
    "webhookFailAttemptPeriodSeconds": 600,
    "webhookTimeout": 10,
    "webhookConnectTimeout": 5,
    "webhookMaxCountPerUser": 50,
    "webhookIpLiteralCrash": False,
}


@dataclass(slots=True)
class User:
    """A user who may sign in. `acl` maps scopes to True, False or levels; None means all rights."""

    id: str
    user_name: str
    type: str = "api"
    api_key: str = ""
    auth_method: str = "ApiKey"
    secret_key: str = ""
    password: str = ""
    is_active: bool = True
    acl: dict[str, Any] | None = None
    field_acl: dict[str, dict[str, Any]] = field(default_factory=dict)
    mass_update: bool = True
    hidden: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        """Admins may do everything; API users never are one (`facts/espocrm.md` 2)."""
        return self.type == "admin"


@dataclass(slots=True)
class LinkHook:
    """A hook that the firm wrote by hand: tells `url`/link and `url`/unlink about joined and parted records."""

    url: str
    header: str = "X-Webhook-Secret"
    secret: str = ""


@dataclass(slots=True)
class Request:
    """One API request."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    client: str
    body: bytes = b""

    def header(self, name: bytes) -> str | None:
        """A header's value; None if it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Espo:
    """One stand-in's whole state, apart from the HTTP around it."""

    def __init__(self, version: str, clock: SandboxClock) -> None:
        self.version = version
        self.release = tuple(int(part) for part in version.split("."))
        self.clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.config: dict[str, Any] = dict(DEFAULT_CONFIG)
        self.store = Store(self.clock)
        self.users: dict[str, User] = {}
        self.link_hook: LinkHook | None = None
        self.link_calls: list[dict[str, str]] = []
        self.link_hook_log: deque[dict[str, Any]] = deque(maxlen=1000)
        self.failed_logins: dict[str, deque[float]] = {}
        self.webhook_events: dict[str, int] = {}
        self.unprocessed_events: deque[str] = deque()

    @property
    def arrays_default_empty(self) -> bool:
        """10.0: an array never set is [], before that null (`facts/espocrm.md` 12)."""
        return self.release >= (10,)
