"""What was agreed last about a document: the third side of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IndexStatus(StrEnum):
    """How far xAI is with reading a file; `NONE` where there is nothing to read, `REDO` where it is to begin anew."""

    NONE = "none"
    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class DoomedFile:
    """A file of an older version that is still to be unlinked from these collections and then deleted.

    `is_stray` marks one that never was a version (left by an unclear upload, or with other bytes than ours): it goes
    even where older versions are kept.
    """

    file_id: str
    collections: tuple[str, ...] = ()
    is_stray: bool = False


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document as it was left by its last pass. `size` is in bytes, times are UTC epoch seconds.

    `collections` are those that the file is or may be linked in: an id is added before the link is made and removed
    after it is gone. `owners` are the owners' keys, `{EntityType}:{id}`.
    """

    document_id: str
    updated_at: float
    status: str = ""
    attachment_id: str | None = None
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None
    file_id: str | None = None
    collections: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    doomed: tuple[DoomedFile, ...] = ()
    index_status: IndexStatus = IndexStatus.NONE
    index_check_at: float | None = None
    deleted_at: float | None = None
    record_version: int | None = None
    """EspoCRM's version number of the record as the last pass left it: the change feed's echo of our own write."""
    record_modified_at: str | None = None
