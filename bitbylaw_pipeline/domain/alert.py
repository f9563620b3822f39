"""What a person has to be told without asking, when it is told, and when not again: ids and counts only. Pure.

A trouble is about a group (all parked work for one reason, all failed runs of one job), never about one entity, so that
an evening with a thousand of them is one line. Times are UTC epoch seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

ENDED_AFTER_SECONDS = 900.0
"""Away for so long, a trouble has ended; one that comes back sooner is the same and is not told anew."""
GAP_SECONDS = 300.0
"""Between two messages by one channel: an outage shows in six places within minutes, and is to be one message or two."""
GROWN_TENFOLD = 10
MOST_IDS = 10
MOST_LINES = 20


class TroubleKind(StrEnum):
    """What can be wrong."""

    RUN_FAILED = "run_failed"
    PARKED = "parked"
    DRIFT = "drift"
    RECONCILIATION_FAILED = "reconciliation_failed"
    SILENT_FLOW = "silent_flow"
    CREDENTIAL_REJECTED = "credential_rejected"
    CREDENTIAL_EXPIRING = "credential_expiring"
    SYSTEM_DOWN = "system_down"
    TEST = "test"
    """Nothing: a person tries whether the channels work."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong now. `kind` and `subject` say which one it is; all else may change while it lasts.

    The texts go out of the house: ids, counts, names of streams and settings, nothing that came from a record.
    """

    kind: TroubleKind
    subject: str
    says: str
    advice: str
    link: str | None = None
    size: int = 1
    """How many things it is about; ten times as many as were told are news."""


@dataclass(frozen=True, slots=True)
class Told:
    """When a channel last spoke of an alert, and how large that was then."""

    at: float
    size: int


@dataclass(frozen=True, slots=True)
class Alert:
    """A trouble with its history; `last_at` is when it was last seen, `ended_at` None while it lasts."""

    trouble: Trouble
    first_at: float
    last_at: float
    ended_at: float | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    """By channel."""

    @property
    def name(self) -> tuple[str, str]:
        """Which one it is."""
        return self.trouble.kind.value, self.trouble.subject


@dataclass(frozen=True, slots=True)
class Message:
    """What one channel is to be told at once. `key` is the same for the same content: a receiver can drop a double."""

    key: str
    new: Sequence[Alert]
    lasting: Sequence[Alert]
    ended: Sequence[Alert]
    title: str = ""
    """Stands in the place of the counts."""

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All it speaks of."""
        return (*self.new, *self.lasting, *self.ended)

    @property
    def summary(self) -> str:
        """One line: the counts, or the title."""
        if self.title:
            return self.title
        counts = ((self.new, "new"), (self.lasting, "not over yet"), (self.ended, "over"))
        return ", ".join(f"{len(alerts)} {word}" for alerts, word in counts if alerts)

    @property
    def text(self) -> str:
        """The whole of it in plain text."""
        parts = (("New", self.new), ("Not over yet", self.lasting), ("Over", self.ended))
        return "\n\n".join(_section(title, alerts) for title, alerts in parts if alerts)


def ids_in_words(ids: Sequence[str], total: int | None = None) -> str:
    """The first ten ids, and how many more there are of `total` (default: all of `ids`)."""
    shown = list(ids)[:MOST_IDS]
    more = (len(ids) if total is None else total) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def follow(troubles: Iterable[Trouble], known: Iterable[Alert], now: float) -> list[Alert]:
    """The alerts as they are now: taken up, going on, or ended. `known` are those that had not ended."""
    before = {alert.name: alert for alert in known}
    now_there = {(trouble.kind.value, trouble.subject): trouble for trouble in troubles}
    alerts = []
    for trouble in now_there.values():
        alert = before.pop((trouble.kind.value, trouble.subject), None)
        if alert is None:
            alerts.append(Alert(trouble, now, now))
        else:
            alerts.append(replace(alert, trouble=trouble, last_at=now))
    for alert in before.values():
        is_over = abs(now - alert.last_at) >= ENDED_AFTER_SECONDS
        alerts.append(replace(alert, ended_at=now) if is_over else alert)
    return alerts


def plan_message(
    alerts: Iterable[Alert], channel: str, now: float, repeat_after: float, since: float
) -> Message | None:
    """What this channel is to be told now; None if nothing.

    That is what is new or has grown tenfold, what has lasted for `repeat_after` seconds since it was told, and what has
    ended since; also what came and went untold while the channel failed, unless that was before `since`, when there was no
    such channel yet.
    """
    among = sorted(alerts, key=lambda alert: alert.name)
    last = max((alert.told[channel].at for alert in among if channel in alert.told), default=0.0)
    # A clock that was ahead for a while and was put right has told in what is the future now: that keeps nothing back.
    if 0 <= now - last < GAP_SECONDS:
        return None
    open_ones = [alert for alert in among if alert.ended_at is None]
    new = [alert for alert in open_ones if _is_news(alert, channel)]
    told = [alert for alert in open_ones if alert not in new]
    lasting: list[Alert] = []
    if any(_silent(alert, channel, now) >= repeat_after for alert in told):
        # Those that are due soon come along: else each of ten has a message of its own every day.
        lasting = [alert for alert in told if _silent(alert, channel, now) >= repeat_after / 2]
    ended = [alert for alert in among if alert.ended_at is not None and _is_end_untold(alert, channel, since)]
    if not new and not lasting and not ended:
        return None
    return Message(_key(channel, new, lasting, ended), new, lasting, ended)


def note_told(alert: Alert, channel: str, now: float) -> Alert:
    """The alert after the channel has spoken of it."""
    return replace(alert, told={**alert.told, channel: Told(now, alert.trouble.size)})


def _is_news(alert: Alert, channel: str) -> bool:
    told = alert.told.get(channel)
    return told is None or alert.trouble.size >= GROWN_TENFOLD * max(told.size, 1)


def _silent(alert: Alert, channel: str, now: float) -> float:
    return now - alert.told[channel].at


def _is_end_untold(alert: Alert, channel: str, since: float) -> bool:
    ended = alert.ended_at or 0.0
    told = alert.told.get(channel)
    return ended >= since if told is None else told.at < ended


def _key(channel: str, *sections: Sequence[Alert]) -> str:
    # The time of the last telling is in it: what is told again tomorrow must not be dropped as a double.
    content = [
        f"{channel} {number} {alert.name} {alert.first_at} {alert.told.get(channel)}"
        for number, alerts in enumerate(sections)
        for alert in alerts
    ]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def _section(title: str, alerts: Sequence[Alert]) -> str:
    lines = [f"{title}:"]
    for alert in alerts[:MOST_LINES]:
        trouble = alert.trouble
        lines.append(f"- {trouble.says}")
        if alert.ended_at is None:
            lines.append(f"  Do: {trouble.advice}")
            lines += [f"  {trouble.link}"] if trouble.link else []
    if len(alerts) > MOST_LINES:
        lines.append(f"- and {len(alerts) - MOST_LINES} more: bitbylaw alerts")
    return "\n".join(lines)
