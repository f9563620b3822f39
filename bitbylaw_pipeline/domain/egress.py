"""What may leave the firm: one rule, judged per owner (§ 203 StGB, § 43e BRAO; design section 8)."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from bitbylaw_pipeline.domain.document import Owner, Permission


class EgressRule(StrEnum):
    """Which documents may leave."""

    OFF = "off"
    """None; the default until the firm decides."""
    COLLECTION = "collection"
    """Those linked to an owner of a configured type: being linked is the permission."""
    FIELD = "field"
    """Those of an owner whose permission field is set and carries a reference and a date."""


def judge(owner: Owner, rule: EgressRule) -> Permission:
    """Whether the owner's documents may leave, and on what ground.

    Under `field` a bare tick is no permission: without the reference to the client's consent and its date nobody
    could show later on whose word the file left. The reference may name a person, so only its digest is kept.
    """
    match rule:
        case EgressRule.OFF:
            return Permission(False, "off")
        case EgressRule.COLLECTION:
            return Permission(True, "collection")
        case EgressRule.FIELD:
            if not (owner.is_permitted_by_field and owner.permission_reference and owner.permission_date):
                return Permission(False, "field")
            said = f"{owner.permission_reference}|{owner.permission_date}"
            return Permission(True, f"field:{hashlib.sha256(said.encode()).hexdigest()[:16]}")
