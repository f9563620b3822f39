"""Real PDF, DOCX and TXT files, byte for byte the same for the same text.

fpdf2, Pillow and python-docx are imported where they are used: a production install has none of them.
"""

# ruff: noqa: PLC0415  # a production install can import none of these

from __future__ import annotations

import io
import random
import zipfile
from datetime import UTC, datetime

from bitbylaw_pipeline.sandbox.samples.texts import Text

_MADE_AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "scan": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "txt": "text/plain",
}


def make_pdf(text: Text) -> bytes:
    """A PDF with selectable text."""
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_creation_date(_MADE_AT)
    pdf.set_margin(25)
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 14)
    pdf.multi_cell(0, 8, text.titel, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=11)
    for paragraph in text.absaetze:
        pdf.ln(3)
        pdf.multi_cell(0, 6, paragraph, new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def make_scan(text: Text) -> bytes:
    """A PDF that holds nothing but a picture of the text, as a scanner without text recognition makes it."""
    from fpdf import FPDF
    from PIL import Image, ImageDraw

    page = Image.new("L", (620, 877), 244)
    draw = ImageDraw.Draw(page)
    lines = [text.titel, "", *text.plain().splitlines()]
    for number, line in enumerate(lines[:70]):
        # Pillow's built-in picture font knows no umlauts.
        draw.text((45, 40 + 12 * number), line.encode("ascii", "replace").decode()[:95], fill=40)
    dust = random.Random(text.titel)
    for _ in range(400):
        draw.point((dust.randrange(620), dust.randrange(877)), fill=120)
    pdf = FPDF(format="A4")
    pdf.set_creation_date(_MADE_AT)
    pdf.add_page()
    pdf.image(page, x=0, y=0, w=210)
    return bytes(pdf.output())


def make_docx(text: Text) -> bytes:
    """A Word document."""
    import docx

    document = docx.Document()
    document.core_properties.author = "Kanzlei"
    document.core_properties.created = document.core_properties.modified = _MADE_AT.replace(tzinfo=None)
    document.add_heading(text.titel, level=1)
    for paragraph in text.absaetze:
        document.add_paragraph(paragraph)
    made = io.BytesIO()
    document.save(made)
    return _with_fixed_times(made.getvalue())


def make_txt(text: Text) -> bytes:
    """UTF-8 text."""
    return text.plain().encode()


def make_file(file_format: str, text: Text) -> bytes:
    """The text as pdf, scan, docx or txt. Raises KeyError for another format."""
    return {"pdf": make_pdf, "scan": make_scan, "docx": make_docx, "txt": make_txt}[file_format](text)


def _with_fixed_times(archive: bytes) -> bytes:
    """The same ZIP archive without the time of its making: the same text has to give the same hash."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            info = zipfile.ZipInfo(name, date_time=_MADE_AT.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, source.read(name))
    return made.getvalue()
