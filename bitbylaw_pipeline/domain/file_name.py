"""The name under which a file is uploaded: our token first, then what is left of the name that a person gave it.

The token is how an upload with an unclear outcome is found again (`facts/xai.md` 2.4), so it comes first, where
no shortening reaches it. The name behind it is for the reader of a search result and may lose anything that xAI
refuses (`facts/xai.md` 2.1) or that could end a header, leave a folder or turn the reading direction.
"""

from __future__ import annotations

import re
import unicodedata

from bitbylaw_pipeline.domain.file_types import content_type_for

__all__ = ["content_type_for", "safe_upload_name", "token_of"]

MAX_CHARACTERS = 255
MAX_BYTES = 240
"""Below the 255 bytes that most file systems take, so that a download at the other end has room for a suffix."""

_SEPARATOR = "~"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{7,127}")
# The slash and its like, what a quoted header value cannot hold, and what Windows refuses; the percent sign
# because a receiver may decode it (%2f, %0d%0a).
_FORBIDDEN = re.compile(r'["%;\\/<>:|?*]')
_DOTS = re.compile(r"\.{2,}")
_SPACES = re.compile(r"\s+")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}")
# Controls, invisible formatting (the right-to-left override hides an .exe), halves of surrogate pairs, private use,
# unassigned, line and paragraph separators.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe_upload_name(token: str, name: str) -> str:
    """`{token}~{cleaned name}`: at most 255 characters and 240 bytes of UTF-8, in NFC, the extension kept.

    `token` is 8 to 128 letters, digits, dots, underscores and hyphens; anything else raises ValueError.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("A token is 8 to 128 letters, digits, dots, underscores or hyphens.")
    prefix = token + _SEPARATOR
    return prefix + _shortened(_cleaned(name), MAX_BYTES - len(prefix))


def token_of(name: str) -> str | None:
    """The token with which `safe_upload_name` began the name, or None.

    A foreign file can look like ours: whether the token is one of ours only the journal and the state know.
    """
    token, separator, _ = name.partition(_SEPARATOR)
    return token if separator and _TOKEN.fullmatch(token) else None


def _cleaned(name: str) -> str:
    visible = "".join(_visible(character) for character in unicodedata.normalize("NFC", name))
    plain = _SPACES.sub(" ", _DOTS.sub(".", _FORBIDDEN.sub("_", visible)))
    # Leading dots hide a file, trailing dots and spaces are lost on Windows; NFC again, since what stood between
    # a letter and its accent may be gone.
    return unicodedata.normalize("NFC", plain.strip(" .")) or "document"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs" or character in "\t\r\n\u0085\u2028\u2029":
        return " "
    return "" if category in _DROPPED else character


def _shortened(name: str, max_bytes: int) -> str:
    if len(name.encode()) <= max_bytes:
        return name
    dot = name.rfind(".")
    extension = name[dot:] if dot > 0 and _EXTENSION.fullmatch(name[dot:]) else ""
    room = max_bytes - len(extension)
    stem = name[: len(name) - len(extension)].encode()[:room].decode(errors="ignore")
    return stem.rstrip(" .") + extension
