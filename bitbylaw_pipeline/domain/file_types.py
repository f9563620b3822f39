"""Which content type a file has, told by its extension where EspoCRM does not know it.

A table of our own: Python's `mimetypes` reads the machine's files and answers differently on each.
"""

from __future__ import annotations

import re

UNKNOWN_TYPE = "application/octet-stream"

_CONTENT_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,100}")

_TYPES = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "log": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "xml": "application/xml",
    "epub": "application/epub+zip",
    "eml": "message/rfc822",
    "msg": "application/vnd.ms-outlook",
    "zip": "application/zip",
    "exe": "application/x-msdownload",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "webp": "image/webp",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "heic": "image/heic",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
}


def content_type_for(name: str, declared: str | None) -> str:
    """EspoCRM's stored type in plain form (no parameters); where it says nothing, the extension's.

    "Nothing" is a missing type, `application/octet-stream`, and anything that is not a type at all: the value
    goes into a header, where a line break would begin a header of its own.
    """
    plain = (declared or "").partition(";")[0].strip(" ").lower()
    if plain != UNKNOWN_TYPE and _CONTENT_TYPE.fullmatch(plain):
        return plain
    _, dot, extension = name.strip().rpartition(".")
    return _TYPES.get(extension.lower(), UNKNOWN_TYPE) if dot else UNKNOWN_TYPE
