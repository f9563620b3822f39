"""What an event's description says, whether Google keeps it as plain text or as HTML. Pure.

A description that was written as text can come back as HTML once somebody has opened the event in a browser
(`facts/two_way_sync.md` 2 and 4.1 G23); what it says has not changed by that.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

# By name: "<max@firma.example>" in a lawyer's notes is an address, and went with its brackets.
_TAG = (
    r"<(?:!--|/?(?:a|b|big|blockquote|body|br|center|code|div|em|font|h[1-6]|head|hr|html|html-blob|i|img|li|meta|o:p"
    r"|ol|p|pre|s|script|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|wbr)"
    r"(?=[\s/>]))[^<>]*>"
)
_MARKUP = re.compile(
    rf"{_TAG}|&(?:#\d{{1,7}}|#x[0-9a-fA-F]{{1,6}}|[a-zA-Z][a-zA-Z0-9]{{1,31}});", re.IGNORECASE
)
_NO_TAG = re.compile(rf"<(?!{_TAG[1:]})", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"<[a-zA-Z!/]|&[#a-zA-Z]")
_BREAKS = frozenset({"br", "hr"})
_BLOCKS = frozenset(
    {"p", "div", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "table", "blockquote"}
)
_HIDDEN = frozenset({"script", "style", "title"})


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BREAKS or tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def plain_text(text: str | None) -> str | None:
    """The text without its markup, a line for each line; None for an empty one. `plain_text(plain_text(x))` is it."""
    if text is None:
        return None
    # Text that came out of markup may look like markup itself ("&lt;b&gt;"): until nothing is left of it.
    for _ in range(5):
        if not _MARKUP.search(text):
            break
        words = _Words()
        words.feed(_NO_TAG.sub("&lt;", text))
        words.close()
        text = "".join(words.parts)
    lines = [line.strip() for line in text.replace("\xa0", " ").replace("\r", "\n").split("\n")]
    return "\n".join(line for line in lines if line) or None


def as_description(text: str | None) -> str | None:
    """What to send as an event's description, in which Google allows HTML: signs that would be taken for it escaped."""
    return html.escape(text, quote=False) if text and _AMBIGUOUS.search(text) else text
