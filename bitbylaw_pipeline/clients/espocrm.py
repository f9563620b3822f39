"""EspoCRM's REST API as one API user sees it (`facts/espocrm.md`).

Nothing here knows what the firm's records mean; `espocrm_documents` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from bitbylaw_pipeline.clients import espocrm_refusals
from bitbylaw_pipeline.clients.espocrm_attachments import Attachments
from bitbylaw_pipeline.clients.espocrm_metadata import Metadata, TextCache
from bitbylaw_pipeline.clients.espocrm_records import Records
from bitbylaw_pipeline.clients.espocrm_webhooks import Webhooks
from bitbylaw_pipeline.clients.http import CallRecord, System
from bitbylaw_pipeline.settings import Settings

_API = "/api/v1"


@dataclass(frozen=True, slots=True)
class AppUser:
    """Who our key belongs to: `rights` is EntityType -> action -> level ("all", "own", "no", "yes")."""

    id: str
    server_version: str | None
    rights: Mapping[str, Mapping[str, str]]
    has_webhooks: bool = True
    """False where the role has not the scope Webhook."""

    def may(self, action: str, entity_type: str) -> bool:
        """True if the role allows it for every record of that type.

        Asked before anything is inferred from a record's absence: with fewer rights records vanish from lists.
        """
        return self.rights.get(entity_type, {}).get(action) in ("all", "yes")


class EspoCrm(Records, Attachments, Webhooks):
    """Records, links, lists, the change feed, files, webhooks, metadata. One per process and event loop."""

    def __init__(self, system: System, metadata: Metadata | None = None) -> None:
        self.system = system
        self._metadata = metadata or Metadata(system)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        cache: TextCache | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> EspoCrm:
        """The client that the settings describe; `clock` is UTC epoch seconds. Raises SettingsError."""
        settings.require("espocrm_api_base_url", "espocrm_api_key")
        address = settings.espocrm_api_base_url
        system = System(
            "espocrm",
            address if address.endswith(_API) else address + _API,
            {"X-Api-Key": settings.espocrm_api_key.get_secret_value()},
            timeout=settings.espocrm_api_timeout_seconds,
            max_concurrency=settings.espocrm_max_concurrency,
            transport=transport,
            judge=espocrm_refusals.judge,
            on_call=on_call,
            clock=clock,
        )
        return cls(system, Metadata(system, cache, settings.espocrm_metadata_ttl_seconds, clock))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.system.aclose()

    async def app_user(self) -> AppUser:
        """Who we are to EspoCRM and what we may do; AuthFailed if the key is not (or no longer) good."""
        answer = await self.system.call("GET", "/App/user", operation="app_user")
        data = answer.mapping()
        user, settings, acl = (_mapping(data.get(key)) for key in ("user", "settings", "acl"))
        rights = {
            entity_type: {action: str(level) for action, level in row.items()}
            for entity_type, row in _mapping(acl.get("table")).items()
            if isinstance(row, dict)
        }
        version = settings.get("version")
        return AppUser(
            str(user.get("id") or ""),
            version if isinstance(version, str) else None,
            rights,
            # A right without levels: true or false.
            bool(_mapping(acl.get("table")).get("Webhook", True)),
        )

    async def probe(self) -> None:
        """One cheap read that any working EspoCRM answers; raises what the client raises."""
        await self.system.call("GET", "/App/user", operation="probe")

    async def metadata(self, key: str, *, fresh: bool = False) -> Any:
        """EspoCRM's description of itself at a dotted key such as `entityDefs.CDokumente`, None where there is none.

        Kept for ESPOCRM_METADATA_TTL_SECONDS; `fresh` asks anew.
        """
        return await self._metadata.get(key, fresh=fresh)

    def record_url(self, entity_type: str, record_id: str) -> str:
        """Where a person sees the record in EspoCRM's own interface."""
        return f"{self.system.base_url.removesuffix(_API)}/#{entity_type}/view/{record_id}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
