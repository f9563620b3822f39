"""The state of the stand-in: files, collections, and which file is in which collection."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.xai.contents import indexing_error
from bitbylaw_pipeline.sandbox.xai.switches import STAGES, Switches


@dataclass(slots=True)
class StoredFile:
    """One file. `created_at`, `expires_at`: seconds UTC. `data` is None where the bytes were not kept."""

    id: str
    seq: int
    name: str
    size: int
    sha256: str
    content_type: str
    kind: str
    created_at: float
    expires_at: float | None = None
    data: bytes | None = None
    collection_ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Membership:
    """A file in a collection, with its fields there and the moment (seconds UTC) its indexing began."""

    file: StoredFile
    fields: dict[str, str]
    added_at: float
    indexing_since: float


@dataclass(slots=True)
class Collection:
    """One collection; `members` by file id in the order in which they came."""

    id: str
    seq: int
    name: str
    created_at: float
    description: str | None = None
    index_configuration: dict[str, Any] = field(default_factory=dict)
    chunk_configuration: dict[str, Any] = field(default_factory=dict)
    field_definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, Membership] = field(default_factory=dict)


def rfc3339(seconds: float) -> str:
    """UTC with microseconds, as the management host writes time stamps."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Store:
    """Files and collections in memory. `removed` remembers deleted rows, so that a page token naming one works."""

    def __init__(self, clock: SandboxClock, switches: Switches) -> None:
        self.clock = clock
        self.switches = switches
        self.files: dict[str, StoredFile] = {}
        self.collections: dict[str, Collection] = {}
        self.removed: dict[str, StoredFile | Collection] = {}
        self._seq = 0

    def clear(self) -> None:
        """Forget everything."""
        self.files.clear()
        self.collections.clear()
        self.removed.clear()

    def next_seq(self) -> int:
        """A number that grows with every row made, the tie-breaker of all sort orders."""
        self._seq += 1
        return self._seq

    def add_file(
        self,
        *,
        name: str,
        size: int,
        sha256: str,
        content_type: str,
        kind: str,
        data: bytes | None,
        lifetime: int | None = None,
    ) -> StoredFile:
        """A new file under a new id, however often the same bytes came before. `lifetime` in seconds."""
        now = self.clock.now()
        stored = StoredFile(
            id=f"file_{uuid.uuid4()}",
            seq=self.next_seq(),
            name=name,
            size=size,
            sha256=sha256,
            content_type=content_type,
            kind=kind,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            data=data,
        )
        self.files[stored.id] = stored
        return stored

    def file(self, file_id: str) -> StoredFile | None:
        """The file, unless it is missing, deleted or expired."""
        stored = self.files.get(file_id)
        if stored is not None and stored.expires_at is not None and stored.expires_at <= self.clock.now():
            self.drop_file(stored, keep_memberships=False)
            return None
        return stored

    def drop_file(self, stored: StoredFile, *, keep_memberships: bool) -> None:
        """Delete a file; its memberships go with it, or dangle."""
        del self.files[stored.id]
        stored.data = None
        self.removed[stored.id] = stored
        if not keep_memberships:
            for collection_id in stored.collection_ids:
                self.collections[collection_id].members.pop(stored.id, None)
            stored.collection_ids.clear()

    def add_collection(self, name: str, description: str | None) -> Collection:
        """A new collection under a new id; names may repeat."""
        collection = Collection(
            f"collection_{uuid.uuid4()}", self.next_seq(), name, self.clock.now(), description
        )
        self.collections[collection.id] = collection
        return collection

    def drop_collection(self, collection: Collection) -> None:
        """Delete a collection; its files stay."""
        del self.collections[collection.id]
        self.removed[collection.id] = collection
        for member in collection.members.values():
            member.file.collection_ids.discard(collection.id)

    def attach(self, collection: Collection, stored: StoredFile, fields: dict[str, str]) -> Membership:
        """Put a file into a collection, or replace its fields there; indexing starts with the first."""
        member = collection.members.get(stored.id)
        if member is not None:
            member.fields = fields
            return member
        now = self.clock.now()
        member = Membership(stored, fields, now, now)
        collection.members[stored.id] = member
        stored.collection_ids.add(collection.id)
        return member

    def detach(self, collection: Collection, file_id: str) -> bool:
        """Take a file out of a collection; False if it was not in it."""
        member = collection.members.pop(file_id, None)
        if member is None:
            return False
        member.file.collection_ids.discard(collection.id)
        last = not member.file.collection_ids
        if last and self.switches.remove_last == "drop" and file_id in self.files:
            self.drop_file(member.file, keep_memberships=False)
        return True

    def is_listed(self, row: StoredFile | Collection) -> bool:
        """Whether lists and filters show a row yet (the switch `list_lag`)."""
        lag = self.switches.list_lag
        return not lag or row.created_at + lag <= self.clock.now()

    def status(self, member: Membership) -> tuple[str, str]:
        """A document's status without its prefix, and its error message, by the sandbox clock."""
        elapsed = self.clock.now() - member.indexing_since
        error = indexing_error(member.file.content_type, member.file.kind)
        seconds = self.switches.stage_seconds
        for stage in STAGES:
            elapsed -= seconds[stage]
            if elapsed < 0:
                return stage, ""
            if error:
                return "FAILED", error
        return "PROCESSED", ""
