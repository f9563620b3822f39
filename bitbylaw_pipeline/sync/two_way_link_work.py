"""One link under work: what is known of it, what comes of it, and the steps that all its changes are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, RateLimited, SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Guard, Hold, Link, LinkState, Policy, Record
from bitbylaw_pipeline.domain.two_way_plan import GONE, UNKNOWN, Presence, SideFacts
from bitbylaw_pipeline.domain.two_way_state import Changes, Decision, Seen
from bitbylaw_pipeline.sync.two_way_adapter import Adapter
from bitbylaw_pipeline.sync.two_way_report import LinkResult
from bitbylaw_pipeline.sync.two_way_store import LinkStore

WRITE_ORDER = (Side.RIGHT, Side.LEFT)
NOT_EXECUTED = (Permanent, AuthFailed, RateLimited)
"""Errors after which a write has certainly not landed."""


@dataclass(slots=True)
class DeleteCount:
    """How many deletes a run has planned by side; `ceiling` is what a person has approved."""

    guard: Guard
    links: int
    ceiling: Mapping[Side, int]
    planned: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))

    def withholds(self, side: Side) -> bool:
        """True if that many are too many."""
        count = self.planned[side]
        return count > self.ceiling[side] and self.guard.withholds(count, self.links)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every pass of a run works with."""

    adapters: Mapping[Side, Adapter]
    facts: Mapping[Side, SideFacts]
    policy: Policy
    store: LinkStore
    new_nonce: Callable[[], str]
    seen: Mapping[Side, Seen]
    decisions: Mapping[str, Mapping[str, Decision]]
    now: float
    lease_seconds: float
    deletes: DeleteCount


@dataclass(slots=True)
class LinkWork:
    """One link under work. `presence` is what is known of both sides; it is renewed where a write was overtaken."""

    bench: Bench
    link: Link
    presence: dict[Side, Presence]
    result: LinkResult
    holds: list[Hold] = field(default_factory=list)
    overtaken_by: int = 0
    """How often a record was not what the write was planned on."""

    @property
    def policy(self) -> Policy:
        """The policy for this very record."""
        left, right = self.presence[Side.LEFT], self.presence[Side.RIGHT]
        if isinstance(left, Record):
            return self.bench.policy.of(left.fields)
        if self.link.base_left or not isinstance(right, Record):
            return self.bench.policy.of(self.link.base_left)
        return self.bench.policy.of(right.fields)

    async def store(self, link: Link, **changes: Any) -> None:
        """Commits the link, with the other `changes` of the same transaction; raises LinkChanged if overtaken."""
        (self.link,) = await self.bench.store.commit(Changes(links=(link,), **changes))
        self.result.link = self.link

    def hold(self, why: str, digest: str = "", *, is_notice: bool = False) -> None:
        """Leaves the link to a person; `digest` is that of the values that it is about."""
        self.result.held.append(why)
        self.holds.append(Hold(self.link.link_id, why, self.link.link_id, is_notice=is_notice, digest=digest))

    def fail(self, error: SyncError) -> None:
        """The error is what the link's run ends with."""
        self.result.error = error

    def digest(self, value: Any) -> str:
        """The store's digest of the value; what JSON lacks counts as its text."""
        return self.bench.store.digest(json.dumps(value, sort_keys=True, default=str))

    def decisions(self) -> Mapping[str, Decision]:
        """What a person has decided about this link, by the hold's reason."""
        return self.bench.decisions.get(self.link.link_id, {})

    def records(self) -> tuple[Record, Record]:
        """Left and right, where both are planned as present."""
        return self.record(Side.LEFT), self.record(Side.RIGHT)

    def record(self, side: Side) -> Record:
        """That side's record, where it is planned as present."""
        found = self.presence[side]
        assert isinstance(found, Record)  # noqa: S101  # planned as present
        return found

    def lease_until(self) -> float:
        """Until when an intent begun now is taken for work in progress (UTC, seconds)."""
        return self.bench.now + self.bench.lease_seconds

    def state_after(self, fail_count: int) -> LinkState:
        """The link's state once it has failed so often."""
        if fail_count >= self.bench.policy.quarantine_after:
            return LinkState.QUARANTINED
        return self.link.state

    async def look_again(self) -> None:
        """Renews what is known of both sides; an error ends up in the result."""
        for side in Side:
            record_id = self.link.id(side)
            if record_id is None:
                continue
            try:
                found = await self.bench.adapters[side].get(record_id)
            except SyncError as error:
                self.presence[side] = UNKNOWN
                self.fail(error)
                continue
            self.presence[side] = GONE if found is None else found if found.is_in_scope else UNKNOWN
