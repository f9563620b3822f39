"""EspoCRM and Advoware side by side at one moment, and what our own state says of the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.inbox import outages, two_way_desk
from bitbylaw_pipeline.inbox.two_way_desk import HoldView, PairCounts
from bitbylaw_pipeline.settings import DEFAULT_MATTERS

MATTER_TYPES = tuple(one.entity_type for one in DEFAULT_MATTERS)
Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Party:
    """A party as one of the two has it, in one spelling: `address` is street, postcode, town and country."""

    id: str
    betnr: int | None
    name: tuple[str, ...]
    address: tuple[str, ...]
    phones: frozenset[str]
    emails: frozenset[str]
    ibans: frozenset[str]


@dataclass(frozen=True, slots=True)
class TwoWayPicture:
    """Both systems; what waits for a person; the pairs in numbers; which systems are left alone at the moment."""

    in_espocrm: Mapping[str, Party]
    in_advoware: Mapping[int, Party]
    akten: Mapping[int, int]
    """Aktennummer -> the Akte's id at Advoware."""
    matters: Mapping[int, int | None]
    """Aktennummer -> the Akte's id that EspoCRM's matter carries."""
    tasks: Mapping[str, int]
    """EspoCRM's party -> how many tasks about it there are."""
    holds: tuple[HoldView, ...]
    counts: Mapping[str, PairCounts]
    paused: frozenset[str]

    @property
    def links(self) -> int:
        """How many parties are linked."""
        return self.counts.get("beteiligte", PairCounts()).active

    def hold_of(self, pair: str, why: str) -> list[HoldView]:
        """What waits in the pair for that reason (its beginning)."""
        return [one for one in self.holds if one.pair == pair and one.why.startswith(why)]


def read_two_way(conn: Connection, crm: Mapping[str, Any], advoware: Mapping[str, Any]) -> TwoWayPicture:
    """From both stand-ins' states and our own database."""
    records = {name: [row for row in rows if not row["deleted"]] for name, rows in crm["records"].items()}
    accounts: dict[str, list[str]] = {}
    for row in records.get("CBankverbindungen", []):
        accounts.setdefault(str(row.get("beteiligteId")), []).append(row.get("iban") or "")
    tasks: dict[str, int] = {}
    for row in records.get("Task", []):
        tasks[str(row.get("parentId"))] = tasks.get(str(row.get("parentId")), 0) + 1
    return TwoWayPicture(
        in_espocrm={
            row["id"]: _party_in_espocrm(row, accounts.get(row["id"], []))
            for row in records.get("CBeteiligte", [])
        },
        in_advoware={row["betNr"]: _party_in_advoware(row) for row in advoware["beteiligte"]},
        akten={row["aktennummer"]: row["id"] for row in advoware["akten"]},
        matters={
            row["aktennummer"]: row.get("advowareAkteId")
            for name in MATTER_TYPES
            for row in records.get(name, [])
            if row.get("aktennummer") is not None
        },
        tasks=tasks,
        holds=tuple(
            one
            for one in two_way_desk.list_holds(conn)
            if not one.is_notice and not one.pair.startswith(PAIR_PREFIX)
        ),
        counts={
            pair: one for pair, one in two_way_desk.counts(conn).items() if not pair.startswith(PAIR_PREFIX)
        },
        paused=frozenset(one.system for one in outages.listing(conn)),
    )


def compact(text: str) -> str:
    """Without blanks, in capitals: one spelling of an IBAN or a number."""
    return "".join(text.split()).upper()


def _party_in_espocrm(row: Mapping[str, Any], ibans: Iterable[str]) -> Party:
    return Party(
        id=row["id"],
        betnr=row.get("betnr"),
        name=_texts(row, "nachname", "vorname", "anrede", "titel", "geburtsdatum"),
        address=_texts(row, "adresseStreet", "adressePostalCode", "adresseCity", "adresseCountry"),
        phones=_set(one["phoneNumber"] for one in row.get("phoneNumberData") or ()),
        emails=_set(one["emailAddress"] for one in row.get("emailAddressData") or ()),
        ibans=_set(ibans),
    )


def _party_in_advoware(row: Mapping[str, Any]) -> Party:
    address = (row["adressen"] or [{}])[0]
    values = [one["tlf"] or "" for one in row["kommunikation"]]
    born = str(row["geburtsdatum"] or "")[:10]
    return Party(
        id=str(row["betNr"]),
        betnr=row["betNr"],
        name=(*_texts(row, "name", "vorname", "anrede", "titel"), "" if born.startswith("0001") else born),
        address=_texts(address, "strasse", "plz", "ort", "land"),
        phones=_set(one for one in values if "@" not in one),
        emails=_set(one for one in values if "@" in one),
        ibans=_set(one["iban"] or "" for one in row["bankverbindungen"]),
    )


def _texts(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    return tuple(str(row.get(name) or "") for name in names)


def _set(values: Iterable[str]) -> frozenset[str]:
    return frozenset(compact(one) for one in values if one)
