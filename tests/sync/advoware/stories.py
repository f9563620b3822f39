"""What a firm may have done since the last pass, one story for each kind of work, for breaking it at any point."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.sync.advoware.accounts import IBAN
from tests.sync.advoware.contacts import mail, phone
from tests.sync.advoware.persons import NUMBER, linked_person
from tests.sync.advoware.world import Firm

BIRTH = "1980-01-02"
PLACE = {
    "adresseStreet": "Kieselgrund 4",
    "adressePostalCode": "00121",
    "adresseCity": "Hollerstedt",
    "adresseCountry": "DE",
}
ADDRESS = {"strasse": "Weg 1", "plz": "00123", "ort": "Ort", "land": "DE", "standardAnschrift": True}

Story = Callable[[Firm], Awaitable[None]]


async def first_match(firm: Firm) -> None:
    """A party on both sides that nobody has linked, each side knowing what the other one does not."""
    firm.in_advoware(
        "Probe", "Paul", geburtsdatum=BIRTH, titel="Dr.", zusatzFeld1="Kartei",
        kommunikation=[{"tlf": "030 1234567", "kommKz": 1}], bankverbindungen=[{"iban": IBAN}],
    )  # fmt: skip
    record = await firm.new_party(
        "Probe", "Paul", geburtsdatum=BIRTH, emailAddressData=mail("p@probe.example"), **PLACE
    )
    await firm.new_account(record, IBAN, bic="PRBEDE00XXX")


async def new_in_espocrm(firm: Firm) -> None:
    """A new party with address, numbers and an account."""
    numbers = phone("+49301234567", "+491713920001")
    record = await firm.new_party(
        "Probe",
        "Paul",
        geburtsdatum=BIRTH,
        phoneNumberData=numbers,
        emailAddressData=mail("p@probe.example"),
        **PLACE,
    )
    await firm.new_account(record, IBAN)


async def new_in_advoware(firm: Firm) -> None:
    """The same the other way round."""
    firm.in_advoware(
        "Probe", "Paul", geburtsdatum=BIRTH, adressen=[ADDRESS],
        kommunikation=[{"tlf": "030 1234567", "kommKz": 1}, {"tlf": "p@probe.example", "kommKz": 4}],
        bankverbindungen=[{"iban": IBAN}],
    )  # fmt: skip


async def edits_of_several_parts(firm: Firm) -> None:
    """A linked party edited in every part that is a call of its own, and on both sides."""
    record, betnr = await linked_person(firm)
    await firm.edit_party(
        record, titel="Dr.", adresseStreet="Kieselgrund 4", adresseCity="Hollerstedt",
        phoneNumberData=phone("+493023125777", "+491713920001"), emailAddressData=mail("neu@probe.example"),
    )  # fmt: skip
    firm.edit_advoware(betnr, anrede="Frau", zusatzFeld1="Kartei")
    firm.add_row(betnr, "kommunikation", tlf="030 7654321", kommKz=1)
    assert NUMBER in firm.numbers(betnr)


async def for_a_person(firm: Firm) -> None:
    """A linked party with an edit that Advoware cannot take."""
    record, _ = await linked_person(firm)
    await firm.edit_party(record, adresseCountry="AT", titel="Dr.")


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (first_match, new_in_espocrm, new_in_advoware, edits_of_several_parts, for_a_person)
}
