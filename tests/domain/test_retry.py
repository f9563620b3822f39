"""When failed work is tried again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.retry import RetryLadder

LADDER = RetryLadder(first=5.0, longest=14_400.0, attempts=8)
CHANCE = st.floats(0.0, 1.0, exclude_max=True)


def test_delays_grow_from_seconds_to_hours_and_then_stay() -> None:
    """Each rung is twice the one before, up to the longest; the jitter never makes a wait of nothing."""
    highest = [LADDER.delay(failures, 0.999999) for failures in range(1, 20)]
    assert highest[:4] == pytest.approx([5.0, 10.0, 20.0, 40.0], rel=1e-3)
    assert highest[-1] == pytest.approx(14_400.0, rel=1e-3)
    assert LADDER.delay(1, 0.0) == pytest.approx(0.5)


@given(failures=st.integers(-3, 5000), chance=CHANCE)
def test_every_delay_is_between_a_tenth_and_the_whole_of_its_rung(failures: int, chance: float) -> None:
    """However many failures, the delay is finite, positive and no longer than the longest."""
    delay = LADDER.delay(failures, chance)
    assert 0.5 <= delay <= 14_400.0


@given(chance=CHANCE, wished=st.floats(0.1, 14_400.0))
def test_never_earlier_than_it_was_asked_for(chance: float, wished: float) -> None:
    """Retry-After is a floor."""
    assert LADDER.delay(1, chance, wished) >= wished


@pytest.mark.parametrize("wished", [None, 0.0, -5.0, math.inf, math.nan])
def test_a_senseless_wish_is_no_wish(wished: float | None) -> None:
    """Nothing, zero, the past and eternity leave the ladder as it is."""
    assert LADDER.delay(1, 0.5, wished) == LADDER.delay(1, 0.5)


def test_ten_days_are_the_longest_delay() -> None:
    """A header must not silence a document."""
    assert LADDER.delay(1, 0.5, 864_000.0) == 14_400.0


def test_attempts_are_counted() -> None:
    """The eighth failure is the last."""
    assert [LADDER.is_exhausted(failures) for failures in (1, 7, 8, 9)] == [False, False, True, True]
