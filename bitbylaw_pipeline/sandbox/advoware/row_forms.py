"""Which fields each kind of row has, which of them POST and PUT write, and how a row is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import bad_request
from bitbylaw_pipeline.sandbox.advoware.moments import NO_DATE, day_text, parse_day
from bitbylaw_pipeline.sandbox.advoware.store import Row
from bitbylaw_pipeline.sandbox.advoware.switches import Switches

_DATES = frozenset({"geburtsdatum", "gueltigVon", "gueltigBis"})
_FLAGS = frozenset({"standardAnschrift", "online"})
_NUMBERS = frozenset({"reihenfolgeIndex", "kommKz"})


@dataclass(frozen=True, slots=True)
class RowForm:
    """One kind of row: its fields, those that PUT replaces (none: there is no PUT), and what POST needs."""

    fields: tuple[str, ...]
    put: tuple[str, ...]
    required: str = ""
    deleting: int = 405


PARTEI = RowForm(
    (
        "name", "vorname", "anrede", "titel", "rechtsform", "geburtsdatum", "handelsRegisterNummer",
        "registergericht", "zusatzFeld1", "zusatzFeld2",
    ),
    (
        "name", "vorname", "anrede", "titel", "rechtsform", "geburtsdatum", "handelsRegisterNummer",
        "registergericht", "zusatzFeld1", "zusatzFeld2",
    ),
    required="name",
)  # fmt: skip
ADRESSE = RowForm(
    (
        "strasse", "plz", "ort", "anschrift", "land", "postfach", "postfachPLZ", "standardAnschrift",
        "bemerkung", "gueltigVon", "gueltigBis", "reihenfolgeIndex",
    ),
    # Tested by the firm: PUT ignores the other fields without a word (`facts/advoware.md` 3.3).
    ("strasse", "plz", "ort", "anschrift"),
    deleting=403,
)  # fmt: skip
KOMMUNIKATION = RowForm(("tlf", "bemerkung", "kommKz", "online"), ("tlf", "bemerkung", "kommKz", "online"))
BANKVERBINDUNG = RowForm(("bankName", "kontoinhaber", "iban", "bic"), ())

SUB_FORMS = {"adressen": ADRESSE, "kommunikation": KOMMUNIKATION, "bankverbindungen": BANKVERBINDUNG}


def _empty(name: str) -> Any:
    if name in _DATES:
        return NO_DATE
    if name in _FLAGS:
        return False
    return 0 if name in _NUMBERS else None


def stored_value(name: str, value: Any, switches: Switches) -> Any:
    """What is stored for a value that was sent. Raises Refusal (400) for one of the wrong type."""
    if value is None or value == "":
        return _empty(name)
    if name in _DATES:
        try:
            return day_text(parse_day(value))
        except ValueError:
            raise bad_request(f"The value of {name} is no date.") from None
    wanted: type = bool if name in _FLAGS else int if name in _NUMBERS else str
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise bad_request(f"The value of {name} is no {wanted.__name__}.")
    if isinstance(value, str) and switches.truncate_at:
        return value[: switches.truncate_at]
    return value


def new_row(form: RowForm, given: Mapping[str, Any], switches: Switches) -> Row:
    """A row's fields after POST: unknown ones are dropped, missing ones empty. Raises Refusal (400)."""
    row = {name: stored_value(name, given.get(name), switches) for name in form.fields}
    if form.required and not row[form.required]:
        raise bad_request(f"{form.required} is missing.")
    return row


def replace_row(form: RowForm, row: Row, given: Mapping[str, Any], switches: Switches) -> bool:
    """Put: every field that PUT writes is replaced, and one missing in the body is CLEARED. True if anything changed.

    Raises Refusal (400) for a value of the wrong type; the row is then as it was.
    """
    new = {name: stored_value(name, given.get(name), switches) for name in form.put}
    changed = any(row[name] != value for name, value in new.items())
    row.update(new)
    return changed


def shown(row: Row, switches: Switches) -> Row:
    """The row as it is sent."""
    answer = dict(row)
    if switches.empty_text == "empty":
        answer = {name: "" if value is None else value for name, value in answer.items()}
    if not switches.kommkz_kept and "kommKz" in answer:
        answer["kommKz"] = 0
    iban = answer.get("iban")
    if iban and switches.iban_blanks:
        bare = "".join(iban.split())
        answer["iban"] = " ".join(bare[start : start + 4] for start in range(0, len(bare), 4))
    return answer
