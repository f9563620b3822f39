"""Advoware's rows as frozen dataclasses. An empty value is None; unknown members are kept in `raw`.

A member that was not there at all, or could not be read, is None as well: `known` tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every row has: `row_id` changes with each change of it, `changed_at` is UTC epoch seconds."""

    row_id: str | None
    changed_at: float | None
    known: Mapping[str, Value] = field(repr=False)
    """Our names -> values of the fields that the answer really held."""
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adresse(Row):
    """An address of a party."""

    id: int
    strasse: str | None
    plz: str | None
    ort: str | None
    anschrift: str | None
    land: str | None
    postfach: str | None
    postfach_plz: str | None
    standard_anschrift: bool | None
    bemerkung: str | None
    gueltig_von: str | None
    gueltig_bis: str | None
    reihenfolge_index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kommunikation(Row):
    """A telephone number or mail address of a party; without `tlf` an empty slot."""

    id: int
    tlf: str | None
    bemerkung: str | None
    komm_kz: int | None
    online: bool | None

    @property
    def is_mail(self) -> bool:
        """Told by the value: the code is not reliable (`facts/advoware.md` 3.4)."""
        return "@" in (self.tlf or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bankverbindung(Row):
    """A bank account of a party."""

    id: int
    bankname: str | None
    kontoinhaber: str | None
    iban: str | None
    bic: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partei(Row):
    """A party; `geburtsdatum` is YYYY-MM-DD, None in place of a list says that the answer did not hold it."""

    betnr: int
    name: str | None
    vorname: str | None
    anrede: str | None
    titel: str | None
    rechtsform: str | None
    geburtsdatum: str | None
    register_nummer: str | None
    register_gericht: str | None
    adressen: tuple[Adresse, ...] | None = field(repr=False)
    kommunikation: tuple[Kommunikation, ...] | None = field(repr=False)
    bankverbindungen: tuple[Bankverbindung, ...] | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Akte(Row):
    """A matter; `aktennummer` is the stable key, `beteiligte` the parties' numbers where the answer held them."""

    id: int
    aktennummer: int | None
    az: str | None
    kurzrubrum: str | None
    referat: str | None
    beteiligte: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitarbeiter(Row):
    """An employee."""

    kuerzel: str
    name: str | None
    aktiv: bool | None
