"""The stand-in of xAI: both hosts over one state, with switches, clock, ledger and faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control import SandboxControl
from bitbylaw_pipeline.sandbox.exchange import read_body, send_json
from bitbylaw_pipeline.sandbox.faults import Faults
from bitbylaw_pipeline.sandbox.ledger import Ledger
from bitbylaw_pipeline.sandbox.xai.files_host import FilesHost
from bitbylaw_pipeline.sandbox.xai.management_host import ManagementHost
from bitbylaw_pipeline.sandbox.xai.seeding import seed
from bitbylaw_pipeline.sandbox.xai.store import Store, rfc3339
from bitbylaw_pipeline.sandbox.xai.switches import Switches

API_KEY = "sandbox-xai-api-key"
MANAGEMENT_KEY = "sandbox-xai-management-key"


class XaiSandbox:
    """Both hosts. As an ASGI app itself it serves api.x.ai below `/api` and management-api.x.ai below `/management`.

    `files_app` and `management_app` are the hosts alone. All three share one store, clock, ledger and set of
    faults; paths in ledger and faults are without the prefix.
    """

    def __init__(
        self,
        switches: Mapping[str, Any] | None = None,
        *,
        api_key: str = API_KEY,
        management_key: str = MANAGEMENT_KEY,
        clock: SandboxClock | None = None,
    ) -> None:
        self._initial = dict(switches or {})
        self.api_key = api_key
        self.management_key = management_key
        self.clock = clock or SandboxClock()
        self.ledger = Ledger()
        self.faults = Faults()
        self.switches = Switches()
        self.switches.update(self._initial)
        self.store = Store(self.clock, self.switches)
        self.files_app = self._controlled("xai_files", FilesHost(self.store, api_key))
        self.management_app = self._controlled("xai_management", ManagementHost(self.store, management_key))

    def _controlled(self, name: str, host: ASGIApp) -> SandboxControl:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await _lifespan(receive, send)
            elif scope["path"].startswith("/sandbox/"):
                await self._control(scope, receive, send)
            else:
                await host(scope, receive, send)

        return SandboxControl(app, name=name, clock=self.clock, ledger=self.ledger, faults=self.faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/management/"):
                await self.management_app({**scope, "path": path[len("/management") :]}, receive, send)
                return
            if path.startswith("/api/"):
                scope = {**scope, "path": path[len("/api") :]}
        await self.files_app(scope, receive, send)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read_body(receive)
        try:
            match scope["method"], scope["path"]:
                case "GET", "/sandbox/switches":
                    answer: object = self.switches.as_json()
                case "POST", "/sandbox/switches":
                    changes = json.loads(raw)
                    if not isinstance(changes, dict):
                        raise ValueError("Send a JSON object of switches.")  # noqa: TRY301  # one answer for all that is wrong
                    self.switches.update(changes)
                    answer = self.switches.as_json()
                case "POST", "/sandbox/reset":
                    self.reset()
                    answer = {}
                case "POST", "/sandbox/seed":
                    answer = seed(self.store, json.loads(raw))
                case "GET", "/sandbox/state":
                    answer = self.state()
                case _:
                    await send_json(send, 404, {"error": "There is no such control route."})
                    return
        except ValueError as error:
            await send_json(send, 400, {"error": str(error)})
        else:
            await send_json(send, 200, answer)

    def reset(self) -> None:
        """Back to the state after creation: no data, no faults, an empty ledger, the first switches, wall time."""
        self.store.clear()
        self.ledger.clear()
        self.faults.clear()
        self.clock.reset()
        self.switches.update({**Switches().as_json(), **self._initial})

    def state(self) -> dict[str, Any]:
        """Everything stored, for a test or a table in a demo: what is where, and how far its indexing is."""
        store = self.store
        return {
            "files": [
                {
                    "id": stored.id,
                    "name": stored.name,
                    "size": stored.size,
                    "sha256": stored.sha256,
                    "content_type": stored.content_type,
                    "created_at": rfc3339(stored.created_at),
                    "collections": sorted(stored.collection_ids),
                }
                for stored in list(store.files.values())
            ],
            "collections": [
                {
                    "id": collection.id,
                    "name": collection.name,
                    "description": collection.description,
                    "created_at": rfc3339(collection.created_at),
                    "field_definitions": list(collection.field_definitions),
                    "members": [
                        {
                            "file_id": file_id,
                            "name": member.file.name,
                            "sha256": member.file.sha256,
                            "fields": member.fields,
                            "added_at": rfc3339(member.added_at),
                            "status": store.status(member)[0],
                            "error": store.status(member)[1],
                        }
                        for file_id, member in collection.members.items()
                    ],
                }
                for collection in store.collections.values()
            ],
        }


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app(
    switches: Mapping[str, Any] | None = None,
    *,
    api_key: str = API_KEY,
    management_key: str = MANAGEMENT_KEY,
    clock: SandboxClock | None = None,
) -> XaiSandbox:
    """A stand-in with the given switches (`switches.Switches`); raises ValueError for an unknown one."""
    return XaiSandbox(switches, api_key=api_key, management_key=management_key, clock=clock)
