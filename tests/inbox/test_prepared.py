"""Statements that are compiled once."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import StatementError

from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import flag


def test_missing_parameter_is_an_error(database: Database) -> None:
    """A parameter that the caller forgot is never taken for NULL."""
    by_name = Prepared(select(flag.c.value).where(flag.c.name == bindparam("with_name")))
    with pytest.raises((KeyError, StatementError)):
        database.run_sync(lambda c: by_name(c, {"with_nam": "drain"}))


def test_list_of_values_is_refused(database: Database) -> None:
    """A statement whose text depends on its values cannot be compiled once, and says so."""
    by_names = Prepared(select(flag.c.value).where(flag.c.name.in_(["drain", "egress_stop"])))
    with pytest.raises(ValueError, match="json_rows"):
        database.run_sync(lambda c: by_names(c, {}))


def test_percent_signs_reach_the_database_as_they_are(database: Database) -> None:
    """Literal percent signs survive drivers that use them for parameters."""
    like = Prepared(select((flag.c.name + "%").label("found")).where(flag.c.name.like("%rai%")))
    database.run_sync(lambda c: c.execute(flag.insert().values(name="drain", value="1", set_at=0.0)))
    assert database.run_sync(lambda c: like(c, {}).scalar_one()) == "drain%"
