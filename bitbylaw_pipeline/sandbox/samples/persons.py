"""Invented persons. Names, streets and towns do not exist; mail addresses and telephone numbers lead nowhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A party: `geburtsdatum` as YYYY-MM-DD."""

    vorname: str
    nachname: str
    strasse: str
    plz: str
    ort: str
    geburtsdatum: str
    email: str
    telefon: str

    @property
    def name(self) -> str:
        """Given name and surname."""
        return f"{self.vorname} {self.nachname}"

    @property
    def anschrift(self) -> str:
        """Street, postcode and town on one line."""
        return f"{self.strasse}, {self.plz} {self.ort}"


def _person(number: int, row: str) -> Person:
    vorname, nachname, strasse, ort, geburtsdatum = row.split("|")
    ascii_name = nachname.lower()
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        ascii_name = ascii_name.replace(umlaut, letters)
    return Person(
        vorname,
        nachname,
        strasse,
        f"00{120 + number}",
        ort,
        geburtsdatum,
        f"{ascii_name}@kanzlei-probe.example",
        # 030 23125 000 to 999 is kept free for film and television.
        f"+49 30 23125{number:03d}",
    )


_ROWS = (
    "Annegret|Wippersteg|Kieselgrund 4|Hollerstedt|1961-03-14",
    "Thaddäus|Kallenbrink|Am Finkenbogen 11|Quellrode|1984-09-02",
    "Mirelle|Oßwaldt-Prahm|Torfmühlenweg 27|Hollerstedt|1990-12-21",
    "Ruprecht|Dellgrübner|Lange Reihe 3a|Niederwalkeritz|1957-06-30",
    "Svantje|Eickenrahm|Hopfenstieg 8|Quellrode|1979-01-17",
    "Bogumil|Schrötterfeld|Zur Alten Darre 19|Ahrensmark|1968-11-05",
    "Friederun|Maßlinger|Kieselgrund 6|Hollerstedt|1995-04-26",
    "Kunigunde|Tüllmannshoff|Rosshofgasse 2|Ahrensmark|1949-08-09",
    "Leberecht|Vorderwülbecke|Am Finkenbogen 30|Quellrode|1972-02-28",
    "Yelva|Hörnsiepen|Kalkofenweg 15|Niederwalkeritz|1988-07-13",
    "Ottokar|Zwickenpflug|Schleusenpfad 1|Hollerstedt|1965-10-19",
    "Philomena|Grabbensee|Hopfenstieg 22|Quellrode|1999-05-07",
    "Wendelin|Unterkötter-Bahl|Torfmühlenweg 5|Ahrensmark|1981-03-03",
    "Isentraud|Knüppelholz-Rehm|Rosshofgasse 14|Niederwalkeritz|1976-09-24",
    "Eginhard|Blautzky|Zur Alten Darre 7|Hollerstedt|1959-12-11",
    "Roswine|Faßbenderlohe|Kalkofenweg 40|Quellrode|1992-06-16",
)

PERSONS: tuple[Person, ...] = tuple(_person(number, row) for number, row in enumerate(_ROWS))

# What must never show in logs, run metadata, tags, keys or error texts. Surnames and streets are peculiar enough
# that a hit is a leak, not a coincidence; file names and record names hold surnames.
SAMPLE_PERSONS: tuple[str, ...] = tuple(
    sorted(
        {
            part
            for person in PERSONS
            for part in (person.nachname, person.strasse, person.email, person.telefon)
        }
    )
)
