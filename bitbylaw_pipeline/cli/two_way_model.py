"""What EspoCRM must have of parties and bank accounts so that they can be kept equal with Advoware. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.clients.espocrm_field_mapping import field_of
from bitbylaw_pipeline.settings import Settings

AREA = "EspoCRM"
WHERE = "Administration > Entity Manager"
_TYPES = {
    "betnr": "integer (int)", "advoware_id": "integer (int)", "geburtsdatum": "date", "phones": "phone",
    "emails": "email", "beteiligte": "a relationship (link)", "last_sync": "datetime", "sync_status": "enum",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TwoWayType:
    """One entity type by its settings: our name -> EspoCRM's attribute.

    Without one of the `needed` the flow cannot work; `synced` are kept equal where they exist; `noted` are written
    by us alone. `key_field` is the attribute of the create key.
    """

    setting: str
    entity_type: str
    needed: Mapping[str, str]
    synced: Mapping[str, str]
    noted: Mapping[str, str]
    key_field: str


def two_way_types(settings: Settings) -> dict[str, str]:
    """Entity type -> its word in webhook addresses; empty where Advoware is not configured."""
    if not settings.has_advoware:
        return {}
    return {
        settings.beteiligte_fields.entity_type: "beteiligte",
        settings.bankverbindung_fields.entity_type: "bankverbindungen",
    }


def described_types(settings: Settings) -> tuple[TwoWayType, TwoWayType]:
    """Parties and bank accounts."""
    party, account = settings.beteiligte_fields, settings.bankverbindung_fields
    synced = (
        "vorname", "anrede", "titel", "rechtsform", "geburtsdatum", "register_nummer", "register_gericht",
        "strasse", "plz", "ort", "land", "phones", "emails",
    )  # fmt: skip
    return (
        TwoWayType(
            "BETEILIGTE_FIELDS",
            party.entity_type,
            {"nachname": party.nachname, "betnr": party.betnr},
            {name: getattr(party, name) for name in synced},
            {name: getattr(party, name) for name in ("row_id", "last_sync", "sync_status")},
            party.key_field,
        ),
        TwoWayType(
            "BANKVERBINDUNG_FIELDS",
            account.entity_type,
            {
                "iban": account.iban,
                "advoware_id": account.advoware_id,
                "beteiligte": f"{account.beteiligte}Id",
            },
            {name: getattr(account, name) for name in ("bic", "kontoinhaber", "bankname")},
            {},
            account.key_field,
        ),
    )


def two_way_fields(settings: Settings) -> list[tuple[str, str, tuple[str, ...], str]]:
    """(entity type, attribute, (type as a person enters it,), purpose) of every field; none without Advoware."""
    if not settings.has_advoware:
        return []
    return [
        (kind.entity_type, attribute, (_TYPES.get(name, "varchar"),), purpose)
        for kind in described_types(settings)
        for names, purpose in (
            (kind.needed, "kept equal with Advoware; nothing works without it"),
            (kind.synced, "kept equal with Advoware"),
            (kind.noted, "what was synced last"),
            ({"key": kind.key_field}, "by which a record that we made is found again"),
        )
        for name, attribute in names.items()
    ]


def check_two_way(settings: Settings, definitions: Mapping[str, Mapping[str, Any] | None]) -> list[Finding]:
    """Missing types, and missing or read-only fields with what that costs; nothing where Advoware is not configured."""
    if not settings.has_advoware:
        return []
    found: list[Finding] = []
    for kind in described_types(settings):
        definition = definitions.get(kind.entity_type)
        if definition is None:
            found.append(
                bad(
                    AREA,
                    f"There is no entity type {kind.entity_type}, or our role may not read it.",
                    f"give the API user's role the right to read it, or name the firm's own type in {kind.setting}.",
                )
            )
        else:
            found += _check_fields(kind, definition)
    return found


def check_matters(settings: Settings, definitions: Mapping[str, Mapping[str, Any] | None]) -> list[Finding]:
    """Whether matters have the fields by which they are linked with Advoware's Akten; nothing without Advoware."""
    found: list[Finding] = []
    for matter in settings.akten_matters if settings.has_advoware else ():
        definition = definitions.get(matter.entity_type)
        if definition is None:
            continue
        names = (matter.number_field, matter.akte_id_field)
        missing = [name for name in names if field_of(definition, name) is None]
        if missing:
            found.append(
                odd(
                    AREA,
                    f"{matter.entity_type} lacks {', '.join(missing)}: {_COSTS[len(missing)]}.",
                    f"create {' and '.join(missing)} in {WHERE} as integer (int), or name the firm's own fields in "
                    "AKTEN_MATTERS.",
                )
            )
    return found


_COSTS = {
    1: "its matters and Advoware's Akten find each other by the other number alone",
    2: "its matters are not linked with Advoware's Akten",
}


def _check_fields(kind: TwoWayType, definition: Mapping[str, Any]) -> Iterator[Finding]:
    is_well = True
    for name, attribute in kind.needed.items():
        if field_of(definition, attribute) is None:
            is_well = False
            yield bad(
                AREA,
                f"{kind.entity_type}.{attribute} is missing: without it nothing can be kept equal with Advoware.",
                f"create it in {WHERE} as {_TYPES.get(name, 'varchar')}, or name the firm's own field in {kind.setting}.",
            )
    missing = [
        f"{attribute} ({_TYPES.get(name, 'varchar')})"
        for name, attribute in {**kind.synced, **kind.noted}.items()
        if field_of(definition, attribute) is None
    ]
    if missing:
        is_well = False
        yield odd(
            AREA,
            f"{kind.entity_type} lacks {', '.join(missing)}: what Advoware holds there is neither read nor written.",
            f"create what the firm needs in {WHERE}, or name its own fields in {kind.setting}.",
        )
    read_only = sorted(
        attribute
        for attribute in {**kind.needed, **kind.synced, **kind.noted}.values()
        if (found := field_of(definition, attribute)) is not None and found[1].get("readOnly") is True
    )
    if read_only:
        is_well = False
        yield odd(
            AREA,
            f"{kind.entity_type}: {', '.join(read_only)} cannot be written, also by us: each change at Advoware becomes "
            "a task for a person.",
            f"take read-only away in {WHERE}; hide the field by the layout.",
        )
    if field_of(definition, kind.key_field) is None:
        is_well = False
        yield odd(
            AREA,
            f"{kind.entity_type}.{kind.key_field} is missing: a record that we made and whose answer got lost is told "
            "by its content alone, and a person is asked where two look alike.",
            f"create it in {WHERE} as varchar, in no layout, or name another in {kind.setting}.",
        )
    if is_well:
        yield fine(AREA, f"{kind.entity_type} has every field that Advoware's side has.")
