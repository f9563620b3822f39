"""Whether an owner's documents may leave, and what is noted as the ground."""

from __future__ import annotations

import pytest

from bitbylaw_pipeline.domain.document import Owner, OwnerKey
from bitbylaw_pipeline.domain.egress import EgressRule, judge

KEY = OwnerKey("CVmhRumungsklage", "k1")
GIVEN = Owner(KEY, None, None, True, "Vollmacht Erika Mustermann", "2026-01-02")


@pytest.mark.parametrize(
    ("rule", "owner", "is_granted"),
    [
        (EgressRule.OFF, GIVEN, False),
        (EgressRule.COLLECTION, GIVEN, True),
        (EgressRule.COLLECTION, Owner(KEY, None), True),
        (EgressRule.FIELD, GIVEN, True),
        (EgressRule.FIELD, Owner(KEY, None), False),
        (EgressRule.FIELD, Owner(KEY, None, None, True, None, "2026-01-02"), False),
        (EgressRule.FIELD, Owner(KEY, None, None, True, "Vollmacht", None), False),
        (EgressRule.FIELD, Owner(KEY, None, None, True, "", ""), False),
        (EgressRule.FIELD, Owner(KEY, None, None, False, "Vollmacht", "2026-01-02"), False),
    ],
)
def test_a_rule_grants_what_it_says_and_nothing_else(
    rule: EgressRule, owner: Owner, is_granted: bool
) -> None:
    """Off is off; a link is enough under `collection`; under `field` the tick, its reference and its date."""
    assert judge(owner, rule).is_granted is is_granted


def test_the_ground_names_the_rule_and_never_the_reference() -> None:
    """The register keeps a digest by which a reference can be recognised, not the name in it."""
    ground = judge(GIVEN, EgressRule.FIELD).ground
    assert ground.startswith("field:")
    assert "Mustermann" not in ground
    assert judge(GIVEN, EgressRule.FIELD).ground == ground
    later = Owner(KEY, None, None, True, GIVEN.permission_reference, "2026-01-03")
    assert judge(later, EgressRule.FIELD).ground != ground
    assert [judge(GIVEN, rule).ground for rule in (EgressRule.OFF, EgressRule.COLLECTION)] == [
        "off",
        "collection",
    ]
