"""One person who stands on both sides, to begin a story with."""

from __future__ import annotations

from typing import Any

from tests.sync.advoware.contacts import mail, phone
from tests.sync.advoware.world import Firm

NUMBER = "+493023125001"
MAIL = "kallenbrink@kanzlei-probe.example"


async def linked_person(firm: Firm, **values: Any) -> tuple[str, int]:
    """A person in EspoCRM whose counterpart was made at Advoware; returns both ids, with no call on record."""
    before = set(firm.betnrs())
    record = await firm.new_party(
        "Kallenbrink",
        "Thaddäus",
        **{
            "geburtsdatum": "1984-09-02",
            "anrede": "Herr",
            "rechtsform": "Natürliche Person",
            "adresseStreet": "Am Finkenbogen 11",
            "adressePostalCode": "00120",
            "adresseCity": "Quellrode",
            "adresseCountry": "DE",
            "phoneNumberData": phone(NUMBER),
            "emailAddressData": mail(MAIL),
            **values,
        },
    )
    await firm.sweep()
    (made,) = set(firm.betnrs()) - before
    await firm.sweeps_quietly()
    firm.calls.clear()
    return record, made
