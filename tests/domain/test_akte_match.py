"""Akten and matters are tied one to one by their number, and whatever is doubtful is tied to nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.akte_match import (
    AktenMatch,
    AkteRef,
    Contested,
    Matter,
    Why,
    aktenzeichen_differ,
    match_akten,
)
from bitbylaw_pipeline.domain.document import OwnerKey


def matter(name: str, number: int | None = None, akte_id: int | None = None) -> Matter:
    return Matter(OwnerKey("CVmhRumungsklage", name), number, akte_id)


def pairs(found: AktenMatch) -> dict[int, str]:
    return {link.akte.id: link.matter.key.id for link in found.links}


def test_the_number_ties_and_the_id_is_then_to_be_written() -> None:
    """An Akte and a matter with one number belong together; who names nobody yet gets the id."""
    found = match_akten(
        [AkteRef(1, 100), AkteRef(2, 200), AkteRef(3, 300)],
        [matter("a", 100), matter("b", 200, 2), matter("c", 999), matter("d")],
    )
    assert pairs(found) == {1: "a", 2: "b"}
    assert {link.matter.key.id: link.is_to_write for link in found.links} == {"a": True, "b": False}
    assert found.unmatched == (3,)
    assert found.without_akte == ("CVmhRumungsklage:c", "CVmhRumungsklage:d")
    assert found.contested == ()


def test_a_matter_without_number_is_tied_by_the_akte_that_it_names() -> None:
    """The id alone is enough where either side shows no number, and is never written again."""
    found = match_akten([AkteRef(1, 100), AkteRef(2, None)], [matter("a", None, 1), matter("b", 7, 2)])
    assert pairs(found) == {1: "a", 2: "b"}
    assert not any(link.is_to_write for link in found.links)


def test_without_a_field_for_the_id_nothing_is_to_be_written() -> None:
    """A matter type that has no such field is tied all the same."""
    found = match_akten([AkteRef(1, 100)], [replace(matter("a", 100), takes_id=False)])
    assert pairs(found) == {1: "a"}
    assert not found.links[0].is_to_write


@pytest.mark.parametrize(
    ("akten", "matters", "why"),
    [
        ([AkteRef(1, 100)], [matter("a", 100), matter("b", 100)], Why.SAME_NUMBER),
        ([AkteRef(1, 100)], [matter("a", 100, 1), matter("b", 100)], Why.SAME_NUMBER),
        ([AkteRef(1, 100), AkteRef(2, 100)], [matter("a", 100)], Why.SAME_NUMBER),
        ([AkteRef(1, 100), AkteRef(2, 100)], [], Why.SAME_NUMBER),
        ([], [matter("a", 100), matter("b", 100)], Why.SAME_NUMBER),
        ([AkteRef(1, 100), AkteRef(2, 200)], [matter("a", 100, 2)], Why.NAMES_ANOTHER),
        ([AkteRef(1, 100), AkteRef(2, 200)], [matter("a", 100, 2), matter("b", 200)], Why.NAMES_ANOTHER),
        ([AkteRef(1, 100)], [matter("a", 999, 1)], Why.NAMES_ANOTHER),
        ([AkteRef(1, 100)], [matter("a", None, 1), matter("b", None, 1)], Why.NAMES_ANOTHER),
        ([AkteRef(1, 100)], [matter("a", 100, 77)], Why.AKTE_GONE),
        ([], [matter("a", None, 77)], Why.AKTE_GONE),
    ],
)
def test_what_two_claim_is_held(akten: list[AkteRef], matters: list[Matter], why: Why) -> None:
    """Every record of such a group is named, and none is tied to anything."""
    found = match_akten(akten, matters)
    gone = tuple(one.akte_id for one in matters if one.akte_id == 77)
    keys = tuple(str(one.key) for one in matters)
    assert found.contested == (Contested(why, tuple(akte.id for akte in akten), keys, gone),)
    assert (found.links, found.unmatched) == ((), ())


def test_one_doubt_leaves_the_others_alone() -> None:
    """Records that no number and no id ties to the doubtful ones are tied as ever."""
    found = match_akten(
        [AkteRef(1, 100), AkteRef(2, 200)], [matter("a", 100), matter("b", 100), matter("c", 200)]
    )
    assert pairs(found) == {2: "c"}
    assert found.contested[0].matters == ("CVmhRumungsklage:a", "CVmhRumungsklage:b")


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("123/26", "00123-26 MM", False),
        ("123/2026", "123/26", False),
        ("123/26", "124/26", True),
        ("123/25", "123/26", True),
        ("123/26", None, False),
        ("ohne", "123/26", False),
    ],
)
def test_aktenzeichen_are_compared_by_number_and_year(one: str, other: str | None, differ: bool) -> None:
    """Zeros, suffix and century mean nothing, and what cannot be read differs from nothing."""
    assert aktenzeichen_differ(one, other) is differ


few = st.integers(1, 6)
maybe = st.none() | few
akten_lists = st.lists(st.builds(AkteRef, few, maybe), max_size=6, unique_by=lambda one: one.id)
matter_lists = st.lists(
    st.tuples(st.sampled_from("abcdef"), maybe, maybe | st.just(77)), max_size=6, unique_by=lambda one: one[0]
).map(lambda rows: [matter(*row) for row in rows])


@settings(max_examples=200)
@given(akten_lists, matter_lists)
def test_never_two_on_one_and_never_over_another(akten: list[AkteRef], matters: list[Matter]) -> None:
    """No Akte has two matters and no matter two Akten; a tie contradicts no number and no id that stands there."""
    found = match_akten(akten, matters)
    linked = [link.akte.id for link in found.links]
    keys = [link.matter.key for link in found.links]
    assert len(set(linked)) == len(linked)
    assert len(set(keys)) == len(keys)
    for link in found.links:
        akte, one = link.akte, link.matter
        assert one.akte_id in (None, akte.id)
        assert None in (akte.aktennummer, one.aktennummer) or akte.aktennummer == one.aktennummer
        assert one.akte_id == akte.id or one.aktennummer == akte.aktennummer is not None
        assert [other for other in matters if other.akte_id == akte.id and other is not one] == []
        if akte.aktennummer is not None:
            assert Counter(other.aktennummer for other in akten)[akte.aktennummer] == 1
            assert sum(other.aktennummer == akte.aktennummer for other in matters) <= 1


@settings(max_examples=150)
@given(akten_lists, matter_lists, st.randoms(use_true_random=False))
def test_everything_is_told_once_and_the_order_does_not_matter(
    akten: list[AkteRef], matters: list[Matter], random: Random
) -> None:
    """Each Akte and each matter is in exactly one place, whatever order the lists come in."""
    found = match_akten(akten, matters)
    told = [link.akte.id for link in found.links] + list(found.unmatched)
    told += [one for group in found.contested for one in group.akten]
    assert sorted(told) == sorted(akte.id for akte in akten)
    keys = [str(link.matter.key) for link in found.links] + list(found.without_akte)
    keys += [one for group in found.contested for one in group.matters]
    assert sorted(keys) == sorted(str(one.key) for one in matters)
    shuffled, others = list(akten), list(matters)
    random.shuffle(shuffled)
    random.shuffle(others)
    again = match_akten(shuffled, others)
    assert pairs(again) == pairs(found)
    assert set(again.contested) == set(found.contested)


@settings(max_examples=200)
@given(akten_lists, matter_lists)
def test_once_written_there_is_nothing_left_to_write(akten: list[AkteRef], matters: list[Matter]) -> None:
    """With the ids of the first match in the matters, the second ties the same and writes nothing."""
    first = match_akten(akten, matters)
    ids = {link.matter.key: link.akte.id for link in first.links}
    after = [replace(one, akte_id=ids.get(one.key, one.akte_id)) for one in matters]
    second = match_akten(akten, after)
    assert pairs(second) == pairs(first)
    assert not any(link.is_to_write for link in second.links)
    assert second.contested == first.contested
