"""What a request to the proxy asks for: the call, its query, and the body that is passed on.

Either the endpoint stands in the query and the body is Advoware's own (`PUT ?endpoint=Beteiligte/7`, body: the party),
or, for the writing methods, both stand in the body: `{"endpoint": "Beteiligte/7", "data": {…}}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

from webhook_sensor_app.proxy_endpoint import read_endpoint
from webhook_sensor_app.proxy_routes import RECORD_PARAMETER, AllowList, Match, is_id
from webhook_sensor_app.refusal import Refusal

MAX_PARAMETERS = 50
LONGEST_QUERY = 8192
JSON_TYPE = "application/json"
_PLACE = "endpoint"

Query = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ProxyCall:
    """A call that may be passed on; `record` is the id of what it is about, where one is named."""

    match: Match
    query: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes | None = field(repr=False)
    record: str | None


def read_query(raw: bytes) -> tuple[Query, str | None]:
    """The parameters for Advoware, and the endpoint if it is among them.

    Raises Refusal (400) for what is not a query string in UTF-8, or holds control characters.
    """
    if len(raw) > LONGEST_QUERY:
        raise Refusal(414, f"The query is longer than {LONGEST_QUERY} bytes.", "long_query")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise Refusal(
            400, f"The query is not UTF-8, or has more than {MAX_PARAMETERS} parameters.", "bad_query"
        ) from None
    if not all(_is_plain(name) and _is_plain(value) for name, value in pairs):
        raise Refusal(400, "The query holds control characters: leave them out.", "bad_query")
    places = [value for name, value in pairs if name == _PLACE]
    if len(places) > 1:
        raise _twice()
    return [pair for pair in pairs if pair[0] != _PLACE], places[0] if places else None


def announces_body(headers: Headers) -> bool:
    """True if the request has a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""


def read_call(
    method: str, query: Query, place: str | None, body: bytes | bytearray, allowed: AllowList
) -> ProxyCall:
    """The call. Raises Refusal, a 4xx with one sentence, for anything that is not allowed or not clear."""
    value, data = _read_body(body) if body else (None, None)
    if isinstance(value, dict) and _PLACE in value:
        if place is not None:
            raise _twice()
        place, data = value[_PLACE], _data_beside(value)
    match = allowed.match(method, read_endpoint(place))
    if data is None and method in ("POST", "PUT"):
        raise Refusal(
            400,
            f'A {method} needs a body: what Advoware shall store, or {{"endpoint": …, "data": …}}.',
            "no_body",
        )
    return ProxyCall(match, query, data, _record(match, query))


def _record(match: Match, query: Query) -> str | None:
    if not match.wants_record_parameter:
        return match.record
    named = [(name, value) for name, value in query if name.lower() == RECORD_PARAMETER]
    if len(named) != 1 or named[0][0] != RECORD_PARAMETER or not is_id(named[0][1]):
        raise Refusal(
            400,
            f"{match.method} {match.pattern} needs the record's number as {RECORD_PARAMETER}, once and above 0.",
            "no_record",
        )
    return named[0][1]


def _data_beside(value: dict[str, Any]) -> bytes | None:
    if value.keys() - {_PLACE, "data"}:
        raise Refusal(400, "Beside endpoint the body may hold data alone.", "bad_body")
    if value.get("data") is None:
        return None
    return _write(value["data"])


def _write(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _read_body(body: bytes | bytearray) -> tuple[Any, bytes]:
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        # Half a surrogate pair and 1e400 can be read, but not written again.
        _write(value)
    except Refusal:
        raise
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON in UTF-8, or is nested too deeply.", "bad_body") from None
    return value, bytes(body)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        # Two readers take two different ones: an endpoint that we checked and another that counts.
        raise Refusal(400, "An object in the body names the same key twice: name each once.", "bad_body")
    return value


def _constant(_: str) -> Any:
    raise Refusal(400, "The body holds NaN or Infinity, which JSON does not know.", "bad_body")


def _is_plain(text: str) -> bool:
    return not any(ord(character) < 32 or ord(character) == 127 for character in text)


def _twice() -> Refusal:
    return Refusal(
        400, "endpoint is given twice: write it once, in the query or in the body.", "two_endpoints"
    )
