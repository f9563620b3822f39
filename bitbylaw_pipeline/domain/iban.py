"""Whether an IBAN can be one (ISO 13616, check digits by ISO 7064 mod 97-10)."""

from __future__ import annotations

import re

_LENGTHS = {
    "DE": 22,
    "AT": 20,
    "CH": 21,
    "LI": 21,
    "LU": 20,
    "NL": 18,
    "BE": 16,
    "FR": 27,
    "IT": 27,
    "ES": 24,
}
_FORM = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


def is_iban(text: str | None) -> bool:
    """True if form, length (where the country's is known) and check digits fit; blanks and case mean nothing."""
    iban = "".join((text or "").split()).upper()
    if not _FORM.fullmatch(iban) or len(iban) != _LENGTHS.get(iban[:2], len(iban)):
        return False
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1
