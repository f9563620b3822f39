"""Upload names: whatever a person called a file, our token leads and nothing dangerous is left."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.file_name import content_type_for, safe_upload_name, token_of

TOKEN = "bb-64f0c1d2e3b4a5968-0a1b2c3d4e5f"
FORBIDDEN = set('";\\/<>:|?*%\r\n\u0085\u2028\u2029\u202e\u202a\u2066\u200f\x00\x7f')

HOSTILE = [
    "../../x",
    "../../../etc/passwd",
    "..\\..\\windows\\system32\\x.dll",
    "/etc/passwd",
    "C:\\Users\\x.pdf",
    "\\\\server\\share\\x.pdf",
    "x\x00.pdf",
    "x.pdf\x00.exe",
    'x.pdf\r\nContent-Type: text/html\r\n\r\n<script>"',
    "x\nX-Evil: 1.pdf",
    "x\rY.pdf",
    "x\u0085Y.pdf",
    "x\u2028Y\u2029Z.pdf",
    'x"; filename="y.exe',
    "x;y=z.pdf",
    'x\\"y.pdf',
    "'x'.pdf",
    "a" * 4096,
    "a" * 4096 + ".pdf",
    "ä" * 4096 + ".docx",
    "💼" * 4096 + ".txt",
    "a\u0301" * 4096 + ".pdf",
    "Rechnung\u202efdp.exe",
    "\u2066x\u2069.pdf",
    "Ra\u0308umungsklage.pdf",
    "Räumungsklage.pdf",
    "Ra\u200b\u0308umungsklage.pdf",
    "x.pdf ",
    "x.pdf.",
    " . . ",
    "CON",
    "con.pdf",
    "NUL.txt",
    "",
    ".",
    "..",
    ".htaccess",
    "%2f%2e%2e%2fx.pdf",
    "x%0d%0aSet-Cookie: a=b.pdf",
    "\ud800\udfff.pdf",
    "x\udc80.pdf",
    "\ufeffx.pdf",
    "\u200b\u200d\u00ad",
    "x<script>|?*.html",
    "x.tar.gz.7z...pdf",
    "--boundary--\r\n.pdf",
    "\x1b[31mrot\x1b[0m.pdf",
    "\ue000\U0010fffd.pdf",
    "x." + "e" * 300,
]


def check(name: str) -> None:
    """What holds for every name."""
    assert name.startswith(TOKEN)
    assert len(name) <= 255
    assert len(name.encode()) <= 240
    assert unicodedata.is_normalized("NFC", name)
    assert not FORBIDDEN & set(name)
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name)
    assert ".." not in name
    assert len(name) > len(TOKEN) + 1
    assert token_of(name) == TOKEN


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_become_harmless(name: str) -> None:
    """Paths, controls, quotes, line ends, overlong, reversed and invisible text: none of it survives."""
    check(safe_upload_name(TOKEN, name))


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_any_text_becomes_a_harmless_name(name: str) -> None:
    """The same for any text at all, halves of surrogate pairs included; cleaning twice changes nothing more."""
    safe = safe_upload_name(TOKEN, name)
    check(safe)
    assert safe_upload_name(TOKEN, safe.removeprefix(f"{TOKEN}~")) == safe


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Klageschrift Müller ./. Groß.pdf", "Klageschrift Müller ._. Groß.pdf"),
        ("Ra\u0308umungsklage.pdf", "R\u00e4umungsklage.pdf"),
        ("a  \t b.docx", "a b.docx"),
        ("Vertrag (2) - Kopie, final_v3+.odt", "Vertrag (2) - Kopie, final_v3+.odt"),
        ("../../x", "_._x"),
        ("", "document"),
    ],
)
def test_a_decent_name_stays_readable(name: str, expected: str) -> None:
    """Umlauts, blanks, brackets and commas stay; the accent is composed."""
    assert safe_upload_name(TOKEN, name) == f"{TOKEN}~{expected}"


@pytest.mark.parametrize("extension", [".pdf", ".docx", ".PDF", ".txt"])
def test_a_long_name_keeps_its_extension(extension: str) -> None:
    """By the extension xAI and a person tell the type: it outlives the shortening."""
    assert safe_upload_name(TOKEN, "ü" * 500 + extension).endswith("ü" + extension)


@pytest.mark.parametrize(
    "token", ["", "short", "with blank and more", "a~bcdefgh", "x" * 129, "ümlaut-ümlaut", "-abcdefghij"]
)
def test_a_token_that_could_not_be_found_again_is_refused(token: str) -> None:
    """A token is plain and of some length, or the name could not be taken apart again."""
    with pytest.raises(ValueError, match="A token is"):
        safe_upload_name(token, "x.pdf")


@pytest.mark.parametrize(
    "name", ["scan_0001.pdf", "PROGRA~1.PDF", "Müller~Klage.pdf", "", "~", "a b c d e f~x"]
)
def test_foreign_names_have_no_token(name: str) -> None:
    """What was not named by us has no token."""
    assert token_of(name) is None


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("x.pdf", "application/pdf", "application/pdf"),
        ("x.exe", "application/pdf", "application/pdf"),
        ("x.pdf", "Application/PDF; charset=binary", "application/pdf"),
        ("x.PDF", None, "application/pdf"),
        ("x.pdf", "", "application/pdf"),
        (
            "x.docx",
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        ("x.pdf", "application/octet-stream; a=b", "application/pdf"),
        ("x.pdf", "pdf", "application/pdf"),
        ("x.pdf", "text/plain\r\nX-Evil: 1", "application/pdf"),
        ("x.pdf", "text/plain\n", "application/pdf"),
        ("a.b.eml", None, "message/rfc822"),
        ("x.jpeg", None, "image/jpeg"),
        ("x", None, "application/octet-stream"),
        ("pdf", None, "application/octet-stream"),
        ("x.unbekannt", None, "application/octet-stream"),
        ("", None, "application/octet-stream"),
    ],
)
def test_the_content_type_is_espocrm_s_or_the_extension_s(
    name: str, declared: str | None, expected: str
) -> None:
    """What EspoCRM stored counts, unless it says nothing or is no type (and could inject a header)."""
    assert content_type_for(name, declared) == expected
