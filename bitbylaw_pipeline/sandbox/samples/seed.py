"""The sample firm as a seed for EspoCRM's stand-in (`POST /sandbox/seed`)."""

from __future__ import annotations

import base64
from typing import Any

from bitbylaw_pipeline.sandbox.samples.advoware import espocrm_betnr
from bitbylaw_pipeline.sandbox.samples.matters import (
    SampleDocument,
    SampleFirm,
    SampleMatter,
    konto_record_id,
    person_anrede,
    person_konto,
    person_record_id,
    person_titel,
    sample_firm,
)
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, Person

# The link from a document to each kind of owner; the way back is called dokumentes everywhere.
OWNER_LINKS = {
    "CVmhRumungsklage": "rumungsklages",
    "CMietinkasso": "mietinkassos",
    "Account": "accounts",
    "CBeteiligte": "beteiligtes",
}

Record = dict[str, Any]


def seed_document(
    firm: SampleFirm | None = None,
    *,
    reset: bool = True,
    link_multiple_fields: bool = False,
    webhooks: list[Record] | None = None,
    link_hook: Record | None = None,
    config: Record | None = None,
) -> Record:
    """The JSON for `POST /sandbox/seed`: data model, records, links and files of `firm` (default `sample_firm()`).

    `link_multiple_fields` gives CDokumente fields for its owners, as `setup-espocrm` recommends. `webhooks`,
    `link_hook` and `config` go into the seed as they are; the form is what `GET /sandbox/seed` shows.
    """
    firm = firm or sample_firm()
    documents = firm.documents()
    seed: Record = {
        "reset": reset,
        "model": "kanzlei",
        "attachments": [attachment_record(item) for item in documents],
        "records": {
            **{
                entity_type: [_matter_record(item) for item in firm.of_type(entity_type)]
                for entity_type in _OWNERS
            },
            "CBeteiligte": _person_records(firm),
            "CBankverbindungen": _konto_records(firm),
            "CDokumente": [document_record(item, firm) for item in documents],
        },
    }
    if link_multiple_fields:
        seed["entities"] = {"CDokumente": {"linkMultipleFields": list(OWNER_LINKS.values())}}
    if webhooks:
        seed["webhooks"] = webhooks
    if link_hook:
        seed["linkHooks"] = link_hook
    if config:
        seed["config"] = config
    return seed


_OWNERS = ("CVmhRumungsklage", "CMietinkasso", "Account")


def attachment_record(document: SampleDocument) -> Record:
    """The document's file as an attachment with its bytes."""
    return {
        "id": document.attachment_id,
        "name": document.name,
        "type": document.content_type,
        "contentBase64": base64.b64encode(document.content()).decode(),
        "relatedType": "CDokumente",
        "relatedId": document.id,
    }


def document_record(document: SampleDocument, firm: SampleFirm) -> Record:
    """The CDokumente record with its file and its links to every owner in the firm."""
    record: Record = {
        "id": document.id,
        "name": document.title,
        "dokumentId": document.attachment_id,
        "fileStatus": "neu",
    }
    for matter in firm.matters:
        if any(item.id == document.id for item in matter.documents):
            record.setdefault(f"{OWNER_LINKS[matter.entity_type]}Ids", []).append(matter.id)
    return record


def _permission(matter: SampleMatter) -> Record:
    if not matter.released:
        return {"kiFreigabe": False}
    reference = f"Einwilligung {matter.number}"
    return {"kiFreigabe": True, "kiFreigabeReferenz": reference, "kiFreigabeDatum": "2026-01-05"}


def _matter_record(matter: SampleMatter) -> Record:
    record: Record = {"id": matter.id, "name": matter.name, **_permission(matter)}
    if matter.entity_type == "Account":
        return {**record, "type": "Customer"}
    record |= {"aktenzeichen": matter.aktenzeichen, "advowareAkteId": 40_000 + matter.number}
    record["aktennummer"] = matter.aktennummer
    if matter.entity_type == "CVmhRumungsklage":
        record["beteiligtesIds"] = [person_record_id(person) for person in matter.persons]
    return record


def persons_of(firm: SampleFirm) -> list[Person]:
    """Every person who takes part in one of the firm's matters."""
    taking_part = {person.name for matter in firm.matters for person in matter.persons}
    return [person for person in PERSONS if person.name in taking_part]


def _person_records(firm: SampleFirm) -> list[Record]:
    """Parties; those that own documents themselves carry the permission too."""
    owners = {matter.id: matter for matter in firm.of_type("CBeteiligte")}
    return [
        {**_person_record(person), **(_permission(owners[own_id]) if own_id in owners else {})}
        for person in persons_of(firm)
        if (own_id := person_record_id(person))
    ]


def _person_record(person: Person) -> Record:
    return {
        "id": person_record_id(person),
        "name": f"{person.nachname}, {person.vorname}",
        "vorname": person.vorname,
        "nachname": person.nachname,
        "anrede": person_anrede(person),
        "titel": person_titel(person),
        "rechtsform": "Natürliche Person",
        "betnr": espocrm_betnr(person),
        "geburtsdatum": person.geburtsdatum,
        "emailAddress": person.email,
        # EspoCRM keeps numbers without blanks, and refuses all others.
        "phoneNumber": "".join(person.telefon.split()),
        "adresseStreet": person.strasse,
        "adressePostalCode": person.plz,
        "adresseCity": person.ort,
        "adresseCountry": "DE",
    }


def _konto_records(firm: SampleFirm) -> list[Record]:
    return [
        {
            "id": konto_record_id(person),
            "name": f"{konto.bankname} {konto.iban[-4:]}",
            "iban": konto.iban,
            "bic": konto.bic,
            "kontoinhaber": konto.kontoinhaber,
            "bankname": konto.bankname,
            "beteiligteId": person_record_id(person),
        }
        for person in persons_of(firm)
        if (konto := person_konto(person)) is not None
    ]
