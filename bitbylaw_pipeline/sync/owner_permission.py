"""Whether an owner permits egress, as EspoCRM says it after a pass began: never a remembered answer.

Between the withdrawal of a permission and the owner's own pass files used to leave that the client had just forbidden
(docs/adr/0016).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.domain.document import Owner, OwnerKey, Permission
from bitbylaw_pipeline.domain.egress import EgressRule, judge, permitted_since
from bitbylaw_pipeline.domain.errors import NotFound, Permanent
from bitbylaw_pipeline.domain.termin_times import BERLIN

MOST_REMEMBERED = 4096
LONGEST_WAIT_SECONDS = 24 * 3600.0
_GONE = Permission(False, "gone")


def day_of(now: float) -> date:
    """The day in the firm at `now` (UTC epoch seconds)."""
    return datetime.fromtimestamp(now, UTC).astimezone(BERLIN).date()


def begins_in(owner: Owner, now: float) -> float | None:
    """Seconds until a permission begins that is dated in the future, a day at most; None without one.

    `now` is UTC epoch seconds. A date far in the future may be corrected: it is looked at once a day.
    """
    since = permitted_since(owner)
    if since is None or since <= day_of(now):
        return None
    return min(datetime.combine(since, time(0), BERLIN).timestamp() - now, LONGEST_WAIT_SECONDS)


def refuse_unreadable(owner: Owner) -> None:
    """Raises Permanent("field_missing") where the permission cannot be read: silent, it would look withdrawn."""
    if owner.missing_fields:
        raise Permanent(
            f"{owner.key.entity_type} shows us no {', '.join(owner.missing_fields)}, so nobody can say whether its "
            "documents may leave, and none does: make the fields in EspoCRM, let our role read them, or name the "
            "firm's own in COLLECTION_OWNERS.",
            system="espocrm",
            reason="field_missing",
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """`number` says when it began, counted together with the beginnings of passes."""

    number: int
    task: asyncio.Task[Permission]

    def serves(self, begun: int) -> bool:
        """True for a pass that began before it, unless it has failed."""
        is_lost = self.task.done() and (self.task.cancelled() or self.task.exception() is not None)
        return begun < self.number and not is_lost


@dataclass(slots=True)
class OwnerPermissions:
    """One reading of an owner serves every pass of this process that began before the reading did, and no other."""

    records: DocumentRecords
    rule: EgressRule
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _readings: dict[OwnerKey, _Reading] = field(default_factory=dict)

    def begin(self) -> int:
        """The mark of a pass that begins now; give it to `judge`."""
        return next(self._numbers)

    async def judge(
        self, owners: Iterable[OwnerKey], *, begun: int, now: float
    ) -> dict[OwnerKey, Permission]:
        """What each owner permits, read after the pass began; `now` is UTC epoch seconds. No call but under `field`.

        An owner that is gone permits nothing. Raises the errors of `domain.errors`.
        """
        keys = sorted(set(owners))
        if self.rule is not EgressRule.FIELD:
            return dict.fromkeys(keys, Permission(self.rule is EgressRule.COLLECTION, self.rule.value))
        tasks = [self._reading(key, begun, now).task for key in keys]
        # Shielded: the pass that began the reading may be cancelled, the others wait for it all the same.
        found = await asyncio.gather(*(asyncio.shield(task) for task in tasks))
        return dict(zip(keys, found, strict=True))

    def _reading(self, key: OwnerKey, begun: int, now: float) -> _Reading:
        known = self._readings.pop(key, None)
        if known is None or not known.serves(begun):
            task = asyncio.create_task(self._read(key, day_of(now)))
            task.add_done_callback(_look_at)
            known = _Reading(next(self._numbers), task)
        self._readings[key] = known  # at the end: the first is the one that was asked for longest ago
        if len(self._readings) > MOST_REMEMBERED:
            del self._readings[next(iter(self._readings))]
        return known

    async def _read(self, key: OwnerKey, today: date) -> Permission:
        try:
            return judge(await self.records.load_owner(key), self.rule, today)
        except NotFound:
            return _GONE


def _look_at(task: asyncio.Task[Permission]) -> None:
    # Nobody may be waiting any more, and asyncio complains of an error that was never looked at.
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
