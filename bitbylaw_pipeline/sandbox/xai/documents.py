"""Documents in collections: attach, one-shot upload, list, read, reindex, remove (`facts/xai.md` 3.7 to 3.13)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bitbylaw_pipeline.sandbox.xai import replies
from bitbylaw_pipeline.sandbox.xai.contents import filename_error, kind_of
from bitbylaw_pipeline.sandbox.xai.filters import Field, Predicate, parse_filter
from bitbylaw_pipeline.sandbox.xai.forms import Form, FormError, read_form
from bitbylaw_pipeline.sandbox.xai.management_objects import checked_fields, document_object
from bitbylaw_pipeline.sandbox.xai.paging import page_limit, sorted_page
from bitbylaw_pipeline.sandbox.xai.replies import ApiError, ManagementError
from bitbylaw_pipeline.sandbox.xai.requests import Request
from bitbylaw_pipeline.sandbox.xai.store import Collection, Membership, Store

_SORT_KEYS: dict[str, Callable[[Membership], Any]] = {
    "DOCUMENTS_SORT_BY_NAME": lambda row: (row.file.name, row.file.seq),
    "DOCUMENTS_SORT_BY_SIZE": lambda row: (row.file.size, row.file.seq),
    "DOCUMENTS_SORT_BY_AGE": lambda row: (row.file.created_at, row.file.seq),
}


class Documents:
    """Handlers; each takes a request and returns the JSON of its 200."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._filter_fields = {
            "name": Field("partial", lambda row: row.file.name),
            "content_type": Field("partial", lambda row: row.file.content_type),
            "size_bytes": Field("number", lambda row: row.file.size),
            "created_at": Field("time", lambda row: row.file.created_at),
            "status": Field("exact", lambda row: f"DOCUMENT_STATUS_{store.status(row)[0]}"),
        }

    def collection(self, collection_id: str) -> Collection:
        """The collection, or the refusal for a missing one."""
        found = self.store.collections.get(collection_id)
        if found is None:
            raise ManagementError(5, "Collection not found.")
        return found

    def _member(self, request: Request) -> tuple[Collection, Membership]:
        collection = self.collection(request.segments[2])
        member = collection.members.get(request.segments[4])
        if member is not None and member.file.expires_at is not None:
            self.store.file(member.file.id)
            member = collection.members.get(request.segments[4])
        if member is None:
            raise ManagementError(5, "Document not found.")
        return collection, member

    async def attach(self, request: Request) -> dict[str, Any]:
        """Put an uploaded file into the collection; indexing goes on by itself."""
        try:
            body = await request.json()
        except ValueError as error:
            raise ManagementError(3, str(error)) from None
        refuse_without_credits(self.store.switches.credits_exhausted)
        collection = self.collection(request.segments[2])
        file_id = request.segments[4]
        stored = self.store.file(file_id)
        if stored is None:
            raise ManagementError(5, "File not found.")
        fields = checked_fields(collection, body.get("fields"), file_id)
        if file_id in collection.members and self.store.switches.re_add == 409:
            raise ManagementError(6, "The file is already in the collection.")
        self.store.attach(collection, stored, fields)
        return {}

    async def upload(self, request: Request) -> dict[str, Any]:
        """Upload and attach in one call. Refusals of what was sent come as 500 with plain text, as they do live."""
        switches = self.store.switches
        if switches.one_shot_upload == "gone":
            raise ManagementError(12, "Method Not Allowed")
        refuse_without_credits(switches.credits_exhausted)
        request.body_read = True
        try:
            form = await read_form(
                request.receive,
                request.header(b"content-type"),
                file_part="data",
                max_bytes=switches.max_upload_bytes,
                keep_bytes=switches.keep_bytes,
            )
            return self._store_upload(request.segments[2], form)
        except FormError as error:
            raise _as_server_error(ManagementError(3, str(error))) from None
        except ManagementError as refusal:
            raise _as_server_error(refusal) from None

    def _store_upload(self, collection_id: str, form: Form) -> dict[str, Any]:
        if form.file_too_large:
            raise ApiError(413, "Payload Too Large")
        if form.file is None:
            raise ManagementError(3, "The form field 'data' is missing.")
        collection = self.collection(collection_id)
        name = form.texts.get("name") or form.file.filename
        if error_text := filename_error(name):
            raise ManagementError(3, error_text)
        try:
            raw_fields = json.loads(form.texts.get("fields") or "{}")
        except ValueError:
            raise ManagementError(3, "fields is not JSON.") from None
        fields = checked_fields(collection, raw_fields, "")
        stored = self.store.add_file(
            name=name,
            size=form.file.size,
            sha256=form.file.sha256,
            content_type=form.texts.get("content_type") or "application/octet-stream",
            kind=kind_of(form.file.head),
            data=form.file.data,
        )
        return document_object(self.store, self.store.attach(collection, stored, fields))

    async def list(self, request: Request) -> dict[str, Any]:
        """A page of the collection's documents."""
        collection, query = self.collection(request.segments[2]), request.query_value
        sort_key = _SORT_KEYS.get(query("sort_by") or "DOCUMENTS_SORT_BY_NAME")
        order = query("order") or "ORDERING_DESCENDING"
        if sort_key is None or order not in ("ORDERING_ASCENDING", "ORDERING_DESCENDING"):
            raise ManagementError(3, "Unknown order or sort_by.")
        try:
            limit, chosen = page_limit(query("limit")), self._filter(query("filter"), query("name"))
        except ValueError as error:
            raise ManagementError(3, str(error)) from None
        page, more = sorted_page(
            [row for row in collection.members.values() if chosen(row)],
            key=sort_key,
            descending=order == "ORDERING_DESCENDING",
            after=self._after(collection, query("pagination_token")),
            limit=limit,
        )
        answer: dict[str, Any] = {"documents": [document_object(self.store, row) for row in page]}
        if more:
            answer["pagination_token"] = page[-1].file.id
        return answer

    def _filter(self, text: str, name: str) -> Predicate:
        if not text:
            return lambda row: name.lower() in row.file.name.lower()

        def custom_field(key: str) -> Field | None:
            prefix, _, bare = key.partition(".")
            return Field("text", lambda row: row.fields.get(bare)) if prefix == "fields" and bare else None

        return parse_filter(text, self._filter_fields, custom_field)

    def _after(self, collection: Collection, token: str) -> Membership | None:
        if not token:
            return None
        if token in collection.members:
            return collection.members[token]
        stored = self.store.files.get(token) or self.store.removed.get(token)
        if stored is None or isinstance(stored, Collection):
            raise ManagementError(3, "Invalid pagination token.")
        return Membership(stored, {}, 0.0, 0.0)

    async def batch_get(self, request: Request) -> dict[str, Any]:
        """Several documents by `file_ids`; unknown ids are skipped."""
        members = self.collection(request.segments[2]).members
        ids = request.query.get("file_ids", [])
        return {"documents": [document_object(self.store, members[key]) for key in ids if key in members]}

    async def get(self, request: Request) -> dict[str, Any]:
        """One document; 404 if the file is not in the collection."""
        return document_object(self.store, self._member(request)[1])

    async def reindex(self, request: Request) -> dict[str, Any]:
        """Index anew; nothing else can be changed by it."""
        _, member = self._member(request)
        member.indexing_since = self.store.clock.now()
        return {}

    async def remove(self, request: Request) -> dict[str, Any]:
        """Take the file out of the collection."""
        collection = self.collection(request.segments[2])
        removed = self.store.detach(collection, request.segments[4])
        if not removed and self.store.switches.remove_nonmember == 404:
            raise ManagementError(5, "Document not found.")
        return {}


def refuse_without_credits(mode: str | int) -> None:
    """Raise this host's refusal if the switch says that the team's credits are used up."""
    if mode == 429:
        raise ManagementError(8, replies.OUT_OF_CREDITS)
    if mode == 403:
        raise ManagementError(7, replies.OUT_OF_CREDITS)


def _as_server_error(refusal: ManagementError) -> ApiError:
    name = replies.GRPC_NAMES.get(refusal.grpc_code, "Unknown")
    return ApiError(500, f"gRPC UploadDocument failed: rpc error: code = {name} desc = {refusal.message}")
