"""What the last audit of each employee's appointments found, and when our writes to Google were begun."""

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import LogEntry
from bitbylaw_pipeline.inbox import calendar_audits, two_way_conflicts
from bitbylaw_pipeline.inbox.calendar_audits import CalendarAudit
from bitbylaw_pipeline.inbox.database import Database

PAIR = "termin_gcal:AB"


def test_last_audit_is_kept_for_each(database: Database) -> None:
    """The last one of each employee counts; a failure takes the place of what was found before."""
    database.run_sync(lambda c: calendar_audits.note(c, 1.0, "AB", {"differing": 2}))
    database.run_sync(lambda c: calendar_audits.note(c, 2.0, "AB", {}, "ScopeRefused"))
    database.run_sync(lambda c: calendar_audits.note(c, 3.0, "CD", {"differing": 1}))
    assert database.read(lambda c: calendar_audits.load(c, ["AB", "CD", "EF"])) == {
        "AB": CalendarAudit("AB", 2.0, {}, "ScopeRefused"),
        "CD": CalendarAudit("CD", 3.0, {"differing": 1}, None),
    }


def test_write_is_known_by_its_nonce(database: Database) -> None:
    """Only writes to Google of that very pair count, and those that are asked for."""

    def log(pair: str, side: Side, nonce: str, at: float) -> None:
        rows = two_way_conflicts.log_rows(
            [LogEntry("left:1", side, "update", ("ort",), {"ort": None}, nonce)], database.cipher
        )
        database.run_sync(lambda c: two_way_conflicts.log(c, at, pair, rows))

    log(PAIR, Side.RIGHT, "n1", 10.0)
    log(PAIR, Side.RIGHT, "n2", 20.0)
    log(PAIR, Side.LEFT, "n3", 30.0)
    log("termin_gcal:CD", Side.RIGHT, "n4", 40.0)
    asked = ["n1", "n3", "n4", "n5"]
    assert database.read(lambda c: calendar_audits.written_at(c, PAIR, asked)) == {"n1": 10.0}
    assert database.read(lambda c: calendar_audits.written_at(c, PAIR, [])) == {}
