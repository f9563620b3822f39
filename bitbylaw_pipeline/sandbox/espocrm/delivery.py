"""The job "Process Webhook Queue": events become queue items, items become HTTP requests (`facts/espocrm.md` 11)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bitbylaw_pipeline.sandbox.espocrm import access, webhooks
from bitbylaw_pipeline.sandbox.espocrm.answers import encode_text
from bitbylaw_pipeline.sandbox.espocrm.php import timestamp
from bitbylaw_pipeline.sandbox.espocrm.schema import Row
from bitbylaw_pipeline.sandbox.espocrm.system import Espo

DONE, RETRY, LOST, GONE = "success", "retried", "failed_final", "webhook_removed"
_RETRIED_STATUSES = frozenset({401, 403, 404, 405, 408, 500, 503})
_NOT_SENT = ("User-Agent", "Accept-Encoding")


def outcome_of_status(status: int, release: tuple[int, ...]) -> str:
    """What becomes of the items after an answer with this status."""
    if status == 410:
        return GONE
    if status in _RETRIED_STATUSES:
        return RETRY
    if 200 <= status < 300 or (300 <= status < 400 and release < (10,)):
        return DONE
    return LOST


def outcome_of_error(error: Exception, release: tuple[int, ...]) -> str:
    """What becomes of the items when no answer came. `release` is the server's version."""
    if isinstance(error, TimeoutError):
        return RETRY
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RETRY if release < (9, 3) else LOST
    # 10.0 retries neither a refused nor a broken connection (`facts/espocrm.md` 0.1).
    return RETRY if release < (10,) else LOST


class WebhookJob:
    """Runs the queue of one stand-in; two runs never overlap."""

    def __init__(self, espo: Espo) -> None:
        self._espo = espo
        self._lock = asyncio.Lock()

    async def run(self) -> dict[str, Any]:
        """One run: 20 events, then up to 50 items per webhook, webhook after webhook."""
        async with self._lock:
            taken = self._take_events()
            sent: list[dict[str, Any]] = []
            for webhook_id in self._due_webhooks():
                result = await self._send_group(webhook_id)
                if result is not None:
                    sent.append(result)
            return {"events": taken, "sent": sent, "waiting": self.waiting()}

    def waiting(self) -> int:
        """Events not taken yet plus items not delivered yet."""
        items = self._espo.store.tables["WebhookQueueItem"].rows.values()
        pending = [item for item in items if item["status"] == "Pending"]
        return len(self._espo.unprocessed_events) + len(pending)

    def _take_events(self) -> int:
        espo = self._espo
        portion: int = min(espo.config["webhookQueueEventPortionSize"], len(espo.unprocessed_events))
        hooks = [row for row in espo.store.tables["Webhook"].all_live() if row["isActive"]]
        for _ in range(portion):
            event = espo.store.tables["WebhookEventQueueItem"].rows.get(espo.unprocessed_events.popleft())
            if event is None:
                continue
            event["isProcessed"] = True
            for hook in hooks:
                if hook["event"] == event["event"] and not self._is_own(hook, event):
                    self._add_item(hook, event)
        return portion

    @staticmethod
    def _is_own(hook: Row, event: Row) -> bool:
        return bool(hook["skipOwn"] and hook.get("userId") and hook["userId"] == event["userId"])

    def _add_item(self, hook: Row, event: Row) -> None:
        store = self._espo.store
        target = {key: event[key] for key in ("event", "data", "targetId", "targetType", "targetName")}
        empty = {"processedAt": None, "processAt": None, "webhookName": None}
        values = {**target, **empty, "createdAt": store.now(), "status": "Pending", "attempts": 0}
        store.add_system_row("WebhookQueueItem", {**values, "webhookId": hook["id"]})

    def _due(self, webhook_id: str | None = None) -> list[Row]:
        now = self._espo.store.now()
        return [
            item
            for item in self._espo.store.tables["WebhookQueueItem"].rows.values()
            if item["status"] == "Pending"
            and (webhook_id is None or item["webhookId"] == webhook_id)
            and (item["processAt"] is None or item["processAt"] <= now)
        ]

    def _due_webhooks(self) -> list[str]:
        # Rows are in the order of their numbers, so that the first item of each webhook decides its turn.
        ids = dict.fromkeys(item["webhookId"] for item in self._due())
        return list(ids)[: self._espo.config["webhookQueuePortionSize"]]

    async def _send_group(self, webhook_id: str) -> dict[str, Any] | None:
        items = self._due(webhook_id)[: self._espo.config["webhookBatchSize"]]
        hook = self._espo.store.live("Webhook", webhook_id)
        if hook is None or not hook["isActive"]:
            for item in items:
                self._drop(item)
            return None
        bodies = [(item, body) for item in items if (body := self._body(hook, item)) is not None]
        if not bodies:
            return None
        status, outcome = await self._send(hook, [body for _, body in bodies])
        self._settle(hook, [item for item, _ in bodies], outcome)
        shown = {"webhookId": webhook_id, "event": hook["event"], "items": len(bodies)}
        return {**shown, "status": status, "outcome": outcome}

    def _body(self, hook: Row, item: Row) -> dict[str, Any] | None:
        """The item's body without what its owner may not read; None (and gone) if the owner may read nothing."""
        espo = self._espo
        row = espo.store.tables[item["targetType"]].rows.get(item["targetId"])
        owner = espo.users.get(hook.get("userId") or "")
        schema = espo.store.schemas[item["targetType"]]
        readable = owner is None or (row is not None and access.allows_record(owner, schema, row, "read"))
        if row is None or not readable:
            self._drop(item)
            return None
        hidden = access.hidden_attributes(owner, schema, "read") if owner else frozenset[str]()
        return {key: value for key, value in item["data"].items() if key not in hidden}

    async def _send(self, hook: Row, bodies: list[dict[str, Any]]) -> tuple[int | None, str]:
        espo = self._espo
        release = espo.release
        if release >= (9, 3, 2) and webhooks.is_refused_target(espo, hook["url"]):
            return None, LOST
        if release >= (10,) and espo.config["webhookIpLiteralCrash"] and _is_ip_literal(hook["url"]):
            raise RuntimeError("CURLOPT_RESOLVE option must have an array value")
        payload = encode_text(bodies).encode()
        timeout = aiohttp.ClientTimeout(
            total=espo.config["webhookTimeout"], sock_connect=espo.config["webhookConnectTimeout"]
        )
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=timeout,
                    skip_auto_headers=_NOT_SENT if release < (10,) else (*_NOT_SENT, "Accept"),
                ) as session,
                session.post(
                    hook["url"], data=payload, headers=_headers(hook, payload, release), allow_redirects=False
                ) as response,
            ):
                return response.status, outcome_of_status(response.status, release)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, outcome_of_error(error, release)
        except ValueError:
            # Not a URL at all: curl reports failure, the item is kept in 9.2 and lost later on.
            return None, RETRY if release < (9, 3) else LOST

    def _settle(self, hook: Row, items: list[Row], outcome: str) -> None:
        if outcome == GONE:
            for item in self._espo.store.tables["WebhookQueueItem"].rows.copy().values():
                if item["webhookId"] == hook["id"] and item["status"] == "Pending":
                    self._drop(item)
            hook["deleted"] = True
            webhooks.refresh_events(self._espo)
            return
        for item in items:
            item["attempts"] += 1
            if outcome == DONE:
                item |= {"status": "Success", "processedAt": self._espo.store.now()}
            elif outcome == LOST or item["attempts"] >= self._espo.config["webhookMaxAttemptNumber"]:
                item |= {"status": "Failed", "processAt": None}
            else:
                later = self._espo.clock.now() + self._espo.config["webhookFailAttemptPeriodSeconds"]
                item["processAt"] = timestamp(later)

    def _drop(self, item: Row) -> None:
        self._espo.store.tables["WebhookQueueItem"].rows.pop(item["id"], None)


def signatures(hook_id: str, secret_key: str, payload: bytes) -> tuple[str, str]:
    """The values of `Signature` (hex digest) and `X-Signature` (raw digest) over the raw body."""
    digest = hmac.new(secret_key.encode(), payload, hashlib.sha256)
    named = f"{hook_id}:".encode()
    new = base64.b64encode(named + digest.hexdigest().encode()).decode()
    return new, base64.b64encode(named + digest.digest()).decode()


def _headers(hook: Row, payload: bytes, release: tuple[int, ...]) -> dict[str, str]:
    new, old = signatures(hook["id"], hook["secretKey"], payload)
    headers = {"Content-Type": "application/json", "Signature": new, "X-Signature": old}
    return headers if release < (10,) else {"User-Agent": "GuzzleHttp/7", **headers}


def _is_ip_literal(url: str) -> bool:
    try:
        return bool(ipaddress.ip_address(urlsplit(url).hostname or ""))
    except ValueError:
        return False
