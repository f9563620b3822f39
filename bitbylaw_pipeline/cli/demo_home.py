"""A home of its own for the demo: nothing of the firm's settings, state or history is read or touched."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bitbylaw_pipeline.demo.alert_listener import TOKEN as ALERT_TOKEN
from bitbylaw_pipeline.demo.calendar_desk import API_KEY as CALENDAR_KEY
from bitbylaw_pipeline.demo.evening import STATUS_PASSWORD
from bitbylaw_pipeline.demo.leaks import KEY_FILE
from bitbylaw_pipeline.demo.proxy_visit import KEY as PROXY_KEY
from bitbylaw_pipeline.demo.story import TOO_LARGE_BYTES
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.espocrm.seeding import SYNC_API_KEY
from bitbylaw_pipeline.sandbox.samples.calendars import FRISTEN, calendar_settings
from bitbylaw_pipeline.sandbox.xai.app import API_KEY, MANAGEMENT_KEY
from bitbylaw_pipeline.settings import Settings

HOMES = Path(".bitbylaw") / "demo"
SECRET = "sandbox-shared-secret"  # noqa: S105  # made up, for hooks of the sandbox
_SECRETS = (
    "espocrm_api_key", "xai_api_key", "xai_management_key", "advoware_api_key", "advoware_password",
    "webhook_shared_secret", "status_password", "alert_webhook_token",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of the demo's parts."""

    espocrm: int
    xai: int
    advoware: int
    google: int
    receiver: int
    alerts: int

    @property
    def espocrm_url(self) -> str:
        """The root of EspoCRM's stand-in."""
        return f"http://127.0.0.1:{self.espocrm}"

    @property
    def xai_url(self) -> str:
        """The root of xAI's stand-in."""
        return f"http://127.0.0.1:{self.xai}"

    @property
    def advoware_url(self) -> str:
        """The root of Advoware's stand-in."""
        return f"http://127.0.0.1:{self.advoware}"

    @property
    def google_url(self) -> str:
        """The root of Google's stand-in."""
        return f"http://127.0.0.1:{self.google}"

    @property
    def receiver_url(self) -> str:
        """Where the stand-in of EspoCRM sends its webhooks."""
        return f"http://127.0.0.1:{self.receiver}"

    @property
    def alerts_url(self) -> str:
        """Where alerts are posted."""
        return f"http://127.0.0.1:{self.alerts}/"


@contextlib.contextmanager
def demo_home() -> Iterator[Path]:
    """A fresh folder, kept afterwards; those of demos that have ended are removed first."""
    HOMES.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in HOMES.iterdir():
        with contextlib.suppress(OSError), _locked(old):
            shutil.rmtree(old, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix="run-", dir=HOMES)).absolute()
    with _locked(home):
        (home / "logs").mkdir()
        yield home


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, as a sign that a demo runs in it; raises BlockingIOError while another one does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def demo_settings(home: Path, ports: Ports) -> Settings:
    """The demo's settings: ours for the sandbox, the defaults for all else, whatever the environment says."""
    defaults: dict[str, Any] = {
        name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()
    }
    return Settings.load(_env_file=None, **{**defaults, **_given(home, ports)})


def _given(home: Path, ports: Ports) -> dict[str, Any]:
    return {
        "espocrm_api_base_url": f"{ports.espocrm_url}/api/v1",
        "espocrm_api_key": SecretStr(SYNC_API_KEY),
        "xai_api_key": SecretStr(API_KEY),
        "xai_management_key": SecretStr(MANAGEMENT_KEY),
        "xai_api_base_url": f"{ports.xai_url}/api/v1",
        "xai_management_base_url": f"{ports.xai_url}/management/v1",
        "xai_egress": EgressRule.FIELD,
        "xai_max_file_bytes": TOO_LARGE_BYTES,
        "xai_settle_seconds": 2.0,
        "xai_indexing_check_seconds": 3.0,
        "dagster_home": home,
        "receiver_port": ports.receiver,
        "receiver_public_url": ports.receiver_url,
        "webhook_shared_secret": SecretStr(SECRET),
        "batch_poll_seconds": 0.5,
        "feed_interval_seconds": 1.0,
        "retry_first_seconds": 1.0,
        "proxy_api_keys": (SecretStr(PROXY_KEY),),
        "api_keys": (SecretStr(CALENDAR_KEY),),
        "google_calendars": calendar_settings(),
        "google_service_account_file": str(home / KEY_FILE),
        "google_api_base_url": f"{ports.google_url}/calendar/v3",
        "google_token_url": f"{ports.google_url}/token",
        "google_poll_seconds": 1.0,
        "termine_fristen": FRISTEN,
        "status_password": SecretStr(STATUS_PASSWORD),
        "alert_webhook_url": ports.alerts_url,
        "alert_webhook_token": SecretStr(ALERT_TOKEN),
        **create_advoware().settings(ports.advoware_url),
    }


def write_env_file(home: Path, settings: Settings, ports: Ports) -> None:
    """The same settings as `.env` in the home: what runs there, and a person who looks there, reads them from it."""
    lines = [f"{name.upper()}={_text(getattr(settings, name))}\n" for name in _given(home, ports)]
    file = home / ".env"
    file.touch(mode=0o600)
    file.write_text("".join(lines), "utf-8")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return json.dumps({name: one.model_dump() for name, one in value.items()})
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def demo_secrets(settings: Settings) -> tuple[str, ...]:
    """The demo's keys and passwords, which may stand in its `.env` alone."""
    known = (getattr(settings, name) for name in _SECRETS)
    return tuple(one.get_secret_value() for one in (*known, *settings.proxy_api_keys, *settings.api_keys))


def clean_environment() -> dict[str, str]:
    """Our environment without any setting of the firm's, and without Dagster's."""
    ours = {name.upper() for name in Settings.model_fields}
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in ours and not name.upper().startswith("DAGSTER_")
    }
