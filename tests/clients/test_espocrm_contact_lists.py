"""Phones and e-mails between plain lists and EspoCRM's lists with flags, and the laws of the field mapping."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.espocrm_contact_lists import ContactList, phone_as_stored
from bitbylaw_pipeline.clients.espocrm_field_mapping import FieldMapping, Kind, MappedField, field_of
from bitbylaw_pipeline.domain.errors import Permanent

PHONES = ContactList("phoneNumber", "+49", "Office")
EMAILS = ContactList("emailAddress")
DEFINITION: dict[str, Any] = {
    "fields": {
        "nachname": {"type": "varchar"},
        "iban": {"type": "varchar"},
        "stand": {"type": "varchar", "readOnly": True},
        "alt": {"type": "varchar", "disabled": True},
        "adresse": {"type": "address"},
        "parent": {"type": "linkParent"},
        "bankId": {"type": "varchar"},
        "konto": {"type": "varchar"},
        "emailAddress": {"type": "email"},
        "phoneNumber": {"type": "phone", "typeList": ["Mobile", "Home"]},
    }
}
WANTED = (
    MappedField("name", "nachname"),
    MappedField("iban", "iban", Kind.CODE),
    MappedField("stand", "stand"),
    MappedField("alt", "alt"),
    MappedField("ort", "adresseCity"),
    MappedField("titel", "titel"),
    MappedField("emails", "emailAddressData", Kind.EMAILS),
    MappedField("phones", "phoneNumberData", Kind.PHONES),
)
MAPPING = FieldMapping.of("CBeteiligte", DEFINITION, WANTED, "+49")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("+49 (0)170/1234567", "+491701234567"),
        ("030 1234-0", "+493012340"),
        (" 0049 30 1234 ", "+49301234"),
        ("+43 1 234", "+431234"),
        ("1234", "1234"),
        ("siehe Akte 0815", "siehe Akte 0815"),
        ("", ""),
    ],
)
def test_a_number_gets_its_international_form(written: str, stored: str) -> None:
    """Local numbers get the country, what is no number is left for EspoCRM to refuse; a second time changes nothing."""
    assert phone_as_stored(written, "+49") == stored
    assert phone_as_stored(stored, "+49") == stored


def test_the_primary_value_comes_first() -> None:
    """Whatever EspoCRM's order, and items without a value are none."""
    items = [
        {"emailAddress": "b@x.example", "primary": False},
        {"emailAddress": " ", "primary": False},
        {"emailAddress": "a@x.example", "primary": True},
    ]
    assert EMAILS.read(items) == ["a@x.example", "b@x.example"]
    assert EMAILS.read(None) == []


def test_what_stays_keeps_its_flags_and_what_is_new_gets_a_type() -> None:
    """Type, flags and primacy of a number that stays are sent as they are; a new one is Office and not primary."""
    old = {"phoneNumber": "+49301234", "type": "Fax", "primary": True, "optOut": True, "invalid": True}
    gone = {"phoneNumber": "+49309999", "type": "Home", "primary": False, "optOut": False, "invalid": False}
    made = PHONES.written([gone, old], ["030 5678", "+49 30 1234", "030-1234"])
    new = {"phoneNumber": "+49305678", "primary": False, "optOut": False, "invalid": False, "type": "Office"}
    assert made == [new, old]


def test_without_a_primary_value_the_first_becomes_it() -> None:
    """The primary address was removed: the first of those that stay takes its place."""
    items = [{"emailAddress": "a@x.example", "primary": True}, {"emailAddress": "b@x.example"}]
    assert [item["primary"] for item in EMAILS.written(items, ["B@x.example", "c@x.example"])] == [
        True,
        False,
    ]
    assert EMAILS.written(items, ["B@x.example"])[0]["emailAddress"] == "b@x.example"
    assert EMAILS.written(items, []) == []


def test_fields_that_the_server_lacks_are_not_mapped() -> None:
    """Missing and disabled fields are out; parts of an address and the lists behind addresses are found."""
    assert set(MAPPING.fields) == {"name", "iban", "stand", "ort", "emails", "phones"}
    assert MAPPING.read_only == {"stand"}
    assert MAPPING.lists["phones"].new_type == "Mobile"
    for attribute, field in (("adresseCity", "adresse"), ("parentId", "parent"), ("bankId", "bankId")):
        found = field_of(DEFINITION, attribute)
        assert found is not None
        assert found[0] == field
    assert field_of(DEFINITION, "kontoId") is None
    assert field_of(DEFINITION, "nachnameData") is None


def test_empty_is_none_and_unread_is_absent() -> None:
    """null, blank and an empty list are None; an attribute that did not come is no field."""
    assert MAPPING.read({"nachname": " ", "iban": None, "emailAddressData": []}) == {
        "name": None,
        "iban": None,
        "emails": None,
    }


def test_equal_values_are_not_sent() -> None:
    """An IBAN with blanks, another order of phones, another spelling of an address: nothing to write."""
    record = {
        "nachname": "Maier",
        "iban": "DE02 1203 0000 0000 2020 51",
        "phoneNumberData": [{"phoneNumber": "+49301", "primary": True}, {"phoneNumber": "+49302"}],
        "emailAddressData": [{"emailAddress": "A@x.example", "primary": True}],
    }
    same: dict[str, Any] = {
        "name": " Maier ",
        "iban": "de02120300000000202051",
        "phones": ["0302", "0301"],
        "emails": ["a@X.example"],
    }
    assert MAPPING.differing(record, same) == {}
    assert MAPPING.differing(record, {"name": "", "iban": "DE12"}) == {"nachname": None, "iban": "DE12"}


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ({"stand": "x"}, "field_read_only"),
        ({"titel": "Dr."}, "field_missing"),
        ({"ort": "x"}, "field_missing"),
    ],
)
def test_what_would_be_dropped_in_silence_is_refused(patch: dict[str, Any], reason: str) -> None:
    """A read-only field, one that the server lacks, one that our role does not see."""
    with pytest.raises(Permanent) as caught:
        MAPPING.differing({"nachname": "Maier", "stand": None}, patch)
    assert caught.value.reason == reason


def test_a_new_record_leaves_out_what_cannot_be_stored() -> None:
    """Empty, read-only and missing fields are not sent at a create."""
    values: dict[str, Any] = {"name": " Maier ", "iban": " ", "stand": "x", "titel": "Dr.", "phones": []}
    assert MAPPING.for_create(values) == {"nachname": "Maier"}


TEXTS = st.text(alphabet="aB ä0\u00a0+(1)", max_size=12)


@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_storing_twice_stores_once_and_reading_gives_what_was_stored(text: str, texts: list[str]) -> None:
    """put(put(x)) = put(x), and read(write(x)) = put(x), for every kind of field."""
    values: dict[str, Any] = {"name": text, "iban": text, "phones": texts, "emails": texts}
    stored = {name: MAPPING.as_stored(name, value) for name, value in values.items()}
    assert {name: MAPPING.as_stored(name, value) for name, value in stored.items()} == stored
    written = MAPPING.for_create(values)
    assert MAPPING.read(written) == {name: value for name, value in stored.items() if value is not None}
    assert MAPPING.differing({**dict.fromkeys(written_attributes()), **written}, values) == {}


def written_attributes() -> list[str]:
    """EspoCRM's names of the fields that the laws are tested on."""
    return [MAPPING.fields[name].attribute for name in ("name", "iban", "phones", "emails")]
