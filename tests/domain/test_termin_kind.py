"""Which Termine are court deadlines, by the firm's own rule."""

from __future__ import annotations

from typing import Any

import pytest

from bitbylaw_pipeline.domain.termin_kind import TITLES, FristRule, TerminKind


@pytest.mark.parametrize("text", ["", "alle", " Alle "])
def test_until_it_is_said_every_termin_is_a_frist(text: str) -> None:
    """Nobody's deadline is moved from outside because a setting was forgotten."""
    assert FristRule.parse(text).counts("Mittagessen", {})
    assert FristRule().counts(None, {})


def test_none_at_all_can_be_said() -> None:
    """A firm may keep its deadlines elsewhere."""
    assert not FristRule.parse("keine").counts("Frist Berufung", {})


@pytest.mark.parametrize(
    ("title", "is_frist"),
    [("Frist Berufung", True), ("NOTFRIST", True), ("befristet", False), (None, False), ("", False)],
)
def test_a_pattern_is_looked_for_in_the_title(title: str | None, is_frist: bool) -> None:
    """Anywhere in it, in any case."""
    assert FristRule.parse(r"text:\b(not)?frist\b").counts(title, {}) is is_frist


@pytest.mark.parametrize(
    ("row", "is_frist"),
    [
        ({"terminArt": "Frist"}, True),
        ({"TerminArt": " frist "}, True),
        ({"terminArt": "Termin"}, False),
        ({"terminArt": None}, False),
        ({}, True),
    ],
)
def test_a_field_of_advowares_row_can_say_so(row: dict[str, Any], is_frist: bool) -> None:
    """Whichever surface it came from: they spell the first letter differently."""
    assert FristRule.parse("feld: terminArt = Frist").counts("Berufung", row) is is_frist


def test_a_number_is_compared_as_it_is_written() -> None:
    """Advoware's flags are numbers."""
    assert FristRule.parse("feld:notfrist=1").counts("", {"notfrist": 1})


@pytest.mark.parametrize("text", ["frist", "text:", "text:(", "feld:", "feld:name", "feld:=x", "art:frist"])
def test_what_cannot_be_read_is_refused_with_a_sentence(text: str) -> None:
    """A rule with a slip would make every deadline an ordinary appointment."""
    with pytest.raises(ValueError, match=r"write|position"):
        FristRule.parse(text)


def test_every_kind_has_a_title_to_show() -> None:
    """A masked appointment is not nameless in Google."""
    assert set(TITLES) == set(TerminKind)
