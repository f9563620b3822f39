"""What a file's bytes are, as far as xAI's indexing cares: its type, and whether it holds text."""

from __future__ import annotations

import codecs
import functools
import re
import zlib

from bitbylaw_pipeline.sandbox.xai.replies import UNREADABLE

# Larger files are judged by their beginning: enough for the first pages of any PDF, and it bounds the memory.
JUDGED_BYTES = 1_000_000

SCAN_MARKER = b"%sandbox:scan"
TEXT_MARKER = b"%sandbox:text"

_PDF_STREAM = re.compile(rb"stream\r?\n(.*?)(?:endstream|\Z)", re.DOTALL)
_PDF_TEXT = re.compile(rb"\bBT\b.*?(?:\bTj|\bTJ|\)\s*'|\]\s*TJ|\)\s*Tj)", re.DOTALL)
_ZIP_TYPES = re.compile(r"officedocument|opendocument\.text|epub|application/zip|hwp")
_OLE_TYPES = re.compile(r"application/(msword|vnd\.ms-excel|vnd\.ms-outlook|x-hwp)")
_NEVER_READ = re.compile(
    r"(image|audio|video)/|message/rfc822|application/vnd\.ms-powerpoint|opendocument\.(spreadsheet|presentation)"
)


def kind_of(head: bytes) -> str:
    """One of empty, pdf_text, pdf_scan, zip, ole, image, text, binary, from the file's first bytes."""
    if not head:
        return "empty"
    if head.startswith(b"%PDF-"):
        return "pdf_text" if _pdf_has_text(head) else "pdf_scan"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "ole"
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")):
        return "image"
    try:
        # final=False: the head may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return "binary"
    return "binary" if b"\0" in head else "text"


def _pdf_has_text(head: bytes) -> bool:
    """Whether a page shows text: a text-showing operator in a content stream, or a marker for made-up bytes."""
    if SCAN_MARKER in head:
        return False
    if TEXT_MARKER in head:
        return True
    for match in _PDF_STREAM.finditer(head):
        raw = match.group(1)
        if raw[:1] == b"x":
            try:
                raw = zlib.decompressobj().decompress(raw, JUDGED_BYTES)
            except zlib.error:
                continue
        if _PDF_TEXT.search(raw):
            return True
    return False


def sniffed_type(kind: str, head: bytes) -> str:
    """The content type that the upload route stores when it discards the part's own (`facts/xai.md` 2.1)."""
    if kind in ("pdf_text", "pdf_scan"):
        return "application/pdf"
    if kind == "image":
        return "image/png" if head.startswith(b"\x89PNG") else "image/jpeg"
    return "text/plain" if kind == "text" else "application/octet-stream"


@functools.lru_cache(maxsize=1024)
def indexing_error(content_type: str, kind: str) -> str:
    """Why indexing ends FAILED, in the live service's words, or "" if it succeeds."""
    if kind == "empty" or _NEVER_READ.search(content_type):
        return UNREADABLE
    if content_type.startswith("application/pdf"):
        readable = kind == "pdf_text"
    elif _ZIP_TYPES.search(content_type):
        readable = kind == "zip"
    elif _OLE_TYPES.search(content_type):
        readable = kind in ("ole", "text")
    else:
        readable = kind == "text"
    return "" if readable else UNREADABLE


_FORBIDDEN_IN_NAME = re.compile(r'[\x00-\x1f\x7f\x85\u2028\u2029";\\]')


def filename_error(name: str) -> str:
    """Why a file name is refused (`facts/xai.md` 2.1), or ""."""
    if not name:
        return "The file has no name."
    if len(name) > 255:
        return "File name must be at most 255 characters."
    if _FORBIDDEN_IN_NAME.search(name):
        return "File name contains invalid characters."
    return ""
