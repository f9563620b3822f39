"""The parameter `fields`: a part of an answer, as in `items(id,etag,start/date),nextPageToken`."""

from __future__ import annotations

import functools
import re
from typing import Any

from bitbylaw_pipeline.sandbox.google.errors import invalid

_TOKENS = re.compile(r"[A-Za-z0-9_*-]+|[(),/]")
Mask = dict[str, Any]


@functools.lru_cache(maxsize=256)
def mask_of(text: str) -> Mask:
    """The mask of a `fields` parameter. Raises ApiError."""
    tokens = _TOKENS.findall(text)
    if "".join(tokens) != text or not tokens:
        raise invalid(f"Invalid field selection {text}", parameter="fields")
    try:
        mask, rest = _selection(tokens)
    except IndexError:
        rest, mask = ["?"], {}
    if rest:
        raise invalid(f"Invalid field selection {text}", parameter="fields")
    return mask


def _selection(tokens: list[str]) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while True:
        mask_below: Mask = mask
        name, *tokens = tokens
        while tokens and tokens[0] == "/":
            mask_below = mask_below.setdefault(name, {})
            name, tokens = tokens[1], tokens[2:]
        below: Mask = {}
        if tokens and tokens[0] == "(":
            below, tokens = _selection(tokens[1:])
            if tokens[0] != ")":
                raise IndexError
            tokens = tokens[1:]
        if not re.fullmatch(r"[A-Za-z0-9_*-]+", name):
            raise IndexError
        mask_below.setdefault(name, {}).update(below)
        if not tokens or tokens[0] != ",":
            return mask, tokens
        tokens = tokens[1:]


def part_of(data: Any, mask: Mask) -> Any:
    """What the mask leaves of an answer: an empty mask leaves all."""
    if not mask or "*" in mask:
        return data
    if isinstance(data, list):
        return [part_of(item, mask) for item in data]
    if not isinstance(data, dict):
        return data
    return {name: part_of(value, mask[name]) for name, value in data.items() if name in mask}
