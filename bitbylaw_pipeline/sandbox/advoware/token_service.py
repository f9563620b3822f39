"""The security gateway: signed requests for a token, and the tokens given out (`facts/advoware.md` 2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import Answer, Refusal, Request, bad_request
from bitbylaw_pipeline.sandbox.advoware.moments import parse_moment, stamp
from bitbylaw_pipeline.sandbox.advoware.refusals import Why, check_reachable, refuse
from bitbylaw_pipeline.sandbox.advoware.switches import Switches
from bitbylaw_pipeline.sandbox.clock import SandboxClock

THIRD_PARTY_PRODUCT = "64"
ROLE = "2"
_FIELDS = (
    "AppID", "Kanzlei", "Database", "User", "Password", "Role", "Product", "Nonce", "RequestTimeStamp",
    "HMAC512Signature",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the firm got from the vendor, and one employee's login. `api_key` is base64."""

    app_id: str = "sandbox-advoware-app"
    api_key: str = base64.b64encode(b"sandbox-advoware-api-key").decode()
    kanzlei: str = "probst-musterwald"
    database: str = "ADVOWARE"
    user: str = "PM"
    password: str = "sandbox-advoware-password"


class TokenService:
    """`POST {security}/api/v1/Token`. Tokens live by the sandbox clock; a new one leaves the older ones valid."""

    def __init__(self, credentials: Credentials, clock: SandboxClock, switches: Switches) -> None:
        self._credentials = credentials
        self._clock = clock
        self._switches = switches
        self._expires_at: dict[str, float] = {}
        self._nonces: set[str] = set()
        self.given = 0
        self.refused = 0
        self.wrong_passwords: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget all tokens, nonces and counts."""
        self._nonces.clear()
        self.wrong_passwords.clear()
        self.given = self.refused = 0
        self.revoke()

    def revoke(self) -> int:
        """Make every token given out so far invalid; returns how many there were."""
        count = len(self._expires_at)
        self._expires_at.clear()
        return count

    def valid(self) -> list[str]:
        """Every token that is valid now: what must show up nowhere else."""
        return [token for token in self._expires_at if self.is_valid(token)]

    def is_valid(self, token: str) -> bool:
        """Whether a token was given out and has not expired."""
        return self._expires_at.get(token, 0.0) > self._clock.now()

    def answer(self, request: Request) -> Answer:
        """Check one request for a token. Raises Refusal."""
        if request.method != "POST":
            raise Refusal(405, {"Message": "Use POST."}, allow="POST")
        try:
            body = request.json_object()
            missing = [name for name in _FIELDS if body.get(name) in (None, "")]
            if missing:
                raise bad_request(f"Missing: {', '.join(missing)}.")
            given = {name: str(body[name]) for name in _FIELDS}
            self._check_signature(given)
            self._check_firm(given)
            check_reachable(self._switches, self._clock.now())
            self._check_login(given)
        except Refusal:
            self.refused += 1
            raise
        return Answer(self._new_token())

    def _check_signature(self, given: dict[str, str]) -> None:
        if given["AppID"] != self._credentials.app_id or given["Product"] != THIRD_PARTY_PRODUCT:
            raise refuse(self._switches, Why.NOT_ENABLED)
        message = ":".join(given[name] for name in ("Product", "AppID", "Nonce", "RequestTimeStamp"))
        key = base64.b64decode(self._credentials.api_key)
        expected = base64.b64encode(hmac.new(key, message.encode(), hashlib.sha512).digest())
        if not hmac.compare_digest(expected, given["HMAC512Signature"].encode()):
            raise Refusal(401, {"Message": "HMAC512Signature is not valid."})
        try:
            sent = parse_moment(given["RequestTimeStamp"]).timestamp()
        except ValueError:
            raise bad_request("RequestTimeStamp is no time.") from None
        if abs(sent - self._clock.now()) > self._switches.clock_window_seconds:
            raise Refusal(401, {"Message": "RequestTimeStamp is out of range."})
        if given["Nonce"] in self._nonces:
            raise Refusal(401, {"Message": "Nonce was already used."})
        self._nonces.add(given["Nonce"])

    def _check_firm(self, given: dict[str, str]) -> None:
        firm = (self._credentials.kanzlei, self._credentials.database)
        if (given["Kanzlei"], given["Database"]) != firm:
            raise refuse(self._switches, Why.NOT_REGISTERED)

    def _check_login(self, given: dict[str, str]) -> None:
        user, limit = given["User"], self._switches.lockout_after
        is_locked = bool(limit) and self.wrong_passwords[user] >= limit
        if given["Role"] != ROLE:
            raise refuse(self._switches, Why.NOT_ENABLED)
        if user != self._credentials.user:
            self.wrong_passwords[user] += 1
            raise refuse(self._switches, Why.UNKNOWN_USER)
        if is_locked or given["Password"] != self._credentials.password:
            self.wrong_passwords[user] += 1
            raise refuse(self._switches, Why.WRONG_PASSWORD)

    def _new_token(self) -> dict[str, Any]:
        token = secrets.token_urlsafe(32)
        expires_at = self._clock.now() + self._switches.token_seconds
        self._expires_at[token] = expires_at
        self.given += 1
        if self._switches.expiration == "absent":
            return {"access_token": token}
        digits = self._switches.fraction_digits if self._switches.expiration == "fraction" else 0
        return {"access_token": token, "expiration_utc": stamp(expires_at, digits)}
