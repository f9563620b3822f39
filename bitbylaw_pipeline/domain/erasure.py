"""What is erased, in words that every place where it may stand understands; and how ids are made unreadable in a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby, takewhile
from operator import itemgetter

SHORTEST_ID = 8
"""A shorter id is looked for where ids stand alone: inside other texts it would be found where it means nothing."""

_ID = re.compile(r"[A-Za-z0-9_-]+")
_NEEDLE = re.compile(r"[A-Za-z0-9_:/ -]+")
_LAST_WORD = re.compile(r"[A-Za-z0-9_-]+$")
_PER_PATTERN = 400


class Kind(StrEnum):
    """What can be erased."""

    DOCUMENT = "document"
    MATTER = "matter"
    PARTY = "party"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition key. Where the key is a mere number it counts only in this stream, on these assets (slash-joined)."""

    key: str
    stream: str | None = None
    assets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """Partitions, and ids wherever they are mentioned. A number stands behind the word that says what it is ("right:104860")."""

    partitions: tuple[Partition, ...]
    ids: tuple[str, ...]

    @classmethod
    def parse(cls, document: str) -> Mention:
        """From `to_json`. Raises ValueError for an id with characters that no id has."""
        given = json.loads(document)
        partitions = (
            Partition(one["key"], one["stream"], tuple(one["assets"])) for one in given["partitions"]
        )
        mention = cls(tuple(partitions), tuple(dict.fromkeys(given["ids"])))
        mention.patterns()
        return mention

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    def patterns(self) -> list[str]:
        """Regular expressions, for Python and PostgreSQL alike, that find any of the ids. Raises ValueError."""
        return patterns(self.ids)


def patterns(ids: Iterable[str]) -> list[str]:
    """Regular expressions, for Python and PostgreSQL alike, that find any of the ids; those too short are left out.

    Raises ValueError for an id with characters that no id has: it could be read as a pattern.
    """
    checked = {one: _pattern(one) for one in ids}
    long_enough = sorted(one for one in checked if len(one) >= SHORTEST_ID)
    plain = [one for one in long_enough if checked[one] == one]
    portions = [_any_of(plain[at : at + _PER_PATTERN]) for at in range(0, len(plain), _PER_PATTERN)]
    others = [checked[one] for one in long_enough if checked[one] != one]
    return portions + ["|".join(others[at : at + _PER_PATTERN]) for at in range(0, len(others), _PER_PATTERN)]


def crossed_out(text: str, found_by: Sequence[str]) -> str:
    """The text with each id in it overwritten by as many x: JSON stays JSON, and a file keeps its length."""
    for pattern in found_by:
        text = re.sub(pattern, lambda match: overwritten(match[0]), text)
    return text


def overwritten(found: str) -> str:
    """What was found with its last word, the id itself, as x."""
    return _LAST_WORD.sub(lambda match: "x" * len(match[0]), found)


def _pattern(needle: str) -> str:
    if not _NEEDLE.fullmatch(needle):
        raise ValueError("An id is letters, digits, underscores and hyphens.")
    return needle if _ID.fullmatch(needle) else f"{needle}(?![0-9A-Za-z])"


def _any_of(ids: Sequence[str]) -> str:
    """A pattern for any of the sorted ids that compares what they have in common once.

    Ids that were given at one time begin alike: compared one by one, a hundred of them took 100 times as long, with
    every row of the state held from everybody else meanwhile.
    """
    # Of sorted ones the first and the last differ most.
    same = takewhile(lambda pair: pair[0] == pair[1], zip(ids[0], ids[-1], strict=False))
    common = "".join(char for char, _ in same)
    rests = [one[len(common) :] for one in ids]
    if len(rests) == 1:
        return common
    groups = [list(group) for _, group in groupby((rest for rest in rests if rest), key=itemgetter(0))]
    either = f"(?:{'|'.join(map(_any_of, groups))})"
    return f"{common}{either}{'' if rests[0] else '?'}"
