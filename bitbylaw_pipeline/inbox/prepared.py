"""Statements compiled once per database, and run as text from then on.

SQLAlchemy keeps compiled statements by itself, but not INSERT … ON CONFLICT: each run of one cost 0.7 ms of CPU in
compiling, and a document takes a dozen statements. Run as text, one costs 0.01 ms plus the driver's own work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase


class _Compiled(NamedTuple):
    sql: str
    fixed: dict[str, Any]
    order: tuple[str, ...] | None


class Prepared:
    """A SELECT, INSERT, UPDATE or DELETE whose values are all bind parameters.

    Column types do not take part: a boolean comes back from SQLite as 0 or 1.
    """

    def __init__(self, statement: SelectBase | UpdateBase) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Runs it; raises KeyError if a parameter is missing."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        given = {**compiled.fixed, **parameters}
        if compiled.order is None:
            return connection.exec_driver_sql(compiled.sql, given)
        return connection.exec_driver_sql(compiled.sql, tuple(given[name] for name in compiled.order))

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled: Any = self._statement.compile(dialect=dialect)
        if "POSTCOMPILE" in str(compiled):
            raise ValueError("A list of values changes the statement's text: use json_rows for it.")
        fixed = {
            name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required
        }
        order = tuple(compiled.positiontup) if compiled.positional else None
        return _Compiled(str(compiled), fixed, order)
