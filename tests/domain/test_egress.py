"""Whether an owner's documents may leave, and what is noted as the ground."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, OwnerKey
from bitbylaw_pipeline.domain.egress import EgressRule, is_permitted, judge, permitted_since

KEY = OwnerKey("CVmhRumungsklage", "k1")
TODAY = date(2026, 3, 1)
GIVEN = Owner(KEY, None, None, True, "Vollmacht Erika Mustermann", "2026-01-02")


@pytest.mark.parametrize(
    ("rule", "owner", "is_granted"),
    [
        (EgressRule.OFF, GIVEN, False),
        (EgressRule.COLLECTION, GIVEN, True),
        (EgressRule.COLLECTION, Owner(KEY, None), True),
        (EgressRule.FIELD, GIVEN, True),
        (EgressRule.FIELD, Owner(KEY, None), False),
        (EgressRule.FIELD, replace(GIVEN, permission_reference=None), False),
        (EgressRule.FIELD, replace(GIVEN, permission_date=None), False),
        (EgressRule.FIELD, replace(GIVEN, permission_reference="", permission_date=""), False),
        (EgressRule.FIELD, replace(GIVEN, is_permitted_by_field=False), False),
        (EgressRule.FIELD, replace(GIVEN, missing_fields=("kiFreigabe",)), False),
    ],
)
def test_a_rule_grants_what_it_says_and_nothing_else(
    rule: EgressRule, owner: Owner, is_granted: bool
) -> None:
    """Off is off; a link is enough under `collection`; under `field` the tick, its reference and its date."""
    assert judge(owner, rule, TODAY).is_granted is is_granted


@pytest.mark.parametrize(
    ("text", "is_granted"),
    [
        ("2026-03-01", True),
        ("2026-03-01 23:15:00", True),
        ("2026-03-02", False),
        ("2099-01-01 00:00:00", False),
        ("2026-02-30", False),
        ("01.03.2026", False),
        ("20260301", False),
        ("2026", False),
        ("gestern", False),
    ],
)
def test_only_a_date_that_has_come_permits(text: str, is_granted: bool) -> None:
    """A date in the future is not yet a permission, and what is no date is none."""
    owner = replace(GIVEN, permission_date=text)
    assert judge(owner, EgressRule.FIELD, TODAY).is_granted is is_granted


def test_the_day_on_which_it_begins_is_known_beforehand() -> None:
    """So that the owner is looked at then; without tick or reference there is no such day."""
    later = replace(GIVEN, permission_date="2026-05-04")
    assert permitted_since(later) == date(2026, 5, 4)
    assert permitted_since(replace(later, is_permitted_by_field=False)) is None
    assert permitted_since(replace(later, missing_fields=("kiFreigabeReferenz",))) is None


def test_the_ground_names_the_rule_and_never_the_reference() -> None:
    """The state keeps a digest by which a reference can be recognised, not the name in it."""
    ground = judge(GIVEN, EgressRule.FIELD, TODAY).ground
    assert ground.startswith("field:")
    assert "Mustermann" not in ground
    assert judge(GIVEN, EgressRule.FIELD, TODAY).ground == ground
    later = replace(GIVEN, permission_date="2026-01-03")
    assert judge(later, EgressRule.FIELD, TODAY).ground != ground
    assert [judge(GIVEN, rule, TODAY).ground for rule in (EgressRule.OFF, EgressRule.COLLECTION)] == [
        "off",
        "collection",
    ]


SEEN = CollectionState("CVmhRumungsklage:k1", "c1", True, "field:12", 1.0)


@pytest.mark.parametrize(
    ("owner", "rules"),
    [
        (SEEN, {EgressRule.COLLECTION, EgressRule.FIELD}),
        (replace(SEEN, permission_ground="collection"), {EgressRule.COLLECTION}),
        (replace(SEEN, is_permitted=False, permission_ground="field"), {EgressRule.COLLECTION}),
        (replace(SEEN, deleted_at=2.0), set()),
        (None, set()),
    ],
)
def test_what_was_seen_of_an_owner_is_judged_by_the_rule_of_now(
    owner: CollectionState | None, rules: set[EgressRule]
) -> None:
    """A rule that was changed since counts as it is now."""
    assert {rule for rule in EgressRule if is_permitted(owner, rule)} == rules
