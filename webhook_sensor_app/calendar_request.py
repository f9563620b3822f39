"""Whose appointments a request names: `{"kuerzel": "AB"}`, `{"kuerzel": ["AB", "CD"]}`, or nobody's, which is all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from webhook_sensor_app.refusal import Refusal, unreadable

_NAME = "kuerzel"
_PLAIN = re.compile(r"[A-Za-zÄÖÜäöüß0-9]{1,20}")
_HOW = 'Send {"kuerzel": "AB"}, {"kuerzel": ["AB", "CD"]}, or no body for all employees.'


def read_kuerzel(body: bytes | bytearray, configured: Iterable[str]) -> list[str]:
    """The employees named, each once and as the setting spells them; without a body, or with `{}`, all of them.

    Raises Refusal: 400 for anything that is not plainly such a body, 404 for a Kürzel that has no calendar.
    """
    ours = {name.casefold(): name for name in configured}
    value = _parsed(body) if body else {}
    if not isinstance(value, dict) or value.keys() - {_NAME}:
        raise unreadable(f"The body must be an object with {_NAME} alone. {_HOW}")
    if _NAME not in value:
        return list(ours.values())
    given = value[_NAME] if isinstance(value[_NAME], list) else [value[_NAME]]
    if not given or not all(isinstance(name, str) for name in given):
        raise unreadable(f"{_NAME} must be a text or a list of texts, and not empty. {_HOW}")
    found: dict[str, None] = {}
    for name in given:
        if name.casefold() not in ours:
            raise _unknown(name)
        found[ours[name.casefold()]] = None
    return list(found)


def _unknown(name: str) -> Refusal:
    # Repeated only where it can be nothing but a Kürzel that is missing.
    shown = name if _PLAIN.fullmatch(name) else "This Kürzel"
    sentence = (
        f"{shown} has no calendar: name user and calendar in GOOGLE_CALENDARS and restart the receiver."
    )
    return Refusal(404, sentence, "unknown_kuerzel")


def _parsed(body: bytes | bytearray) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise unreadable(f"The body is not JSON in UTF-8. {_HOW}", "not_json") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise unreadable(f"An object in the body names the same key twice. {_HOW}")
    return value
