"""What the two-way tests draw: policies, abilities, lies; the same every time unless TWO_WAY_EXAMPLES asks for more."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.three_way import Side

LARGER = int(os.environ.get("TWO_WAY_EXAMPLES", "1"))
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
BARE = {"markers": False, "client_ids": False, "versions": False}
_ABILITIES: list[dict[str, Any]] = [
    {},
    {"markers": False},
    {"client_ids": False},
    {"versions": False, "norm": {"u": "upper"}},
    {"norm": {"u": "upper", "s": "upper"}},
    BARE,
]
ABILITIES = st.sampled_from(_ABILITIES)
_LIMITS: list[dict[str, Any]] = [
    {},
    {},
    {"known_readonly": ["t"]},
    {"known_readonly": ["a", "s"]},
    {"no_delete": True},
]
LIMITS = st.sampled_from(_LIMITS)
"""What a system cannot do, on top of its abilities."""
SIDES = st.sampled_from(list(Side))
PLACES = st.integers(0, 9)
LIES = st.fixed_dictionaries(
    {},
    optional={
        "complete": st.just(False),
        "error": st.just(True),
        **{
            kind: st.sets(PLACES, max_size=3)
            for kind in ("omit", "withheld", "ghost", "gone", "covered", "fail", "fail_after", "fail_get")
        },
    },
)


def settings_for(examples: int, steps: int = 1) -> settings:
    """The same examples every time; with TWO_WAY_EXAMPLES more of them, and others each time."""
    return settings(
        max_examples=examples * LARGER,
        stateful_step_count=steps,
        derandomize=LARGER == 1,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=QUIET,
    )


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """A policy with every kind of field, and what both systems can do."""
    return {
        "default": {"merge": draw(st.sampled_from(["left_wins", "right_wins", "hold"]))},
        "fields": {
            "a": {"group": "g"},
            "b": {"group": "g"},
            "u": {"eq": "lower"},
            "s": {"merge": "set3", "eq": "lower"},
            "n": {"direction": "to_right", "drift": draw(st.sampled_from(["restore", "ignore"]))},
            "x": {"direction": "ignore"},
        },
        "edit_vs_delete": draw(st.sampled_from(["edit_wins", "delete_wins", "hold"])),
        "delete": draw(
            st.sampled_from(
                [{}, {"left_deleted": "restore"}, {"right_deleted": "unlink", "left_deleted": "hold"}]
            )
        ),
        "guard": {"min_abs": 99, "frac": 1.0, "hard_abs": 99},
        "sides": {side: {**draw(ABILITIES), **draw(LIMITS)} for side in ("left", "right")},
    }
