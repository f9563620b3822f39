"""`POST /token`: a signed assertion for a bearer token, and the tokens given out (`facts/two_way_sync.md` 2, Auth)."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from bitbylaw_pipeline.sandbox.google.errors import ApiError, api_error
from bitbylaw_pipeline.sandbox.google.service_account import CLIENT_EMAIL, KEY_ID, private_key
from bitbylaw_pipeline.sandbox.google.store import Store

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"
_LONGEST = 3600
_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
    "scopes requested."
)


@dataclass(slots=True)
class Grant:
    """What a bearer token stands for. `user` is the service account itself where no one was impersonated."""

    user: str
    scopes: frozenset[str]
    expires_at: float
    calls: int = 0

    @property
    def is_delegated(self) -> bool:
        """Whether it acts for an employee."""
        return self.user != CLIENT_EMAIL


def _refuse(status: int, error: str, description: str) -> ApiError:
    return ApiError(status, {"error": error, "error_description": description})


def invalid_grant(description: str) -> ApiError:
    """400 invalid_grant."""
    return _refuse(400, "invalid_grant", description)


class TokenEndpoint:
    """Tokens live by the stand-in's clock; a new one leaves the older ones valid."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._grants: dict[str, Grant] = {}
        self.given = 0
        self.refused = 0

    def clear(self) -> None:
        """Forget all tokens and counts."""
        self._grants.clear()
        self.given = self.refused = 0

    def revoke(self, user: str = "") -> int:
        """Make every token (of this user) invalid; returns how many there were."""
        gone = [token for token, grant in self._grants.items() if not user or grant.user == user]
        for token in gone:
            del self._grants[token]
        return len(gone)

    def valid(self) -> list[str]:
        """Every token that is valid now: what must show up nowhere else."""
        now = self._store.now()
        return [token for token, grant in self._grants.items() if grant.expires_at > now]

    def grant_of(self, authorization: str) -> Grant:
        """What the `Authorization` header's token allows, counted as one call. Raises ApiError (401)."""
        scheme, _, token = authorization.partition(" ")
        grant = self._grants.get(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None or grant.expires_at <= self._store.now():
            raise api_error("authError")
        limit = self._store.switches.token_calls
        if limit and grant.calls >= limit:
            raise api_error("authError")
        if grant.is_delegated and self._store.user_state(grant.user) not in ("active", "no_calendar"):
            raise api_error("authError")
        grant.calls += 1
        return grant

    def answer(self, body: bytes, own_url: str) -> dict[str, Any]:
        """A new token for the assertion in `body`. Raises ApiError with OAuth's form of errors."""
        try:
            form = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
            if form.get("grant_type") != GRANT_TYPE:
                raise _refuse(
                    400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}"
                )
            if not form.get("assertion"):
                raise _refuse(400, "invalid_request", "Missing required parameter: assertion")
            claims = _verified(form["assertion"])
            self._check_claims(claims, own_url)
            grant = Grant(self._user(claims), self._scopes(claims), self._store.now())
        except ApiError:
            self.refused += 1
            raise
        seconds = self._store.switches.token_seconds
        grant.expires_at += seconds
        token = f"ya29.c.{secrets.token_urlsafe(96)}"
        self._grants[token] = grant
        self.given += 1
        return {"access_token": token, "expires_in": max(int(seconds) - 1, 0), "token_type": "Bearer"}

    def _check_claims(self, claims: dict[str, Any], own_url: str) -> None:
        if claims.get("iss") != CLIENT_EMAIL:
            raise invalid_grant("Invalid grant: account not found")
        if claims.get("aud") not in (own_url, GOOGLE_TOKEN_URL):
            raise invalid_grant("Invalid JWT: Failed audience check.")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise invalid_grant(_TIMES)
        if not 0 < expires - issued <= _LONGEST:
            raise invalid_grant(_TIMES)
        switches, now = self._store.switches, self._store.now()
        skew = switches.jwt_skew_seconds
        if switches.checks_jwt_times and not (issued <= now + skew and now - skew < expires):
            raise invalid_grant(_TIMES)

    def _user(self, claims: dict[str, Any]) -> str:
        subject = claims.get("sub")
        if subject is None or subject == CLIENT_EMAIL:
            return CLIENT_EMAIL
        if self._store.switches.delegation == "missing":
            raise _refuse(401, "unauthorized_client", _UNAUTHORIZED)
        mail = str(subject).lower()
        if mail.partition("@")[2] != self._store.domain:
            # An employee of another firm: its administrator has delegated nothing.
            raise _refuse(401, "unauthorized_client", _UNAUTHORIZED)
        if self._store.user_state(mail) not in ("active", "no_calendar"):
            raise invalid_grant("Invalid email or User ID")
        return mail

    def _scopes(self, claims: dict[str, Any]) -> frozenset[str]:
        wanted = frozenset(str(claims.get("scope") or "").split())
        if not wanted:
            raise _refuse(400, "invalid_scope", "Empty or missing scope not allowed.")
        is_delegated = claims.get("sub") not in (None, CLIENT_EMAIL)
        if is_delegated and not wanted <= set(self._store.switches.delegated_scopes):
            raise _refuse(401, "unauthorized_client", _UNAUTHORIZED)
        return wanted


def _verified(assertion: str) -> dict[str, Any]:
    """The claims of a JWT signed with the service account's key. Raises ApiError."""
    try:
        head, payload, signature = assertion.split(".")
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(payload))
        raw = _decoded(signature)
    except (ValueError, binascii.Error):
        raise invalid_grant("Invalid JWT: could not be parsed.") from None
    if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "RS256":
        raise invalid_grant("Invalid JWT: only RS256 is supported.")
    if header.get("kid", KEY_ID) != KEY_ID:
        raise invalid_grant("Invalid JWT Signature.")
    try:
        private_key().public_key().verify(
            raw, f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except InvalidSignature:
        raise invalid_grant("Invalid JWT Signature.") from None
    return claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
