"""Retry-After in all its forms, and times of both dialects."""

from __future__ import annotations

import pytest

from bitbylaw_pipeline.clients.answer import (
    LONGEST_RETRY_AFTER,
    Call,
    Refusal,
    epoch_seconds,
    retry_after_seconds,
    usual_error,
)
from bitbylaw_pipeline.domain.errors import RateLimited, Transient

NOW = 1_795_334_408.0  # Sun, 22 Nov 2026 08:00:08 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("1.5", 1.5),
        ("Sun, 22 Nov 2026 08:01:08 GMT", 60.0),
        ("Sunday, 22-Nov-26 08:01:08 GMT", 60.0),
        ("Sun, 22 Nov 2026 08:00:08 GMT", None),
        ("Sat, 21 Nov 2026 08:00:08 GMT", None),
        ("864000", LONGEST_RETRY_AFTER),
        ("Wed, 02 Dec 2026 08:00:08 GMT", LONGEST_RETRY_AFTER),
        ("1e400", None),
        ("inf", None),
        ("nan", None),
        ("-5", None),
        ("0", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 5000, None),
        ("Fri, 99 Foo 99999 99:99:99 XYZ", None),
    ],
)
def test_retry_after_is_seconds_or_none(text: str | None, seconds: float | None) -> None:
    """Seconds and dates count, capped; the past, the negative and nonsense do not."""
    assert retry_after_seconds(text, NOW) == seconds


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Transient)])
def test_a_date_is_measured_by_the_server_s_own_clock(status: int, kind: type[Transient]) -> None:
    """Where the answer says what time it is there, our own clock (a day off here) does not matter."""
    headers = {"date": "Sun, 22 Nov 2026 08:00:08 GMT", "retry-after": "Sun, 22 Nov 2026 08:00:28 GMT"}
    error = usual_error(Refusal(Call("test", "look"), status, headers, b"", NOW - 86_400))
    assert type(error) is kind
    assert error.retry_after == 20.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22 08:00:08", NOW),
        ("2026-11-22T08:00:08Z", NOW),
        ("2026-11-22T08:00:08.500000Z", NOW + 0.5),
        ("2026-11-22T09:00:08+01:00", NOW),
        ("gestern", None),
        ("", None),
        (None, None),
    ],
)
def test_times_of_both_systems_become_epoch_seconds(text: str | None, seconds: float | None) -> None:
    """EspoCRM's zoneless UTC and xAI's RFC 3339 are the same moment."""
    assert epoch_seconds(text) == seconds
