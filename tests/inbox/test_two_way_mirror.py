"""What a side showed last: changes and the place to read on from go in together, encrypted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import two_way_mirror
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_mirror import MirrorCursor, MirrorPlace
from tests.conftest import ENCRYPTION_KEY, FakeClock

PLACE = MirrorPlace("termin_gcal:AB", Side.RIGHT, "calendar-1")
OTHER = MirrorPlace("termin_gcal:CD", Side.RIGHT, "calendar-2")
FIRST = MirrorCursor("token-1", "params", 100.0)


@pytest.fixture
def database(database_url: str, clock: FakeClock) -> Iterator[Database]:
    """Fresh tables, with a key."""
    database = Database.open(database_url, clock=clock, encryption_key=ENCRYPTION_KEY)
    yield database
    database.close()


def baseline(database: Database, place: MirrorPlace = PLACE, **found: str) -> None:
    """Stores these summaries as everything that there is."""
    documents = {record_id: {"summary": summary} for record_id, summary in found.items()}
    database.run_sync(
        lambda c: two_way_mirror.store_baseline(c, database.cipher, database.now(c), place, documents, FIRST)
    )


def shown(database: Database, place: MirrorPlace = PLACE) -> dict[str, str]:
    """The summaries by id."""
    found = database.run_sync(lambda c: two_way_mirror.records(c, database.cipher, place))
    return {record_id: document["summary"] for record_id, document in found.items()}


def cursor(database: Database, place: MirrorPlace = PLACE) -> MirrorCursor | None:
    """Where to read on."""
    return database.run_sync(lambda c: two_way_mirror.cursor(c, place))


def test_nothing_is_known_before_everything_was_read(database: Database) -> None:
    """Without a baseline there is no place to read on from, and no record."""
    assert (cursor(database), shown(database)) == (None, {})


def test_changes_go_in_with_the_place_to_read_on_from(database: Database) -> None:
    """A report puts in what is new, replaces what changed and takes out what is gone; others' records stay."""
    baseline(database, a="A", b="B", c="C")
    baseline(database, OTHER, b="theirs")
    read_on = MirrorCursor("token-2", "params", 100.0)
    changed = {"a": {"summary": "A2"}, "d": {"summary": "D"}}
    database.run_sync(
        lambda c: two_way_mirror.store_changes(
            c, database.cipher, database.now(c), PLACE, changed, ["b", "unknown"], read_on
        )
    )
    assert shown(database) == {"a": "A2", "c": "C", "d": "D"}
    assert cursor(database) == read_on
    assert (shown(database, OTHER), cursor(database, OTHER)) == ({"b": "theirs"}, FIRST)


def test_a_report_that_fails_half_way_changes_nothing(database: Database) -> None:
    """Records and place are one transaction."""
    baseline(database, a="A")

    def report(c: Connection) -> None:
        two_way_mirror.store_changes(
            c, database.cipher, 1.0, PLACE, {"a": {"summary": "A2"}}, ["a"], MirrorCursor("token-2", "p", 1.0)
        )
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.run_sync(report)
    assert (shown(database), cursor(database)) == ({"a": "A"}, FIRST)


def test_a_new_baseline_forgets_what_it_does_not_show(database: Database) -> None:
    """Records that are not in it go, and so do another calendar's of the same employee with their place."""
    baseline(database, a="A", b="B")
    elsewhere = MirrorPlace(PLACE.pair, PLACE.side, "calendar-new")
    assert cursor(database, elsewhere) is None
    baseline(database, elsewhere, b="B2")
    assert shown(database, elsewhere) == {"b": "B2"}
    assert (cursor(database, elsewhere), cursor(database)) == (FIRST, None)


def test_a_record_that_is_reported_both_ways_is_there(database: Database) -> None:
    """Deleted and undeleted in one report: the document is the later word."""
    baseline(database, a="A")
    database.run_sync(
        lambda c: two_way_mirror.store_changes(
            c, database.cipher, 1.0, PLACE, {"a": {"summary": "back"}}, ["a"], FIRST
        )
    )
    assert shown(database) == {"a": "back"}


def test_no_summary_stands_in_the_clear(database: Database) -> None:
    """A mirrored record is one encrypted document."""
    baseline(database, a="Mandant Übermut")
    rows = database.run_sync(lambda c: c.execute(text("SELECT * FROM sync_mirror")).all())
    assert len(rows) == 1
    assert "bermut" not in repr(rows)
