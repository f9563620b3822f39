"""What may leave the firm: one rule, judged per owner (§ 203 StGB, § 43e BRAO; design section 8)."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from enum import StrEnum

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document import Owner, Permission

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)([ T]\d\d:\d\d(:\d\d)?)?")


class EgressRule(StrEnum):
    """Which documents may leave."""

    OFF = "off"
    """None; the default until the firm decides."""
    COLLECTION = "collection"
    """Those linked to an owner of a configured type: being linked is the permission."""
    FIELD = "field"
    """Those of an owner whose permission field is set and carries a reference and a date that is not yet to come."""


def judge(owner: Owner, rule: EgressRule, today: date) -> Permission:
    """Whether the owner's documents may leave on that day, and on what ground.

    Under `field` a bare tick is no permission: without the reference to the client's consent and its date nobody
    could show later on whose word the file left. The reference may name a person, so only its digest is kept.
    """
    match rule:
        case EgressRule.OFF:
            return Permission(False, "off")
        case EgressRule.COLLECTION:
            return Permission(True, "collection")
        case EgressRule.FIELD:
            since = permitted_since(owner)
            if since is None or since > today:
                return Permission(False, "field")
            said = f"{owner.permission_reference}|{owner.permission_date}"
            return Permission(True, f"field:{hashlib.sha256(said.encode()).hexdigest()[:16]}")


def permitted_since(owner: Owner) -> date | None:
    """The day from which the owner's fields permit egress, be it to come; None where they do not.

    A field that does not come with the record is no permission, nor is a date that is none.
    """
    is_complete = owner.is_permitted_by_field and owner.permission_reference and owner.permission_date
    if not is_complete or owner.missing_fields:
        return None
    found = _DAY.fullmatch(owner.permission_date or "")
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def is_permitted(owner: CollectionState | None, rule: EgressRule) -> bool:
    """Whether anything permits what is at xAI for that owner, by the rule of now and what was last seen of the owner.

    A rule that was changed since the owner was last looked at counts as it is now.
    """
    if owner is None or owner.deleted_at is not None:
        return False
    match rule:
        case EgressRule.OFF:
            return False
        case EgressRule.COLLECTION:
            return True
        case EgressRule.FIELD:
            return owner.is_permitted and owner.permission_ground.startswith("field")
