"""What the benchmark computes from what it measured."""

from __future__ import annotations

import pytest

from bitbylaw_pipeline.bench.burst_trial import Pair, Trial, check_same_calls
from bitbylaw_pipeline.bench.cpu_time import ProcessFacts, parse_stat, spent, tree_cpu_seconds
from bitbylaw_pipeline.bench.database_servers import BenchProblem
from bitbylaw_pipeline.bench.report import fmt
from bitbylaw_pipeline.bench.statistics import Spread, percentile, schedule, spread


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.07, 7.0),
        ([float(n) for n in range(1, 1001)], 0.999, 999.0),
        ([1.0, 2.0, 3.0], 1.0, 3.0),
        ([1.0, 2.0, 3.0], 0.0, 1.0),
    ],
)
def test_percentile_is_a_measured_value(values: list[float], share: float, expected: float) -> None:
    """The percentile is the smallest measured value that the share of all values does not exceed."""
    assert percentile(values, share) == expected


def test_no_values_have_no_percentile() -> None:
    """Nothing measured, or a share that is none, is an error and not a number."""
    for values, share in (([], 0.5), ([1.0], 99)):
        with pytest.raises(ValueError, match="percentile"):
            percentile(values, share)
    with pytest.raises(ValueError, match="spread"):
        spread([])


def test_spread_is_median_and_range() -> None:
    """Repetitions are shown by their median, lowest and highest."""
    assert spread([9.0, 1.0, 4.0]) == Spread(4.0, 1.0, 9.0)


def test_open_loop_keeps_its_rate() -> None:
    """An open loop has rate times seconds moments, evenly spaced, without drift."""
    moments = list(schedule(100.0, 15.0))
    assert len(moments) == 1500
    assert moments[0] == 0.0
    assert moments[1499] == 14.99
    assert list(schedule(2.0, 1.0)) == [0.0, 0.5]
    with pytest.raises(ValueError, match="rate"):
        list(schedule(0.0, 1.0))


def test_cpu_time_is_read_past_any_program_name() -> None:
    """A name with spaces and parentheses does not shift the fields; children that were waited for count."""
    line = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 1 0 100 1000 10"
    facts = parse_stat(line)
    assert (facts.pid, facts.parent) == (42, 7)
    assert facts.cpu_seconds == pytest.approx(2.5, rel=0.01)


def test_cpu_time_of_a_tree_has_all_descendants() -> None:
    """A process's number holds its living descendants' and nobody else's."""
    processes = {
        pid: ProcessFacts(pid, parent, seconds)
        for pid, parent, seconds in ((10, 1, 1.0), (11, 10, 2.0), (12, 11, 4.0), (20, 1, 8.0))
    }
    assert tree_cpu_seconds(10, processes) == 7.0
    assert tree_cpu_seconds(99, processes) == 0.0
    assert spent({"a": 1.0}, {"a": 3.0, "new": 2.0}) == {"a": 2.0, "new": 2.0}


def trial(calls: dict[str, int], sent_bytes: int = 1000) -> Trial:
    """A burst of ten documents in two seconds."""
    return Trial(10, 2.0, {"bench": 0.1}, calls, sent_bytes)


def test_bursts_are_compared_only_if_they_made_the_same_calls() -> None:
    """A missing call, a write too many or smaller bodies end the comparison; a read more is ours to pay for."""
    theirs = trial({"espocrm GET x": 10, "espocrm PUT x": 10})
    assert theirs.per_second == 5.0
    check_same_calls(Pair(theirs, trial({"espocrm GET x": 12, "espocrm PUT x": 10})))
    for ours in (
        trial({"espocrm GET x": 9, "espocrm PUT x": 10}),
        trial({"espocrm GET x": 10, "espocrm PUT x": 11}),
        trial({"espocrm GET x": 10, "espocrm PUT x": 10, "xai DELETE y": 1}),
        trial({"espocrm GET x": 10, "espocrm PUT x": 10}, sent_bytes=900),
    ):
        with pytest.raises(BenchProblem, match="not the same"):
            check_same_calls(Pair(theirs, ours))


@pytest.mark.parametrize("seconds", [0.0, -3600.0])
def test_a_burst_that_ends_before_it_begins_is_no_figure(seconds: float) -> None:
    """Clocks that disagree end the measurement: their ratio would be near 1, and every aim met."""
    with pytest.raises(BenchProblem, match="before the start"):
        Trial(10, seconds, {}, {}, 0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3.0, "3"), (0.4321, "0.43"), (12.34, "12.3"), (123.4, "123"), (1e9 + 0.5, "1000000000")],
)
def test_numbers_are_shown_with_what_matters(value: float, shown: str) -> None:
    """Three digits at most after the point where they say something, none where they do not."""
    assert fmt(value) == shown
