"""Rows as one JSON parameter: one statement for any number of rows, the same on SQLite and PostgreSQL.

A statement with a bind parameter per value would be compiled anew for each number of rows, and executemany costs
a round trip or a C loop per row; `json_each` and `json_array_elements` take all of them in one parameter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Double, Subquery, Text, bindparam, cast, column, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

TEXT = Text()
BIGINT = BigInteger()
DOUBLE: Double[float] = Double()

# json.dumps would make an encoder for each call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class _Elements(FunctionElement[Any]):
    inherit_cache = True
    name = "json_elements"


class _Texts(FunctionElement[Any]):
    inherit_cache = True
    name = "json_texts"


class _Member(FunctionElement[str]):
    inherit_cache = True
    name = "json_member"
    type = TEXT


@compiles(_Elements, "postgresql")
def _(element: _Elements, compiler: SQLCompiler, **given: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **given)} AS JSON))"


@compiles(_Texts, "postgresql")
def _(element: _Texts, compiler: SQLCompiler, **given: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **given)} AS JSON))"


@compiles(_Elements, "sqlite")
@compiles(_Texts, "sqlite")
def _(element: FunctionElement[Any], compiler: SQLCompiler, **given: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **given)})"


@compiles(_Member, "postgresql")
def _(element: _Member, compiler: SQLCompiler, **given: Any) -> str:
    value, name = (compiler.process(clause, **given) for clause in element.clauses)
    return f"({value} ->> {name})"


@compiles(_Member, "sqlite")
def _(element: _Member, compiler: SQLCompiler, **given: Any) -> str:
    value, name = (compiler.process(clause, **given) for clause in element.clauses)
    return f"json_extract({value}, '$.' || {name})"


def rows_parameter(name: str, columns: Mapping[str, TypeEngine[Any]]) -> Subquery:
    """A FROM clause over the bind parameter of that name, which takes what `to_json` makes of dicts."""
    elements = _Elements(bindparam(name, type_=TEXT)).table_valued(
        column("value", TEXT), name=f"{name}_given"
    )
    members = [
        (member if kind is TEXT else cast(member, kind)).label(label)
        for label, kind in columns.items()
        for member in [_Member(elements.c.value, literal_column(f"'{label}'"))]
    ]
    return select(*members).subquery(name)


def texts_parameter(name: str) -> Subquery:
    """A FROM clause with one column `value` over the bind parameter of that name: `to_json` of a list of texts."""
    elements = _Texts(bindparam(name, type_=TEXT)).table_valued(column("value", TEXT), name=f"{name}_given")
    return select(elements.c.value.label("value")).subquery(name)


def to_json(rows: Iterable[Any]) -> str:
    """The rows as the parameter's value."""
    return _encode(list(rows))
