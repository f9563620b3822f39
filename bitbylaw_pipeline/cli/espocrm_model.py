"""What EspoCRM's data model must have for our flows, checked against its own description of itself. Pure.

`definitions` is `entityDefs` by entity type, None where the server has no such type (or our role no right to it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.cli.two_way_model import check_matters, check_two_way, two_way_fields, two_way_types
from bitbylaw_pipeline.clients.espocrm_field_mapping import field_of
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.settings import DocumentFieldNames, OwnerType, Settings

AREA = "EspoCRM"
Definitions = Mapping[str, Mapping[str, Any] | None]

_TEXTS = ("varchar", "text")


@dataclass(frozen=True, slots=True)
class FieldNeed:
    """A field that a flow reads or writes: one of these types, at least so many characters."""

    entity_type: str
    field: str
    types: tuple[str, ...]
    purpose: str
    least_length: int = 0
    is_needed: bool = True
    """False: only a rule that is not set at present needs it."""
    options: tuple[str, ...] = ()
    """Of an enum that is made anew."""


def field_needs(settings: Settings) -> Iterator[FieldNeed]:
    """Every field that the settings name."""
    names = settings.document_fields
    yield FieldNeed(names.entity_type, names.file, ("file",), "the document's file")
    for field, purpose, length in (
        (names.file_id, "the file's id at xAI", 40),
        (names.synced_hash, "the MD5 at the last sync", 32),
        (names.md5, "the MD5 of the file", 32),
        (names.sha256, "the SHA-256 of the file", 64),
    ):
        yield FieldNeed(names.entity_type, field, _TEXTS, purpose, length)
    yield FieldNeed(
        names.entity_type, names.collections, ("array", "jsonArray"), "the collections the file is in"
    )
    yield FieldNeed(
        names.entity_type,
        names.status,
        ("enum", "varchar"),
        "the status that people see",
        options=_words(names),
    )
    if names.excluded:
        yield FieldNeed(names.entity_type, names.excluded, ("bool",), "keeps a document in the firm")
    for owner in settings.collection_owners:
        yield from _owner_needs(owner, is_rule_field=settings.xai_egress is EgressRule.FIELD)


def _words(names: DocumentFieldNames) -> tuple[str, ...]:
    words = (names.status_new, names.status_changed, names.status_synced, names.status_unchanged)
    return tuple(dict.fromkeys(words))


def missing_fields(settings: Settings, definitions: Definitions) -> list[FieldNeed]:
    """The fields that have to be made in Entity Manager, of the types that the server has; Advoware's included."""
    needs = [*field_needs(settings), *(FieldNeed(*one) for one in two_way_fields(settings))]
    return [
        need
        for need in needs
        if need.is_needed
        and (of_type := definitions.get(need.entity_type)) is not None
        and field_of(of_type, need.field) is None
    ]


def _owner_needs(owner: OwnerType, *, is_rule_field: bool) -> Iterator[FieldNeed]:
    yield FieldNeed(owner.entity_type, owner.collection_field, _TEXTS, "the id of its collection", 40)
    for field, types, purpose in (
        (owner.permission_field, ("bool",), "the permission under XAI_EGRESS=field"),
        (owner.permission_reference_field, _TEXTS, "the reference to the client's consent"),
        (owner.permission_date_field, ("date", "datetime", "datetimeOptional"), "the date of the consent"),
    ):
        if field:
            yield FieldNeed(owner.entity_type, field, types, purpose, is_needed=is_rule_field)


def check_model(settings: Settings, definitions: Definitions) -> list[Finding]:
    """Every finding about entity types, fields, options, links and concurrency control."""
    found = list(_missing_types(settings, definitions))
    needs = list(field_needs(settings))
    by_type = {need.entity_type for need in needs}
    for name in (name for name in existing_types(settings, definitions) if name in by_type):
        of_type = definitions[name] or {}
        troubles = [
            trouble for need in needs if need.entity_type == name for trouble in _check_field(need, of_type)
        ]
        found += troubles or [fine(AREA, f"{name} has every field, each of a fitting type.")]
    documents = definitions.get(settings.document_fields.entity_type)
    if documents is not None:
        found += _check_status_options(settings, documents)
        for owner in settings.collection_owners:
            if definitions.get(owner.entity_type) is not None:
                found += _check_links(owner, settings.document_fields.entity_type, documents)
    found += check_two_way(settings, definitions) + check_matters(settings, definitions)
    for name, parts in definitions.items():
        if parts is not None:
            found += _check_concurrency(name, parts, is_document=name == settings.document_fields.entity_type)
    return found


def known_types(settings: Settings) -> list[str]:
    """The document's type, the owners', and with Advoware those of parties and bank accounts."""
    owners = (owner.entity_type for owner in settings.collection_owners)
    names = (settings.document_fields.entity_type, *owners, *two_way_types(settings))
    return list(dict.fromkeys(names))


def existing_types(settings: Settings, definitions: Definitions) -> list[str]:
    """Those of the known types that the server has, in the settings' order."""
    return [name for name in known_types(settings) if definitions.get(name) is not None]


def _missing_types(settings: Settings, definitions: Definitions) -> Iterator[Finding]:
    document = settings.document_fields.entity_type
    if definitions.get(document) is None:
        yield bad(
            AREA,
            f"There is no entity type {document}, or our role may not read it.",
            "give the API user's role the right to read it, or name the firm's own type in DOCUMENT_FIELDS.",
        )
    for owner in settings.collection_owners:
        if definitions.get(owner.entity_type) is None:
            yield odd(
                AREA,
                f"There is no entity type {owner.entity_type}, or our role may not read it: it owns no collections.",
                "give the role the right to read it, or leave it out of COLLECTION_OWNERS.",
            )


def _check_field(need: FieldNeed, parts: Mapping[str, Any]) -> Iterator[Finding]:
    name, where = f"{need.entity_type}.{need.field}", "Administration > Entity Manager"
    field = _mapping(_mapping(parts.get("fields")).get(need.field))
    kind = field.get("type")
    if kind is None:
        if not need.is_needed:
            return
        yield bad(
            AREA,
            f"{name} is missing: {need.purpose}.",
            f"create it in {where} as {described(need)}, or name the firm's own field in the settings.",
        )
    elif kind not in need.types:
        yield bad(
            AREA, f"{name} is of type {kind}: {need.purpose}.", f"it has to be {' or '.join(need.types)}."
        )
    elif kind == "varchar" and 0 < (field.get("maxLength") or 255) < need.least_length:
        yield bad(
            AREA,
            f"{name} takes {field['maxLength']} characters: {need.purpose} needs {need.least_length}.",
            f"raise its maximum length in {where}.",
        )
    elif field.get("readOnly") is True and need.field != "dokument":
        yield odd(
            AREA, f"{name} is read-only, also for us.", f"take that away in {where}; hide it by the layout."
        )


def described(need: FieldNeed) -> str:
    """Type, length and options, as they are to be entered."""
    options = f" with the options {', '.join(need.options)}" if need.options else ""
    return f"{need.types[0]}{length_of(need)}{options}"


def length_of(need: FieldNeed) -> str:
    """The least length of a text in words; "" for what has none."""
    return f", max length {need.least_length} or more" if need.least_length else ""


def _check_status_options(settings: Settings, parts: Mapping[str, Any]) -> Iterator[Finding]:
    names = settings.document_fields
    field = _mapping(_mapping(parts.get("fields")).get(names.status))
    options = field.get("options")
    if field.get("type") != "enum" or not isinstance(options, list):
        return
    name = f"{names.entity_type}.{names.status}"
    if names.status_synced not in options:
        yield bad(
            AREA,
            f'{name} has no option "{names.status_synced}": EspoCRM refuses to store it.',
            "add the option, or name the firm's own word in DOCUMENT_FIELDS.",
        )
    others = [
        word
        for word in (names.status_new, names.status_changed, names.status_unchanged)
        if word not in options
    ]
    if others:
        listed = ", ".join(f'"{word}"' for word in others)
        yield odd(
            AREA, f"{name} has no option {listed}.", "add it if the firm's own formulas set it; we do not."
        )
    if names.status_synced in options and not others:
        yield fine(AREA, f"{name} has every option.")


def _check_links(owner: OwnerType, document_type: str, documents: Mapping[str, Any]) -> Iterator[Finding]:
    links, fields = _mapping(documents.get("links")), _mapping(documents.get("fields"))
    back = [
        name
        for name, link in links.items()
        if _mapping(link).get("entity") == owner.entity_type and _mapping(link).get("foreign") == owner.link
    ]
    if not back:
        yield bad(
            AREA,
            f"{document_type} has no link back to {owner.entity_type}.{owner.link}.",
            "create the relationship (many-to-many) in Entity Manager, or correct the link's name in COLLECTION_OWNERS.",
        )
    for name in back:
        link, field = _mapping(links[name]), _mapping(fields.get(name))
        if link.get("type") in ("belongsTo", "hasOne") or field.get("type") == "linkMultiple":
            yield fine(AREA, f"{document_type}.{name} brings the owners along with the document.")
        else:
            yield odd(
                AREA,
                f"{document_type}.{name} has no link-multiple field: one more call for every document.",
                "in Entity Manager > Relationships, switch on the link-multiple field on this side.",
            )


def _check_concurrency(name: str, parts: Mapping[str, Any], *, is_document: bool) -> Iterator[Finding]:
    if parts.get("optimisticConcurrencyControl") is True:
        yield fine(AREA, f"{name} has optimistic concurrency control.")
    elif is_document:
        yield odd(
            AREA,
            f"{name} has no optimistic concurrency control: a change by a person at the same moment may be overwritten, "
            "and our own writes come back through the change feed once.",
            "switch it on in Entity Manager.",
        )
    else:
        yield odd(AREA, f"{name} has no optimistic concurrency control.", "switch it on in Entity Manager.")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
