"""Who may look at the status page: whoever knows its password, and the holders of API_KEYS."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers

from bitbylaw_pipeline.settings import Settings
from webhook_sensor_app.api_keys import KEY_HEADER, ApiKeys
from webhook_sensor_app.refusal import Refusal
from webhook_sensor_app.token_buckets import TokenBuckets

GUESSES_PER_MINUTE = 10
BLOCKED_SECONDS = 60.0
_BUCKETS = 64
_CHALLENGE = {"www-authenticate": 'Basic realm="BitByLaw status", charset="UTF-8"'}
_SENTENCE = (
    "This page is for the firm alone: give the password from the setting STATUS_PASSWORD, with any user name."
)
_NOBODY = (
    "Nobody can look at this page yet: set STATUS_PASSWORD in .env and start the receiver anew, "
    "then give that password with any user name."
)


class StatusAccess:
    """Judges `Authorization: Basic`, and keys as `X-Api-Key` or Bearer; slows those down who guess.

    Guessers are told apart by address, in a fixed number of buckets: a list that grows with every address would be a
    memory that strangers fill, and with a thousand addresses there are no more guesses than the buckets give.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        password = settings.status_password.get_secret_value()
        # Of equal length, so that the comparison tells nothing about the password's.
        self._password = hashlib.sha256(password.encode()).digest() if password else None
        self._keys = ApiKeys(settings.api_keys, "API_KEYS")
        self._is_open_to_somebody = bool(password or settings.api_keys)
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        names = [str(number) for number in range(_BUCKETS)]
        self._guesses = TokenBuckets(
            names, per_minute=GUESSES_PER_MINUTE, burst=GUESSES_PER_MINUTE, clock=clock
        )
        self._blocked_until = dict.fromkeys(names, float("-inf"))

    def check(self, headers: Headers, address: str) -> str:
        """Who it is, for the log: "password" or a key's fingerprint. Raises Refusal: 401, or 429 after many guesses.

        `address` is the caller's. While it is blocked even the right password is not looked at: an answer that differs
        would let the guessing go on. A request without any credentials is no guess: browsers begin with one.
        """
        given = headers.getlist("authorization")
        keys = headers.getlist(KEY_HEADER)
        if not given and not keys:
            raise self._refused("no_password")
        reason = "wrong_password"
        if keys or len(given) != 1 or not _is_basic(given[0]):
            # Before the block: behind a proxy all have one address, and a key is too long to be guessed.
            try:
                return self._keys.check(headers)
            except Refusal as refusal:
                reason = refusal.reason
        bucket = self._bucket(address)
        blocked = self._blocked_until[bucket] - self._clock()
        if blocked > 0:
            raise _too_many(blocked)
        if reason == "wrong_password" and self._is_password(given[0]):
            return "password"
        if self._guesses.take(bucket) > 0:
            self._blocked_until[bucket] = self._clock() + BLOCKED_SECONDS
            raise _too_many(BLOCKED_SECONDS)
        raise self._refused(reason)

    def _is_password(self, header: str) -> bool:
        try:
            decoded = base64.b64decode(header.partition(" ")[2].strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        given = hashlib.sha256(decoded.partition(b":")[2]).digest()
        return self._password is not None and hmac.compare_digest(given, self._password)

    def _refused(self, reason: str) -> Refusal:
        sentence = _SENTENCE if self._is_open_to_somebody else _NOBODY
        return Refusal(401, sentence, reason, headers=_CHALLENGE)

    def _bucket(self, address: str) -> str:
        digest = hashlib.blake2b(address.encode(), key=self._salt, digest_size=8).digest()
        return str(int.from_bytes(digest) % _BUCKETS)


def _is_basic(header: str) -> bool:
    return header.partition(" ")[0].lower() == "basic"


def _too_many(seconds: float) -> Refusal:
    sentence = "Too many wrong passwords came from this address: wait a minute, then try again."
    return Refusal(429, sentence, "too_many_guesses", headers={"retry-after": str(max(1, round(seconds)))})
