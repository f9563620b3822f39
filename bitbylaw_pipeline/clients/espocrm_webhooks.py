"""EspoCRM's own webhooks: which are registered, and registering them (`facts/espocrm.md` 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.clients.espocrm_lists import Lists
from bitbylaw_pipeline.clients.espocrm_paths import record_path
from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.domain.errors import NotFound


@dataclass(frozen=True, slots=True)
class Webhook:
    """One registration; `secret_key` signs what EspoCRM sends to `url`."""

    id: str
    event: str
    url: str
    is_active: bool
    skips_own: bool
    secret_key: str = field(repr=False)


class Webhooks(Lists):
    """Registrations of the API user whose key we hold: it sees no others."""

    system: System

    async def list_webhooks(self) -> list[Webhook]:
        """All of ours."""
        pages = self.iterate_records("Webhook", select=())
        return [_webhook(row) async for rows in pages for row in rows]

    async def create_webhook(self, event: str, url: str, *, skip_own: bool = False) -> Webhook:
        """Registers `{EntityType}.{create|update|delete}` for `url`.

        EspoCRM registers the same twice and then delivers twice: look at `list_webhooks` first, also after
        OutcomeUnknown. From 9.3.2 a private address is refused (FieldRefused with rule "notInternal").
        """
        answer = await self.system.call(
            "POST",
            "/Webhook",
            json={"event": event, "url": url, "skipOwn": skip_own},
            operation="create_webhook",
            ok=(200, 201),
            creates=True,
        )
        answer.text("id")
        return _webhook(answer.mapping())

    async def update_webhook(self, webhook_id: str, values: Mapping[str, Any]) -> Webhook:
        """Sets `url` or `isActive`; the event of a webhook cannot be changed."""
        answer = await self.system.call(
            "PUT",
            record_path("Webhook", webhook_id),
            json=values,
            operation="update_webhook",
            subject=webhook_id,
        )
        return _webhook(answer.mapping())

    async def delete_webhook(self, webhook_id: str) -> None:
        """Removes a registration; fine where it is gone."""
        try:
            await self.system.call(
                "DELETE",
                record_path("Webhook", webhook_id),
                operation="delete_webhook",
                subject=webhook_id,
            )
        except NotFound:
            return


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return Webhook(
        id=str(row.get("id") or ""),
        event=str(row.get("event") or ""),
        url=str(row.get("url") or ""),
        is_active=row.get("isActive") is True,
        skips_own=row.get("skipOwn") is True,
        secret_key=str(row.get("secretKey") or ""),
    )
