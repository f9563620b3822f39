"""Which Akte of Advoware is which matter of EspoCRM: one to one, by the integer number, never by a guess.

Whatever two records claim is given to neither. Records that a number or an id ties together are looked at together, so
one doubtful claim holds everything that hangs on it, and nothing that was written before is overwritten. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bitbylaw_pipeline.domain.document import OwnerKey

_AKTENZEICHEN = re.compile(r"(\d+)\s*[/-]\s*(\d{4}|\d{2})(?!\d)")


class AkteStatus(StrEnum):
    """What was last found out about an Akte."""

    LINKED = "linked"
    UNMATCHED = "unmatched"
    """No matter carries its number."""
    HELD = "held"
    """More than one record claims it: a person has to put the numbers right."""
    GONE = "gone"
    """Advoware no longer has it; the matter that it belonged to is kept."""


@dataclass(frozen=True, slots=True)
class AkteState:
    """An Akte as the last pass left it; `owner_key` is `{EntityType}:{id}`, `updated_at` UTC epoch seconds."""

    akte_id: str
    status: AkteStatus
    aktennummer: int | None = None
    owner_key: str | None = None
    collection_id: str | None = None
    updated_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class AkteRef:
    """An Akte of Advoware; `aktennummer` None where Advoware shows none."""

    id: int
    aktennummer: int | None
    aktenzeichen: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Matter:
    """A matter of EspoCRM; `akte_id` is what it says itself, `takes_id` whether it has a field to say it in."""

    key: OwnerKey
    aktennummer: int | None
    akte_id: int | None
    collection_id: str | None = None
    aktenzeichen: str | None = field(default=None, repr=False)
    takes_id: bool = True


class Why(StrEnum):
    """Why records are held."""

    SAME_NUMBER = "same_number"
    """Two matters, or two Akten, carry one number."""
    NAMES_ANOTHER = "names_another_akte"
    """A matter names another Akte than its number says."""
    AKTE_GONE = "akte_gone"
    """A matter names an Akte that Advoware does not have."""


@dataclass(frozen=True, slots=True)
class AkteLink:
    """An Akte and its matter."""

    akte: AkteRef
    matter: Matter

    @property
    def is_to_write(self) -> bool:
        """True if the matter does not name its Akte yet, and can."""
        return self.matter.akte_id is None and self.matter.takes_id


@dataclass(frozen=True, slots=True)
class Contested:
    """Records of which nobody can say which belong together; `gone` are ids that matters name in vain. Sorted."""

    why: Why
    akten: tuple[int, ...]
    matters: tuple[str, ...]
    gone: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AktenMatch:
    """Each Akte is in exactly one of `links`, `unmatched` and `contested`."""

    links: tuple[AkteLink, ...]
    unmatched: tuple[int, ...]
    contested: tuple[Contested, ...]
    without_akte: tuple[str, ...]
    """Matters with a number that no Akte has (yet), or without any."""


def match_akten(akten: Sequence[AkteRef], matters: Sequence[Matter]) -> AktenMatch:
    """Ties each Akte to the one matter that carries its number or names it. Both are whole lists, each record once."""
    known = {akte.id for akte in akten}
    links: list[AkteLink] = []
    unmatched: list[int] = []
    contested: list[Contested] = []
    without: list[str] = []
    for of_akten, of_matters in _tied_together(akten, matters):
        gone = {
            matter.akte_id
            for matter in of_matters
            if matter.akte_id is not None and matter.akte_id not in known
        }
        match of_akten, of_matters:
            case [akte], [matter] if not gone and _agree(akte, matter):
                links.append(AkteLink(akte, matter))
            case [akte], []:
                unmatched.append(akte.id)
            case [], [matter] if not gone:
                without.append(str(matter.key))
            case _:
                contested.append(_contested(of_akten, of_matters, gone))
    return AktenMatch(tuple(links), tuple(unmatched), tuple(contested), tuple(without))


def aktenzeichen_differ(one: str | None, other: str | None) -> bool:
    """True if both are running number and year and these differ: a sign of a number mistyped, not a reason to act.

    Suffixes, leading zeros and the year's century mean nothing: `00123-26 MM` is `123/2026` (`facts/advoware.md` 5).
    """
    first, second = (_AKTENZEICHEN.search(text or "") for text in (one, other))
    return first is not None and second is not None and _core(first) != _core(second)


def _core(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2]) % 100


def _agree(akte: AkteRef, matter: Matter) -> bool:
    # They are tied by one of the two; a matter that names the Akte and carries another's number contradicts itself.
    return None in (akte.aktennummer, matter.aktennummer) or akte.aktennummer == matter.aktennummer


def _contested(akten: Sequence[AkteRef], matters: Sequence[Matter], gone: Iterable[int]) -> Contested:
    twice = any(len(numbers) > len(set(numbers)) for numbers in (_numbers(akten), _numbers(matters)))
    missing = tuple(sorted(gone))
    why = Why.AKTE_GONE if missing else Why.SAME_NUMBER if twice else Why.NAMES_ANOTHER
    return Contested(
        why,
        tuple(sorted(akte.id for akte in akten)),
        tuple(sorted(str(matter.key) for matter in matters)),
        missing,
    )


def _numbers(records: Iterable[AkteRef | Matter]) -> list[int]:
    return [record.aktennummer for record in records if record.aktennummer is not None]


def _tied_together(
    akten: Iterable[AkteRef], matters: Iterable[Matter]
) -> list[tuple[list[AkteRef], list[Matter]]]:
    """The records in groups: two are in one if a chain of numbers and named ids leads from one to the other."""
    roots: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        roots.setdefault(node, node)
        while roots[node] != node:
            roots[node] = roots[roots[node]]
            node = roots[node]
        return node

    def nodes(record: AkteRef | Matter) -> list[Hashable]:
        akte_id = record.id if isinstance(record, AkteRef) else record.akte_id
        found: list[Hashable] = [] if isinstance(record, AkteRef) else [record.key]
        found += [] if akte_id is None else [("akte", akte_id)]
        return found + ([] if record.aktennummer is None else [("number", record.aktennummer)])

    records: list[AkteRef | Matter] = [*akten, *matters]
    for record in records:
        first, *others = nodes(record)
        for other in others:
            roots[root(other)] = root(first)
    groups: dict[Hashable, tuple[list[AkteRef], list[Matter]]] = {}
    for record in records:
        of_akten, of_matters = groups.setdefault(root(nodes(record)[0]), ([], []))
        if isinstance(record, AkteRef):
            of_akten.append(record)
        else:
            of_matters.append(record)
    return list(groups.values())
