"""Who we are to Advoware's token service, and the signature that proves it (`facts/advoware.md` 2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the token service."""

    app_id: str
    api_key: bytes = field(repr=False)
    kanzlei: str
    database: str
    user: str
    password: str = field(repr=False)
    role: int
    product: int

    def request(self, nonce: str, timestamp: str) -> dict[str, Any]:
        """The body of a token request; each needs a nonce of its own."""
        return {
            "AppID": self.app_id,
            "Kanzlei": self.kanzlei,
            "Database": self.database,
            "User": self.user,
            "Password": self.password,
            "Role": self.role,
            "Product": self.product,
            "Nonce": nonce,
            "RequestTimeStamp": timestamp,
            "HMAC512Signature": signature(self.api_key, self.product, self.app_id, nonce, timestamp),
        }

    def cache_name(self, addresses: str) -> str:
        """A name for this login at these addresses that tells nothing: keyed, so that no password can be tried on it."""
        parts = [self.app_id, self.kanzlei, self.database, self.user, self.password]
        text = json.dumps([*parts, self.role, self.product, addresses])
        return hmac.new(self.api_key, text.encode(), hashlib.sha256).hexdigest()[:32]


def decoded_key(text: str, setting: str) -> bytes:
    """The API-Key's bytes; SettingsError naming `setting` if it is not base64."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SettingsError(f"{setting} is not base64: copy the API-Key that Advoware gave you again.")
    return key


def signature(api_key: bytes, product: int, app_id: str, nonce: str, timestamp: str) -> str:
    """base64(HMAC-SHA512(`Product:AppID:Nonce:RequestTimeStamp`)) [V1, V3 H]."""
    message = f"{product}:{app_id}:{nonce}:{timestamp}".encode()
    return base64.b64encode(hmac.new(api_key, message, hashlib.sha512).digest()).decode("ascii")
