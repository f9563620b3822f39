"""The sample firm: real files, the same for the same seed, of invented persons."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zlib

import docx
import httpx
import pytest

from bitbylaw_pipeline.sandbox.samples.matters import SampleDocument, sample_firm
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, SAMPLE_PERSONS
from bitbylaw_pipeline.sandbox.samples.seed import OWNER_LINKS, seed_document
from bitbylaw_pipeline.sandbox.samples.texts import KINDS, write_text
from bitbylaw_pipeline.sandbox.server import running_sandbox
from bitbylaw_pipeline.sandbox.xai.contents import filename_error, indexing_error, kind_of

FIRM = sample_firm(raeumungsklagen=2, mietinkassos=1, accounts=1, beteiligte=2)


def first(file_format: str) -> SampleDocument:
    """The firm's first document in this format."""
    return next(item for item in FIRM.documents() if item.file_format == file_format)


def pdf_streams(data: bytes) -> bytes:
    """All streams of a PDF, decompressed."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", data, re.DOTALL)
    return b"".join(zlib.decompress(raw) if raw[:1] == b"x" else raw for raw in streams)


def test_a_pdf_holds_its_text_and_a_scan_holds_only_a_picture() -> None:
    """A PDF shows text, a scan draws an image and has no text."""
    pdf, scan = first("pdf"), first("scan")
    assert pdf.case.mandant.nachname.encode("latin-1") in pdf_streams(pdf.content())
    assert b"/Image" in scan.content()
    assert b"Tj" not in pdf_streams(scan.content())


def test_a_docx_opens_as_word_document() -> None:
    """The DOCX is read by python-docx and holds heading and paragraphs."""
    sample = first("docx")
    opened = docx.Document(io.BytesIO(sample.content()))
    text = write_text(sample.kind, sample.case)
    assert [paragraph.text for paragraph in opened.paragraphs] == [text.titel, *text.absaetze]


@pytest.mark.parametrize("file_format", ["pdf", "scan", "docx", "txt"])
def test_files_are_the_same_each_time_and_differ_by_version(file_format: str) -> None:
    """The same document gives the same bytes, its next version other bytes under another attachment id."""
    sample = first(file_format)
    edited = sample.next_version()
    assert sample.content() == sample.content()
    assert edited.content() != sample.content()
    assert (edited.id, edited.name) == (sample.id, sample.name)
    assert edited.attachment_id != sample.attachment_id


def test_only_scans_cannot_be_indexed() -> None:
    """Every sample file but a scan is read by the indexing, and every name is one that xAI takes."""
    for sample in FIRM.documents():
        failed = bool(indexing_error(sample.content_type, kind_of(sample.content())))
        assert failed == (sample.file_format == "scan"), sample.kind
        assert filename_error(sample.name) == ""


def test_the_firm_is_the_same_for_the_same_seed() -> None:
    """Equal seeds give equal firms, other seeds other ones; ids are EspoCRM's and unique."""
    assert sample_firm(seed=3) == sample_firm(seed=3)
    assert sample_firm(seed=3) != sample_firm(seed=4)
    firm = sample_firm()
    ids = [matter.id for matter in firm.matters] + [item.id for item in firm.documents()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{17}", item) for item in ids)


def test_the_firm_has_what_the_flows_must_handle() -> None:
    """A document in two matters, one in none, a matter without permission, and a scan in each Räumungsklage."""
    firm = sample_firm()
    owners = [item.id for matter in firm.matters for item in matter.documents]
    assert len(owners) - len(set(owners)) == 1
    assert len(firm.loose) == 1
    assert [matter.released for matter in firm.matters].count(False) == 1
    klagen = firm.of_type("CVmhRumungsklage")
    assert all(any(item.file_format == "scan" for item in klage.documents) for klage in klagen)
    assert set(KINDS) >= {item.kind for item in firm.documents()}


def test_the_seed_fills_the_stand_in_of_espocrm() -> None:
    """After seeding, matters list their documents, files download as made, and people are linked to their matter."""
    document = first("docx")
    klage = FIRM.of_type("CVmhRumungsklage")[0]
    seed = seed_document(FIRM, link_multiple_fields=True, config={"webhookPeriodSeconds": None})
    with (
        running_sandbox() as sandbox,
        httpx.Client(base_url=sandbox.espocrm_url, headers={"X-Api-Key": sandbox.espocrm_api_key}) as client,
    ):
        made = client.post("/sandbox/seed", json=seed)
        assert made.status_code == 200, made.text
        linked = client.get(f"/api/v1/CVmhRumungsklage/{klage.id}/dokumentes").json()
        assert {item["id"] for item in linked["list"]} == {item.id for item in klage.documents}
        record = client.get(f"/api/v1/CDokumente/{document.id}").json()
        assert (record["name"], record["dokumentName"]) == (document.title, document.name)
        assert record["rumungsklagesIds"] == [klage.id]
        file = client.get(f"/api/v1/Attachment/file/{record['dokumentId']}")
        assert file.content == document.content()
        owner = client.get(f"/api/v1/CVmhRumungsklage/{klage.id}").json()
        assert owner["kiFreigabe"] is True
        assert set(owner["beteiligtesNames"].values()) == {
            f"{p.nachname}, {p.vorname}" for p in klage.persons
        }
        unreleased = client.get(f"/api/v1/CVmhRumungsklage/{FIRM.of_type('CVmhRumungsklage')[-1].id}").json()
        assert unreleased["kiFreigabe"] is False
        shared = next(item for item in klage.documents if item.kind == "Mietvertrag")
        inkassos = client.get(f"/api/v1/CDokumente/{shared.id}/mietinkassos").json()
        assert inkassos["total"] == 1
        loose = client.get(f"/api/v1/CDokumente/{FIRM.loose[0].id}").json()
        assert [loose[f"{link}Ids"] for link in OWNER_LINKS.values()] == [[], [], [], []]


def test_parties_accounts_and_matters_carry_what_advoware_has_too() -> None:
    """Every account belongs to a seeded party and has an IBAN whose check digits are right; Aktennummern are unique."""
    records = seed_document(FIRM)["records"]
    parties = {item["id"]: item for item in records["CBeteiligte"]}
    accounts = records["CBankverbindungen"]
    assert 0 < len(accounts) < len(parties)
    for account in accounts:
        assert account["beteiligteId"] in parties
        turned = account["iban"][4:] + account["iban"][:4]
        assert len(turned) == 22
        assert int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1
    assert all(item["adressePostalCode"] and item["anrede"] for item in parties.values())
    numbers = [item["aktennummer"] for kind in ("CVmhRumungsklage", "CMietinkasso") for item in records[kind]]
    assert len(set(numbers)) == len(numbers) == 3


def test_every_record_and_file_name_would_be_caught_by_the_leak_test() -> None:
    """Names of records and files hold a string of SAMPLE_PERSONS."""
    assert {person.nachname for person in PERSONS} <= set(SAMPLE_PERSONS)
    for name in (
        [matter.name for matter in FIRM.matters]
        + [item.name for item in FIRM.documents()]
        + [item.title for item in FIRM.documents()]
    ):
        assert any(part in name for part in SAMPLE_PERSONS)


def test_the_stand_ins_import_without_the_sample_makers() -> None:
    """Importing the stand-ins and the sample modules loads neither fpdf2 nor python-docx."""
    modules = "xai, server, samples.seed"
    program = "import sys\n" + "\n".join(
        f"import bitbylaw_pipeline.sandbox.{name.strip()}" for name in modules.split(",")
    )
    program += "\nsys.exit(str({'fpdf', 'docx', 'PIL'} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
