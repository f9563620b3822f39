"""What goes back to the client: JSON as PHP writes it, EspoCRM's headers, its error answers and HTML pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Protocol

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_HTML = (b"content-type", b"text/html; charset=UTF-8")
_SLIM_HTML = (b"content-type", b"text/html;charset=UTF-8")
_NGINX_HTML = (b"content-type", b"text/html; charset=utf-8")

_SLIM_PAGE = (
    '<!doctype html><html lang="en">    <head>        <meta charset="utf-8">'
    '        <meta name="viewport" content="width=device-width, initial-scale=1">'
    "        <title>{title}</title>        <style>            body{{margin:0;padding:30px;"
    "font:12px/1.5 Helvetica,Arial,Verdana,sans-serif}}            h1{{margin:0;font-size:48px;"
    "font-weight:normal;line-height:48px}}            strong{{display:inline-block;width:65px}}"
    "        </style>    </head>    <body>        <h1>{title}</h1>        <div><p>{text}</p></div>"
    '        <a href="#" onclick="window.history.go(-1)">Go Back</a>    </body></html>'
)
_NGINX_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class ByteSource(Protocol):
    """A file's contents, read piece by piece."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def chunks(self) -> Iterator[bytes]:
        """The contents in order, in pieces of at most 256 KiB."""


@dataclass(slots=True)
class Answer:
    """One HTTP answer; `stream` instead of `body` for a download."""

    status: int
    headers: Headers
    body: bytes = b""
    stream: ByteSource | None = None


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    """An error answer. `reason` is the X-Status-Reason (None: no such header); `body` is JSON text or empty.

    `html` forces text/html, which PHP's default content type is where no controller ran
    (`facts/espocrm.md` 1: authentication, `Attachment/file`, `MassAction`).
    """

    status: int
    reason: str | None = None
    body: str = ""
    html: bool = False
    headers: Headers = field(default_factory=list)


class PhpCrash(Exception):
    """What EspoCRM does not catch: a TypeError in PHP, answered with Slim's HTML page and 500."""


def forbidden(reason: str = "", label: str | None = None, data: dict[str, object] | None = None) -> ApiError:
    """403 with `reason`, and a translated message in the body where EspoCRM has one."""
    return ApiError(403, reason, "" if label is None else message_body(label, data or {}))


def message_body(label: str, data: dict[str, object]) -> str:
    """The body of an error that EspoCRM's web client can translate."""
    return encode_text({"messageTranslation": {"label": label, "scope": None, "data": data}})


def encode_text(value: object) -> str:
    """JSON as PHP's `json_encode` writes it: `/` as `\\/`, non-ASCII as `\\uXXXX` (`facts/espocrm.md` 1)."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


def http_date(seconds: float) -> bytes:
    """An HTTP date of `seconds` since 1970 UTC."""
    return formatdate(seconds, usegmt=True).encode()


class Composer:
    """Builds answers with the headers of nginx and PHP; the date is the sandbox clock's."""

    def __init__(self, app_timestamp: int) -> None:
        self._app_timestamp = (b"x-app-timestamp", str(app_timestamp).encode())
        self._second = -1
        self._date = b""

    def _date_at(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second, self._date = second, http_date(second)
        return self._date

    def _fresh(self, now: float) -> Headers:
        date = self._date_at(now)
        return [
            (b"server", b"nginx"),
            (b"date", date),
            self._app_timestamp,
            (b"expires", b"0"),
            (b"last-modified", date),
            (b"cache-control", b"no-store, no-cache, must-revalidate, post-check=0, pre-check=0"),
        ]

    def json(self, now: float, value: object, status: int = 200) -> Answer:
        """A JSON answer; None is an empty body and a string goes out raw, as EspoCRM's controllers do."""
        if value is None:
            body = b""
        elif isinstance(value, str):
            body = value.encode()
        else:
            body = encode_text(value).encode()
        return Answer(status, [*self._fresh(now), _JSON], body)

    def download(self, now: float, source: ByteSource, content_type: str | None, name: str) -> Answer:
        """A file. The name stands in the header as raw UTF-8, as the real server sends it."""
        shown = f'attachment; filename="{name}"'.replace("\r", " ").replace("\n", " ")
        headers = [*self._fresh(now), (b"content-disposition", shown.encode())]
        headers.append((b"content-type", content_type.encode()) if content_type else _HTML)
        return Answer(200, headers, stream=source)

    def error(self, now: float, error: ApiError, *, controller: bool) -> Answer:
        """An error answer; `controller` says whether a controller ran, which decides the content type."""
        headers: Headers = [(b"server", b"nginx"), (b"date", self._date_at(now)), *error.headers]
        if error.reason is not None:
            clean = "".join(char if char >= " " else " " for char in error.reason)
            headers.append((b"x-status-reason", clean.encode()))
        headers.append(_JSON if controller and not error.html else _HTML)
        return Answer(error.status, headers, error.body.encode())

    def slim_page(self, now: float, status: int, title: str, text: str) -> Answer:
        """One of the Slim framework's own HTML error pages: no X-Status-Reason."""
        headers = [(b"server", b"nginx"), (b"date", self._date_at(now)), _SLIM_HTML]
        return Answer(status, headers, _SLIM_PAGE.format(title=title, text=text).encode())

    def nginx_page(self, now: float, status: int, title: str) -> Answer:
        """One of nginx's error pages: PHP never saw the request."""
        headers = [(b"server", b"nginx"), (b"date", self._date_at(now)), _NGINX_HTML]
        return Answer(status, headers, _NGINX_PAGE.format(title=f"{status} {title}").encode())
