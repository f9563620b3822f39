"""The key of a service account, as the file that Google's console hands out."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_EMAIL = "kalenderabgleich@bitbylaw-sandbox.iam.gserviceaccount.com"
KEY_ID = "5a0db0c0ffee5a0db0c0ffee5a0db0c0ffee5a0d"


@functools.cache
def private_key() -> rsa.RSAPrivateKey:
    """The one key of this process: making one takes a tenth of a second or more."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@functools.cache
def _private_pem() -> str:
    return (
        private_key()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


def service_account_info(url: str) -> dict[str, str]:
    """The content of the key file of a stand-in that listens at `url` (without a slash at the end)."""
    return {
        "type": "service_account",
        "project_id": "bitbylaw-sandbox",
        "private_key_id": KEY_ID,
        "private_key": _private_pem(),
        "client_email": CLIENT_EMAIL,
        "client_id": "184000000000000000001",
        "auth_uri": f"{url}/auth",
        "token_uri": f"{url}/token",
        "universe_domain": "googleapis.com",
    }


def write_service_account_file(folder: Path, url: str) -> Path:
    """Write the key file into `folder`, readable by its owner only; returns its path."""
    path = folder / "google-service-account.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(service_account_info(url), indent=2), encoding="utf-8")
    return path
