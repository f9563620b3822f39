"""The stand-in of Advoware: configurator, security gateway, relay and connector of one firm on one port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.sandbox.advoware.akten import Akten, Mitarbeiter
from bitbylaw_pipeline.sandbox.advoware.beteiligte import Beteiligte
from bitbylaw_pipeline.sandbox.advoware.exchange import Refusal, Request, send_answer
from bitbylaw_pipeline.sandbox.advoware.gateway import Gateway
from bitbylaw_pipeline.sandbox.advoware.row_forms import SUB_FORMS
from bitbylaw_pipeline.sandbox.advoware.seeding import Seeding
from bitbylaw_pipeline.sandbox.advoware.store import Store
from bitbylaw_pipeline.sandbox.advoware.switches import Switches
from bitbylaw_pipeline.sandbox.advoware.termine import Termine
from bitbylaw_pipeline.sandbox.advoware.token_service import (
    ROLE,
    THIRD_PARTY_PRODUCT,
    Credentials,
    TokenService,
)
from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.control import SandboxControl
from bitbylaw_pipeline.sandbox.exchange import send_json
from bitbylaw_pipeline.sandbox.faults import Faults
from bitbylaw_pipeline.sandbox.ledger import Ledger


class AdvowareSandbox:
    """The ASGI app: `/configurator`, `/security`, `/relay`, `/connector` and `/sandbox` (`docs/sandbox-advoware.md`)."""

    def __init__(
        self,
        switches: Mapping[str, Any] | None = None,
        *,
        credentials: Credentials | None = None,
        clock: SandboxClock | None = None,
    ) -> None:
        self._initial = dict(switches or {})
        self.credentials = credentials or Credentials()
        self.clock = clock or SandboxClock()
        self.ledger = Ledger()
        self.faults = Faults()
        self.switches = Switches()
        self.switches.update(self._initial)
        self.store = Store(self.clock, self.switches)
        self.tokens = TokenService(self.credentials, self.clock, self.switches)
        beteiligte = Beteiligte(self.store)
        akten, mitarbeiter, termine = Akten(self.store), Mitarbeiter(self.store), Termine(self.store)
        adders = {"mitarbeiter": mitarbeiter.seed, "akten": akten.seed, "termine": termine.seed}
        self._seeding = Seeding(self.store, beteiligte, adders)
        resources = {
            "Beteiligte": beteiligte.answer,
            "Akten": akten.answer,
            "Mitarbeiter": mitarbeiter.answer,
            "Termine": termine.answer_general,
            "TermineActiveSync": termine.answer_active_sync,
        }
        self._gateway = Gateway(self.credentials.kanzlei, self.tokens, self.store, resources)
        self._controlled = SandboxControl(
            self._app, name="advoware", clock=self.clock, ledger=self.ledger, faults=self.faults
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._controlled(scope, receive, send)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = await Request.read(scope, receive)
        if request.path.startswith("/sandbox/"):
            await self._control(request, send)
            return
        try:
            answer = self._gateway.answer(request)
        except Refusal as refusal:
            answer = refusal.answer
        await send_answer(send, answer)

    async def _control(self, request: Request, send: Send) -> None:
        try:
            match request.method, request.path:
                case "GET", "/sandbox/switches":
                    answer: object = self.switches.as_json()
                case "POST", "/sandbox/switches":
                    self.switches.update(_object(request.control_json()))
                    answer = self.switches.as_json()
                case "POST", "/sandbox/reset":
                    self.reset()
                    answer = {}
                case "GET", "/sandbox/state":
                    answer = self.state()
                case "POST", "/sandbox/seed":
                    answer = self.seed(_object(request.control_json()))
                case "POST", "/sandbox/edits":
                    answer = self.edit(request.control_json())
                case "GET", "/sandbox/tokens":
                    answer = {"valid": self.tokens.valid()}
                case "POST", "/sandbox/tokens":
                    answer = {"revoked": self.tokens.revoke()}
                case _:
                    await send_json(send, 404, {"error": "There is no such control route."})
                    return
        except ValueError as error:
            await send_json(send, 400, {"error": str(error)})
        else:
            await send_json(send, 200, answer)

    def reset(self) -> None:
        """Back to the state after creation: no rows, tokens or faults, an empty ledger, first switches, wall time."""
        self.store.clear()
        self.tokens.clear()
        self.ledger.clear()
        self.faults.clear()
        self.clock.reset()
        self.switches.update({**Switches().as_json(), **self._initial})

    def seed(self, document: Mapping[str, Any]) -> dict[str, int]:
        """Add rows (see `Seeding.seed`); with `reset` after emptying the tables. Raises ValueError."""
        return self._seeding.seed(document)

    def edit(self, edits: Any) -> list[Any]:
        """What a user does in Advoware itself (see `Seeding.edit`). Raises ValueError."""
        return self._seeding.edit(edits)

    def state(self) -> dict[str, Any]:
        """Everything stored, and what the token service was asked."""
        store = self.store
        return {
            "beteiligte": [
                {
                    **party.row,
                    **{name: list(party.rows(name).values()) for name in SUB_FORMS},
                }
                for party in store.beteiligte.values()
            ],
            "akten": list(store.akten.values()),
            "mitarbeiter": list(store.mitarbeiter.values()),
            "termine": list(store.termine.values()),
            "tokens": {
                "given": self.tokens.given,
                "refused": self.tokens.refused,
                "wrong_passwords": dict(self.tokens.wrong_passwords),
            },
        }

    def settings(self, url: str) -> dict[str, str]:
        """The settings, by the names of their fields, that make a client talk to this stand-in at `url`."""
        known = self.credentials
        return {
            "advoware_configurator_url": f"{url}/configurator",
            "advoware_app_id": known.app_id,
            "advoware_api_key": known.api_key,
            "advoware_kanzlei": known.kanzlei,
            "advoware_database": known.database,
            "advoware_user": known.user,
            "advoware_password": known.password,
            "advoware_role": ROLE,
            "advoware_product": THIRD_PARTY_PRODUCT,
        }


def create_app(switches: Mapping[str, Any] | None = None, **more: Any) -> AdvowareSandbox:
    """A fresh stand-in without rows; `switches` as in `switches.Switches`, `more` as for `AdvowareSandbox`."""
    return AdvowareSandbox(switches, **more)


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("Send a JSON object.")
    return data


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
