"""The control routes that only this stand-in has (`docs/sandbox-google.md`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.types import Scope, Send

from bitbylaw_pipeline.sandbox.exchange import send_json
from bitbylaw_pipeline.sandbox.google.calls import own_url
from bitbylaw_pipeline.sandbox.google.channels import deliver

if TYPE_CHECKING:
    from bitbylaw_pipeline.sandbox.google.app import GoogleSandbox


Query = dict[str, str]
Route = Callable[[Query, Any], object]


class ControlApi:
    """Answers `/sandbox/...`."""

    def __init__(self, sandbox: GoogleSandbox) -> None:
        self._sandbox = sandbox
        self._routes = self._plain_routes()

    async def answer(self, scope: Scope, body: bytes, send: Send) -> None:
        """One control request: 200 with JSON, 400 or 404 with one sentence."""
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        name = (scope["method"], scope["path"].removeprefix("/sandbox/"))
        try:
            data = json.loads(body) if body.strip() else None
            if name == ("POST", "push"):
                answer: object = await self._push(data or {})
            elif name == ("GET", "service-account"):
                answer = self._sandbox.service_account_info(own_url(scope))
            else:
                route = self._routes.get(name)
                if route is None:
                    await send_json(send, 404, {"error": "There is no such control route."})
                    return
                with self._sandbox.lock:
                    answer = route(query, data)
        except ValueError as error:
            await send_json(send, 400, {"error": str(error)})
        else:
            await send_json(send, 200, answer)

    async def _push(self, data: Any) -> object:
        """Take the waiting messages; with `deliver` (true, or a URL) send them too."""
        with self._sandbox.lock:
            messages = self._sandbox.channels.take()
        target = _object(data).get("deliver")
        if not target:
            return {"messages": messages}
        return {"delivered": await deliver(messages, target if isinstance(target, str) else "")}

    def _requests(self, query: Query, _: Any) -> object:
        journal = self._sandbox.journal
        chosen = journal.select(int(query.get("since", 0)), query.get("operation", ""), query.get("user", ""))
        return {"total": journal.total, "entries": chosen}

    def _set_switches(self, _: Query, data: Any) -> object:
        self._sandbox.switches.update(_object(data))
        return self._sandbox.switches.as_json()

    def _reset(self, _: Query, __: Any) -> object:
        self._sandbox.reset()
        return {}

    def _plain_routes(self) -> dict[tuple[str, str], Route]:
        sandbox = self._sandbox
        return {
            ("GET", "requests"): self._requests,
            ("GET", "operations"): lambda _, __: sandbox.journal.counts(),
            ("GET", "state"): lambda _, __: sandbox.state(),
            ("GET", "mails"): lambda _, __: sandbox.store.mails,
            ("POST", "seed"): lambda _, data: sandbox.seed(_object(data)),
            ("POST", "edits"): lambda _, data: sandbox.edit(data),
            ("POST", "reset"): self._reset,
            ("GET", "switches"): lambda _, __: sandbox.switches.as_json(),
            ("POST", "switches"): self._set_switches,
            ("GET", "scripts"): lambda _, __: sandbox.scripts.as_json(),
            ("POST", "scripts"): lambda _, data: {"ids": sandbox.scripts.add(data)},
            ("DELETE", "scripts"): lambda _, __: {"removed": sandbox.scripts.clear()},
            ("GET", "tokens"): lambda _, __: {"valid": sandbox.tokens.valid()},
            ("POST", "tokens"): lambda _, __: {"revoked": sandbox.tokens.revoke()},
            ("GET", "push"): lambda _, __: sandbox.channels.as_json(),
        }


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("Send a JSON object.")
    return data
