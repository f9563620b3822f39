"""What a caller may write as `endpoint`: a relative path of plain words and numbers, and nothing else.

Joining a caller's text to an address is how a proxy is led astray: `https://evil/x`, `//evil/x`, `@evil/x`, `.evil/x`,
`../../admin` and `%2e%2e/` each leave the host or the path under some way of joining (`facts/reliability.md` 6). So no
text of a caller's is ever joined: it is taken apart here, compared with the allow-list part by part
(`proxy_routes.py`), and the address is built from the allow-list's own words and from numbers.

There is no decoding here either. What is left to decode after the query string's or JSON's own decoding holds a "%",
which no path of Advoware's has.
"""

from __future__ import annotations

import re

from webhook_sensor_app.refusal import Refusal

LONGEST = 200
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_SENTENCE = (
    "endpoint must be a path below Advoware's API, such as Beteiligte/104860: words and numbers of the letters a to z, "
    "digits, - and _, with single slashes between them; query parameters go beside endpoint, not into it."
)


def read_endpoint(text: object) -> tuple[str, ...]:
    """The path's segments. Raises Refusal (400) for anything that is not plainly one; never repeats the text."""
    if text is None or text == "":
        raise Refusal(400, "endpoint is missing: write it like ?endpoint=Beteiligte/104860.", "no_endpoint")
    if not isinstance(text, str):
        raise Refusal(400, "endpoint must be a text such as Beteiligte/104860.", "bad_endpoint")
    segments = tuple(text.split("/"))
    if len(text) > LONGEST or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise Refusal(400, _SENTENCE, "bad_endpoint")
    return segments
