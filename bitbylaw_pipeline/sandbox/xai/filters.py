"""The subset of AIP-160 filters that xAI documents: comparisons with AND, OR, NOT and parentheses.

`OR` binds tighter than `AND`, as AIP-160 says; xAI's pages contradict each other, so callers use parentheses.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Predicate = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[()])
      | (?P<word>(?:AND|OR|NOT)(?![\w.]))
      | (?P<field>[A-Za-z_][\w.]*)\s*(?P<op>:\s*(?:>=|<=|!=|>|<|!|=)?|!=|>=|<=|>|<|=)\s*
        (?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<bare>[^\s()"]+)))""",
    re.VERBOSE,
)
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
}
_NOT_ALPHANUMERIC = re.compile(r"[^0-9a-z]+")


def normalised(text: str) -> str:
    """Lower case, runs of anything else than letters and digits as one blank: what a partial match compares."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).strip()


class Field:
    """A filterable field: how to read it from a row, and its type.

    `kind`: partial (text that matches by containment even with `=`), text (`:` contains, `=` equals),
    exact, number, or time (rows hold seconds UTC, filters RFC 3339).
    """

    __slots__ = ("kind", "read")

    def __init__(self, kind: str, read: Callable[[Any], Any]) -> None:
        self.kind = kind
        self.read = read


def parse_filter(
    text: str, fields: Mapping[str, Field], dynamic: Callable[[str], Field | None] = lambda _: None
) -> Predicate:
    """A predicate over rows. Raises ValueError for what it cannot read or a field that is not filterable."""
    parser = _Parser(text, fields, dynamic)
    predicate = parser.conjunction()
    if parser.peek() is not None:
        raise ValueError("invalid filter: unexpected text after the end of the expression")
    return predicate


class _Parser:
    def __init__(
        self, text: str, fields: Mapping[str, Field], dynamic: Callable[[str], Field | None]
    ) -> None:
        self._fields = fields
        self._dynamic = dynamic
        self._tokens: list[re.Match[str]] = []
        self._at = 0
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"invalid filter: cannot read it at position {position}")
            self._tokens.append(match)
            position = match.end()

    def peek(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, group: str, value: str) -> bool:
        token = self.peek()
        if token is None or token.group(group) != value:
            return False
        self._at += 1
        return True

    def conjunction(self) -> Predicate:
        parts = [self._disjunction()]
        while self._take("word", "AND"):
            parts.append(self._disjunction())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _disjunction(self) -> Predicate:
        parts = [self._unary()]
        while self._take("word", "OR"):
            parts.append(self._unary())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _unary(self) -> Predicate:
        if self._take("word", "NOT"):
            inner = self._unary()
            return lambda row: not inner(row)
        if self._take("paren", "("):
            inside = self.conjunction()
            if not self._take("paren", ")"):
                raise ValueError("invalid filter: a parenthesis is not closed")
            return inside
        token = self.peek()
        if token is None or token.group("field") is None:
            raise ValueError('invalid filter: expected a comparison such as name:"text"')
        self._at += 1
        return self._comparison(token)

    def _comparison(self, token: re.Match[str]) -> Predicate:
        name = token["field"]
        field = self._fields.get(name) or self._dynamic(name)
        if field is None:
            raise ValueError(f"invalid filter: unknown field '{name}'")
        op, bare = token["op"].replace(" ", ""), token["bare"] or ""
        value = bare if token["quoted"] is None else re.sub(r"\\(.)", r"\1", token["quoted"])
        colon = op == ":"
        op = (op[1:] if len(op) > 1 and op[0] == ":" else op).replace("!=", "!")
        positive = _positive(field, "=" if op in (":", "!") else op, value, contains=colon)
        return (lambda row: not positive(row)) if op == "!" else positive


def _positive(field: Field, op: str, value: str, *, contains: bool) -> Predicate:
    read, kind = field.read, field.kind
    compare = _ORDERED[op]
    if kind in ("number", "time"):
        wanted = _number(value) if kind == "number" else _seconds(value)
        return lambda row: (actual := read(row)) is not None and compare(actual, wanted)
    if op != "=":
        raise ValueError("invalid filter: text can only be compared with : = and !=")
    if kind == "partial" or (kind == "text" and contains):
        part = normalised(value)
        return lambda row: part in normalised(read(row) or "")
    return lambda row: bool(read(row) == value)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"invalid filter: '{value}' is not a number") from None


def _seconds(value: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise ValueError(f"invalid filter: '{value}' is not an RFC 3339 time") from None
