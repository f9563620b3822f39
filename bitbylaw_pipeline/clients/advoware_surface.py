"""What only a live Advoware can confirm, as data in one place: paths, field names, codes, texts, abilities.

Sources and confidence: `facts/advoware.md` (H vendor, M the firm's notes, L third party, G guess). Where a live system
turns out different, this file changes and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

# --- Addresses and token (H) ---------------------------------------------------------------------------------------

CONFIGURATOR_PATH: Final = "/AdvonetConfigurator/api/Url"
TOKEN_PATH: Final = "/api/v1/Token"  # noqa: S105 - a path, no token
TOKEN_LIFETIME_SECONDS: Final = 55 * 60.0
"""Where the answer names no end (M)."""

# --- Resources below the prefix ------------------------------------------------------------------------------------

BETEILIGTE: Final = "Beteiligte"  # M; that it lists is a guess: ADVOWARE_LISTS_BETEILIGTE
ADRESSEN: Final = "Adressen"  # M, below a party
KOMMUNIKATION: Final = "Kommunikation"  # M, below a party
BANKVERBINDUNGEN: Final = "Bankverbindungen"  # G, below a party
AKTEN: Final = "Akten"  # H for the list, L for one
MITARBEITER: Final = "Mitarbeiter"  # L
PROBE: Final = MITARBEITER
"""A short list that every installation has: what is asked to see whether Advoware answers us at all."""

NO_DATE: Final = "0001-01-01T00:00:00Z"
"""A date that is none, everywhere (H)."""


class Kind(StrEnum):
    """How a field's value travels."""

    TEXT = "text"
    DATE = "date"
    NUMBER = "number"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Field:
    """A field's name on the wire and how its value travels."""

    wire: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of row: our names for its fields, and what Advoware lets us do with it."""

    id: str
    fields: Mapping[str, Field]
    changeable: frozenset[str]
    """What a PUT changes; it silently ignores all else. Empty: there is no PUT."""
    can_create: bool = True
    can_delete: bool = False
    never_sent: frozenset[str] = frozenset()
    """Wire names that a PUT must not send back, because they would override others."""

    @property
    def can_change(self) -> bool:
        """True if there is a PUT at all."""
        return bool(self.changeable)


def _fields(**named: str | Field) -> Mapping[str, Field]:
    return MappingProxyType(
        {name: given if isinstance(given, Field) else Field(given) for name, given in named.items()}
    )


_PARTEI = _fields(
    name="name",
    vorname="vorname",
    anrede="anrede",
    titel="titel",
    rechtsform="rechtsform",
    geburtsdatum=Field("geburtsdatum", Kind.DATE),
    register_nummer="handelsRegisterNummer",  # L
    register_gericht="registergericht",  # L
)
PARTEI: Final = Resource("betNr", _PARTEI, frozenset(_PARTEI))

ADRESSE: Final = Resource(  # M, tested by the firm
    "id",
    _fields(
        strasse="strasse",
        plz="plz",
        ort="ort",
        anschrift="anschrift",
        land="land",
        postfach="postfach",
        postfach_plz="postfachPLZ",
        standard_anschrift=Field("standardAnschrift", Kind.FLAG),
        bemerkung="bemerkung",
        gueltig_von=Field("gueltigVon", Kind.DATE),
        gueltig_bis=Field("gueltigBis", Kind.DATE),
        reihenfolge_index=Field("reihenfolgeIndex", Kind.NUMBER),
    ),
    frozenset({"strasse", "plz", "ort", "anschrift"}),
)

_KOMMUNIKATION_ROW = _fields(
    tlf="tlf",
    bemerkung="bemerkung",
    komm_kz=Field("kommKz", Kind.NUMBER),
    online=Field("online", Kind.FLAG),
)
KOMMUNIKATION_ROW: Final = Resource("id", _KOMMUNIKATION_ROW, frozenset(_KOMMUNIKATION_ROW))

BANKVERBINDUNG: Final = Resource(  # M: no PUT, no DELETE
    "id",
    _fields(bankname="bankName", kontoinhaber="kontoinhaber", iban="iban", bic="bic"),
    frozenset(),
)

AKTE: Final = Resource(
    "id",
    _fields(
        aktennummer=Field("aktennummer", Kind.NUMBER), az="az", kurzrubrum="kurzrubrum", referat="referat"
    ),
    frozenset(),
    can_create=False,
)

MITARBEITER_ROW: Final = Resource(
    "kuerzel", _fields(name="name", aktiv=Field("aktiv", Kind.FLAG)), frozenset(), can_create=False
)

ROW_ID: Final = "rowId"  # M: changes with each change of the row
CHANGED_AT: Final = "geaendertAm"
PARTEI_OF_ROW: Final = "betNr"
"""Where a row below a party (or of a matter) names its party, it must be the one that was asked for."""
EMBEDDED_ADRESSEN: Final = "adressen"
EMBEDDED_KOMMUNIKATION: Final = "kommunikation"
EMBEDDED_BANKVERBINDUNGEN: Final = "bankverbindungen"
EMBEDDED_BETEILIGTE: Final = "beteiligte"

KOMM_KZ: Final[Mapping[str, int]] = MappingProxyType({"phone": 1, "fax": 2, "mobile": 3, "mail": 4})
"""The codes of a new row (G). A row that is there is told apart by its value."""


# --- Texts by which Advoware says what is wrong; the status varies (H) -----------------------------------------------


class Trouble(StrEnum):
    """What a known text of Advoware's means."""

    OFFLINE = "offline"
    NOT_ENABLED = "not_enabled"
    NOT_REGISTERED = "not_registered"
    CREDENTIALS = "credentials"
    REFUSED = "refused"
    """No known text, yet the token service says no."""


TEXTS: Final[tuple[tuple[str, Trouble], ...]] = (
    ("falscher name oder falsches kennwort", Trouble.CREDENTIALS),
    ("benutzer / kennwort ung", Trouble.CREDENTIALS),
    ("ist nicht angemeldet", Trouble.OFFLINE),
    ("ist nicht registriert", Trouble.NOT_REGISTERED),
    ("freigeschaltet", Trouble.NOT_ENABLED),
)
"""Parts of the text in lower case; the first that is found counts."""

SENTENCES: Final[Mapping[Trouble, str]] = MappingProxyType(
    {
        Trouble.OFFLINE: "says that the firm is not connected: is the Advoware service in the firm running?",
        Trouble.NOT_ENABLED: "has not enabled our App-ID, product or user: ask advoware GmbH",
        Trouble.NOT_REGISTERED: "does not know this firm or database: check ADVOWARE_KANZLEI and ADVOWARE_DATABASE",
        Trouble.CREDENTIALS: "refuses our user or password: check ADVOWARE_USER and ADVOWARE_PASSWORD",
        Trouble.REFUSED: "gives us no token: check the ADVOWARE_* settings and this machine's clock",
    }
)

MESSAGE_KEYS: Final = ("message", "error", "error_description", "title", "detail", "exceptionmessage")
"""Where a JSON answer that is no record says what is wrong (L); compared in lower case."""

NO_ROUTE_TEXTS: Final = ("no http resource", "no type was found", "no action was found")
"""ASP.NET's texts for a path that it does not have (not seen at Advoware): no sign of a missing record."""

OFFLINE_SECONDS: Final = 70.0
"""How long the vendor's own client tells its callers to wait (H)."""
