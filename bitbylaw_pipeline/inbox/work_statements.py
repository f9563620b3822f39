"""The work queue's statements, built once: building or compiling one costs more than running it.

All take the time as `at_now`. `work_queue` says what they mean.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.json_rows import BIGINT, DOUBLE, TEXT, rows_parameter, texts_parameter
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import IS_OPEN, IS_PARKED, flag, work

INTEGER = work.c.priority.type
NOTHING = null()
NOW: ColumnElement[float] = bindparam("at_now", type_=DOUBLE)
IN_STREAM = work.c.stream == bindparam("in_stream", type_=TEXT)
FREE_LEASE: dict[str, Any] = {"lease_token": NOTHING, "lease_until": NOTHING, "updated_at": NOW}

IS_LEASED = and_(work.c.lease_until.is_not(None), work.c.lease_until > NOW)
IS_UNLEASED = or_(work.c.lease_until.is_(None), work.c.lease_until <= NOW)
IS_READY = and_(IS_OPEN, work.c.not_before <= NOW, IS_UNLEASED)

_keys = texts_parameter("keys")
_claims = rows_parameter(
    "claims", {"stream": TEXT, "key": TEXT, "token": TEXT, "generation": BIGINT, "again": DOUBLE}
)
_IS_OURS = and_(
    work.c.stream == _claims.c.stream, work.c.key == _claims.c.key, work.c.lease_token == _claims.c.token
)

# The dialects' INSERT … ON CONFLICT are alike, and PostgreSQL's compiles for SQLite as well.
_given = insert(work).from_select(
    ["stream", "key", "wanted", "done", "priority", "wanted_at", "not_before", "attempts", "updated_at"],
    select(
        bindparam("in_stream", type_=TEXT),
        _keys.c.value,
        literal_column("1"),
        literal_column("0"),
        bindparam("with_priority", type_=INTEGER),
        NOW,
        bindparam("due", type_=DOUBLE),
        literal_column("0"),
        NOW,
    ).where(true()),  # SQLite would read ON CONFLICT as a join's ON without a WHERE before it
)
_is_pending = work.c.wanted > work.c.done
WANT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[work.c.stream, work.c.key],
        set_={
            "wanted": work.c.wanted + 1,
            "priority": case(
                (and_(_is_pending, work.c.priority < _given.excluded.priority), work.c.priority),
                else_=_given.excluded.priority,
            ),
            "wanted_at": case((_is_pending, work.c.wanted_at), else_=_given.excluded.wanted_at),
            "not_before": case(
                (and_(IS_OPEN, work.c.not_before < _given.excluded.not_before), work.c.not_before),
                else_=_given.excluded.not_before,
            ),
            "attempts": case((work.c.parked_at.is_(None), work.c.attempts), else_=0),
            "parked_at": NOTHING,
            "park_reason": NOTHING,
            "updated_at": _given.excluded.updated_at,
        },
    )
)

_first_ready = (
    select(work.c.stream, work.c.key)
    .where(IN_STREAM, IS_READY)
    .order_by(work.c.priority, work.c.not_before, work.c.key)
    .limit(bindparam("at_most", type_=INTEGER))
)
_ready = _first_ready.with_for_update(skip_locked=True)


def _claim(ready: Any) -> Any:
    # As a CTE: a subquery in WHERE … IN may be run again for each row, and then takes more than its limit.
    chosen = ready.cte("ready")
    return (
        update(work)
        .where(work.c.stream == chosen.c.stream, work.c.key == chosen.c.key)
        .values(
            lease_token=bindparam("with_token", type_=TEXT),
            lease_until=bindparam("until", type_=DOUBLE),
            # A lease that ran out is a process that died over it: a document that kills its process must not do so
            # for ever.
            attempts=work.c.attempts + case((work.c.lease_until.is_(None), 0), else_=1),
            updated_at=NOW,
        )
        .returning(work.c.key, work.c.wanted, work.c.attempts, work.c.priority, work.c.not_before)
    )


CLAIM = Prepared(_claim(_ready))
CLAIM_KEYS = Prepared(_claim(_ready.where(work.c.key.in_(select(_keys.c.value)))))

_has_newer = work.c.wanted > _claims.c.generation
COMPLETE = Prepared(
    update(work)
    .where(_IS_OURS)
    .values(
        done=_claims.c.generation,
        wanted=case(
            (or_(_has_newer, _claims.c.again.is_(None)), work.c.wanted),
            else_=_claims.c.generation + literal_column("1"),
        ),
        # What came in meanwhile queues up behind the others; else one busy document starves them.
        not_before=case(
            (_has_newer, NOW), (_claims.c.again.is_not(None), _claims.c.again), else_=work.c.not_before
        ),
        wanted_at=case(
            (_has_newer, NOW), (_claims.c.again.is_not(None), _claims.c.again), else_=work.c.wanted_at
        ),
        attempts=0,
        last_error=NOTHING,
        **FREE_LEASE,
    )
)
RELEASE = Prepared(update(work).where(_IS_OURS).values(**FREE_LEASE))
RENEW = Prepared(
    update(work)
    .where(_IS_OURS)
    .values(lease_until=bindparam("until", type_=DOUBLE), updated_at=NOW)
    .returning(work.c.key)
)

_IS_THIS_ONE = and_(
    IN_STREAM,
    work.c.key == bindparam("with_key", type_=TEXT),
    work.c.lease_token == bindparam("with_token", type_=TEXT),
)
_has_newer_than_seen = work.c.wanted > bindparam("seen", type_=BIGINT)
RETRY = Prepared(
    update(work)
    .where(_IS_THIS_ONE)
    .values(
        # An event that came in during the failed pass clears the delay, as one that comes in later does.
        not_before=case((_has_newer_than_seen, NOW), else_=bindparam("due", type_=DOUBLE)),
        attempts=work.c.attempts + bindparam("counted", type_=INTEGER),
        last_error=bindparam("with_error", type_=TEXT),
        **FREE_LEASE,
    )
)
PARK = Prepared(
    update(work)
    .where(_IS_THIS_ONE)
    .values(
        # Parked with an event unread, that event would be lost.
        parked_at=case((_has_newer_than_seen, NOTHING), else_=NOW),
        park_reason=case((_has_newer_than_seen, NOTHING), else_=bindparam("with_reason", type_=TEXT)),
        not_before=case((_has_newer_than_seen, NOW), else_=work.c.not_before),
        attempts=case((_has_newer_than_seen, 0), else_=work.c.attempts + 1),
        last_error=bindparam("with_error", type_=TEXT),
        **FREE_LEASE,
    )
    .returning(work.c.parked_at)
)

# In the claim's order, although it does not matter here: PostgreSQL cannot know how few rows are open, and would
# rather read the whole table than the index.
READY_COUNT = Prepared(select(func.count()).select_from(_first_ready.subquery()))
NEXT_DUE = Prepared(
    select(
        func.min(case((work.c.lease_until > work.c.not_before, work.c.lease_until), else_=work.c.not_before))
    ).where(IN_STREAM, IS_OPEN)
)
# The open and the parked ones each by their own index: read together, a hundred thousand finished rows took 0.1 s.
SUMMARY = Prepared(
    select(
        work.c.stream,
        func.count().filter(IS_READY).label("waiting"),
        func.count().filter(IS_LEASED).label("leased"),
        func.count().filter(and_(IS_UNLEASED, work.c.not_before > NOW)).label("delayed"),
        func.min(work.c.wanted_at).filter(IS_READY).label("oldest"),
    )
    .where(IS_OPEN)
    .group_by(work.c.stream)
)
PARKED_COUNT = Prepared(
    select(work.c.stream, func.count().label("parked")).where(IS_PARKED).group_by(work.c.stream)
)
# What waits for a time of its own choice is in nobody's way; what waits because it failed is.
OLDEST_UNFINISHED = Prepared(
    select(work.c.stream, func.min(work.c.wanted_at).label("oldest"))
    .where(IS_OPEN, or_(work.c.not_before <= NOW, work.c.last_error.is_not(None)))
    .group_by(work.c.stream)
)
GET = Prepared(select(work).where(IN_STREAM, work.c.key == bindparam("with_key", type_=TEXT)))

# The newest `updated_at` of a finished row would be the same, but no index leads there: 0.05 s over 100,000 rows. Once a
# second at most, or the row would be written with every document.
SUCCESS = "succeeded:"
_noted = insert(flag).values(
    name=bindparam("with_name", type_=TEXT), value=bindparam("with_value", type_=TEXT), set_at=NOW
)
NOTE_SUCCESS = Prepared(
    _noted.on_conflict_do_update(
        index_elements=[flag.c.name],
        set_={"value": _noted.excluded.value, "set_at": _noted.excluded.set_at},
        where=flag.c.set_at + 1 <= _noted.excluded.set_at,
    )
)
LAST_SUCCESSES = Prepared(
    select(flag.c.name, flag.c.set_at).where(
        func.substr(flag.c.name, 1, len(SUCCESS)) == literal_column(f"'{SUCCESS}'")
    )
)
# Wanted no more, and not as if it had been synced: the reason says so until the next event.
DROP = Prepared(
    update(work)
    .where(
        IN_STREAM,
        work.c.key == bindparam("with_key", type_=TEXT),
        IS_PARKED,
        work.c.wanted == bindparam("seen", type_=BIGINT),
    )
    .values(
        done=work.c.wanted,
        parked_at=NOTHING,
        park_reason=literal_column("'dropped'"),
        attempts=0,
        updated_at=NOW,
    )
)
