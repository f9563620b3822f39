"""The seed document that `GET /sandbox/seed` shows: every key once."""

from __future__ import annotations

from typing import Any

EXAMPLE: dict[str, Any] = {
    "reset": True,
    "model": "kanzlei",
    "entities": {
        "CDokumente": {
            "fields": {"vermerk": {"type": "varchar", "maxLength": 50}},
            "linkMultipleFields": ["rumungsklages"],
            "optimisticConcurrencyControl": True,
            "duplicateCheckFieldList": ["xaiId"],
        }
    },
    "users": [
        {"userName": "leser", "type": "api", "apiKey": "leser-key", "acl": {"CDokumente": {"read": "all"}},
         "fieldAcl": {"CDokumente": {"sha256": {"read": "no", "edit": "no"}}}}
    ],
    "attachments": [
        {"id": "6b02a1efbed120d8c", "name": "klage.txt", "type": "text/plain", "contentBase64": "S2xhZ2U="},
        {"id": "6b02a1efbed120d8d", "name": "gross.txt", "type": "text/plain", "size": 48000000, "fill": "1"},
    ],
    "records": {
        "CVmhRumungsklage": [{"id": "6b02a0dd6bb97434d", "name": "Räumungsklage Beispielstraße 5"}],
        "CDokumente": [
            {"id": "6b02a0dd1a3b9b634", "name": "Klage", "dokumentId": "6b02a1efbed120d8c",
             "rumungsklagesIds": ["6b02a0dd6bb97434d"]}
        ],
    },
    "config": {"webhookPeriodSeconds": 120, "webhookAllowedAddressList": ["127.0.0.1:3111"]},
    "webhooks": [{"event": "CDokumente.update", "url": "http://127.0.0.1:3111/vmh/webhook/document/update"}],
    "linkHooks": {"url": "http://127.0.0.1:3111/vmh/webhook/entity", "header": "X-Webhook-Secret", "secret": "s"},
}  # fmt: skip
