"""How much is at xAI although nothing permits it: `len(remaining.load(...))` without reading every document's state.

The overview asks for it at every look. Where every owner permits (or none has lost its permission) it is one pass over
the documents: 45 ms for 100,000 of them on SQLite, where reading them all takes seconds.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, exists, false, func, not_, or_, select

from bitbylaw_pipeline.domain.document_plan import EXCLUDED
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import intents
from bitbylaw_pipeline.inbox.remaining import UPLOAD
from bitbylaw_pipeline.inbox.schema import collection_state, document_owner, document_state
from bitbylaw_pipeline.settings import Settings

_DOCUMENT, _OWNER = document_state.c, collection_state.c


def count(connection: Connection, settings: Settings) -> int:
    """The number; makes no call to any system."""
    permits = and_(_is_configured(_OWNER.owner_key, settings), _permits(settings.xai_egress))
    collections = connection.execute(
        select(func.count()).where(not_(permits), _OWNER.collection_id.is_not(None))
    ).scalar_one()
    is_there = _is_there(connection)
    if not _is_any(connection, permits) and not _is_owned(connection, _is_unclear(settings)):
        # The rule is off, say: nothing permits anything.
        return int(collections) + _count(connection, is_there)
    is_gone = or_(_DOCUMENT.deleted_at.is_not(None), _DOCUMENT.status == EXCLUDED, _DOCUMENT.owners == "[]")
    found = _count(connection, and_(is_there, is_gone))
    is_former = not_(_is_configured(document_owner.c.owner, settings))
    if _is_any(connection, not_(permits)) or _is_owned(connection, is_former):
        found += _unpermitted(connection, settings, permits, and_(is_there, not_(is_gone)))
    return int(collections) + found


def count_forbidden(connection: Connection, settings: Settings) -> int:
    """How much of it is there although somebody has said no (`remaining.FORBIDDEN`)."""
    found = count(connection, settings)
    return found - _kept(connection) if found else 0


def _kept(connection: Connection) -> int:
    """What is kept by rule of records that are gone."""
    is_gone = _OWNER.deleted_at.is_not(None)
    collections = connection.execute(
        select(func.count()).where(is_gone, _OWNER.collection_id.is_not(None))
    ).scalar_one()
    owned = document_owner.c
    gone_owners = select(_OWNER.owner_key).where(is_gone)
    of_gone = select(owned.document_id).where(owned.owner.in_(gone_owners))
    other = document_owner.alias("other").c
    has_another = exists().where(other.document_id == _DOCUMENT.document_id, other.owner.not_in(gone_owners))
    is_without = or_(_DOCUMENT.owners == "[]", and_(_DOCUMENT.document_id.in_(of_gone), not_(has_another)))
    is_kept = or_(_DOCUMENT.deleted_at.is_not(None), and_(_DOCUMENT.status != EXCLUDED, is_without))
    return int(collections) + _count(connection, and_(_is_there(connection), is_kept))


def _is_there(connection: Connection) -> ColumnElement[bool]:
    unclear = sorted({intent.subject for intent in intents.unsettled_all(connection, UPLOAD)})
    return or_(_DOCUMENT.file_id.is_not(None), _DOCUMENT.doomed != "[]", _DOCUMENT.document_id.in_(unclear))


def _count(connection: Connection, of_documents: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).where(of_documents)).scalar_one())


def _is_any(connection: Connection, of_owners: ColumnElement[bool]) -> bool:
    return connection.execute(select(_OWNER.owner_key).where(of_owners).limit(1)).first() is not None


def _is_owned(connection: Connection, by_such: ColumnElement[bool]) -> bool:
    return connection.execute(select(document_owner.c.owner).where(by_such).limit(1)).first() is not None


def _is_unclear(
    settings: Settings, owner: ColumnElement[str] = document_owner.c.owner
) -> ColumnElement[bool]:
    """An owner that was not looked at yet: of it nobody can say it."""
    return and_(owner.not_in(select(_OWNER.owner_key)), _is_configured(owner, settings))


def _is_configured(owner: ColumnElement[str], settings: Settings) -> ColumnElement[bool]:
    """`remaining.is_configured`. Not by LIKE, which takes upper and lower case for the same on SQLite."""
    prefixes = [f"{one.entity_type}:" for one in settings.collection_owners]
    return or_(false(), *(func.substr(owner, 1, len(prefix)) == prefix for prefix in prefixes))


def _permits(rule: EgressRule) -> ColumnElement[bool]:
    """`domain.egress.is_permitted` of an owner that is known."""
    match rule:
        case EgressRule.OFF:
            return false()
        case EgressRule.COLLECTION:
            return _OWNER.deleted_at.is_(None)
        case EgressRule.FIELD:
            is_by_field = func.substr(_OWNER.permission_ground, 1, 5) == "field"
            return and_(_OWNER.deleted_at.is_(None), _OWNER.is_permitted, is_by_field)


def _unpermitted(
    connection: Connection, settings: Settings, permits: ColumnElement[bool], among: ColumnElement[bool]
) -> int:
    """Documents of which no owner permits, and none is unclear. Found by those owners: they are few."""
    owned = document_owner.c
    is_lost = or_(
        owned.owner.in_(select(_OWNER.owner_key).where(not_(permits))),
        not_(_is_configured(owned.owner, settings)),
    )
    of_lost = select(owned.document_id).where(is_lost)
    other = document_owner.alias("other").c
    saves = exists().where(
        other.document_id == _DOCUMENT.document_id,
        or_(
            other.owner.in_(select(_OWNER.owner_key).where(permits)),
            _is_unclear(settings, other.owner),
        ),
    )
    return _count(connection, and_(_DOCUMENT.document_id.in_(of_lost), among, not_(saves)))
