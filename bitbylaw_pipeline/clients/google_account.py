"""The service account: its key file, and the assertions signed with it (`facts/two_way_sync.md` 2, Auth).

The one file that knows google-auth. Its credentials would fetch the token themselves, with `requests` and errors of
their own; only the signature is taken from it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from google.auth import crypt, jwt

from bitbylaw_pipeline.settings import SettingsError

SETTING: Final = "GOOGLE_SERVICE_ACCOUNT_FILE"
LIFETIME_SECONDS: Final = 3600
"""An assertion's; more is refused."""
_MAX_BYTES = 64 * 1024
# google-auth has no types; these are what its documentation says.
_encode: Callable[[Any, Mapping[str, object]], bytes] = jwt.encode
_signer_of: Callable[[Mapping[str, object]], Any] = crypt.RSASigner.from_service_account_info


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who we are to Google. `client_id` is the number under which the admin console knows us ("" if unknown)."""

    email: str = field(repr=False)
    client_id: str
    _signer: Any = field(repr=False, compare=False)

    def assertion(self, *, subject: str, scope: str, audience: str, now: float) -> str:
        """A signed request to act for `subject` (a mail address), to be exchanged for a token; `now` is UTC epoch
        seconds."""
        issued = int(now)
        claims: dict[str, object] = {
            "iss": self.email,
            "sub": subject,
            "scope": scope,
            "aud": audience,
            "iat": issued,
            "exp": issued + LIFETIME_SECONDS,
        }
        return _encode(self._signer, claims).decode("ascii")


def read_account(path: str) -> ServiceAccount:
    """The service account of the key file. Raises SettingsError, which repeats nothing of the file or the path."""
    info = _content(path)
    kind = info.get("type")
    if kind is None and ("installed" in info or "web" in info):
        kind = "authorized_user"
    if kind in ("authorized_user", "external_account"):
        raise SettingsError(
            f"{SETTING} names another kind of Google credentials (an OAuth client or a person's login): create a key of"
            " the service account (Google Cloud console, IAM, service accounts, keys, JSON) and name that file."
        )
    if kind != "service_account":
        raise SettingsError(
            f"{SETTING} names a JSON file that is no key file: its type is not service_account."
        )
    missing = [name for name in ("client_email", "private_key") if not _is_text(info.get(name))]
    if missing:
        raise SettingsError(
            f"{SETTING} names a key file without {' and '.join(missing)}: download the key again."
        )
    client_id = info.get("client_id")
    return ServiceAccount(
        email=str(info["client_email"]),
        client_id=client_id if isinstance(client_id, str) and client_id.isdecimal() else "",
        _signer=_checked_signer(info),
    )


def _content(path: str) -> dict[str, Any]:
    if not path.strip():
        raise SettingsError(f"{SETTING} is not set: name the service account's key file.")
    if path.lstrip().startswith("{"):
        raise SettingsError(f"{SETTING} holds the key itself: put it into a file and name the file.")
    try:
        with Path(path).expanduser().open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError(f"{SETTING} names a file that is not there.") from None
    except (OSError, ValueError, RuntimeError) as error:
        # Not the error's own text: it repeats the setting, which may be anything.
        raise SettingsError(
            f"{SETTING} names a file that cannot be read ({type(error).__name__}): check the path and its rights."
        ) from None
    try:
        info = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise SettingsError(
            f"{SETTING} names a file that is not JSON: name the key file as downloaded (.json)."
        )
    return info


def _checked_signer(info: Mapping[str, object]) -> Any:
    try:
        return _signer_for(str(info["private_key"]), str(info.get("private_key_id") or ""))
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        # Not chained: the cause may quote the key.
        raise SettingsError(
            f"{SETTING} names a key file whose private key is broken: download the key again."
        ) from None


@functools.lru_cache(maxsize=8)
def _signer_for(private_key: str, key_id: str) -> Any:
    # Once a process: reading and checking the key takes 40 ms, and each tick of the poll opens a client of its own.
    signer = _signer_of({"private_key": private_key, "private_key_id": key_id or None, "client_email": ""})
    # An elliptic key is loaded without complaint and fails only when it is to sign.
    _encode(signer, {})
    return signer


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
