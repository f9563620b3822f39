"""Signing in: API keys, HMAC, passwords, the block after too many failures (`facts/espocrm.md` 2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import deque

from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, encode_text
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, Request, User

_MAINTENANCE = encode_text({"message": "The application currently is in maintenance mode."})


def authenticate(espo: Espo, request: Request) -> User:
    """The user behind a request. Raises ApiError 401, 403 (blocked address), 503 (maintenance), 500 (no database)."""
    if espo.config["databaseDown"]:
        raise ApiError(500, html=True)
    headers = request.headers
    key = headers.get(b"x-api-key")
    if key is not None and b"espo-authorization" not in headers and not espo.failed_logins:
        # The common case first: it decides how many requests a second the stand-in can take.
        user = _by_api_key(espo, key.decode("latin-1"), "ApiKey")
    else:
        user = _other_way(espo, request)
    if user is None:
        _note_failure(espo, request.client)
        raise ApiError(401, html=True)
    if espo.config["maintenanceMode"] and not user.is_admin:
        raise ApiError(503, "Application is in maintenance mode.", _MAINTENANCE, html=True)
    if not user.is_active:
        _note_failure(espo, request.client)
        raise ApiError(401, html=True)
    return user


def _other_way(espo: Espo, request: Request) -> User | None:
    headers = request.headers
    signed = request.header(b"x-hmac-authorization")
    password = headers.get(b"espo-authorization") or _basic(headers.get(b"authorization"))
    if b"espo-authorization" not in headers and (signed is not None or b"x-api-key" in headers):
        password = None
    elif password is None:
        raise _no_credentials(request)
    _refuse_blocked(espo, request.client)
    if password is not None:
        return _by_password(espo, password)
    if signed is not None:
        return _by_hmac(espo, request, signed)
    return _by_api_key(espo, headers[b"x-api-key"].decode("latin-1"), "ApiKey")


def _basic(value: bytes | None) -> bytes | None:
    if value is None or not value.lower().startswith(b"basic "):
        return None
    return value[6:].strip()


def _no_credentials(request: Request) -> ApiError:
    error = ApiError(401, html=True)
    by_script = (request.header(b"x-requested-with") or "").lower() == "xmlhttprequest"
    if request.method != "POST" and b"referer" not in request.headers and not by_script:
        error.headers.append((b"www-authenticate", b'Basic realm=""'))
    return error


def _by_api_key(espo: Espo, key: str, method: str) -> User | None:
    if not key:
        return None
    for user in espo.users.values():
        if user.api_key == key and user.type == "api" and user.auth_method == method:
            return user
    return None


def _by_password(espo: Espo, encoded: bytes) -> User | None:
    try:
        text = base64.b64decode(encoded).decode("utf-8", "replace")
    except binascii.Error:
        text = ""
    name, colon, password = text.partition(":")
    if not colon:
        raise ApiError(400, "Auth: Bad authorization string provided.", html=True)
    for user in espo.users.values():
        if user.user_name == name.strip() and user.type != "api":
            return user if user.password and user.password == password.strip() else None
    return None


def _by_hmac(espo: Espo, request: Request, signed: str) -> User | None:
    try:
        key, _, digest = base64.b64decode(signed).partition(b":")
    except binascii.Error:
        return None
    user = _by_api_key(espo, key.decode("latin-1"), "Hmac")
    if user is None or not user.secret_key:
        return None
    # The uri is the path after api/v1/ with a leading slash, without the query string.
    uri = request.path.removeprefix("/api/v1")
    expected = hmac.new(user.secret_key.encode(), f"{request.method} {uri}".encode(), hashlib.sha256)
    return user if digest in (expected.hexdigest().encode(), expected.digest()) else None


def _note_failure(espo: Espo, client: str) -> None:
    espo.failed_logins.setdefault(client, deque(maxlen=1000)).append(espo.clock.now())


def _refuse_blocked(espo: Espo, client: str) -> None:
    failures = espo.failed_logins.get(client)
    if not failures:
        return
    since = espo.clock.now() - espo.config["authFailedAttemptsPeriodSeconds"]
    while failures and failures[0] <= since:
        failures.popleft()
    if not failures:
        del espo.failed_logins[client]
    elif len(failures) >= espo.config["authMaxFailedAttemptNumber"]:
        # The whole address is shut out, good keys included; a refused try does not prolong it.
        raise ApiError(403, html=True)
