"""The sample firm as Advoware has it, a seed for its stand-in (`POST /sandbox/seed`).

Most parties are EspoCRM's CBeteiligte. Two are in EspoCRM alone, three in Advoware alone, and one stands there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from bitbylaw_pipeline.sandbox.samples.matters import (
    SampleFirm,
    SampleMatter,
    person_anrede,
    person_betnr,
    person_konto,
    person_titel,
    sample_firm,
)
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, Person

Row = dict[str, Any]

ONLY_IN_ESPOCRM = (PERSONS[6], PERSONS[11])
# In Advoware under two numbers, with the same name and date of birth: only a person can say which one is meant.
TWICE_IN_ADVOWARE = PERSONS[3]
SECOND_NUMBER = 20_903
# The Monday from which the sample's appointments are counted.
FIRST_MONDAY = date(2026, 3, 2)

MITARBEITER: tuple[Row, ...] = (
    {"kuerzel": "PM", "name": "Probst", "aktiv": True},
    {"kuerzel": "MW", "name": "Musterwald", "aktiv": True},
    {"kuerzel": "MÜ", "name": "Mühlbrandt", "aktiv": True},
    {"kuerzel": "AX", "name": "Axthelm", "aktiv": False},
)

_FIRMS: tuple[Row, ...] = (
    {
        "betNr": 21_001,
        "name": "Wohnbau Finkenbogen GmbH",
        "rechtsform": "GmbH",
        "handelsRegisterNummer": "HRB 40127",
        "registergericht": "Amtsgericht Hollerstedt",
        "adressen": [{"strasse": "Am Finkenbogen 1", "plz": "00121", "ort": "Quellrode", "land": "DE"}],
    },
    {"betNr": 21_002, "name": "Rechtsschutz Quellrode AG", "rechtsform": "AG", "zusatzFeld1": "Versicherer"},
    {
        "betNr": 21_003,
        "name": "Amtsgericht Hollerstedt",
        "kommunikation": [{"tlf": "+49 30 23125900", "kommKz": 2}],
    },
)


def advoware_seed_document(
    firm: SampleFirm | None = None, *, reset: bool = True, first_monday: date = FIRST_MONDAY
) -> Row:
    """The JSON for `POST /sandbox/seed` of Advoware's stand-in, the same for the same `firm` (default
    `sample_firm()`): employees, parties with addresses, communication and accounts, matters, appointments.
    """
    firm = firm or sample_firm()
    matters = [*firm.of_type("CVmhRumungsklage"), *firm.of_type("CMietinkasso")]
    return {
        "reset": reset,
        "mitarbeiter": list(MITARBEITER),
        "beteiligte": [
            *(party_record(person) for person in PERSONS if person not in ONLY_IN_ESPOCRM),
            _namesake(TWICE_IN_ADVOWARE),
            *_FIRMS,
        ],
        "akten": [*(_akte(matter) for matter in matters), *_OTHER_AKTEN],
        "termine": _termine(matters, first_monday),
    }


def espocrm_betnr(person: Person) -> int | None:
    """The number at Advoware that EspoCRM already knows: that of every second person, None for the others."""
    is_known = PERSONS.index(person) % 2 == 0 and person not in ONLY_IN_ESPOCRM
    return person_betnr(person) if is_known else None


def party_record(person: Person) -> Row:
    """A person as a party of Advoware, with what hangs from it."""
    number, konto = PERSONS.index(person), person_konto(person)
    titel = person_titel(person)
    line = " ".join(part for part in (person_anrede(person), titel, person.name) if part)
    kommunikation = [{"tlf": person.email, "kommKz": 4}, {"tlf": person.telefon, "kommKz": 1}]
    if number % 3 == 0:
        # Nothing is ever deleted there: rows are emptied, and such an empty slot is no contact.
        kommunikation.insert(1, {"tlf": "", "kommKz": 3})
    return {
        "betNr": person_betnr(person),
        "name": person.nachname,
        "vorname": person.vorname,
        "anrede": person_anrede(person),
        "titel": titel,
        "rechtsform": "Natürliche Person",
        "geburtsdatum": person.geburtsdatum,
        "zusatzFeld1": f"Kartei {number}",
        "adressen": [
            {
                "strasse": person.strasse,
                "plz": person.plz,
                "ort": person.ort,
                "anschrift": f"{line}\r\n{person.strasse}\r\n{person.plz} {person.ort}",
                "land": "DE",
                "standardAnschrift": True,
                "reihenfolgeIndex": 1,
            }
        ],
        "kommunikation": kommunikation,
        "bankverbindungen": []
        if konto is None
        else [
            {
                "bankName": konto.bankname,
                "kontoinhaber": konto.kontoinhaber,
                # As people type them: some with blanks.
                "iban": _in_fours(konto.iban) if number % 4 == 0 else konto.iban,
                "bic": konto.bic,
            }
        ],
    }


def _namesake(person: Person) -> Row:
    record = party_record(person)
    address = {**record["adressen"][0], "strasse": "Lange Reihe 90", "anschrift": ""}
    return {
        **record,
        "betNr": SECOND_NUMBER,
        "adressen": [address],
        "kommunikation": [],
        "bankverbindungen": [],
    }


def _in_fours(iban: str) -> str:
    return " ".join(iban[start : start + 4] for start in range(0, len(iban), 4))


def _akte(matter: SampleMatter) -> Row:
    mandant, gegner = matter.persons
    parties = [("Mandant", mandant), ("Gegner", gegner)]
    return {
        # What EspoCRM's record holds as advowareAkteId.
        "id": 40_000 + matter.number,
        "aktennummer": matter.aktennummer,
        "az": matter.aktenzeichen,
        "kurzrubrum": f"{mandant.nachname} ./. {gegner.nachname}",
        "referat": MITARBEITER[matter.number % 2]["kuerzel"],
        "beteiligte": [
            {"betNr": person_betnr(person), "rolle": rolle}
            for rolle, person in parties
            if person not in ONLY_IN_ESPOCRM
        ],
    }


# Matters that EspoCRM knows nothing of.
_OTHER_AKTEN: tuple[Row, ...] = (
    {
        "id": 40_301,
        "aktennummer": 26_301,
        "az": "301/26",
        "kurzrubrum": "Finkenbogen wg. Beratung",
        "referat": "MW",
    },
    {
        "id": 40_302,
        "aktennummer": 25_117,
        "az": "117/25",
        "kurzrubrum": "Finkenbogen wg. Nebenkosten",
        "referat": "PM",
    },
)


def _termine(matters: Sequence[SampleMatter], monday: date) -> list[Row]:
    def on(day: int, **fields: Any) -> Row:
        text = (monday + timedelta(days=day)).isoformat()
        return {"datum": text, "datumBis": text, "anwalt": "PM", "sb": "PM", **fields}

    nr = matters[0].aktennummer if matters else 0
    return [*_single_termine(on, nr, monday), *_series(on, monday)]


def _single_termine(on: Callable[..., Row], nr: int, monday: date) -> list[Row]:
    def end(day: int) -> str:
        return (monday + timedelta(days=day)).isoformat()

    return [
        on(0, uhrzeitVon="09:30:00", uhrzeitBis="10:15:00", text="Mündliche Verhandlung", ort="AG Hollerstedt, Saal 3",
           nr=nr, notiz="Vollmacht mitnehmen\nLadung liegt vor", hinfahrt=45, rueckfahrt=45, vortermin=15),
        on(1, uhrzeitVon="14:00:00", uhrzeitBis="15:00:00", text="Besprechung Kanzlei", anwalt="PM,MW,MÜ"),
        on(2, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00", text="Frist: Klageerwiderung", nr=nr, abwesenheit=1,
           erinnerung=1, erinnerungsDatum=f"{end(0)}T08:00:00"),
        on(3, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00", text="Fortbildung", anwalt="MÜ", abwesenheit=1,
           datumBis=end(4)),
        on(3, uhrzeitVon="18:30:00", uhrzeitBis="19:30:00", text="Privater Termin", anwalt="MW", privat=1),
        on(4, text="Rückruf", anwalt="", uhrzeitBis=None),
        on(7, uhrzeitVon="22:00:00", uhrzeitBis="00:30:00", text="Nachtbriefkasten", anwalt="MW", datumBis=end(8)),
        # Made up by Advoware itself from the list of holidays.
        on(14, frNr=-900_001, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00", text="Urlaub", abwesenheit=1,
           datumBis=end(18)),
    ]  # fmt: skip


def _series(on: Callable[..., Row], monday: date) -> list[Row]:
    # Over the change to summer time, which is between the two ends.
    last = (monday + timedelta(weeks=12)).isoformat()
    return [
        on(0, uhrzeitVon="08:30:00", uhrzeitBis="09:00:00", text="Postrunde", dauertermin=1, turnus=1, turnusArt=2,
           datumBis=last),
        on(1, uhrzeitVon="12:00:00", uhrzeitBis="13:00:00", text="Mittagsrunde", anwalt="ALLE", dauertermin=1,
           turnus=2, turnusArt=2, datumBis="2037-12-31"),
    ]  # fmt: skip
