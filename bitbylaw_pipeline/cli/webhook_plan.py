"""Which webhooks EspoCRM must have, and what to change where it has others. Pure.

EspoCRM registers the same event and address twice without a word and then delivers twice (`facts/espocrm.md` 11).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.screen import WARNING, WRONG
from bitbylaw_pipeline.cli.two_way_model import two_way_types
from bitbylaw_pipeline.clients.espocrm_webhooks import Webhook
from bitbylaw_pipeline.settings import Settings

AREA = "webhooks"
ACTIONS = ("create", "update", "delete")
APPLY = "run bitbylaw setup-espocrm --apply."


@dataclass(frozen=True, slots=True)
class WebhookNeed:
    """One event of one entity type, and the address that it must go to."""

    event: str
    path: str
    url: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done: create, update (`values`), remember (store its secret here), or remove a double."""

    kind: str
    event: str
    url: str
    webhook: Webhook | None = None
    values: Mapping[str, Any] | None = None


def webhook_needs(settings: Settings, entity_types: Iterable[str]) -> list[WebhookNeed]:
    """The webhooks for these entity types (those that the server has), at RECEIVER_PUBLIC_URL."""
    words = {settings.document_fields.entity_type: "document"}
    words |= {owner.entity_type: owner.word for owner in settings.collection_owners}
    # A party may own collections, too: one registration then serves both flows.
    words = {**two_way_types(settings), **words}
    return [
        WebhookNeed(f"{name}.{action}", path, settings.receiver_public_url + path)
        for name in entity_types
        for action in ACTIONS
        for path in (f"/vmh/webhook/{words[name]}/{action}",)
    ]


def plan_webhooks(
    needs: Sequence[WebhookNeed], registered: Sequence[Webhook], remembered: Iterable[str]
) -> list[Change]:
    """The changes that bring EspoCRM's webhooks, and the secrets stored here (ids `remembered`), to what is needed."""
    known = set(remembered)
    changes: list[Change] = []
    for need in needs:
        ours = _ours(need, registered)
        if not ours:
            changes.append(Change("create", need.event, need.url))
            continue
        kept, *doubles = ours
        wrong: dict[str, Any] = {}
        if kept.url != need.url:
            wrong["url"] = need.url
        if not kept.is_active:
            wrong["isActive"] = True
        if not kept.skips_own:
            wrong["skipOwn"] = True
        if wrong:
            changes.append(Change("update", need.event, need.url, kept, wrong))
        if kept.id not in known:
            changes.append(Change("remember", need.event, need.url, kept))
        changes += [
            Change("remove", need.event, double.url, double) for double in doubles if double.url == need.url
        ]
    return changes


def check_webhooks(
    needs: Sequence[WebhookNeed], registered: Sequence[Webhook], remembered: Iterable[str]
) -> list[Finding]:
    """The same comparison as lines for a person."""
    changes = plan_webhooks(needs, registered, remembered)
    troubled = {change.event for change in changes}
    well = [need for need in needs if need.event not in troubled]
    found = [fine(AREA, f"{len(well)} of {len(needs)} are registered as they should be.")] if well else []
    for (level, says), events in groupby(
        sorted((_judge(change), change.event) for change in changes), itemgetter(0)
    ):
        found.append(Finding(AREA, level, f"{says}: {', '.join(event for _, event in events)}.", APPLY))
    for need in needs:
        others = [one for one in _ours(need, registered)[1:] if one.url != need.url]
        if others:
            found.append(
                odd(
                    AREA,
                    f"{need.event} also goes to another receiver ({len(others)} registrations with the same path).",
                    "remove them in EspoCRM if that receiver is no longer used.",
                )
            )
    return found


def _judge(change: Change) -> tuple[str, str]:
    """(level, what is the matter)"""
    match change.kind:
        case "create":
            return WARNING, "not registered, so that only the change feed and the nightly sweep bring them"
        case "remember":
            return WRONG, "registered, but their secret is not stored here, so that they are answered 401"
        case "remove":
            return WARNING, "registered more than once, and sent as often"
        case _:
            values = change.values or {}
            if "url" in values:
                return WRONG, "sent to another address than RECEIVER_PUBLIC_URL"
            if "isActive" in values:
                return WARNING, "switched off in EspoCRM"
            return WARNING, "also report what we ourselves write"


def _ours(need: WebhookNeed, registered: Sequence[Webhook]) -> list[Webhook]:
    """The registrations of the event at our path, whichever the host; those at the right address first."""
    fitting = [
        one for one in registered if one.event == need.event and urlsplit(one.url).path.endswith(need.path)
    ]
    return sorted(fitting, key=lambda one: (one.url != need.url, not one.is_active, one.id))


def check_address(url: str, version: str | None, addresses: Iterable[str]) -> list[Finding]:
    """The traps of EspoCRM's versions for a receiver's address; `addresses` are what its host resolves to here."""
    parts = urlsplit(url)
    release = _release(version)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found: list[Finding] = []
    if _is_ip(parts.hostname or "") and release[:2] == (10, 0):
        found.append(
            bad(
                AREA,
                f"EspoCRM {version} stops its whole webhook queue at an address without a name (10.0.0).",
                "give the receiver a DNS name and use it in RECEIVER_PUBLIC_URL.",
            )
        )
    if release >= (9, 3, 2) and any(not ipaddress.ip_address(one).is_global for one in addresses):
        found.append(
            odd(
                AREA,
                f"RECEIVER_PUBLIC_URL is an address of the own network, which EspoCRM {version} refuses by itself.",
                f"put 'webhookAllowedAddressList' => ['{parts.hostname}:{port}'] into its data/config-internal.php.",
            )
        )
    return found


def _release(version: str | None) -> tuple[int, ...]:
    parts = (version or "").split("-")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
