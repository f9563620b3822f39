"""Who may use what the firm's own programs use: the holders of the keys in a setting."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.datastructures import Headers

from webhook_sensor_app.refusal import Refusal

KEY_HEADER = "x-api-key"


def fingerprint(key: str) -> str:
    """What stands for a key in log lines and audit rows: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class ApiKeys:
    """Judges `X-Api-Key` or `Authorization: Bearer`; without a configured key nobody gets in.

    `setting` is the name of the setting that holds the keys: the refusal says it.
    """

    def __init__(self, keys: Iterable[SecretStr], setting: str) -> None:
        # Of equal length, so that the comparison tells nothing about a key's length either.
        texts = [key.get_secret_value() for key in keys]
        self._known = {fingerprint(text): hashlib.sha256(text.encode()).digest() for text in texts}
        self._setting = setting

    @property
    def fingerprints(self) -> list[str]:
        """Of every key, in the order of the setting."""
        return list(self._known)

    def check(self, headers: Headers) -> str:
        """The fingerprint of the key that was given; raises Refusal (401)."""
        given = headers.getlist(KEY_HEADER) + [_bearer(value) for value in headers.getlist("authorization")]
        if not given:
            raise self._refused("no_key")
        if len(given) > 1:
            raise self._refused("given_twice")
        digest = hashlib.sha256(given[0].encode("latin-1")).digest()
        # All are compared, whichever fits: how long it takes does not tell which.
        found = [name for name, known in self._known.items() if hmac.compare_digest(digest, known)]
        if not found:
            raise self._refused("wrong_key" if self._known else "no_keys_configured")
        return found[0]

    def _refused(self, reason: str) -> Refusal:
        # One sentence for all: the log says which it was.
        return Refusal(
            401,
            f"This address needs one of the keys in {self._setting}, as X-Api-Key or as Authorization: Bearer.",
            reason,
            headers={"www-authenticate": "Bearer"},
        )


def _bearer(value: str) -> str:
    scheme, _, key = value.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
