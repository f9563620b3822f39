"""Records without a link: when so little matches that nothing may be made, and who is whose partner."""

from __future__ import annotations

import pytest

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Policy, Record
from bitbylaw_pipeline.domain.two_way_match import (
    Matched,
    Pairing,
    decide_records,
    match_records,
    missing_partners,
    settle_partners,
)
from bitbylaw_pipeline.domain.two_way_state import Decision

POLICY = Policy(match=(("name",),))
Records = dict[str, Record]
NOT_WITHHELD: dict[Side, frozenset[str]] = {side: frozenset() for side in Side}


def _records(prefix: str, same: int, own: int) -> Records:
    """So many that the other side has, too, and so many of this side alone."""
    names = [f"same {n}" for n in range(same)] + [f"{prefix} {n}" for n in range(own)]
    return {f"{prefix}{n}": Record(f"{prefix}{n}", {"name": name}) for n, name in enumerate(names)}


def _matched(left: Records, right: Records, linked: int = 0) -> Matched:
    ids = frozenset(f"linked {n}" for n in range(linked))
    return match_records(
        {Side.LEFT: left, Side.RIGHT: right},
        POLICY,
        is_linked=dict.fromkeys(Side, ids),
        has_links=linked > 0,
        is_complete=dict.fromkeys(Side, True),
    )


@pytest.mark.parametrize(
    ("pairs", "left", "right", "linked", "is_held"),
    [
        (0, 1, 1, 0, True),
        (0, 9, 0, 0, False),
        (1, 4, 4, 0, True),
        (1, 300, 4, 0, True),
        (4, 5, 5, 0, True),
        (5, 5, 5, 0, False),
        (1, 3, 3, 0, False),
        (1, 40, 2, 0, False),
        (0, 4, 4, 1, True),
        (0, 4, 4, 4, False),
        (2, 4, 4, 2, False),
        (4750, 250, 250, 0, False),
        (4750, 250, 15_000, 0, False),
        (0, 250, 250, 4750, False),
    ],
)
def test_what_is_left_over_on_both_sides_waits_where_little_matched(
    pairs: int, left: int, right: int, linked: int, *, is_held: bool
) -> None:
    """More possible doubles than known pairs: all are held. Large stocks that mostly match go on."""
    found = _matched(_records("l", pairs, left), _records("r", pairs, right), linked)
    assert len(found.pairs) == pairs
    assert len(found.held) == (left + right if is_held else 0)
    assert {why for _, _, why in found.held} <= {"bootstrap_unmatched"}
    assert len(found.new) == (0 if is_held else left + right)


def _named(claim: str | None = None) -> tuple[Matched, dict[Side, Records]]:
    """What comes of one record on the right whose partner on the left was not listed."""
    free = {Side.LEFT: {}, Side.RIGHT: {"e": Record("e", {"name": "n"}, claim=claim, partner="4")}}
    return _matched(free[Side.LEFT], free[Side.RIGHT]), free


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (None, Pairing("right:e", "4", "e")),
        ("left:4:g2", Pairing("left:4", "4", "e", 2)),
        ("left:5:g2", Pairing("right:e", "4", "e")),
    ],
)
def test_a_partner_read_by_itself_is_linked(claim: str | None, expected: Pairing) -> None:
    """A marker that says the same keeps the name of the link and burns the keys that were used."""
    found, free = _named(claim)
    assert missing_partners(found, free) == {(Side.RIGHT, "e"): (Side.LEFT, "4")}
    settle_partners(found, free, {(Side.LEFT, "4"): Record("4", {"name": "n"})}, NOT_WITHHELD)
    assert (found.pairs, found.held, found.new) == ([expected], [], [])


@pytest.mark.parametrize(
    ("read", "withheld", "why", "is_made"),
    [
        ({}, (), "partner_missing", True),
        ({(Side.LEFT, "4"): None}, (), "partner_gone", True),
        ({(Side.LEFT, "4"): Record("4", {}, is_in_scope=False)}, (), "partner_withheld", False),
        ({}, ("4",), "partner_withheld", False),
    ],
)
def test_a_counterpart_is_made_only_where_there_is_none(
    read: dict[tuple[Side, str], Record | None], withheld: tuple[str, ...], why: str, *, is_made: bool
) -> None:
    """`create` does nothing where the partner is there and merely left alone."""
    found, free = _named()
    settle_partners(found, free, read, {**NOT_WITHHELD, Side.LEFT: frozenset(withheld)})
    assert found.held == [(Side.RIGHT, "e", why)]
    decide_records(found, free, {"right:e": {why: Decision("create", "")}})
    assert found.new == ([(Side.RIGHT, "e")] if is_made else [])
