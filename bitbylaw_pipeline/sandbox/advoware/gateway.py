"""The vendor's side: the configurator that knows where a firm is reached, and the relay to the firm's connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bitbylaw_pipeline.sandbox.advoware.exchange import Answer, Refusal, Request, not_found
from bitbylaw_pipeline.sandbox.advoware.refusals import check_reachable
from bitbylaw_pipeline.sandbox.advoware.store import Store
from bitbylaw_pipeline.sandbox.advoware.token_service import TokenService

Resource = Callable[[Request, Sequence[str]], Answer]

_TOKEN_PATH = "/api/v1/Token"


class Gateway:
    """Everything below `/configurator`, `/security`, `/relay` and `/connector`."""

    def __init__(
        self, kanzlei: str, tokens: TokenService, store: Store, resources: Mapping[str, Resource]
    ) -> None:
        self._kanzlei = kanzlei
        self._tokens = tokens
        self._store = store
        self._resources = resources

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises Refusal."""
        _, root, path = request.path.split("/", 2) if request.path.count("/") > 1 else ("", "", "")
        path = f"/{path}"
        is_direct = self._store.switches.direct_connector
        if root == "configurator" and path == "/AdvonetConfigurator/api/Url":
            return self._where(request)
        # Below /relay too: the settings' short form has one address for gateway and relay.
        if root in ("security", "relay") and path == _TOKEN_PATH:
            return self._tokens.answer(request)
        if root == ("connector" if is_direct else "relay"):
            return self._call(request, path)
        raise not_found()

    def _where(self, request: Request) -> Answer:
        if request.query.get("Kanzlei") != self._kanzlei:
            raise not_found()
        root = f"http://{request.header(b'host')}"
        connector = f"{root}/connector/" if self._store.switches.direct_connector else None
        return Answer(
            {"relayUrl": f"{root}/relay/", "connectorUrl": connector, "securityGateway": f"{root}/security/"}
        )

    def _call(self, request: Request, path: str) -> Answer:
        scheme, _, token = request.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not self._tokens.is_valid(token.strip()):
            raise Refusal(401, {"Message": "Authorization has been denied for this request."})
        check_reachable(self._store.switches, self._store.clock.now())
        prefix = f"/{self._store.switches.path_prefix.strip('/')}/".replace("//", "/")
        if not path.startswith(prefix):
            raise not_found()
        name, *rest = path[len(prefix) :].split("/")
        resource = self._resources.get(name)
        if resource is None:
            raise not_found()
        return resource(request, rest)
