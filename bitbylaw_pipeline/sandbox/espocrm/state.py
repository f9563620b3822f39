"""`GET /sandbox/state`: everything a stand-in holds, for tests that compare both sides."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.sandbox.espocrm.system import Espo

_OWN_TABLES = frozenset(
    {
        "User",
        "Team",
        "Webhook",
        "WebhookEventQueueItem",
        "WebhookQueueItem",
        "ActionHistoryRecord",
        "Attachment",
        "Note",
    }
)


def snapshot(espo: Espo, entities: list[str] | None = None) -> dict[str, Any]:
    """All records with deleted ones, links, attachments by hash, webhooks and their queue.

    `entities` limits the records to these types.
    """
    tables = espo.store.tables
    names = [name for name in tables if name not in _OWN_TABLES and (entities is None or name in entities)]
    return {
        "version": espo.version,
        "now": espo.store.now(),
        "records": {name: list(tables[name].rows.values()) for name in names},
        "links": espo.store.link_tables(),
        "attachments": [_attachment(espo, row) for row in tables["Attachment"].rows.values()],
        "users": [
            {"id": user.id, "userName": user.user_name, "type": user.type, "isActive": user.is_active}
            for user in espo.users.values()
        ],
        "webhooks": list(tables["Webhook"].rows.values()),
        "webhookEvents": list(tables["WebhookEventQueueItem"].rows.values()),
        "webhookQueue": list(tables["WebhookQueueItem"].rows.values()),
        "linkHookCalls": list(espo.link_hook_log),
        "config": espo.config,
    }


def _attachment(espo: Espo, row: dict[str, Any]) -> dict[str, Any]:
    blob = espo.store.blobs.get(row["id"])
    shown = {
        key: row.get(key) for key in ("id", "name", "type", "size", "deleted", "relatedType", "relatedId")
    }
    return {**shown, "sha256": blob.sha256() if blob is not None else None}
