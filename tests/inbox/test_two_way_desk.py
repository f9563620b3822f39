"""What a person sees and decides of the two-way sync, and who may run a pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Conflict, Hold, Link, LinkState, PastWrite
from bitbylaw_pipeline.domain.two_way_state import Decision, HoldChanges, LinkChanged
from bitbylaw_pipeline.inbox import (
    run_leases,
    two_way_conflicts,
    two_way_desk,
    two_way_holds,
    two_way_links,
)
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import ConflictView, HoldView, PairCounts, Refused
from tests.conftest import FakeClock

T = TypeVar("T")


def run(database: Database, work: Callable[..., T], *given: object, **named: object) -> T:
    """The work in a transaction of its own, with the time."""
    return database.run_sync(lambda c: work(c, database.now(c), *given, **named))


def put(database: Database, pair: str, *links: Link) -> None:
    run(database, two_way_links.put, pair, two_way_links.rows_of(links, database.cipher))


def links(database: Database, pair: str) -> dict[str, Link]:
    found = database.run_sync(lambda c: two_way_links.load(c, database.cipher, pair))
    return {link.link_id: link for link in found}


def hold(database: Database, pair: str, *found: Hold) -> None:
    run(database, two_way_holds.replace_holds, pair, HoldChanges(found))


def conflict(database: Database, pair: str, *conflicts: Conflict) -> None:
    run(database, two_way_conflicts.store, pair, two_way_conflicts.ConflictRows(conflicts, database.cipher))


def holds(database: Database, pair: str | None = None) -> dict[str, HoldView]:
    listed = database.run_sync(lambda c: two_way_desk.list_holds(c, pair, database.cipher))
    return {view.why: view for view in listed}


def conflicts(database: Database, pair: str | None = None, **named: bool) -> list[ConflictView]:
    def listed(connection: Connection) -> list[ConflictView]:
        return two_way_desk.list_conflicts(connection, database.cipher, pair, **named)

    return database.run_sync(listed)


def decide(database: Database, hold_id: str, take: str, shown: str | None = None) -> None:
    run(database, two_way_desk.decide, database.cipher, hold_id, take, "b.muster", shown=shown)


def test_holds_are_listed_oldest_first(database: Database, clock: FakeClock) -> None:
    """A hold keeps its id and its age while it goes on; each pair is listed alone or with all."""
    opened = clock()
    hold(database, "beteiligte", Hold("left:n1", "conflict:name", "left:n1", digest="one"))
    clock.advance(60)
    hold(database, "bank", Hold("right:7", "approval:create", None, Side.RIGHT, "7"))
    before = holds(database)
    again = Hold("left:n1", "conflict:name", "left:n1", digest="two")
    hold(database, "beteiligte", again, Hold("left:n2", "told", "left:n2", is_notice=True))
    after = holds(database, "beteiligte")
    assert list(before) == ["conflict:name", "approval:create"]
    assert list(after) == ["conflict:name", "told"]
    assert after["conflict:name"] == HoldView(
        before["conflict:name"].hold_id, "beteiligte", "left:n1", "conflict:name", "left:n1", None, None,
        False, "two", opened, clock(), None, None,
    )  # fmt: skip
    assert (before["approval:create"].side, before["approval:create"].record_id) == ("right", "7")
    assert after["told"].is_notice


def test_a_decision_is_noted_with_who_and_when(database: Database, clock: FakeClock) -> None:
    """It is void once the values behind the hold are others, and can be given again."""
    hold(database, "bank", Hold("left:n1", "conflict:bic+iban", "left:n1", digest="one"))
    hold_id = holds(database)["conflict:bic+iban"].hold_id
    decide(database, hold_id, "right", "one")
    decided = holds(database)["conflict:bic+iban"]
    assert (decided.decided_by, decided.decided_at) == ("b.muster", clock())
    assert decided.decision == Decision("right", "one")
    assert not decided.is_void
    hold(database, "bank", Hold("left:n1", "conflict:bic+iban", "left:n1", digest="two"))
    assert holds(database)["conflict:bic+iban"].is_void
    decide(database, hold_id, "left", "two")
    assert not holds(database)["conflict:bic+iban"].is_void
    assert database.run_sync(two_way_desk.list_holds)[0].decision is None


def test_a_senseless_decision_is_refused(database: Database) -> None:
    """Each refusal is one sentence that says what to do, and nothing is noted."""
    hold(database, "bank", Hold("a", "x", digest="one"), Hold("a", "told", is_notice=True))
    found = holds(database)
    waiting, notice = found["x"].hold_id, found["told"].hold_id
    for hold_id, take, shown, text in (
        ("nowhere", "left", None, "There is no hold nowhere"),
        (waiting, "both", None, "'both' is no answer"),
        (waiting, "link:", None, "'link:' is no answer"),
        (waiting, "left", "older", "have changed since"),
        (notice, "left", None, "acknowledge it instead"),
    ):
        with pytest.raises(Refused, match=text):
            decide(database, hold_id, take, shown)
    assert holds(database) == found


def test_a_notice_is_acknowledged_once(database: Database) -> None:
    """It goes away; a hold does not go away like that."""
    hold(database, "bank", Hold("a", "x"), Hold("a", "told", is_notice=True))
    found = holds(database)
    database.run_sync(lambda c: two_way_desk.acknowledge(c, found["told"].hold_id))
    assert list(holds(database)) == ["x"]
    with pytest.raises(Refused, match="acknowledged already"):
        database.run_sync(lambda c: two_way_desk.acknowledge(c, found["told"].hold_id))
    with pytest.raises(Refused, match="decide it instead"):
        database.run_sync(lambda c: two_way_desk.acknowledge(c, found["x"].hold_id))


def test_conflicts_show_values_only_where_asked_for(database: Database, clock: FakeClock) -> None:
    """Open ones are listed, decided ones on demand, with the person who decided."""
    opened = clock()
    won = Conflict("left:n2", "ort", "left", {"ort": "A"}, {"ort": "B"}, {"ort": "C"})
    waiting = Conflict("left:n1", "bic+iban", "none", {"iban": "DE1", "bic": None}, {"iban": "DE2"}, {})
    conflict(database, "bank", waiting)
    conflict(database, "beteiligte", won)
    (view,) = conflicts(database)
    assert (view.pair, view.link_id, view.what, view.winner) == ("bank", "left:n1", "bic+iban", "none")
    assert (view.base, view.left, view.right) == (None, None, None)
    (view,) = conflicts(database, "bank", with_values=True)
    assert (view.base, view.left, view.right) == ({"iban": "DE1", "bic": None}, {"iban": "DE2"}, {})
    assert [view.what for view in conflicts(database, "beteiligte", with_closed=True)] == ["ort"]
    assert conflicts(database, "beteiligte") == []

    hold(database, "bank", Hold("left:n1", "conflict:bic+iban", "left:n1"))
    decide(database, holds(database)["conflict:bic+iban"].hold_id, "right")
    clock.advance(10)
    conflict(database, "bank", replace(waiting, winner="right"))
    hold(database, "bank")
    former, decided = conflicts(database, "bank", with_closed=True)
    assert (former.first_at, former.at, former.closed_at, former.resolved_by) == (
        opened, opened, clock(), "b.muster",
    )  # fmt: skip
    assert (decided.winner, decided.closed_at) == ("right", clock())


def test_a_conflict_that_ended_with_its_hold_names_who_decided(database: Database) -> None:
    """The person's name moves from the hold, which goes away, to the conflict."""
    conflict(database, "bank", Conflict("left:n1", "ort", "none", {}, {}, {}))
    hold(database, "bank", Hold("left:n1", "conflict:ort", "left:n1"))
    decide(database, holds(database)["conflict:ort"].hold_id, "right")
    hold(database, "bank")
    (ended,) = conflicts(database, with_closed=True)
    assert ended.resolved_by == "b.muster"


def test_approved_deletes_have_a_ceiling(database: Database) -> None:
    """None, or less, would be no approval."""
    with pytest.raises(Refused, match="above 0"):
        run(database, two_way_desk.approve, "bank", Side.LEFT, 0)
    run(database, two_way_desk.approve, "bank", Side.LEFT, 3)
    assert database.run_sync(lambda c: two_way_holds.approved(c, "bank", "delete")) == {Side.LEFT: 3}
    assert database.run_sync(lambda c: two_way_holds.approved(c, "beteiligte", "delete")) == {}


def test_a_released_link_starts_with_nothing_held_against_it(database: Database) -> None:
    """Failures and the loop breaker's memory go; a run that had loaded it before stores nothing on top."""
    whole = Link(
        "a", "1", "2", LinkState.QUARANTINED, base_left={"name": "x"}, fail_count=5,
        recent=(PastWrite(1.0, "right:name", "d"),),
    )  # fmt: skip
    put(database, "bank", whole, Link("b", "3", None, LinkState.QUARANTINED), Link("c", "4", "5"))
    before = links(database, "bank")
    for link_id in ("a", "b"):
        run(database, two_way_desk.release_quarantine, "bank", link_id)
    after = links(database, "bank")
    assert after["a"] == replace(whole, state=LinkState.ACTIVE, fail_count=0, recent=(), row_rev=2)
    assert after["b"].state is LinkState.PENDING
    with pytest.raises(LinkChanged):
        put(database, "bank", before["a"])
    for link_id in ("a", "c", "nowhere"):
        with pytest.raises(Refused, match="no link"):
            run(database, two_way_desk.release_quarantine, "bank", link_id)
    assert links(database, "bank") == after


def test_every_pair_is_counted(database: Database, clock: FakeClock) -> None:
    """Links by state, holds that wait with the oldest one's age, notices, open conflicts."""
    assert database.run_sync(two_way_desk.counts) == {}
    states = [*[LinkState.ACTIVE] * 3, LinkState.TOMBSTONE, LinkState.QUARANTINED, LinkState.PENDING]
    put(database, "bank", *(Link(f"l{n}", str(n), None, state) for n, state in enumerate(states)))
    opened = clock()
    hold(database, "beteiligte", Hold("a", "x"), Hold("a", "told", is_notice=True))
    clock.advance(9)
    hold(database, "beteiligte", Hold("a", "x"), Hold("b", "x"))
    conflict(database, "beteiligte", Conflict("a", "ort", "none", {}, {}, {}))
    conflict(database, "beteiligte", Conflict("a", "plz", "left", {}, {}, {}))
    assert database.run_sync(two_way_desk.counts) == {
        "bank": PairCounts(active=3, pending=1, tombstones=1, quarantined=1),
        "beteiligte": PairCounts(holds=2, notices=1, conflicts=1, oldest_hold=opened),
    }


def test_one_run_at_a_time_has_a_pair(database: Database, clock: FakeClock) -> None:
    """A lease keeps others out until it is released or has run out; a token that is not the present one does nothing."""

    def take(pair: str) -> str | None:
        return run(database, run_leases.take, pair, 60.0)

    def renew(token: str) -> bool:
        return run(database, run_leases.renew, "bank", token, 60.0)

    def release(token: str) -> bool:
        return database.run_sync(lambda c: run_leases.release(c, "bank", token))

    first = take("bank")
    assert first is not None
    assert take("bank") is None
    assert take("beteiligte") is not None
    clock.advance(50)
    assert renew(first)
    clock.advance(59)
    assert take("bank") is None
    clock.advance(1)
    second = take("bank")
    assert second not in (None, first)
    assert not renew(first)
    assert not release(first)
    assert take("bank") is None
    assert release(str(second))
    assert take("bank") is not None
