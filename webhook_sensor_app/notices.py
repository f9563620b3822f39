"""What a webhook's body says: which records may have changed. Everything else in it is thrown away unread.

EspoCRM sends a list of objects with the changed attributes and `id` (`facts/espocrm.md` 11); hooks written by hand
send `{id, entityType}`, as a list or alone. No sentence repeats a part of the body: bodies are personal data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.domain.document import is_entity_type, is_record_id
from webhook_sensor_app.refusal import unreadable

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class End:
    """One of the two records of a link."""

    entity_type: str
    id: str


def read_changes(body: bytes | bytearray, entity_type: str, max_events: int) -> list[str]:
    """The ids of the records that may have changed, as often as they are named.

    Raises Refusal (400) for anything but objects with a usable `id` and, if given, this `entityType`.
    """
    ids = []
    for number, item in _items(body, max_events):
        if item.get("entityType", entity_type) != entity_type:
            raise unreadable(
                f"Item {number} names another entityType than this address is for ({entity_type})."
            )
        ids.append(_record_id(item, "id", number))
    return ids


def read_links(body: bytes | bytearray, max_events: int) -> list[tuple[End, End]]:
    """The two ends of each link. Raises Refusal (400) unless every item names both by type and id."""
    return [
        (
            End(_entity_type(item, "entityType", number), _record_id(item, "id", number)),
            End(_entity_type(item, "foreignEntityType", number), _record_id(item, "foreignId", number)),
        )
        for number, item in _items(body, max_events)
    ]


def _record_id(item: dict[str, Any], name: str, number: int) -> str:
    value = item.get(name)
    if not (isinstance(value, str) and is_record_id(value)):
        raise unreadable(
            f'Item {number} has no usable "{name}": a record\'s id consists of 1 to 64 letters, digits, "-" or "_".'
        )
    return value


def _entity_type(item: dict[str, Any], name: str, number: int) -> str:
    value = item.get(name)
    if not (isinstance(value, str) and is_entity_type(value)):
        raise unreadable(
            f'Item {number} has no usable "{name}": write it as EspoCRM does, for example CDokumente.'
        )
    return value


def _items(body: bytes | bytearray, max_events: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The body's objects, numbered from 1, read one at a time: the surplus of a huge list is never built."""
    for number, item in enumerate(_values(_text(body)), start=1):
        if number > max_events:
            raise unreadable(
                f"The body lists more than {max_events} events: send them in several requests.",
                "too_many_events",
            )
        if not isinstance(item, dict):
            raise unreadable(f"Item {number} is not an object: send a list of objects with an id each.")
        yield number, item


def _text(body: bytes | bytearray) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise unreadable("The body is not UTF-8: send JSON in UTF-8.") from None
    if text.startswith("\ufeff"):
        raise unreadable("The body begins with a byte order mark: send plain JSON without it.")
    return text


def _values(text: str) -> Iterator[Any]:
    position = _skip(text, 0)
    if text[position : position + 1] == "[":
        position = _skip(text, position + 1)
        has_more = text[position : position + 1] != "]"
        while has_more:
            value, position = _decode(text, position)
            yield value
            position = _skip(text, position)
            has_more = text[position : position + 1] == ","
            if has_more:
                position = _skip(text, position + 1)
        if text[position : position + 1] != "]":
            raise _not_json(position)
        position += 1
    else:
        value, position = _decode(text, position)
        yield value
    if _skip(text, position) != len(text):
        raise _not_json(position)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _decode(text: str, position: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        raise unreadable("The body's JSON is nested too deeply: send flat objects with an id each.") from None
    except json.JSONDecodeError as error:
        raise _not_json(error.pos) from None
    except ValueError:
        # A number of thousands of digits.
        raise _not_json(position) from None


def _not_json(position: int) -> Exception:
    return unreadable(
        f'The body is not JSON (character {position + 1}): send a list like [{{"id": "..."}}] in UTF-8.',
        "not_json",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) != len(pairs):
        # Which of two ids was meant is anybody's guess, and two readers guess differently.
        raise unreadable("An object in the body names the same key twice: name each once.")
    return item


def _constant(_: str) -> Any:
    raise unreadable("The body holds NaN or Infinity, which JSON does not know: leave them out.", "not_json")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
