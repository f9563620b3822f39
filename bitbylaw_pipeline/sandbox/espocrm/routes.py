"""Which function answers which request: EspoCRM's routes under /api/v1/ as a small table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from bitbylaw_pipeline.sandbox.espocrm import (
    access,
    attachments,
    links,
    mass_action,
    metadata_api,
    open_api,
    records,
    search,
    search_params,
    stream,
    webhooks,
)
from bitbylaw_pipeline.sandbox.espocrm.answers import Answer, ApiError, Composer, PhpCrash, forbidden
from bitbylaw_pipeline.sandbox.espocrm.authentication import authenticate
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, Request, User

_PREFIX = "/api/v1/"
_READ_ONLY_ENTITIES = frozenset(
    {"User", "Team", "Note", "ActionHistoryRecord", "WebhookQueueItem", "WebhookEventQueueItem"}
)
_ADMIN_ENTITIES = frozenset({"WebhookQueueItem", "WebhookEventQueueItem"})
_METHODS_BY_DEPTH = {
    1: ("GET", "POST"),
    2: ("GET", "PUT", "PATCH", "DELETE"),
    3: ("GET", "POST", "DELETE"),
}
_WITH_PUT = frozenset({"subscription", "starSubscription"})
# Routes that are no controllers: their errors come with PHP's default content type, text/html.
_ACTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("App", "user"): ("GET",),
    ("MassAction",): ("POST",),
    ("GlobalStream",): ("GET",),
    ("OpenApi",): ("GET",),
}
_ATTACHMENT_ACTIONS = {"file": "GET", "copy": "POST"}
_FIRST_OPEN_API = (9, 3)

Handler = Callable[["Call"], Any]


class Call:
    """One authenticated request on its way to its handler."""

    __slots__ = ("espo", "parts", "request", "schema", "user")

    def __init__(
        self, espo: Espo, request: Request, user: User, parts: list[str], schema: EntitySchema
    ) -> None:
        self.espo, self.request, self.user, self.parts, self.schema = espo, request, user, parts, schema

    def data(self) -> dict[str, Any]:
        """The JSON body; a body that is no object counts as empty, malformed JSON is an empty 500."""
        return parsed_body(self.request)

    def search(self) -> search_params.SearchParams:
        """The list parameters."""
        return search_params.parse(self.espo, self.request)


def parsed_body(request: Request) -> dict[str, Any]:
    """The JSON object in a request; without the JSON content type a body is ignored (`facts/espocrm.md` 1)."""
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" or not request.body:
        return {}
    try:
        value = json.loads(request.body)
    except ValueError:
        raise ApiError(500) from None
    return value if isinstance(value, dict) else {}


class Routes:
    """Answers API requests of one stand-in."""

    def __init__(self, espo: Espo, composer: Composer) -> None:
        self._espo = espo
        self._composer = composer

    def answer(self, request: Request) -> Answer:
        """Route, authenticate, handle; every error becomes the answer that the real server gives."""
        espo, now = self._espo, self._espo.clock.now()
        parts = request.path[len(_PREFIX) :].split("/")
        methods, action = self._methods(parts)
        if not methods:
            text = "The requested resource could not be found. Please verify the URI and try again."
            return self._composer.slim_page(now, 404, "404 Not Found", text)
        if request.method not in methods:
            text = "The request method is not supported for the requested resource."
            page = self._composer.slim_page(now, 405, "405 Method Not Allowed", text)
            page.headers.append((b"allow", ", ".join(methods).encode()))
            return page
        controller = not action
        try:
            user = authenticate(espo, request)
            if parts[0] == "Attachment" and len(parts) == 3 and parts[1] == "file":
                row, blob = attachments.download(espo, user, parts[2])
                return self._composer.download(now, blob, row.get("type"), row["name"])
            value = self._special(request, user, parts) if action else self._entity(request, user, parts)
            is_new_webhook = request.method == "POST" and parts == ["Webhook"]
            return self._composer.json(now, value, 201 if is_new_webhook else 200)
        except ApiError as error:
            return self._composer.error(now, error, controller=controller)
        except PhpCrash:
            text = "A website error has occurred. Sorry for the temporary inconvenience."
            return self._composer.slim_page(now, 500, "Slim Application Error", text)

    def _methods(self, parts: list[str]) -> tuple[tuple[str, ...], bool]:
        """The methods of a route (none: no such route) and whether it is an action rather than a controller."""
        if not all(parts):
            return (("GET",), True) if parts == [""] else ((), False)
        key = tuple(parts)
        if key == ("OpenApi",) and self._espo.release < _FIRST_OPEN_API:
            return ("GET", "POST"), False
        if key in _ACTIONS:
            return _ACTIONS[key], True
        if parts[0] == "Attachment" and len(parts) == 3 and parts[1] in _ATTACHMENT_ACTIONS:
            return (_ATTACHMENT_ACTIONS[parts[1]],), True
        if len(parts) == 3 and parts[1] == "action":
            return ("GET", "POST", "PUT"), False
        if len(parts) == 3 and parts[2] in _WITH_PUT:
            return ("GET", "POST", "PUT", "DELETE"), False
        return _METHODS_BY_DEPTH.get(len(parts), ()), False

    def _special(self, request: Request, user: User, parts: list[str]) -> Any:
        espo = self._espo
        match parts:
            case [""]:
                return "EspoCRM REST API"
            case ["App", "user"]:
                return metadata_api.app_user(espo, user)
            case ["MassAction"]:
                return mass_action.mass_action(espo, user, parsed_body(request), request.client)
            case ["GlobalStream"]:
                return stream.of_all(espo, user, search_params.parse(espo, request))
            case ["OpenApi"]:
                return open_api.open_api(espo, user)
            case ["Attachment", "copy", attachment_id]:
                return attachments.copy(espo, user, attachment_id, parsed_body(request))
            case _:
                raise ApiError(404, "")

    def _entity(self, request: Request, user: User, parts: list[str]) -> Any:
        espo, name = self._espo, parts[0]
        if parts == ["Metadata"]:
            key = parse_qs(request.query.decode("latin-1")).get("key")
            return metadata_api.metadata(espo, user, key[0] if key else None)
        if parts == ["Stream"]:
            return stream.of_user(espo, user, search_params.parse(espo, request))
        schema = espo.store.schemas.get(name)
        if schema is None:
            raise ApiError(404, f"Controller '{name}' does not exist.")
        call = Call(espo, request, user, parts, schema)
        if name == "Webhook":
            return _webhook(call)
        if name == "Attachment" and len(parts) < 3:
            return _attachment(call)
        if name in _ADMIN_ENTITIES and not user.is_admin:
            raise forbidden(f"No access to '{name}'.")
        if name in _READ_ONLY_ENTITIES and request.method != "GET":
            raise forbidden()
        return _HANDLERS[min(len(parts), 3)](call)


def _list(call: Call) -> Any:
    access.require_scope(call.user, call.schema.name, "read")
    # EspoCRM does not count its action history: the total is -1 or -2.
    uncounted = call.schema.name == "ActionHistoryRecord"
    return search.find(call.espo, call.user, call.schema, call.search(), count_disabled=uncounted)


def _collection(call: Call) -> Any:
    if call.request.method == "GET":
        return _list(call)
    return records.create(call.espo, call.user, call.schema, call.data(), call.request)


def _record(call: Call) -> Any:
    espo, user, schema, request, record_id = call.espo, call.user, call.schema, call.request, call.parts[1]
    match request.method:
        case "GET":
            return records.read(espo, user, schema, record_id, request.client)
        case "DELETE":
            return records.delete(espo, user, schema, record_id, request.client)
        case _:
            return records.update(espo, user, schema, record_id, call.data(), request)


def _below_record(call: Call) -> Any:
    espo, user, schema, method = call.espo, call.user, call.schema, call.request.method
    record_id, name = call.parts[1], call.parts[2]
    if record_id == "action":
        return _named_action(call, name)
    match method, name:
        case "GET", "stream" | "posts":
            return stream.of_record(espo, user, schema, record_id, call.search())
        case "GET", "followers":
            return stream.followers(espo, user, schema, record_id)
        case (("PUT" | "DELETE"), "subscription"):
            return stream.follow(espo, user, schema, record_id, followed=method == "PUT")
        case "GET", _:
            return links.list_linked(espo, user, schema, record_id, name, call.search())
        case "POST" | "DELETE", _:
            joined = method == "POST"
            return links.change_link(espo, user, schema, record_id, name, call.data(), joined=joined)
        case _:
            raise ApiError(404, f"Action {method} '{name}' does not exist in controller '{schema.name}'.")


def _named_action(call: Call, name: str) -> Any:
    if name == "restoreDeleted" and call.request.method == "POST":
        return records.restore(call.espo, call.user, call.schema, call.data())
    method, entity = call.request.method, call.schema.name
    raise ApiError(404, f"Action {method} '{name}' does not exist in controller '{entity}'.")


def _webhook(call: Call) -> Any:
    espo, user, request = call.espo, call.user, call.request
    webhooks.check_user(user)
    match request.method, call.parts:
        case "GET", [_]:
            return _list(call)
        case "POST", [_]:
            return webhooks.create(espo, user, call.data(), request)
        case "GET", [_, webhook_id]:
            return webhooks.read(espo, user, webhook_id)
        case (("PUT" | "PATCH"), [_, webhook_id]):
            return webhooks.update(espo, user, webhook_id, call.data())
        case "DELETE", [_, webhook_id]:
            return webhooks.delete(espo, user, webhook_id)
        case _:
            raise ApiError(404, "Link does not exist.")


def _attachment(call: Call) -> Any:
    espo, user, request = call.espo, call.user, call.request
    match request.method, call.parts:
        case "GET", [_]:
            attachments.check_listing(user)
            return _list(call)
        case "POST", [_]:
            return attachments.upload(espo, user, call.data(), request.client)
        case "GET", [_, attachment_id]:
            return attachments.read(espo, user, attachment_id, request.client)
        case "DELETE", [_, attachment_id]:
            return attachments.remove(espo, user, attachment_id, request.client)
        case _:
            return attachments.change(espo, user, call.parts[1], call.data(), request.client)


_HANDLERS: dict[int, Handler] = {1: _collection, 2: _record, 3: _below_record}
