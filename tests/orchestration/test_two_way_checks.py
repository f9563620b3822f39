"""Checks on the pairs with Advoware: what they say of holds, conflicts, records left alone, and old passes."""

from functools import partial
from typing import Any

import dagster as dg
import pytest

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Conflict, Hold, Link, LinkState
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import two_way_conflicts, two_way_holds, two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.pass_times import last_pass, note_pass
from bitbylaw_pipeline.orchestration.pass_checks import LONGEST_SECONDS, pass_age_check
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE
from bitbylaw_pipeline.orchestration.two_way_checks import (
    DAY,
    conflict_check,
    held_check,
    quarantine_check,
    two_way_checks,
)
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock

ASSET = dg.AssetKey(["advoware", "beteiligte"])
PAIR = "beteiligte"
ADVOWARE: dict[str, Any] = {"advoware_api_base_url": "http://advoware.example", "advoware_api_key": "app"}


def look(database: Database, check: StandingCheck, **given: Any) -> Finding:
    """What the check finds now."""
    settings = Settings.load(_env_file=None, **given)
    return database.read(lambda conn: check.look(Moment(conn, database.now(conn), settings)))


def hold(database: Database, pair: str, *holds: Hold) -> None:
    """From now on these and no others wait."""
    database.run_sync(
        lambda conn: two_way_holds.replace_holds(conn, database.now(conn), pair, HoldChanges(holds))
    )


def test_holds_are_counted_with_their_oldest(database: Database, clock: FakeClock) -> None:
    """What waits for a person warns with its number, its subjects and, in days, its age; notices do not count."""
    check = held_check(ASSET, PAIR)
    hold(database, "akten", Hold("right:7", "same_number", side=Side.RIGHT, record_id="7"))
    told = Hold("left:n9", "told", "left:n9", is_notice=True)
    hold(database, PAIR, told)
    assert look(database, check).passed
    waiting = [Hold(f"left:n{number}", "ambiguous", side=Side.LEFT) for number in range(3)]
    hold(database, PAIR, told, *waiting)
    first = look(database, check)
    assert not first.passed
    assert first.facts == {"held": 3, "oldest_days": 0}
    assert set(first.ids) == {f"left:n{number} (ambiguous)" for number in range(3)}
    clock.advance(3600)
    assert look(database, check).digest == first.digest
    clock.advance(2 * DAY)
    later = look(database, check)
    assert (later.facts["oldest_days"], "over 2 days" in later.says) == (2, True)
    hold(database, PAIR)
    assert look(database, check).passed


def test_open_conflicts_warn(database: Database) -> None:
    """Each open conflict of the pair counts, those of another do not."""
    check = conflict_check(ASSET, PAIR)
    found = Conflict("left:n1", "vorname", "none", {"vorname": "A"}, {"vorname": "B"}, {"vorname": "C"})
    for pair, count in (("bankverbindungen", 0), (PAIR, 1)):
        rows = two_way_conflicts.ConflictRows([found], database.cipher)
        database.run_sync(partial(two_way_conflicts.store, now=1.0, pair=pair, rows=rows))
        finding = look(database, check)
        assert (finding.passed, finding.facts) == (not count, {"conflicts": count})


def test_records_left_alone_warn(database: Database) -> None:
    """A link in quarantine counts, an active one does not."""
    check = quarantine_check(ASSET, PAIR)
    for link_id, state, count in (("a", LinkState.ACTIVE, 0), ("b", LinkState.QUARANTINED, 1)):
        link = Link(link_id, f"l{link_id}", f"r{link_id}", state=state)
        rows = two_way_links.rows_of([link], database.cipher)
        database.run_sync(partial(two_way_links.put, now=1.0, pair=PAIR, rows=rows))
        finding = look(database, check)
        assert (finding.passed, finding.facts) == (not count, {"quarantined": count})


def test_every_pair_has_all_checks() -> None:
    """Holds, conflicts, records left alone, what is parked and what has waited long, each under a name of its own."""
    assert [check.name for check in two_way_checks(ASSET, PAIR)] == [
        "nothing_held",
        "no_open_conflicts",
        "nothing_quarantined",
        "nothing_parked",
        "nothing_waits_long",
    ]


@pytest.mark.parametrize("hours", [1, 5])
def test_old_passes_warn(database: Database, clock: FakeClock, hours: int) -> None:
    """A pair that was never passed over, or not within the last hour, warns by its name; growing older is no news."""
    check = pass_age_check(ASSET, ["beteiligte", "akten"])
    never = look(database, check, **ADVOWARE)
    assert (never.passed, never.facts) == (False, {"late": 2})
    for pair in ("beteiligte", "akten"):
        database.run_sync(partial(note_pass, now=clock(), pair=pair))
    assert database.read(lambda conn: last_pass(conn, "akten")) == clock()
    assert look(database, check, **ADVOWARE).passed
    clock.advance(LONGEST_SECONDS - 1)
    assert look(database, check, **ADVOWARE).passed
    database.run_sync(lambda conn: note_pass(conn, database.now(conn), "akten"))
    clock.advance(60 + (hours - 1) * 3600)
    late = look(database, check, **ADVOWARE)
    assert not late.passed
    assert f"beteiligte (for over {hours} h)" in late.says
    clock.advance(600)
    if hours == 1:
        assert "akten" not in late.says
        assert look(database, check, **ADVOWARE).digest == late.digest


def test_without_advoware_no_pass_is_missed(database: Database) -> None:
    """A firm without Advoware is not warned of passes that it will never have."""
    finding = look(database, pass_age_check(ASSET, ["beteiligte"]))
    assert (finding.passed, finding.says) == (True, NO_ADVOWARE)
