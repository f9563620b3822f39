"""The two-way engine's state behaves the same in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import (
    Advance,
    Conflict,
    Hold,
    Intent,
    Link,
    LinkState,
    LogEntry,
    PastWrite,
    Write,
)
from bitbylaw_pipeline.domain.two_way_state import Changes, Decision, HoldChanges, LinkChanged
from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.two_way_database import DatabaseLinkStore
from bitbylaw_pipeline.sync.two_way_memory import MemoryLinkStore
from bitbylaw_pipeline.sync.two_way_store import LinkStore
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url

PAIR = "beteiligte"
FULL = Link(
    link_id="left:n1",
    left_id="n1",
    right_id="104860",
    state=LinkState.QUARANTINED,
    gen=3,
    base_left={"name": "Übermut", "vorname": None, "phones": ["+49 30 1", "+49 30 2"], "n": 1},
    base_right={"name": "UEBERMUT"},
    ver_left="7",
    ver_right="row-1",
    intent=Intent(
        op="update",
        nonce="nonce-1",
        side=Side.RIGHT,
        key="left:n1:g3",
        payload={"name": "x"},
        source={"name": "y", "ort": None},
        seen=12,
        writes={
            Side.LEFT: Write({"name": "a"}, "7", "nonce-1", is_done=True),
            Side.RIGHT: Write({"ort": None}, None, "nonce-2"),
        },
        advances=(Advance("name", {"name": "a"}, {"name": "A"}, (Side.LEFT, Side.RIGHT)),),
    ),
    is_unlinked=True,
    archive={"name": "kept"},
    refusals={"right:ort": "digest-1"},
    recent=(PastWrite(100.5, "right:name", "digest-2"), PastWrite(101.0, "left:name", "digest-3")),
    lease_until=1_700_000_060.25,
    fail_count=2,
)


class Trial(Protocol):
    """A store under trial, and what a person sees and does beside it."""

    @property
    def store(self) -> LinkStore: ...
    def decide(self, subject: str, why: str, take: str) -> None: ...
    def approve(self, side: Side, ceiling: int, op: str = "delete") -> None: ...
    def holds(self) -> set[tuple[str, str, str]]: ...
    def open_conflicts(self) -> dict[tuple[str, str], str]: ...
    def conflict_count(self) -> int: ...


class InMemory:
    def __init__(self, clock: FakeClock) -> None:
        self.store = MemoryLinkStore(clock)

    def decide(self, subject: str, why: str, take: str) -> None:
        hold = self.store.holds[subject, why]
        self.store.decisions.setdefault(subject, {})[why] = Decision(take, hold.digest)

    def approve(self, side: Side, ceiling: int, op: str = "delete") -> None:
        (self.store.approved_deletes if op == "delete" else self.store.approved_updates)[side] = ceiling

    def holds(self) -> set[tuple[str, str, str]]:
        return {(hold.subject, hold.why, hold.digest) for hold in self.store.holds.values()}

    def open_conflicts(self) -> dict[tuple[str, str], str]:
        places = self.store.open_conflicts.items()
        return {key: str(self.store.conflicts[place].left["name"]) for key, place in places}

    def conflict_count(self) -> int:
        return len(self.store.conflicts)


class InDatabase:
    def __init__(self, database: Database) -> None:
        self.store = DatabaseLinkStore(database, PAIR)
        self._database = database

    def decide(self, subject: str, why: str, take: str) -> None:
        database = self._database
        (hold,) = [one for one in self._listed() if (one.subject, one.why) == (subject, why)]
        database.run_sync(
            lambda c: two_way_desk.decide(c, database.now(c), database.cipher, hold.hold_id, take, "b.muster")
        )

    def approve(self, side: Side, ceiling: int, op: str = "delete") -> None:
        database = self._database
        database.run_sync(lambda c: two_way_desk.approve(c, database.now(c), PAIR, side, ceiling, op))

    def holds(self) -> set[tuple[str, str, str]]:
        return {(hold.subject, hold.why, hold.digest) for hold in self._listed()}

    def open_conflicts(self) -> dict[tuple[str, str], str]:
        return {
            (one.link_id, one.what): str((one.left or {})["name"])
            for one in self._conflicts(with_closed=False)
        }

    def conflict_count(self) -> int:
        return len(self._conflicts(with_closed=True))

    def _listed(self) -> list[two_way_desk.HoldView]:
        return self._database.run_sync(lambda c: two_way_desk.list_holds(c, PAIR))

    def _conflicts(self, *, with_closed: bool) -> list[two_way_desk.ConflictView]:
        return self._database.run_sync(
            lambda c: two_way_desk.list_conflicts(
                c, self._database.cipher, PAIR, with_values=True, with_closed=with_closed
            )
        )


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def trial(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Trial]:
    """Each of the stores in turn, empty."""
    if request.param == "memory":
        yield InMemory(clock)
        return
    url = migrated_url(request.param, tmp_path)
    database = Database.open(url, clock=clock, encryption_key=ENCRYPTION_KEY)
    # Another pair's rows with the same ids must never show.
    other = DatabaseLinkStore(database, "bank")
    asyncio.run(other.commit(Changes(links=(replace(FULL, state=LinkState.ACTIVE),))))
    asyncio.run(other.replace_holds(HoldChanges([Hold("left:n1", "loop", digest="of the other")])))
    yield InDatabase(database)
    database.close()


def put(store: LinkStore, *links: Link) -> tuple[Link, ...]:
    return asyncio.run(store.commit(Changes(links=links)))


def loaded(store: LinkStore) -> dict[str, Link]:
    return {link.link_id: link for link in asyncio.run(store.load()).links}


def is_refused(store: LinkStore, changes: Changes) -> bool:
    try:
        asyncio.run(store.commit(changes))
    except LinkChanged:
        return True
    return False


def seen_by_hold(store: LinkStore, *found: Hold, covers: frozenset[str] | None = None) -> None:
    asyncio.run(store.replace_holds(HoldChanges(found, covers)))


def conflict(winner: str, left: str, what: str = "name", link_id: str = "left:n1") -> Conflict:
    return Conflict(link_id, what, winner, {"name": "base"}, {"name": left}, {"name": "right"})


@pytest.mark.parametrize("link", [FULL, Link("right:104860", None, "104860", LinkState.PENDING)])
def test_a_link_comes_back_as_it_was(trial: Trial, link: Link) -> None:
    """Every field, full or empty, is stored and loaded again, stored over, and forgotten."""
    (first,) = put(trial.store, link)
    assert first == replace(link, row_rev=1)
    assert list(loaded(trial.store).values()) == [first]
    second_form = replace(first, gen=9, archive={}, base_left={}, intent=None, recent=(), refusals={})
    (second,) = put(trial.store, second_form)
    assert list(loaded(trial.store).values()) == [second] == [replace(second_form, row_rev=2)]
    asyncio.run(trial.store.commit(Changes(removed=(second,))))
    assert loaded(trial.store) == {}


def test_a_change_is_stored_only_on_the_revision_it_was_made_from(trial: Trial) -> None:
    """A stale link is refused, with everything that came with it, whether changed, added or removed."""
    first, other = put(trial.store, Link("a", "1", "2"), Link("b", "3", "4"))
    put(trial.store, replace(first, gen=1))
    before = loaded(trial.store)
    stale = replace(first, gen=2)
    entry = LogEntry("a", Side.LEFT, "update", ("name",), {"name": "x"}, "n")
    for changes in (
        Changes(links=(replace(other, gen=5), stale), conflicts=(conflict("left", "x"),), log=(entry,)),
        Changes(links=(replace(other, gen=5),), removed=(stale,)),
        Changes(links=(replace(other, gen=5), Link("a", "8", "9"))),
        Changes(links=(Link("c", "10", "11", row_rev=4),)),
        Changes(removed=(Link("c", "10", "11", row_rev=4),)),
    ):
        assert is_refused(trial.store, changes)
        assert loaded(trial.store) == before
    assert trial.conflict_count() == 0


def test_a_record_has_one_link(trial: Trial) -> None:
    """A second link to a record is refused on either side, new or changed; links without an id there may be many."""
    first, second, *_ = put(
        trial.store,
        Link("a", "1", "2"),
        Link("b", "3", None, LinkState.PENDING),
        Link("c", "4", None, LinkState.PENDING),
        Link("d", None, "5", LinkState.PENDING),
        Link("e", None, "6", LinkState.PENDING),
    )
    before = loaded(trial.store)
    assert is_refused(trial.store, Changes(links=(Link("f", "1", "99"),)))
    assert is_refused(trial.store, Changes(links=(Link("f", "99", "2"),)))
    assert is_refused(trial.store, Changes(links=(replace(second, right_id="2"),)))
    assert is_refused(trial.store, Changes(links=(replace(second, left_id="1", right_id="98"),)))
    assert loaded(trial.store) == before
    # The same id on the other side is another record.
    put(trial.store, replace(second, right_id="3"), Link("f", "2", "1"))
    asyncio.run(trial.store.commit(Changes(removed=(first,))))
    put(trial.store, Link("g", "1", "97"))


def test_links_are_loaded_by_the_ids_asked_for(trial: Trial) -> None:
    """Ids of either side choose links; what is linked, and how many are active, is told of the whole pair."""
    put(
        trial.store,
        Link("a", "1", "2"),
        Link("b", "3", "4", LinkState.TOMBSTONE),
        Link("c", "5", None, LinkState.PENDING),
    )

    def chosen(left: list[str] | None, right: list[str] | None) -> set[str]:
        snapshot = asyncio.run(trial.store.load(left, right))
        assert snapshot.linked == {Side.LEFT: {"1", "3", "5"}, Side.RIGHT: {"2", "4"}}
        assert snapshot.active_links == 1
        return {link.link_id for link in snapshot.links}

    assert chosen(None, None) == {"a", "b", "c"}
    assert chosen(["1", "5", "99"], None) == {"a", "c"}
    assert chosen(None, ["4"]) == {"b"}
    assert chosen(["1"], ["4", "2"]) == {"a", "b"}
    assert chosen([], None) == chosen(None, []) == chosen([], []) == chosen(["2"], ["1"]) == set()


def test_the_time_is_the_stores(trial: Trial, clock: FakeClock) -> None:
    """A snapshot carries the store's time."""
    clock.advance(5)
    assert asyncio.run(trial.store.load()).now == clock()


def test_an_open_conflict_counts_once(trial: Trial) -> None:
    """It is refreshed while it lasts, ends when somebody wins, and is another one when it comes again."""

    def add(*conflicts: Conflict) -> None:
        asyncio.run(trial.store.commit(Changes(conflicts=conflicts)))

    add(conflict("none", "first"), conflict("none", "elsewhere", "ort"))
    add(conflict("none", "second"))
    assert trial.open_conflicts() == {("left:n1", "name"): "second", ("left:n1", "ort"): "elsewhere"}
    assert trial.conflict_count() == 2
    add(conflict("left", "second"))
    assert trial.open_conflicts() == {("left:n1", "ort"): "elsewhere"}
    assert trial.conflict_count() == 3
    add(conflict("right", "third"), conflict("right", "third", link_id="left:n2"))
    assert trial.conflict_count() == 5
    add(conflict("none", "fourth"), conflict("none", "fifth"))
    assert trial.open_conflicts()["left:n1", "name"] == "fifth"
    assert trial.conflict_count() == 6


def test_an_open_conflict_ends_with_its_hold(trial: Trial) -> None:
    """When the sides agree again, the hold is not found any more and the conflict is over."""
    opened = (conflict("none", "x"), conflict("none", "x", "edit_vs_delete"), conflict("none", "x", "ort"))
    asyncio.run(trial.store.commit(Changes(conflicts=opened)))
    of_ort = Hold("left:n1", "conflict:ort")
    seen_by_hold(trial.store, Hold("left:n1", "conflict:name"), Hold("left:n1", "edit_vs_delete"), of_ort)
    seen_by_hold(trial.store, of_ort)
    assert set(trial.open_conflicts()) == {("left:n1", "ort")}
    assert trial.conflict_count() == 3


def test_a_hold_ends_when_it_is_not_found_again(trial: Trial) -> None:
    """Only a run that looked at its subject, and could find something out, ends it; then its decision is void."""
    a, b, c = Hold("a", "loop", "a"), Hold("b", "task:right:delete", "b", Side.RIGHT, "9"), Hold("c", "x")
    seen_by_hold(trial.store, a, a, b, c)
    trial.decide("a", "loop", "left")
    seen_by_hold(trial.store, covers=frozenset("b"))
    assert trial.holds() == {("a", "loop", ""), ("c", "x", "")}
    asyncio.run(trial.store.replace_holds(HoldChanges([], None, frozenset("a"))))
    assert trial.holds() == {("a", "loop", "")}
    assert asyncio.run(trial.store.load()).decisions["a"] == {"loop": Decision("left", "")}
    seen_by_hold(trial.store, replace(a, why="other"))
    assert trial.holds() == {("a", "other", "")}
    seen_by_hold(trial.store, a)
    assert not any(asyncio.run(trial.store.load()).decisions.values())
    seen_by_hold(trial.store, covers=frozenset())
    assert trial.holds() == {("a", "loop", "")}


def test_a_notice_stays(trial: Trial) -> None:
    """What was done and told ends by a person, not by the next run."""
    seen_by_hold(trial.store, Hold("a", "unlinked:left_deleted", is_notice=True), Hold("a", "loop"))
    seen_by_hold(trial.store)
    assert trial.holds() == {("a", "unlinked:left_deleted", "")}


def test_a_decision_stands_for_the_values_it_was_made_about(trial: Trial) -> None:
    """It is told with the digest of then, though the hold goes on with other values."""
    seen_by_hold(
        trial.store, Hold("a", "conflict:name", digest="one"), Hold("a", "conflict:ort", digest="two")
    )
    trial.decide("a", "conflict:name", "right")
    trial.decide("a", "conflict:ort", "left")
    trial.decide("a", "conflict:ort", "link:104860")
    seen_by_hold(
        trial.store, Hold("a", "conflict:name", digest="new"), Hold("a", "conflict:ort", digest="two")
    )
    assert trial.holds() == {("a", "conflict:name", "new"), ("a", "conflict:ort", "two")}
    assert asyncio.run(trial.store.load([])).decisions == {
        "a": {"conflict:name": Decision("right", "one"), "conflict:ort": Decision("link:104860", "two")}
    }


def test_approved_deletes_are_used_once(trial: Trial) -> None:
    """A ceiling stands until a run has used it, each side's for itself."""
    trial.approve(Side.LEFT, 5)
    trial.approve(Side.LEFT, 7)
    trial.approve(Side.RIGHT, 1)
    assert asyncio.run(trial.store.load()).approved_deletes == {Side.LEFT: 7, Side.RIGHT: 1}
    asyncio.run(trial.store.use_approvals([Side.LEFT]))
    assert asyncio.run(trial.store.load()).approved_deletes == {Side.RIGHT: 1}
    asyncio.run(trial.store.use_approvals([]))
    asyncio.run(trial.store.use_approvals(Side))
    assert asyncio.run(trial.store.load()).approved_deletes == {}


def test_approved_updates_are_apart_from_approved_deletes(trial: Trial) -> None:
    """A ceiling for updates allows no delete, and using one leaves the other."""
    trial.approve(Side.LEFT, 5)
    trial.approve(Side.LEFT, 900, "update")
    found = asyncio.run(trial.store.load())
    assert (found.approved_deletes, found.approved_updates) == ({Side.LEFT: 5}, {Side.LEFT: 900})
    asyncio.run(trial.store.use_approvals([Side.LEFT], "update"))
    found = asyncio.run(trial.store.load())
    assert (found.approved_deletes, found.approved_updates) == ({Side.LEFT: 5}, {})


def test_the_look_that_showed_a_record_first_is_remembered(trial: Trial) -> None:
    """Looks are counted by side, also those that show nothing; a record keeps its first."""
    note = trial.store.note_seen
    assert asyncio.run(note(Side.LEFT, ["a", "b", "a"])).first == {"a": 1, "b": 1}
    asyncio.run(note(Side.LEFT, []))
    third = asyncio.run(note(Side.LEFT, ["b", "c"]))
    assert (third.number, third.first) == (3, {"a": 1, "b": 1, "c": 3})
    right = asyncio.run(note(Side.RIGHT, ["b"]))
    assert (right.number, right.first) == (1, {"b": 1})


def test_a_digest_stands_for_its_text(trial: Trial) -> None:
    """The same text has the same digest, another text another, and neither is the text."""
    digest = trial.store.digest
    assert digest("Muster") == digest("Muster") != digest("muster")
    assert len(digest("Muster")) == 64
