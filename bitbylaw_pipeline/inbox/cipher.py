"""Encryption of the few columns that hold secrets (Fernet: AES-128-CBC with HMAC-SHA256)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class CipherError(Exception):
    """The encryption key is missing, malformed, or not the one that the state was written with."""


class Cipher:
    """Encrypts and decrypts text under STATE_ENCRYPTION_KEY.

    Several keys separated by commas rotate: the first encrypts, all decrypt.
    """

    def __init__(self, key: str) -> None:
        """Raises CipherError if the key is empty or not a Fernet key."""
        keys = [part.strip() for part in key.split(",") if part.strip()]
        if not keys:
            raise CipherError(
                "STATE_ENCRYPTION_KEY must be set: the state holds secrets that are encrypted with it."
            )
        try:
            self._fernet = MultiFernet([Fernet(part) for part in keys])
            self._secret = base64.urlsafe_b64decode(keys[0])
        except ValueError:
            raise CipherError(
                "STATE_ENCRYPTION_KEY is not a usable key: 32 random bytes in URL-safe base64 are needed "
                '(python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())").'
            ) from None

    def encrypt(self, text: str) -> str:
        """The text as a token that only this key opens."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def decrypt(self, token: str) -> str:
        """The text in the token; raises CipherError if it was written under another key or damaged."""
        try:
            return self._fernet.decrypt(token.encode("ascii")).decode()
        except (InvalidToken, UnicodeError):
            raise CipherError(
                "STATE_ENCRYPTION_KEY is not the key that this state was written with: set the former one."
            ) from None

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 of the text in hex, under a key of its own for that purpose, derived from the first key.

        Whoever reads the database cannot try values against it. Under another first key it is another digest.
        """
        key = hmac.digest(self._secret, purpose.encode(), hashlib.sha256)
        return hmac.digest(key, text.encode(), hashlib.sha256).hex()
