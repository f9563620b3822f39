"""Paths of EspoCRM's API from checked parts: nothing that a webhook brought in can leave `/api/v1/{EntityType}/{id}`."""

from __future__ import annotations

import re

from bitbylaw_pipeline.domain.document import is_entity_type, is_record_id
from bitbylaw_pipeline.domain.errors import Permanent

_LINK = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")


def type_path(entity_type: str) -> str:
    """`/{EntityType}`; Permanent("bad_name") for what cannot be one."""
    if not is_entity_type(entity_type):
        raise _bad("an entity type")
    return f"/{entity_type}"


def record_path(entity_type: str, record_id: str) -> str:
    """`/{EntityType}/{id}`."""
    if not is_record_id(record_id):
        raise _bad("a record's id")
    return f"{type_path(entity_type)}/{record_id}"


def link_path(entity_type: str, record_id: str, link: str) -> str:
    """`/{EntityType}/{id}/{link}`."""
    if not _LINK.fullmatch(link):
        raise _bad("a link's name")
    return f"{record_path(entity_type, record_id)}/{link}"


def checked_metadata_key(key: str) -> str:
    """A dotted key such as `entityDefs.CDokumente`."""
    if not _METADATA_KEY.fullmatch(key):
        raise _bad("a metadata key")
    return key


def _bad(what: str) -> Permanent:
    # The value is not repeated: it may be anything, a name included.
    return Permanent(
        f"This cannot be {what} of EspoCRM; nothing was asked.", system="espocrm", reason="bad_name"
    )
