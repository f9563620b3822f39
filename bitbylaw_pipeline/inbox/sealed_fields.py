"""Field values as one encrypted JSON document per column; an empty one is NULL."""

from __future__ import annotations

import json
from typing import Any

from bitbylaw_pipeline.inbox.cipher import Cipher

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def seal(cipher: Cipher, value: Any) -> str | None:
    """The value (dicts, lists, texts, numbers) as a token; None for an empty one.

    Raises TypeError for what JSON does not have.
    """
    return cipher.encrypt(_encode(value)) if value else None


def unseal(cipher: Cipher, token: str | None) -> dict[str, Any]:
    """The dict in the token, empty for None. Raises CipherError under another key than it was written with."""
    if token is None:
        return {}
    value: dict[str, Any] = json.loads(cipher.decrypt(token))
    return value
