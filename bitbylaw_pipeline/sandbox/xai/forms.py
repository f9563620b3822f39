"""Multipart uploads, read as they stream in: text fields, and one file of which the hash and a head are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from bitbylaw_pipeline.sandbox.xai.contents import JUDGED_BYTES

_MAX_TEXT_FIELD_BYTES = 65_536


class FormError(ValueError):
    """The body is not the multipart form that the route takes."""


@dataclass(slots=True)
class FormFile:
    """The file part. `data` is None if it was larger than the bytes to keep; `head` is its first megabyte."""

    filename: str
    content_type: str
    size: int
    sha256: str
    head: bytes
    data: bytes | None


@dataclass(slots=True)
class Form:
    """A parsed form. `late` names the text fields that came after the file."""

    texts: dict[str, str] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    file: FormFile | None = None
    file_too_large: bool = False


class _FormReader:
    """Callbacks of python-multipart that fill a Form."""

    def __init__(self, file_part: str, max_bytes: int, keep_bytes: int | None) -> None:
        self.form = Form()
        self._file_part = file_part
        self._max_bytes = max_bytes
        self._keep_bytes = keep_bytes
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._filename: str | None = None
        self._text: bytearray | None = None
        self._hash = hashlib.sha256()
        self._size = 0
        self._chunks: list[bytes] = []
        self._held = 0

    def on_part_begin(self) -> None:
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = _text(options.get(b"name", b""))
        filename = options.get(b"filename")
        self._filename = None if filename is None else _text(filename)
        self._text = None if self._name == self._file_part else bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._text is not None:
            self._text += data[start:end]
            if len(self._text) > _MAX_TEXT_FIELD_BYTES:
                raise FormError(f"The form field '{self._name}' is too large.")
            return
        chunk = data if end - start == len(data) else data[start:end]
        self._size += len(chunk)
        if self._size > self._max_bytes:
            # The rest is read and thrown away, so that the client hears the 413 instead of a broken pipe.
            self._chunks = []
            return
        self._hash.update(chunk)
        if self._held < JUDGED_BYTES or self._keep_bytes is None or self._size <= self._keep_bytes:
            self._chunks.append(chunk)
            self._held += len(chunk)

    def on_part_end(self) -> None:
        if self._text is not None:
            self.form.texts[self._name] = _text(bytes(self._text))
            if self.form.file is not None:
                self.form.late.add(self._name)
            return
        if self._size > self._max_bytes:
            self.form.file_too_large = True
        held = b"".join(self._chunks)
        kept = self._keep_bytes is None or self._size <= self._keep_bytes
        self.form.file = FormFile(
            filename=self._filename or "",
            content_type=self._headers.get(b"content-type", b"").decode("latin-1"),
            size=self._size,
            sha256=self._hash.hexdigest(),
            head=held[:JUDGED_BYTES],
            data=held if kept else None,
        )
        self._chunks = []


async def read_form(
    receive: Receive, content_type: bytes, *, file_part: str, max_bytes: int, keep_bytes: int | None
) -> Form:
    """Read a multipart body to its end. Raises FormError if it is none; the body is read all the same."""
    reader = _FormReader(file_part, max_bytes, keep_bytes)
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    error = "" if kind == b"multipart/form-data" and boundary else "The body is not multipart/form-data."
    parser = MultipartParser(
        boundary or b"-",
        {
            "on_part_begin": reader.on_part_begin,
            "on_header_field": reader.on_header_field,
            "on_header_value": reader.on_header_value,
            "on_header_end": reader.on_header_end,
            "on_headers_finished": reader.on_headers_finished,
            "on_part_data": reader.on_part_data,
            "on_part_end": reader.on_part_end,
        },
    )
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The client closed the connection.")
        more = message.get("more_body", False)
        if error:
            continue
        try:
            parser.write(message.get("body", b""))
            if not more:
                parser.finalize()
        except (FormParserError, FormError) as problem:
            error = str(problem)
    if error:
        raise FormError(error)
    return reader.form


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
