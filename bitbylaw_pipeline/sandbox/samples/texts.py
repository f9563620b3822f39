"""Invented texts of the kinds of documents that a tenancy practice keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from bitbylaw_pipeline.sandbox.samples.persons import Person

_HEAD = """
Rechtsanwälte Probst & Musterwald, Gerichtsplatz 1, 00100 Hollerstedt. Unser Zeichen: {aktenzeichen}.
Hollerstedt, den {stichtag}

"""

# Paragraphs are separated by empty lines; within one, lines are joined. The first line is the heading.
_TEMPLATES = {
    "Klageschrift": "Klage auf Räumung und Zahlung\n"
    + _HEAD
    + """
An das Amtsgericht Hollerstedt, Abteilung für Mietsachen

In dem Rechtsstreit {mandant}, {mandant_anschrift}, Kläger, gegen {gegner}, {gegner_anschrift}, Beklagter,
erheben wir namens und in Vollmacht des Klägers Klage und werden beantragen:

1. Der Beklagte wird verurteilt, die Wohnung {gegner_anschrift}, 2. Obergeschoss links, zu räumen und geräumt
an den Kläger herauszugeben.

2. Der Beklagte wird verurteilt, an den Kläger {rueckstand} nebst Zinsen in Höhe von fünf Prozentpunkten über dem
Basiszinssatz seit Rechtshängigkeit zu zahlen.

Begründung: Zwischen den Parteien besteht ein Mietverhältnis über Wohnraum. Die monatliche Miete beträgt {miete}.
Der Beklagte ist mit mehr als zwei Monatsmieten in Verzug, § 543 Abs. 2 Satz 1 Nr. 3 BGB. Das Mietverhältnis wurde
deshalb fristlos, hilfsweise ordentlich gekündigt. Der Beklagte hat die Wohnung nicht herausgegeben. Beweis:
Mietvertrag, Kündigung und Kontoauszüge, Anlagen K 1 bis K 3.
""",
    "Vollmacht": "Vollmacht\n"
    + _HEAD
    + """
Ich, {mandant}, {mandant_anschrift}, geboren am {geburtsdatum}, bevollmächtige hiermit die Rechtsanwälte Probst &
Musterwald in der Sache gegen {gegner} wegen Räumung und Forderung.

Die Vollmacht umfasst die Prozessführung nach §§ 81 ff. ZPO, die Abgabe und Entgegennahme einseitiger
Willenserklärungen, insbesondere Kündigungen, sowie die Entgegennahme von Geld und Urkunden.

Hollerstedt, Unterschrift: ______________________
""",
    "Mietvertrag": """Mietvertrag über Wohnraum

Vermieter: {mandant}, {mandant_anschrift}. Mieter: {gegner}, {gegner_anschrift}.

§ 1 Mietsache. Vermietet wird die Wohnung {gegner_anschrift}, drei Zimmer, Küche, Bad, 74 m².

§ 2 Mietzeit. Das Mietverhältnis beginnt am {beginn} und läuft auf unbestimmte Zeit.

§ 3 Miete. Die Miete beträgt monatlich {miete} einschließlich Vorauszahlung auf die Betriebskosten und ist bis zum
dritten Werktag eines Monats zu zahlen.

§ 4 Kaution. Der Mieter leistet eine Sicherheit in Höhe von {kaution}.

§ 5 Hausordnung. Die Hausordnung ist Bestandteil dieses Vertrages.
""",
    "Kündigung": "Fristlose, hilfsweise ordentliche Kündigung\n"
    + _HEAD
    + """
Sehr geehrte/r {gegner}, namens und in Vollmacht von {mandant} kündigen wir das Mietverhältnis über die Wohnung
{gegner_anschrift} fristlos, hilfsweise ordentlich zum nächstmöglichen Zeitpunkt.

Der Rückstand beträgt zum heutigen Tag {rueckstand}. Wir fordern Sie auf, die Wohnung bis zum {frist} geräumt
herauszugeben. Einer stillschweigenden Verlängerung nach § 545 BGB wird widersprochen.
""",
    "Mahnung": "Mahnung wegen rückständiger Miete\n"
    + _HEAD
    + """
{gegner}, {gegner_anschrift}: Auf dem Mietkonto stehen {rueckstand} offen. Wir bitten um Ausgleich bis zum {frist}.
Nach Ablauf der Frist werden wir {mandant} raten, gerichtliche Hilfe in Anspruch zu nehmen.
""",
    "Forderungsaufstellung": "Forderungsaufstellung\n"
    + _HEAD
    + """
Gläubiger: {mandant}. Schuldner: {gegner}.

{monate} Monatsmieten zu je {miete}, Summe: {rueckstand}. Zinsen und Kosten sind nicht enthalten.
""",
    "Gesprächsnotiz": """Gesprächsnotiz

Akte {aktenzeichen}, {stichtag}

Telefonat mit {mandant} ({telefon}). Mandantschaft wünscht zügige Räumung; Vergleich mit Ratenzahlung über
{rueckstand} kommt nur bei Auszug bis zum {frist} in Betracht.
""",
    "Mandatsvereinbarung": "Mandatsvereinbarung\n"
    + _HEAD
    + """
Auftraggeber: {mandant}, {mandant_anschrift}. Gegenstand ist die laufende Beratung in Mietsachen. Die Vergütung
richtet sich nach dem RVG. Die Haftung ist auf eine Million Euro beschränkt.
""",
}
KINDS = tuple(_TEMPLATES)


@dataclass(frozen=True, slots=True)
class Case:
    """What the texts are about. Amounts in euros; `fassung` counts the versions of one document."""

    aktenzeichen: str
    mandant: Person
    gegner: Person
    stichtag: date
    miete: int
    rueckstand: int
    fassung: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """A document's heading and paragraphs."""

    titel: str
    absaetze: tuple[str, ...]

    def plain(self) -> str:
        """The text as plain lines."""
        return "\n\n".join((self.titel, *self.absaetze)) + "\n"


def write_text(kind: str, case: Case) -> Text:
    """The text of a document of this kind. Raises KeyError for a kind that is not in KINDS."""
    filled = _TEMPLATES[kind].format(
        aktenzeichen=case.aktenzeichen,
        mandant=case.mandant.name,
        mandant_anschrift=case.mandant.anschrift,
        gegner=case.gegner.name,
        gegner_anschrift=case.gegner.anschrift,
        geburtsdatum=case.mandant.geburtsdatum,
        telefon=case.mandant.telefon,
        stichtag=_day(case.stichtag),
        frist=_day(case.stichtag + timedelta(days=14)),
        beginn=_day(case.stichtag - timedelta(days=1400)),
        miete=_euro(case.miete),
        kaution=_euro(case.miete * 3),
        rueckstand=_euro(case.rueckstand),
        monate=case.rueckstand // case.miete,
    )
    titel, *absaetze = (" ".join(block.split()) for block in filled.split("\n\n") if block.strip())
    if case.fassung > 1:
        absaetze.append(f"Fassung {case.fassung}")
    return Text(titel, tuple(absaetze))


def _euro(amount: int) -> str:
    # "EUR" and no sign: the PDFs' built-in fonts have no euro sign.
    return f"{amount:,}".replace(",", ".") + ",00 EUR"


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"
