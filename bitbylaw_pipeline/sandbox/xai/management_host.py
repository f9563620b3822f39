"""management-api.x.ai: authentication, rights, and the routes of collections (`facts/xai.md` 1, 3.1 to 3.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.exchange import send_body, send_json
from bitbylaw_pipeline.sandbox.xai.documents import Documents
from bitbylaw_pipeline.sandbox.xai.filters import Field, parse_filter
from bitbylaw_pipeline.sandbox.xai.management_objects import (
    COLLECTION_KEYS,
    collection_object,
    field_definition,
    field_definitions,
    listed_collection_object,
    snake_keys,
)
from bitbylaw_pipeline.sandbox.xai.paging import page_limit, sorted_page
from bitbylaw_pipeline.sandbox.xai.replies import ApiError, ManagementError
from bitbylaw_pipeline.sandbox.xai.requests import Request
from bitbylaw_pipeline.sandbox.xai.store import Collection, Store, rfc3339

ENDPOINTS = (
    "CreateCollection",
    "ListCollections",
    "GetCollectionMetadata",
    "UpdateCollection",
    "DeleteCollection",
    "UploadDocument",
    "ListDocuments",
    "BatchGetDocuments",
    "AddFileToCollection",
    "GetDocumentMetadata",
    "ReIndexDocument",
    "RemoveDocumentFromCollection",
)
_FILTER_FIELDS = {
    "collection_id": Field("exact", lambda row: row.id),
    "collection_name": Field("partial", lambda row: row.name),
    "created_at": Field("time", lambda row: row.created_at),
    "documents_count": Field("number", lambda row: len(row.members)),
}
_SORT_KEYS: dict[str, Callable[[Collection], Any]] = {
    "COLLECTIONS_SORT_BY_NAME": lambda row: (row.name, row.seq),
    "COLLECTIONS_SORT_BY_AGE": lambda row: (row.created_at, row.seq),
}
_Handler = Callable[[Request], Awaitable[dict[str, Any]]]
_Methods = dict[str, tuple[str, _Handler]]


class ManagementHost:
    """The ASGI app of management-api.x.ai."""

    def __init__(self, store: Store, management_key: str) -> None:
        self.store = store
        self.management_key = management_key
        self.documents = Documents(store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._authenticate(request)
            template, endpoint, handler = self._route(request)
            scope["sandbox.route"] = template
            if endpoint in self.store.switches.denied_endpoints:
                raise ManagementError(7, f"The management key lacks team-token:endpoint:{endpoint}.")
            await send_json(send, 200, await handler(request))
        except ApiError as refusal:
            await request.drain()
            if isinstance(refusal.payload, str):
                plain = [(b"content-type", b"text/plain; charset=utf-8")]
                await send_body(send, refusal.status, plain, refusal.payload.encode())
            else:
                await send_json(send, refusal.status, refusal.payload)

    def _authenticate(self, request: Request) -> None:
        key, state = request.bearer(), self.store.switches.management_key_state
        if key is None:
            raise ManagementError(16, "No management key in the Authorization header.")
        if key != self.management_key or state == "invalid":
            raise ManagementError(16, "The management key is invalid.")
        if state == "no_permission" and request.segments[-1] != "validation":
            raise ManagementError(7, "The management key has no permission for this endpoint.")

    def _route(self, request: Request) -> tuple[str, str, _Handler]:
        """Route template, name of the right, handler."""
        template, methods = self._methods(request.segments)
        if request.method not in methods:
            # grpc-gateway answers an unsupported method with Unimplemented.
            raise ManagementError(12, "Method Not Allowed")
        return (template, *methods[request.method])

    def _methods(self, segments: list[str]) -> tuple[str, _Methods]:
        documents = self.documents
        match segments:
            case ["v1", "collections"]:
                return "/v1/collections", {
                    "POST": ("CreateCollection", self._create),
                    "GET": ("ListCollections", self._list),
                }
            case ["v1", "collections", _]:
                return "/v1/collections/{id}", {
                    "GET": ("GetCollectionMetadata", self._get),
                    "PUT": ("UpdateCollection", self._put),
                    "DELETE": ("DeleteCollection", self._delete),
                }
            case ["v1", "collections", _, "documents"]:
                return "/v1/collections/{id}/documents", {
                    "POST": ("UploadDocument", documents.upload),
                    "GET": ("ListDocuments", documents.list),
                }
            case ["v1", "collections", _, "documents:batchGet"]:
                return "/v1/collections/{id}/documents:batchGet", {
                    "GET": ("BatchGetDocuments", documents.batch_get)
                }
            case ["v1", "collections", _, "documents", _]:
                return "/v1/collections/{id}/documents/{id}", {
                    "POST": ("AddFileToCollection", documents.attach),
                    "GET": ("GetDocumentMetadata", documents.get),
                    "PATCH": ("ReIndexDocument", documents.reindex),
                    "DELETE": ("RemoveDocumentFromCollection", documents.remove),
                }
            case ["auth", "management-keys", "validation"]:
                return "/auth/management-keys/validation", {"GET": ("", self._key_record)}
            case _:
                raise ManagementError(5, "Not Found")

    async def _key_record(self, _: Request) -> dict[str, Any]:
        denied = self.store.switches.denied_endpoints
        return {
            "apiKeyId": "sandbox-management-key",
            "scope": "SCOPE_TEAM",
            "scopeId": self.store.switches.management_team,
            "acls": [f"team-token:endpoint:{name}" for name in ENDPOINTS if name not in denied],
            "name": "sandbox",
            "createTime": rfc3339(self.store.clock.now()),
        }

    async def _body(self, request: Request) -> dict[str, Any]:
        try:
            data = await request.json()
        except ValueError as error:
            raise ManagementError(3, str(error)) from None
        reject = self.store.switches.unknown_keys == "rejected"
        return snake_keys(data, COLLECTION_KEYS, reject_unknown=reject)

    async def _create(self, request: Request) -> dict[str, Any]:
        body = await self._body(request)
        name = body.get("collection_name")
        if not isinstance(name, str) or not name:
            raise ManagementError(3, "collection_name is required.")
        definitions = field_definitions(body.get("field_definitions") or [])
        collection = self.store.add_collection(name, body.get("collection_description"))
        collection.index_configuration = body.get("index_configuration") or {}
        collection.chunk_configuration = body.get("chunk_configuration") or {}
        collection.field_definitions = definitions
        return collection_object(collection)

    async def _list(self, request: Request) -> dict[str, Any]:
        query = request.query_value
        sort_key = _SORT_KEYS.get(query("sort_by") or "COLLECTIONS_SORT_BY_NAME")
        order = query("order") or "ORDERING_DESCENDING"
        token = query("pagination_token")
        after = (self.store.collections.get(token) or self.store.removed.get(token)) if token else None
        if sort_key is None or order not in ("ORDERING_ASCENDING", "ORDERING_DESCENDING"):
            raise ManagementError(3, "Unknown order or sort_by.")
        if token and after is None:
            raise ManagementError(3, "Invalid pagination token.")
        try:
            limit = page_limit(query("limit"))
            chosen = parse_filter(query("filter"), _FILTER_FIELDS) if query("filter") else None
        except ValueError as error:
            raise ManagementError(3, str(error)) from None
        store = self.store
        rows = [row for row in store.collections.values() if store.is_listed(row)]
        rows = [row for row in rows if chosen is None or chosen(row)]
        descending = order == "ORDERING_DESCENDING"
        page, more = sorted_page(rows, key=sort_key, descending=descending, after=after, limit=limit)
        answer: dict[str, Any] = {"collections": [listed_collection_object(row) for row in page]}
        if more:
            answer["pagination_token"] = page[-1].id
        return answer

    def _collection(self, request: Request) -> Collection:
        return self.documents.collection(request.segments[2])

    async def _get(self, request: Request) -> dict[str, Any]:
        return collection_object(self._collection(request))

    async def _put(self, request: Request) -> dict[str, Any]:
        collection = self._collection(request)
        body = await self._body(request)
        definitions = _updated_definitions(collection, body.get("field_definition_updates") or [])
        if body.get("collection_name"):
            collection.name = str(body["collection_name"])
        if "collection_description" in body:
            collection.description = body["collection_description"]
        if body.get("chunk_configuration"):
            collection.chunk_configuration = body["chunk_configuration"]
        gone = set(collection.field_definitions) - set(definitions)
        collection.field_definitions = definitions
        for member in collection.members.values():
            member.fields = {key: value for key, value in member.fields.items() if key not in gone}
        return collection_object(collection)

    async def _delete(self, request: Request) -> dict[str, Any]:
        self.store.drop_collection(self._collection(request))
        return {}


def _updated_definitions(collection: Collection, updates: Any) -> dict[str, dict[str, Any]]:
    """The definitions after the updates; adding a new required field is refused (`facts/xai.md` 3.4)."""
    definitions = dict(collection.field_definitions)
    if not isinstance(updates, list):
        raise ManagementError(3, "field_definition_updates must be a list.")
    for update in updates:
        known = {"field_definition", "operation"}
        item = snake_keys(update, known, reject_unknown=False) if isinstance(update, dict) else {}
        definition = field_definition(item.get("field_definition"))
        match item.get("operation"):
            case "FIELD_DEFINITION_ADD":
                if definition["required"] and definition["key"] not in definitions:
                    raise ManagementError(3, "A new field cannot be required in an existing collection.")
                definitions[definition["key"]] = definition
            case "FIELD_DEFINITION_DELETE":
                definitions.pop(definition["key"], None)
            case _:
                raise ManagementError(3, "Unknown field definition operation.")
    return definitions
