"""What was told is remembered, on both databases."""

from __future__ import annotations

from functools import partial

from bitbylaw_pipeline.domain.alert import Alert, Told, Trouble, TroubleKind
from bitbylaw_pipeline.inbox import alerts, parked_work, work_queue
from bitbylaw_pipeline.inbox.alerts import Channel
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import FakeClock

ONE = Alert(
    Trouble(TroubleKind.PARKED, "documents/no_access", "12 set aside", "look", "http://ui/x", 12), 10.0, 20.0
)
OTHER = Alert(Trouble(TroubleKind.SYSTEM_DOWN, "espocrm", "down", "wait"), 5.0, 20.0)


def test_alerts_come_back_as_they_were_put(database: Database) -> None:
    """With sizes, links and what each channel was told; the longest first; ended ones for a week."""
    told = Alert(ONE.trouble, 10.0, 20.0, None, {"mail": Told(15.0, 3)})
    database.run_sync(lambda c: alerts.put(c, [told, OTHER]))
    assert database.read(alerts.open_ones) == [OTHER, told]
    ended = Alert(OTHER.trouble, 5.0, 20.0, 1000.0, {"mail": Told(15.0, 1), "webhook": Told(16.0, 1)})
    database.run_sync(lambda c: alerts.put(c, [ended]))
    assert database.read(alerts.open_ones) == [told]
    assert database.read(lambda c: alerts.ended_lately(c, 1000.0 + alerts.ENDED_FOR_SECONDS - 1)) == [ended]
    assert database.read(lambda c: alerts.ended_lately(c, 1000.0 + alerts.ENDED_FOR_SECONDS + 1)) == []
    assert database.read(lambda c: alerts.load(c, [OTHER])) == [ended]


def test_channel_is_known_from_its_first_use(database: Database, clock: FakeClock) -> None:
    """How it fares is kept by name; asking makes it known."""
    assert database.run_sync(lambda c: alerts.channel(c, clock(), "mail")) == Channel(since=clock())
    failing = Channel(clock(), 3, clock() + 240, "Unreachable")
    database.run_sync(lambda c: alerts.note_channel(c, clock(), "mail", failing))
    clock.advance(60)
    assert database.run_sync(lambda c: alerts.channel(c, clock(), "mail")) == failing
    assert database.read(alerts.channels) == {"mail": failing}


def test_parked_work_is_counted_by_reason(database: Database, clock: FakeClock) -> None:
    """One group for each stream and reason, with ten ids however many there are."""

    def park(stream: str, keys: list[str], reason: str) -> None:
        database.run_sync(lambda c: work_queue.want(c, clock(), stream, keys))
        claims = database.run_sync(
            lambda c: work_queue.claim(c, clock(), stream, limit=100, lease_seconds=60, keys=keys)
        )
        for claim in claims:
            database.run_sync(
                partial(work_queue.park, now=clock(), claimed=claim, reason=reason, error="Frau Muster")
            )

    park("documents", [f"d{number:02}" for number in range(12)], "too_large")
    park("documents", ["e1"], "no_access")
    park("termine", ["AB"], "calendar_missing")
    database.run_sync(lambda c: work_queue.want(c, clock(), "documents", ["open"]))
    found = database.read(parked_work.groups)
    assert [(one.stream, one.reason, one.count) for one in found] == [
        ("documents", "no_access", 1),
        ("documents", "too_large", 12),
        ("termine", "calendar_missing", 1),
    ]
    assert list(found[1].keys) == [f"d{number:02}" for number in range(10)]
    assert database.read(parked_work.keys)["termine"] == {"AB"}
