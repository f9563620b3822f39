"""What came in: recorded with the work that follows from it, listed, and deleted in time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import events, intents, person_tasks, proxy_audit, retention, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.events import Received, Want
from bitbylaw_pipeline.inbox.proxy_audit import ProxyWrite
from tests.conftest import FakeClock

ITEMS = [("CDokumente", "d1", "update"), ("CDokumente", "d2", "update")]


def record(database: Database, event_id: str, topic: str = "vmh.document.update") -> list[str]:
    return database.run_sync(
        lambda c: events.record(c, database.now(c), "webhook", topic, ITEMS, "digest", event_id)
    )


def test_each_item_is_a_row_with_an_id_of_its_own(database: Database, clock: FakeClock) -> None:
    """A request with two items makes two rows that carry the request's id."""
    assert record(database, "e1") == ["e1", "e1.1"]
    stored = database.run_sync(lambda c: events.get(c, "e1.1"))
    assert stored == events.InboxEvent(
        "e1.1", clock(), "webhook", "vmh.document.update", "CDokumente", "d2", "update", "digest"
    )
    assert database.run_sync(lambda c: events.get(c, "e2")) is None


def test_repeated_request_is_stored_once(database: Database) -> None:
    """A caller that did not learn of its commit repeats it without harm."""
    assert record(database, "e1") == record(database, "e1")
    assert len(database.run_sync(events.listing)) == 2


def test_a_request_is_found_whole_by_its_id(database: Database) -> None:
    """All its rows in the order of its items, none of a neighbour's stored at the same moment with an id like it."""
    items = [("Employee", f"K{number}", "sync") for number in range(12)]

    def receive(connection: Connection) -> None:
        for event_id in ("e1", "e10", "e", "e1-1"):
            events.record(connection, 5.0, "api", "calendar.sync.employee", items, "", event_id)

    database.run_sync(receive)
    rows = database.run_sync(lambda c: events.of_request(c, "e1"))
    assert [row.id for row in rows] == ["e1", *(f"e1.{number}" for number in range(1, 12))]
    assert [row.entity_id for row in rows] == [f"K{number}" for number in range(12)]
    for unknown in ("e2", "", "e1.", "e1%", "e_"):
        assert database.run_sync(partial(events.of_request, event_id=unknown)) == []


def test_listing_filters_and_pages(database: Database, clock: FakeClock) -> None:
    """Events are listed latest first, by source, topic, entity and time."""
    record(database, "e1")
    clock.advance(10)
    record(database, "e2", topic="vmh.document.delete")

    def ids(**given: Any) -> list[str]:
        return [event.id for event in database.run_sync(partial(events.listing, **given))]

    assert ids() == ["e2", "e2.1", "e1", "e1.1"]
    assert ids(topic="vmh.document.update") == ["e1", "e1.1"]
    assert ids(entity_id="d1", entity_type="CDokumente") == ["e2", "e1"]
    assert ids(since=clock()) == ["e2", "e2.1"]
    assert ids(source="feed") == []
    assert ids(limit=2, offset=1) == ["e2.1", "e1"]


def test_event_and_its_work_are_one_transaction(database: Database) -> None:
    """Either both are stored or neither."""
    received = [Received("e1", "webhook", "vmh.document.update", ITEMS, "digest")]
    wants = [Want("documents", ["d1", "d2"]), Want("collections", ["Account:a"], priority=1)]

    def receive_and_fail(connection: Connection) -> None:
        events.receive(connection, 0.0, received, wants)
        raise KeyError

    with pytest.raises(KeyError):
        database.run_sync(receive_and_fail)
    assert database.run_sync(events.listing) == []
    assert database.run_sync(lambda c: work_queue.summary(c, 0.0)) == {}
    assert database.run_sync(lambda c: events.receive(c, database.now(c), received, wants)) == ["e1", "e1.1"]
    assert set(database.run_sync(lambda c: work_queue.summary(c, database.now(c)))) == {
        "documents",
        "collections",
    }
    assert database.run_sync(lambda c: events.receive(c, 0.0, [], [])) == []


def test_old_events_are_deleted_and_open_ones_kept(database: Database, clock: FakeClock) -> None:
    """Events and settled intents beyond their days go; open work and unsettled intents stay."""
    record(database, "old")
    database.run_sync(lambda c: work_queue.want(c, clock(), "documents", ["d1"]))
    for subject in ("settled", "unsettled"):
        opening = partial(intents.open_intent, now=clock(), kind="upload", subject=subject, token="t")
        intent_id = database.run_sync(opening)
        if subject == "settled":
            database.run_sync(partial(intents.settle, now=clock(), intent_id=intent_id, outcome="done"))
    clock.advance(31 * 86_400)
    record(database, "new")
    deleted = retention.delete_older(database, days=30, tombstone_days=90, audit_days=900)
    assert {name: count for name, count in deleted.items() if count} == {"inbox_event": 2, "intent": 1}
    assert [event.id for event in database.run_sync(events.listing)] == ["new", "new.1"]
    assert database.run_sync(lambda c: work_queue.ready_count(c, clock(), "documents")) == 1
    assert len(database.run_sync(lambda c: intents.unsettled_all(c, "upload"))) == 1
    assert not any(retention.delete_older(database, days=30, tombstone_days=90, audit_days=900).values())


def test_the_audit_of_the_proxy_is_kept_for_its_own_time(database: Database, clock: FakeClock) -> None:
    """A write through the proxy is known for years, not for the inbox's days; a task that is out is never forgotten."""
    write = ProxyWrite("w1", "0a1b2c3d", "PUT", "Beteiligte/{id}", "104860", "0" * 64)
    database.run_sync(lambda c: proxy_audit.begin(c, clock(), write))
    asked = database.run_sync(
        lambda c: intents.open_intent(c, clock(), kind=person_tasks.KIND, subject="a|b|task", token="t")
    )
    database.run_sync(lambda c: intents.settle(c, clock(), asked, person_tasks.ASKED, "task1"))
    clock.advance(899 * 86_400)
    assert not any(retention.delete_older(database, days=30, tombstone_days=90, audit_days=900).values())
    clock.advance(2 * 86_400)
    deleted = retention.delete_older(database, days=30, tombstone_days=90, audit_days=900)
    assert {name: count for name, count in deleted.items() if count} == {"proxy_audit": 1}
    assert database.run_sync(lambda c: person_tasks.asked(c, "a")) == {"a|b|task": (asked, "task1")}
