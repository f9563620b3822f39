"""A description says the same as plain text and as the HTML that Google makes of it (G23)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.event_text import as_description, plain_text


@pytest.mark.parametrize(
    "html",
    [
        "Vollmacht<br>Raum 3 &amp; 4",
        "<p>Vollmacht</p><p>Raum 3 &amp; 4</p>",
        "<html-blob>Vollmacht<br/>Raum&nbsp;3 &amp; 4</html-blob>",
        "<ul><li>Vollmacht</li><li><b>Raum 3</b> &amp; 4</li></ul>",
        "Vollmacht\r\nRaum 3 & 4\r\n",
        "  Vollmacht \n\n Raum 3 & 4",
        "<style>p {color: red}</style><div>Vollmacht<div>Raum 3 &#38; 4</div></div>",
    ],
)
def test_markup_and_line_ends_say_nothing(html: str) -> None:
    """Whatever an editor in a browser made of it, the lines are the same."""
    assert plain_text(html) == "Vollmacht\nRaum 3 & 4"


@pytest.mark.parametrize(
    "text",
    [
        "a < b und c > d",
        "5 & 6",
        "x <3",
        "A&B",
        "Rückruf Max <max@firma.example>",
        "Frist <bitte prüfen> & <s. o.> heute",
    ],
)
def test_signs_that_are_no_markup_stay(text: str) -> None:
    """A lawyer's signs are text."""
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "text",
    ["Max <max@firma.example> &amp; Co", "a < b", "1 & 2", "<b>", "R&D; <Meier>", "&lt;", None, "Vollmacht"],
)
def test_what_is_sent_is_read_as_what_it_says(text: str | None) -> None:
    """Sent as a description and read again, a text is itself, as far as it is text."""
    assert plain_text(as_description(plain_text(text))) == plain_text(text)


def test_an_address_in_brackets_among_markup_stays() -> None:
    """Google's editor makes HTML of the whole note; the address is still in it."""
    html = "<p>Rückruf Max &lt;max@firma.example&gt;</p><p>Raum <b>3</b></p>"
    assert plain_text(html) == "Rückruf Max <max@firma.example>\nRaum 3"
    assert plain_text("<p>Max <max@firma.example></p>") == "Max <max@firma.example>"


@pytest.mark.parametrize("text", [None, "", " \n ", "<p></p>", "&nbsp;"])
def test_nothing_is_nothing(text: str | None) -> None:
    """An empty description in any form is none."""
    assert plain_text(text) is None


@given(st.text(st.sampled_from("ab<>&;/\n\r p#38nbspltgt\xa0"), max_size=60) | st.text(max_size=60))
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    """Read once more it is the same: what both sides hold does not move by being looked at."""
    once = plain_text(text)
    assert plain_text(once) == once
