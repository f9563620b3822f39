"""The recorded exchanges with real servers: loading them, and the state that existed before each."""

from __future__ import annotations

import json
import re
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"

SYNC = "6b02a015841cd014d"
DOCUMENT = "6b02a0dd1a3b9b634"
KLAGE = "6b02a0dd6bb97434d"
BETEILIGTE = "6b02a0dd8999f3866"
KONTO = "6b02a0ddb2af09f34"
DELETED = "6b02a33e528657d96"

HMAC_KEY, HMAC_SECRET = "aaaabbbbccccddddeeeeffff00001111", "0123456789abcdef0123456789abcdef"
FULL = {"read": "all", "stream": "all", "edit": "all", "delete": "all", "create": "yes"}
READ_ONLY = {"read": "all", "stream": "no", "edit": "no", "delete": "no", "create": "no"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request with the real server's answer."""

    name: str
    version: str
    method: str
    path: str
    sent_headers: dict[str, str]
    sent: Any
    status: int
    headers: dict[str, str]
    body: Any
    body_encoding: str

    @property
    def at(self) -> float:
        """When the answer was made, in seconds UTC."""
        return parsedate_to_datetime(self.headers["Date"]).timestamp()


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def table(name: str) -> dict[str, Any]:
    """A recorded table (field_normalisation, webhook_response_matrix)."""
    return _load(CASES / f"{name}.json")


def exchanges() -> Iterator[Exchange]:
    """Every recorded request to a server."""
    for path in sorted(CASES.glob("*.json")):
        case = _load(path)
        if "request" not in case or "direction" in case:
            continue
        request, response = case["request"], case["response"]
        yield Exchange(
            path.stem,
            case["server"].split()[1],
            request["method"],
            request["path"],
            {key: value for key, value in request["headers"].items() if value != "<redacted>"},
            request["body"],
            response["status"],
            response["headers"],
            response["body"],
            response["body_encoding"],
        )


def deliveries() -> Iterator[dict[str, Any]]:
    """Every recorded webhook request from a server to a receiver."""
    for path in sorted(CASES.glob("*webhook_delivery_*.json")):
        yield _load(path)


def signed_by(exchange: Exchange) -> str:
    """Who sent the request: the recordings hide the key but keep the header's name, and the file's name tells."""
    request = _load(CASES / f"{exchange.name}.json")["request"]["headers"]
    if "Authorization" in request:
        return "admin"
    if "X-Hmac-Authorization" in request:
        return "hmac"
    for user in ("readonly", "norole", "inactive"):
        if exchange.name.startswith(("auth_", "attachment_")) and user in exchange.name:
            return user
    return "forbidden" if exchange.name == "webhook_register_forbidden" else ("sync" if request else "nobody")


USERS: list[dict[str, Any]] = [
    {"id": SYNC, "userName": "sync", "type": "api", "apiKey": "sync-key"},
    {"id": "6b02a01663eccf43b", "userName": "synchmac", "type": "api", "apiKey": HMAC_KEY, "authMethod": "Hmac",
     "secretKey": HMAC_SECRET},
    {"userName": "norole", "type": "api", "apiKey": "norole-key", "acl": {}},
    {"userName": "forbidden", "type": "api", "apiKey": "forbidden-key", "acl": {"CDokumente": FULL}},
    {"userName": "inactive", "type": "api", "apiKey": "inactive-key", "isActive": False},
    {"userName": "readonly", "type": "api", "apiKey": "readonly-key",
     "acl": {"CDokumente": READ_ONLY, "CVmhRumungsklage": READ_ONLY, "CBeteiligte": {**READ_ONLY, "read": "own"}},
     "fieldAcl": {"CDokumente": {"sha256": {"read": "no", "edit": "no"}}}},
]  # fmt: skip


def seconds(text: str) -> float:
    """A moment in EspoCRM's form as seconds UTC."""
    return timegm(datetime.fromisoformat(text).timetuple())


def time_of_id(record_id: str) -> str:
    """When a record was made: its id begins with the Unix time."""
    return datetime.fromtimestamp(int(record_id[:8], 16), UTC).strftime("%Y-%m-%d %H:%M:%S")


def first_row(exchange_name: str) -> Row:
    """The record in an exchange's answer."""
    row: Row = _load(CASES / f"{exchange_name}.json")["response"]["body"]
    return row


def document(**changes: Any) -> Row:
    """The document that most recordings are about, as it was read first."""
    return {**first_row("crud_get"), **changes}


def klage(**changes: Any) -> Row:
    """The Räumungsklage of the recordings."""
    return {**first_row("crud_get_klage"), **changes}


def beteiligte(**changes: Any) -> Row:
    """The party of the recordings."""
    return {**first_row("noop_put_beteiligte"), **changes}


def konto(**changes: Any) -> Row:
    """The bank account of the recordings."""
    row = first_row("crud_create_bankverbindung")
    return {**row, **changes}


def listed_documents() -> list[Row]:
    """The 235 documents that the list recordings ran over, rebuilt from ids, totals and rows in the recordings.

    "Dok 000" to "Dok 229" were made in a loop, their status by number modulo 3, their collections modulo 5.
    """
    # Six of the 230 ids are in no long recording: two from other lists, four that are not known at all.
    rest = ["6b02a18495e2c664e", "6b02a18483a29ad92", *(f"6b02a1767{digit}0000000" for digit in "0123")]
    newest = re.findall("=([0-9a-f]{17})", _load(CASES / "list_uri_too_long.json")["request"]["path_decoded"])
    oldest = [row["id"] for row in first_row("list_no_total_last")["list"]]
    made = sorted(one for one in {*newest, *oldest, *rest} if "6b02a173" <= one[:8] <= "6b02a184")
    statuses, collections = ["neu", "geändert", "synced"], {0: ["c1"], 1: ["c1", "c2"]}
    rows = [
        _listed(one, f"Dok {n:03}", fileStatus=statuses[n % 3], xaiCollections=collections.get(n % 5, []))
        for n, one in enumerate(made)
    ]
    rows += [_listed("6b02a14217a42b276", "mit Id"), _listed("6b02a14224b14414d", "mit createdAt")]
    rows += [
        _listed("6b02a0b76623197e4", "alt 1", fileStatus="geändert", xaiCollections=["c1"]),
        _listed("6b02a0448dce90f2c", "alt 2", xaiCollections=["c1"]),
    ]
    changed = {"modifiedAt": "2026-11-22 08:00:09", "modifiedById": SYNC, "fileStatus": "synced"}
    return [*rows, document(**changed, xaiCollections=["collection_1"])]


def _listed(record_id: str, name: str, **more: Any) -> Row:
    moment = time_of_id(record_id)
    row = {"id": record_id, "name": name, "createdAt": moment, "modifiedAt": moment, "fileStatus": "neu"}
    return {**row, **more}
