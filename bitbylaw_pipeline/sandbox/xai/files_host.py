"""api.x.ai: the Files API, the key's own record, and a minimal search (`facts/xai.md` 1, 2, 5)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.exchange import send_body, send_json
from bitbylaw_pipeline.sandbox.xai import replies
from bitbylaw_pipeline.sandbox.xai.contents import filename_error, kind_of, sniffed_type
from bitbylaw_pipeline.sandbox.xai.filters import Field, parse_filter
from bitbylaw_pipeline.sandbox.xai.forms import Form, FormError, read_form
from bitbylaw_pipeline.sandbox.xai.paging import page_limit, sorted_page
from bitbylaw_pipeline.sandbox.xai.replies import ApiError, files_error
from bitbylaw_pipeline.sandbox.xai.requests import Request
from bitbylaw_pipeline.sandbox.xai.search import search
from bitbylaw_pipeline.sandbox.xai.store import Store, StoredFile

_MIN_LIFETIME, _MAX_LIFETIME = 3600, 2_592_000

_FILTER_FIELDS = {
    "name": Field("partial", lambda row: row.name),
    "file_name": Field("partial", lambda row: row.name),
    "file_id": Field("exact", lambda row: row.id),
    "size_bytes": Field("number", lambda row: row.size),
    "content_type": Field("partial", lambda row: row.content_type),
    "created_at": Field("time", lambda row: row.created_at),
    "expires_at": Field("time", lambda row: row.expires_at),
    "upload_status": Field("text", lambda _: "Complete"),
    "user_defined_id": Field("exact", lambda _: ""),
}
_SORT_KEYS: dict[str, Any] = {
    "created_at": lambda row: (row.created_at, row.seq),
    "filename": lambda row: (row.name, row.seq),
    "size": lambda row: (row.size, row.seq),
}
_Handler = Callable[[Request], Awaitable[dict[str, Any] | bytes]]


def file_object(stored: StoredFile) -> dict[str, Any]:
    """A file as this host shows it: integers, Unix seconds."""
    return {
        "id": stored.id,
        "object": "file",
        "bytes": stored.size,
        "created_at": int(stored.created_at),
        "expires_at": None if stored.expires_at is None else int(stored.expires_at),
        "filename": stored.name,
        "purpose": "",
    }


class FilesHost:
    """The ASGI app of api.x.ai."""

    def __init__(self, store: Store, api_key: str) -> None:
        self.store = store
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._authenticate(request)
            template, handlers = self._route(request)
            scope["sandbox.route"] = template
            if request.method not in handlers:
                raise files_error(405, "Method not allowed", "The method is not allowed for this resource.")
            answer = await handlers[request.method](request)
        except ApiError as refusal:
            await request.drain()
            await send_json(send, refusal.status, refusal.payload)
            return
        if isinstance(answer, bytes):
            await send_body(send, 200, [(b"content-type", b"application/octet-stream")], answer)
        else:
            await send_json(send, 200, answer)

    def _route(self, request: Request) -> tuple[str, dict[str, _Handler]]:
        """Route template, and handlers by method."""
        match request.segments:
            case ["v1", "files"]:
                return "/v1/files", {"POST": self._upload, "GET": self._list}
            case ["v1", "files", _]:
                return "/v1/files/{id}", {"GET": self._get, "DELETE": self._delete}
            case ["v1", "files", _, "content"]:
                return "/v1/files/{id}/content", {"GET": self._content}
            case ["v1", "documents", "search"]:
                return "/v1/documents/search", {"POST": self._search}
            case ["v1", "api-key"]:
                return "/v1/api-key", {"GET": self._key_record}
            case _:
                raise files_error(404, replies.NOT_FOUND, "The requested resource was not found.")

    def _authenticate(self, request: Request) -> None:
        key, state = request.bearer(), self.store.switches.api_key_state
        if key is None:
            raise files_error(
                401, replies.UNAUTHENTICATED, "No API key provided in the Authorization header."
            )
        if key != self.api_key or state == "invalid":
            # An invalid key is a 400 here, not a 401 (facts/xai.md 6).
            shown = f"{key[:2]}***{key[-2:]}"
            message = (
                f"Incorrect API key provided: {shown}. You can obtain an API key from https://console.x.ai."
            )
            raise files_error(400, replies.INVALID_ARGUMENT, message)
        if state != "ok" and request.segments != ["v1", "api-key"]:
            raise files_error(403, replies.NO_PERMISSION, f"The API key is refused: {state}.")

    async def _key_record(self, _: Request) -> dict[str, Any]:
        state = self.store.switches.api_key_state
        return {
            "redacted_api_key": f"{self.api_key[:2]}...{self.api_key[-2:]}",
            "name": "sandbox",
            "team_id": "sandbox-team",
            "acls": ["api-key:model:*", "api-key:endpoint:*"],
            "team_blocked": state == "team_blocked",
            "api_key_blocked": state == "blocked",
            "api_key_disabled": state == "disabled",
        }

    def _file(self, request: Request) -> StoredFile:
        stored = self.store.file(request.segments[2])
        if stored is None:
            raise files_error(404, replies.NOT_FOUND, "The requested file was not found.")
        return stored

    async def _get(self, request: Request) -> dict[str, Any]:
        return file_object(self._file(request))

    async def _upload(self, request: Request) -> dict[str, Any]:
        switches = self.store.switches
        refuse_without_credits(switches.credits_exhausted)
        request.body_read = True
        try:
            form = await read_form(
                request.receive,
                request.header(b"content-type"),
                file_part="file",
                max_bytes=switches.max_upload_bytes,
                keep_bytes=switches.keep_bytes,
            )
        except FormError as error:
            raise files_error(400, replies.INVALID_ARGUMENT, str(error)) from None
        if form.file_too_large:
            message = f"The file is larger than {switches.max_upload_bytes} bytes."
            raise files_error(413, "Payload too large", message)
        if form.file is None:
            raise files_error(400, replies.INVALID_ARGUMENT, "The form field 'file' is missing.")
        if error_text := filename_error(form.file.filename):
            raise files_error(400, replies.INVALID_ARGUMENT, error_text)
        if form.file.size == 0 and switches.zero_byte_upload == 400:
            raise files_error(400, replies.INVALID_ARGUMENT, "The file is empty.")
        kind = kind_of(form.file.head)
        declared = form.file.content_type or "application/octet-stream"
        sniff = switches.upload_content_type == "sniff"
        stored = self.store.add_file(
            name=form.file.filename,
            size=form.file.size,
            sha256=form.file.sha256,
            content_type=sniffed_type(kind, form.file.head) if sniff else declared,
            kind=kind,
            data=form.file.data,
            lifetime=_lifetime(form),
        )
        return file_object(stored)

    async def _list(self, request: Request) -> dict[str, Any]:
        switches, query = self.store.switches, request.query_value
        order = query("order") or switches.files_default_order
        sort_key = _SORT_KEYS.get(query("sort_by") or "created_at")
        if order not in ("asc", "desc") or sort_key is None:
            raise files_error(400, replies.INVALID_ARGUMENT, "Unknown order or sort_by.")
        try:
            limit = page_limit(query("limit"))
            chosen = parse_filter(query("filter"), _FILTER_FIELDS) if query("filter") else None
        except ValueError as error:
            raise files_error(400, replies.INVALID_ARGUMENT, str(error)) from None
        # Listed and not expired: file() drops what has expired, so the ids are copied first.
        present = [row for key in list(self.store.files) if (row := self.store.file(key)) is not None]
        rows = [row for row in present if self.store.is_listed(row) and (chosen is None or chosen(row))]
        page, more = sorted_page(
            rows, key=sort_key, descending=order == "desc", after=self._after(request), limit=limit
        )
        answer: dict[str, Any] = {"data": [file_object(row) for row in page]}
        if page and (more or switches.files_end_token == "always"):
            answer["pagination_token"] = page[-1].id
        return answer

    def _after(self, request: Request) -> Any:
        token = request.query_value("pagination_token") or request.query_value("after")
        if not token or self.store.switches.stuck_token:
            return None
        row = self.store.files.get(token) or self.store.removed.get(token)
        if row is None:
            raise files_error(400, replies.INVALID_ARGUMENT, "The pagination token is invalid.")
        return row

    async def _content(self, request: Request) -> bytes:
        stored = self._file(request)
        if stored.data is None:
            message = "The sandbox kept no bytes of this file (switch keep_bytes)."
            raise files_error(500, replies.INTERNAL, message)
        if request.query_value("format") == "text" and stored.kind != "text":
            raise files_error(400, replies.INVALID_ARGUMENT, "No text was extracted from this file.")
        return stored.data

    async def _delete(self, request: Request) -> dict[str, Any]:
        stored, mode = self._file(request), self.store.switches.delete_in_use
        if stored.collection_ids and mode == 500:
            raise files_error(500, replies.INTERNAL, "Failed to delete the file.")
        self.store.drop_file(stored, keep_memberships=mode == "dangling")
        return {"id": stored.id, "object": "file", "deleted": True}

    async def _search(self, request: Request) -> dict[str, Any]:
        try:
            return search(self.store, await request.json())
        except ValueError as error:
            raise files_error(400, replies.INVALID_ARGUMENT, str(error)) from None


def refuse_without_credits(mode: str | int) -> None:
    """Raise this host's refusal if the switch says that the team's credits are used up."""
    if mode == 429:
        raise files_error(429, replies.EXHAUSTED, replies.OUT_OF_CREDITS)
    if mode == 403:
        raise files_error(403, replies.NO_PERMISSION, replies.OUT_OF_CREDITS)


def _lifetime(form: Form) -> int | None:
    """The seconds until the file expires. The form `expires_after[...]` has to come before the file."""
    plain = form.texts.get("expires_after")
    anchored = form.texts.get("expires_after[seconds]")
    if plain is None and anchored is None:
        return None
    raw = plain if plain is not None else anchored or ""
    misplaced = plain is None and (
        "expires_after[seconds]" in form.late or form.texts.get("expires_after[anchor]") != "created_at"
    )
    if misplaced or not re.fullmatch(r"\d{1,9}", raw) or not _MIN_LIFETIME <= int(raw) <= _MAX_LIFETIME:
        raise files_error(400, replies.INVALID_ARGUMENT, "expires_after must be 3600 to 2592000 seconds.")
    return int(raw)
