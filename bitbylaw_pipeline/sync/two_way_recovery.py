"""What became of an operation whose end nobody saw: asked of the system before anything new is planned.

(`facts/two_way_sync.md` 1.6.) The base becomes what we sent, never what stands there now: somebody may have edited it
since, and that edit must still be seen as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from bitbylaw_pipeline.domain.three_way import Fields, Side
from bitbylaw_pipeline.domain.two_way_link import Intent, Link, LinkState, Observation, Policy, Record, Write
from bitbylaw_pipeline.domain.two_way_state import Changes, Seen
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_store import LinkStore

log = structlog.get_logger(__name__)


class Unsettled(Exception):
    """It cannot be told yet; the link must not be planned."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def with_advances(link: Link, intent: Intent, landed: frozenset[Side]) -> Link:
    """The link with the bases of every unit all of whose writes have landed.

    A unit advances as a whole or not at all: moved piece by piece, a crash between the sides flips the winner.
    """
    left, right = dict(link.base_left), dict(link.base_right)
    for advance in intent.advances:
        if set(advance.writes) <= landed:
            left |= advance.left
            right |= advance.right
    return replace(link, base_left=left, base_right=right)


class Recovery:
    """Settles open intents of one pair."""

    def __init__(self, adapters: Mapping[Side, Adapter], store: LinkStore, policy: Policy) -> None:
        self._adapters = adapters
        self._store = store
        self._policy = policy

    async def settle(
        self,
        link: Link,
        observed: Mapping[Side, Observation],
        seen: Mapping[Side, Seen],
        linked: Mapping[Side, frozenset[str]],
    ) -> Link | None:
        """The link without its intent, stored; None if it is gone with it (a create that never landed).

        Raises Unsettled, the errors of the systems, and LinkChanged.
        """
        intent = link.intent
        assert intent is not None  # noqa: S101  # the caller's condition
        match intent.op:
            case "create":
                return await self._settle_create(link, intent, observed, seen, linked)
            case "update":
                settled = await self._settled_update(link, intent)
            case "delete":
                settled = await self._settled_delete(link, intent)
            case _:
                raise Unsettled("unknown_operation")
        (stored,) = await self._store.commit(Changes(links=(replace(settled, intent=None, lease_until=0.0),)))
        return stored

    async def _settle_create(
        self,
        link: Link,
        intent: Intent,
        observed: Mapping[Side, Observation],
        seen: Mapping[Side, Seen],
        linked: Mapping[Side, frozenset[str]],
    ) -> Link | None:
        side = intent.side
        assert side is not None  # noqa: S101  # a create always has one
        record_id = await self._created_id(intent, side, observed, seen, linked)
        if record_id is None:
            if link.has_base or link.state is not LinkState.PENDING:
                # Its key is not burnt: tried again under another one, a create that lands late would be a second.
                again = replace(link, intent=None, lease_until=0.0, gen=max(link.gen - 1, 0))
                (stored,) = await self._store.commit(Changes(links=(again,)))
                return stored
            await self._store.commit(Changes(removed=(link,)))
            return None
        made = created_link(link, intent, side, record_id, intent.payload)
        (stored,) = await self._store.commit(Changes(links=(made,)))
        return stored

    async def _created_id(
        self,
        intent: Intent,
        side: Side,
        observed: Mapping[Side, Observation],
        seen: Mapping[Side, Seen],
        linked: Mapping[Side, frozenset[str]],
    ) -> str | None:
        adapter = self._adapters[side]
        if adapter.capabilities.client_key or adapter.capabilities.marker:
            taken = await adapter.find_by_key(intent.key)
            return taken.id if taken else None
        shows_nothing = not observed[side].items and not observed[side].withheld
        if not observed[side].complete or (shows_nothing and len(linked[side]) >= 2):
            # What a partial look does not show may still be there: making it again would double it.
            raise Unsettled("create_unsettled")
        found = [
            record.id
            for record in observed[side].items.values()
            if record.id not in linked[side]
            and seen[side].first.get(record.id, 0) > intent.seen
            and self._is_equal(record, intent)
        ]
        if len(found) > 1:
            raise Unsettled("ambiguous_create")
        return found[0] if found else None

    def _is_equal(self, record: Record, intent: Intent) -> bool:
        canonical = {name: self._policy.field(name).canonical for name in intent.payload}
        return all(
            name in record.fields and canonical[name](record.fields[name]) == canonical[name](value)
            for name, value in intent.payload.items()
        )

    async def _settled_update(self, link: Link, intent: Intent) -> Link:
        landed = set()
        for side, write in intent.writes.items():
            if write.is_done or await self._has_landed(link, side, write):
                landed.add(side)
        return with_advances(link, intent, frozenset(landed))

    async def _has_landed(self, link: Link, side: Side, write: Write) -> bool:
        adapter, record_id = self._adapters[side], link.id(side)
        record = await adapter.get(record_id) if record_id is not None else None
        if record is None:
            return False
        if adapter.capabilities.marker:
            return record.nonce == write.nonce
        policies = {name: self._policy.field(name) for name in write.patch}
        if all(
            name in record.fields
            and policy.canonical(record.fields[name]) == policy.canonical(write.patch[name])
            for name, policy in policies.items()
        ):
            return True
        if write.version is None or record.version != write.version:
            log.warning("ambiguous_write", link=link.link_id, side=side.value)
        return False

    async def _settled_delete(self, link: Link, intent: Intent) -> Link:
        side = intent.side
        assert side is not None  # noqa: S101  # a delete always has one
        record_id = link.id(side)
        if record_id is None or await self._adapters[side].get(record_id) is None:
            return replace(link, state=LinkState.TOMBSTONE)
        return replace(link, archive={})


def created_link(link: Link, intent: Intent, side: Side, record_id: str, held: Fields) -> Link:
    """The link once its counterpart exists on `side` and holds `held`; the intent is done."""
    made = replace(link, state=LinkState.ACTIVE, intent=None, lease_until=0.0, refusals={}, archive={})
    return made.with_side(side.other, base=intent.source).with_side(side, record_id=record_id, base=held)
