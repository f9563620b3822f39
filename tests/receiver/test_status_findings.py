"""What the status page calls well, worth a look, or trouble, and the times that it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from bitbylaw_pipeline.inbox.overview import EgressView, FlowView, Overview
from webhook_sensor_app.status_findings import Finding, Level, findings, flow_name
from webhook_sensor_app.status_reading import Facts
from webhook_sensor_app.status_rendering import told
from webhook_sensor_app.status_times import BERLIN, iso, moment, span, whole_moment

NOW = datetime(2026, 11, 23, 19, 58, 2, tzinfo=BERLIN).timestamp()
FLOW = FlowView(
    name="documents", waiting=0, in_work=0, delayed=0, parked=0, oldest_waiting_seconds=None,
    last_success_at=NOW, drift=0, withheld=0, reconciled_at=NOW, reconcile_failure=None, silence=None,
)  # fmt: skip
WELL = Overview(
    now=NOW, flows=[FLOW], systems=[], egress=EgressView("off", is_stopped=False, says="off", remaining=0),
    is_draining=False, holds=0, notices=5,
)  # fmt: skip


def found(overview: Overview = WELL, **of_flow: Any) -> list[Finding]:
    """What is not well, with these facts about the one flow."""
    return findings(Facts(replace(overview, flows=[replace(FLOW, **of_flow)]), []))


def test_busy_is_well() -> None:
    """Work that waits, is in work or was delayed is nobody's business, nor are repaired drift and notices."""
    assert found(waiting=4000, in_work=32, delayed=7, oldest_waiting_seconds=600.0, drift=12) == []


def test_silence_is_trouble_and_comes_before_what_waits() -> None:
    """A flow without success for too long is told in the overview's own words, before parked work."""
    silent, parked = found(silence="No pass for 3 h.", parked=1)
    assert (silent.level, silent.says) == (Level.TROUBLE, "Documents: No pass for 3 h.")
    assert (parked.level, parked.says) == (
        Level.LOOK,
        "Set aside because it failed for good: 1 of documents.",
    )


def test_one_is_told_as_one() -> None:
    """Singular and plural."""
    assert found(withheld=1)[0].says.startswith("Documents: 1 deletion waits for")
    assert found(replace(WELL, holds=1))[0].says == "1 question waits for a person's answer."
    egress = replace(WELL.egress, remaining=3, forbidden=1)
    assert found(replace(WELL, egress=egress))[0].says.startswith("1 document or collection is still at xAI")


def test_an_employee_s_flow_is_named_by_the_kuerzel() -> None:
    """Known flows by their word, one employee's by the Kürzel, unknown ones by themselves."""
    assert [flow_name(name) for name in ("akten", "termine:AB", "else")] == [
        "Matters",
        "Appointments of AB",
        "else",
    ]


@pytest.mark.parametrize(
    ("earlier", "shown"),
    [
        (datetime(2026, 11, 23, 0, 5, tzinfo=BERLIN), "00:05"),
        (datetime(2026, 11, 22, 23, 55, tzinfo=BERLIN), "22 Nov, 23:55"),
        (datetime(2026, 7, 1, 12, 0, tzinfo=BERLIN), "1 Jul, 12:00"),
        (datetime(2025, 12, 31, 8, 0, tzinfo=BERLIN), "31 Dec 2025, 08:00"),
    ],
)
def test_a_moment_is_told_by_the_clock_in_germany(earlier: datetime, shown: str) -> None:
    """With as much of the day as is needed, in summer and winter."""
    assert moment(earlier.timestamp(), NOW) == shown


def test_the_page_s_own_time_is_whole() -> None:
    """Day and second in Germany, and the same in UTC for programs."""
    assert whole_moment(NOW) == "23 Nov 2026, 19:58:02"
    assert iso(NOW) == "2026-11-23T18:58:02Z"


def test_a_span_has_one_unit() -> None:
    """The largest that fits; a clock that runs behind is no negative time."""
    seconds = (-3, 0.4, 59, 61, 3599, 7200, 47 * 3600, 49 * 3600)
    assert [span(one) for one in seconds] == [
        "0 s", "0 s", "59 s", "1 min", "59 min", "2 h", "47 h", "2 days",
    ]  # fmt: skip


def test_commands_are_marked_and_all_else_is_escaped() -> None:
    """What stands between backticks is a command; a single backtick is just one."""
    assert told("Run `a <b>` & `c`.") == "Run <code>a &lt;b&gt;</code> &amp; <code>c</code>."
    assert told("a ` <b>") == "a ` &lt;b&gt;"
