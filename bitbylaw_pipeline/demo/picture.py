"""What is where at one moment: EspoCRM, xAI, Advoware, Google and our own state side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Connection

from bitbylaw_pipeline.demo.calendar_picture import CalendarPicture, read_calendars
from bitbylaw_pipeline.demo.two_way_picture import TwoWayPicture, read_two_way
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_state import DocumentState
from bitbylaw_pipeline.inbox import collection_states, document_states, egress, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.work_queue import StreamSummary
from bitbylaw_pipeline.sandbox.samples.seed import OWNER_LINKS

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class CrmDocument:
    """A document as EspoCRM has it; `content_sha256` is its present file's."""

    id: str
    title: str
    owners: frozenset[str]
    content_sha256: str | None
    file_id: str | None
    collections: frozenset[str]
    md5: str | None
    sha256: str | None
    synced_hash: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class CrmOwner:
    """An owner as EspoCRM has it."""

    key: str
    title: str
    collection_id: str | None
    is_permitted: bool


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file at xAI, with its status in each collection that it is in."""

    id: str
    name: str
    sha256: str
    statuses: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Picture:
    """All sides at one moment; `parked` are the documents' reasons."""

    documents: Mapping[str, CrmDocument]
    owners: Mapping[str, CrmOwner]
    files: Mapping[str, StoredFile]
    collections: Mapping[str, str]
    """Collection id -> its name."""
    states: Mapping[str, DocumentState]
    collection_states: Mapping[str, CollectionState]
    queue: Mapping[str, StreamSummary]
    parked: Mapping[str, str]
    broken_egress_row: int | None
    undelivered_webhooks: int
    failed_hooks: int
    two_way: TwoWayPicture
    calendars: CalendarPicture

    def files_of(self, document_id: str) -> list[StoredFile]:
        """Every file at xAI that carries the document's token."""
        return [one for one in self.files.values() if one.name.startswith(f"{document_id}-")]

    @property
    def is_quiet(self) -> bool:
        """True if nothing is open anywhere: no webhook to be sent, no work waiting, in hand or due later."""
        is_open = any(one.waiting or one.leased or one.delayed for one in self.queue.values())
        return not (is_open or self.undelivered_webhooks)


@dataclass(frozen=True, slots=True)
class Camera:
    """Takes the picture; the URLs are the stand-ins' roots."""

    espocrm_url: str
    xai_url: str
    advoware_url: str
    google_url: str
    database: Database

    def take(self) -> Picture:
        """Raises httpx.HTTPError where a stand-in does not answer."""
        crm, xai, advoware, google = (
            httpx.get(f"{url}/sandbox/state", timeout=SECONDS).raise_for_status().json()
            for url in (self.espocrm_url, self.xai_url, self.advoware_url, self.google_url)
        )
        return self.database.read(lambda conn: self._read(conn, crm, xai, advoware, google))

    def _read(
        self,
        conn: Connection,
        crm: Mapping[str, Any],
        xai: Mapping[str, Any],
        advoware: Mapping[str, Any],
        google: Mapping[str, Any],
    ) -> Picture:
        parked = work_queue.parked(conn, "documents", limit=10_000)
        return Picture(
            documents=_documents(crm),
            owners=_owners(crm),
            files=_files(xai),
            collections={one["id"]: one["name"] for one in xai["collections"]},
            states={state.document_id: state for state in document_states.iterate(conn)},
            collection_states={state.owner_key: state for state in collection_states.iterate(conn)},
            queue=work_queue.summary(conn, self.database.now(conn)),
            parked={row.key: row.park_reason or "" for row in parked},
            broken_egress_row=egress.verify(conn),
            undelivered_webhooks=sum(not event["isProcessed"] for event in crm["webhookEvents"])
            + sum(item["status"] == "Pending" for item in crm["webhookQueue"]),
            failed_hooks=sum(item["status"] == "Failed" for item in crm["webhookQueue"])
            + sum(call["status"] not in (200, 202) for call in crm["linkHookCalls"]),
            two_way=read_two_way(conn, crm, advoware),
            calendars=read_calendars(conn, advoware, google),
        )


def _live(crm: Mapping[str, Any], entity_type: str) -> list[dict[str, Any]]:
    return [row for row in crm["records"].get(entity_type, []) if not row["deleted"]]


def _documents(crm: Mapping[str, Any]) -> dict[str, CrmDocument]:
    hashes = {one["id"]: one["sha256"] for one in crm["attachments"]}
    live_owners = {name: {row["id"] for row in _live(crm, name)} for name in OWNER_LINKS}
    found: dict[str, CrmDocument] = {}
    for row in _live(crm, "CDokumente"):
        owners = {
            f"{name}:{owner_id}"
            for name, link in OWNER_LINKS.items()
            for owner_id in crm["links"].get(f"CDokumente.{link}", {}).get(row["id"], [])
            if owner_id in live_owners[name]
        }
        found[row["id"]] = CrmDocument(
            id=row["id"],
            title=row["name"],
            owners=frozenset(owners),
            content_sha256=hashes.get(row.get("dokumentId")),
            file_id=row.get("xaiId"),
            collections=frozenset(row.get("xaiCollections") or ()),
            md5=row.get("md5sum"),
            sha256=row.get("sha256"),
            synced_hash=row.get("xaiSyncedHash"),
            status=row.get("fileStatus"),
        )
    return found


def _owners(crm: Mapping[str, Any]) -> dict[str, CrmOwner]:
    found = [
        CrmOwner(
            key=f"{name}:{row['id']}",
            title=row["name"],
            collection_id=row.get("xaiCollectionId"),
            is_permitted=bool(
                row.get("kiFreigabe") and row.get("kiFreigabeReferenz") and row.get("kiFreigabeDatum")
            ),
        )
        for name in OWNER_LINKS
        for row in _live(crm, name)
    ]
    return {one.key: one for one in found}


def _files(xai: Mapping[str, Any]) -> dict[str, StoredFile]:
    statuses: dict[str, dict[str, str]] = {}
    for collection in xai["collections"]:
        for member in collection["members"]:
            statuses.setdefault(member["file_id"], {})[collection["id"]] = member["status"]
    return {
        one["id"]: StoredFile(one["id"], one["name"], one["sha256"], statuses.get(one["id"], {}))
        for one in xai["files"]
    }
