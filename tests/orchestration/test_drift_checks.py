"""The check on drift: what of the last reconciliation warns, and what only tells."""

from __future__ import annotations

from functools import partial
from typing import Any

import dagster as dg

from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.inbox import reconciliations
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.drift_checks import OLDEST_SECONDS, drift_check
from bitbylaw_pipeline.orchestration.drift_metadata import ROWS, drift_metadata
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import ADVOWARE, GOOGLE, NO_ADVOWARE, NO_CALENDARS
from bitbylaw_pipeline.settings import Settings
from tests.conftest import FakeClock

ASSET = dg.AssetKey(["xai", "drift"])
CHECK = drift_check(ASSET, ["documents", "collections"])


def look(database: Database, check: StandingCheck = CHECK, **given: Any) -> Finding:
    """What the check finds now."""
    settings = Settings.load(_env_file=None, **given)
    return database.read(lambda conn: check.look(Moment(conn, database.now(conn), settings)))


def note(database: Database, flow: str, found: int = 0, wanted: int = 0, withheld: int = 0) -> None:
    """A reconciliation has come to its end."""
    database.run_sync(
        lambda c: reconciliations.note_ended(
            c, database.now(c), flow, begun_at=database.now(c), listed={"espocrm_documents": 9},
            counts={"missing": found}, wanted=wanted, withheld=withheld,
        )
    )  # fmt: skip


def test_none_yet_warns(database: Database) -> None:
    """Each flow that was never reconciled is named."""
    note(database, "collections")
    finding = look(database)
    assert (finding.passed, list(finding.ids)) == (False, ["documents"])
    assert finding.says.startswith("documents: not reconciled yet. ")


def test_what_the_queue_repairs_is_told_and_does_not_warn(database: Database) -> None:
    """Found and wanted: in the facts, and no trouble; nothing found says so."""
    for flow in ("documents", "collections"):
        note(database, flow)
    assert look(database).says == "Nothing differed."
    note(database, "documents", found=5, wanted=5)
    finding = look(database)
    assert finding.passed
    assert finding.facts == {"found": 5, "wanted": 5, "withheld": 0, "for_a_person": 0}


def test_what_is_withheld_or_a_persons_warns(database: Database) -> None:
    """Both in numbers, with the command to look at them."""
    note(database, "collections")
    note(database, "documents", found=7, wanted=2, withheld=4)
    finding = look(database)
    assert not finding.passed
    assert finding.says == (
        "documents: 4 would delete more than is allowed without an approval, 1 wait for a person. "
        "See `bitbylaw reconcile --dry-run`."
    )


def test_a_failure_warns_until_the_next_one_succeeds(database: Database) -> None:
    """Class and sentence; what the last good one found stands beside it."""
    for flow in ("documents", "collections"):
        note(database, flow)
    failing = partial(reconciliations.note_failed, now=1.0, flow="documents", error=Unexpected("Empty list."))
    database.run_sync(failing)
    finding = look(database)
    assert not finding.passed
    assert "documents: could not be compared (Unexpected: Empty list)" in finding.says
    note(database, "documents")
    assert look(database).passed


def test_an_old_one_warns_and_mere_ageing_is_no_news(database: Database, clock: FakeClock) -> None:
    """After 26 hours, told in whole days."""
    for flow in ("documents", "collections"):
        note(database, flow)
    clock.advance(OLDEST_SECONDS)
    assert look(database).passed
    clock.advance(60.0)
    late = look(database)
    assert "documents: not reconciled for over 1 d" in late.says
    clock.advance(3600.0)
    assert look(database).digest == late.digest


def test_what_is_not_configured_passes(database: Database) -> None:
    """Without Advoware or calendars there is nothing to compare."""
    assert look(database, drift_check(ASSET, ["akten"], ADVOWARE)) == Finding(True, NO_ADVOWARE)
    assert look(database, drift_check(ASSET, ["termine"], GOOGLE)) == Finding(True, NO_CALENDARS)


def test_metadata_has_every_class_as_a_number_and_a_table_with_an_end() -> None:
    """Plots need zeros, too; the table of a bad night does not fill the event log."""
    drifts = [
        Drift("akten", DriftKind.MISSING, f"Akte {n}", "says", "akten", str(n)) for n in range(ROWS + 1)
    ]
    told = drift_metadata(
        [
            DriftReport("documents", 0.0),
            DriftReport("akten", 0.0, tuple(drifts), {"advoware_akten": 300}, 2, 9, 1.5),
        ]
    )
    numbers = {name: value.value for name, value in told.items() if name != "drift"}
    assert (numbers["akten_missing"], numbers["documents_missing"], numbers["akten_busy"]) == (ROWS + 1, 0, 2)
    assert numbers["akten_listed_advoware_akten"] == 300
    assert {f"documents_{kind.value}" for kind in DriftKind} <= numbers.keys()
    rows = told["drift"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert len(rows.records) == ROWS
    assert "drift" not in drift_metadata([DriftReport("documents", 0.0)])
