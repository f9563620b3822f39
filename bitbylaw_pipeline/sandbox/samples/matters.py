"""The invented firm's matters: who is involved, which documents they have, and which belong to several."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from bitbylaw_pipeline.sandbox.samples.files import CONTENT_TYPES, make_file
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, Person
from bitbylaw_pipeline.sandbox.samples.texts import Case, write_text

_FIRST_DAY = date(2026, 1, 12)

# Kind and format of the documents that a matter starts with; a scan cannot be indexed.
_DOCUMENTS_OF: dict[str, tuple[tuple[str, str], ...]] = {
    "CVmhRumungsklage": (
        ("Klageschrift", "pdf"),
        ("Vollmacht", "scan"),
        ("Mietvertrag", "pdf"),
        ("Kündigung", "docx"),
        ("Gesprächsnotiz", "txt"),
    ),
    "CMietinkasso": (("Mahnung", "pdf"), ("Forderungsaufstellung", "docx"), ("Gesprächsnotiz", "txt")),
    "Account": (("Mandatsvereinbarung", "pdf"),),
    "CBeteiligte": (("Vollmacht", "pdf"),),
}

_FRAUEN = frozenset(
    ("Annegret", "Mirelle", "Svantje", "Friederun", "Kunigunde", "Yelva", "Philomena", "Isentraud", "Roswine")
)


def record_id(*parts: object) -> str:
    """An id in EspoCRM's form (17 hex digits), the same for the same parts."""
    return "6a" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:15]


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """A document of the firm; its bytes are made when asked for."""

    id: str
    attachment_id: str
    kind: str
    file_format: str
    case: Case

    @property
    def title(self) -> str:
        """The record's name: kind, parties as lawyers write them, reference."""
        parties = f"{self.case.mandant.nachname} ./. {self.case.gegner.nachname}"
        return f"{self.kind} {parties} {self.case.aktenzeichen}"

    @property
    def name(self) -> str:
        """The file's name: the title without what file systems refuse."""
        extension = "pdf" if self.file_format == "scan" else self.file_format
        return f"{self.title.replace(' ./. ', ' gegen ').replace('/', '-')}.{extension}"

    @property
    def content_type(self) -> str:
        """The MIME type."""
        return CONTENT_TYPES[self.file_format]

    def content(self) -> bytes:
        """The file."""
        return make_file(self.file_format, write_text(self.kind, self.case))

    def next_version(self) -> SampleDocument:
        """The same document after someone edited its file: another attachment with other bytes."""
        fassung = self.case.fassung + 1
        attachment = record_id("Attachment", self.id, fassung)
        return replace(self, attachment_id=attachment, case=replace(self.case, fassung=fassung))


@dataclass(frozen=True, slots=True)
class SampleMatter:
    """A record that may own a collection: a matter, a client's account, or a party."""

    entity_type: str
    id: str
    name: str
    number: int
    aktenzeichen: str
    released: bool
    persons: tuple[Person, ...]
    documents: tuple[SampleDocument, ...] = field(default=())

    @property
    def aktennummer(self) -> int:
        """The number of the Akte at Advoware that it belongs to, and that EspoCRM's record carries."""
        return 26_000 + self.number


@dataclass(frozen=True, slots=True)
class SampleKonto:
    """A bank account of a party. The bank does not exist: no German bank code begins with 0."""

    iban: str
    bic: str
    bankname: str
    kontoinhaber: str


@dataclass(frozen=True, slots=True)
class SampleFirm:
    """All records. `persons` in the order of the CBeteiligte among the matters; `loose` belong to no matter."""

    matters: tuple[SampleMatter, ...]
    loose: tuple[SampleDocument, ...]

    def documents(self) -> list[SampleDocument]:
        """Every document once, however many matters it belongs to."""
        found = {item.id: item for matter in self.matters for item in matter.documents}
        return [*found.values(), *self.loose]

    def of_type(self, entity_type: str) -> list[SampleMatter]:
        """The matters of one entity type."""
        return [matter for matter in self.matters if matter.entity_type == entity_type]


def person_record_id(person: Person) -> str:
    """The id of a person's CBeteiligte record."""
    return record_id("CBeteiligte", person.name)


def person_betnr(person: Person) -> int:
    """The person's number at Advoware."""
    return 20_000 + PERSONS.index(person)


def person_anrede(person: Person) -> str:
    """Herr or Frau."""
    return "Frau" if person.vorname in _FRAUEN else "Herr"


def person_titel(person: Person) -> str | None:
    """An academic title, which every fifth person has."""
    return "Dr." if PERSONS.index(person) % 5 == 0 else None


def person_konto(person: Person) -> SampleKonto | None:
    """The person's bank account, which every second one has. The IBAN's check digits are right."""
    number = PERSONS.index(person)
    if number % 2:
        return None
    bban = f"00120100{7_300_000 + number * 137:010d}"
    check = 98 - int(f"{bban}131400") % 97  # D is 13, E is 14
    return SampleKonto(f"DE{check:02d}{bban}", "PRBEDE00XXX", "Probebank Hollerstedt", person.name)


def konto_record_id(person: Person) -> str:
    """The id of the CBankverbindungen record of the person's account."""
    return record_id("CBankverbindungen", person.name)


def sample_firm(
    seed: int = 1, *, raeumungsklagen: int = 6, mietinkassos: int = 4, accounts: int = 3, beteiligte: int = 8
) -> SampleFirm:
    """An invented firm of the given size. The last Räumungsklage is not released for AI; a tenancy agreement
    belongs to a Räumungsklage and a Mietinkasso at once; one document belongs to nothing.
    """
    source = random.Random(seed)
    klagen = [
        _matter(source, seed, "CVmhRumungsklage", n, n < raeumungsklagen - 1) for n in range(raeumungsklagen)
    ]
    inkassos = [_matter(source, seed, "CMietinkasso", n, released=True) for n in range(mietinkassos)]
    firms = [_matter(source, seed, "Account", n, released=True) for n in range(accounts)]
    parties = [_party(source, seed, n) for n in range(min(beteiligte, len(PERSONS)))]
    if klagen and inkassos:
        shared = next(item for item in klagen[0].documents if item.kind == "Mietvertrag")
        inkassos[0] = replace(inkassos[0], documents=(*inkassos[0].documents, shared))
    loose = _document(_case(source, "000/26"), seed, "lose", "Gesprächsnotiz", "txt")
    return SampleFirm((*klagen, *inkassos, *firms, *parties), (loose,))


def _case(source: random.Random, aktenzeichen: str) -> Case:
    mandant, gegner = source.sample(PERSONS, 2)
    miete = source.randrange(480, 1900, 10)
    stichtag = _FIRST_DAY + timedelta(days=source.randrange(200))
    return Case(aktenzeichen, mandant, gegner, stichtag, miete, miete * source.randrange(3, 8))


def _document(case: Case, seed: int, owner: str, kind: str, file_format: str) -> SampleDocument:
    own_id = record_id("CDokumente", seed, owner, kind)
    return SampleDocument(own_id, record_id("Attachment", own_id, 1), kind, file_format, case)


_NAMES = {
    "CVmhRumungsklage": "Räumungsklage {mandant} ./. {gegner}",
    "CMietinkasso": "Mietinkasso {mandant} ./. {gegner}",
    "Account": "Hausverwaltung {mandant} GmbH",
}


def _matter(source: random.Random, seed: int, entity_type: str, number: int, released: bool) -> SampleMatter:
    offset = {"CVmhRumungsklage": 100, "CMietinkasso": 500, "Account": 900}[entity_type]
    case = _case(source, f"{offset + number}/26")
    own_id = record_id(entity_type, seed, number)
    documents = tuple(_document(case, seed, own_id, kind, form) for kind, form in _DOCUMENTS_OF[entity_type])
    name = _NAMES[entity_type].format(mandant=case.mandant.nachname, gegner=case.gegner.nachname)
    persons = (case.mandant, case.gegner) if entity_type != "Account" else (case.mandant,)
    return SampleMatter(
        entity_type, own_id, name, offset + number, case.aktenzeichen, released, persons, documents
    )


def _party(source: random.Random, seed: int, number: int) -> SampleMatter:
    person = PERSONS[number]
    gegner = source.choice([other for other in PERSONS if other is not person])
    case = replace(_case(source, f"{number}/26"), mandant=person, gegner=gegner)
    own_id = person_record_id(person)
    documents = tuple(
        _document(case, seed, own_id, kind, form) for kind, form in _DOCUMENTS_OF["CBeteiligte"]
    )
    name = f"{person.nachname}, {person.vorname}"
    return SampleMatter("CBeteiligte", own_id, name, 7000 + number, "", True, (person,), documents)
