"""Which records without a link belong together, which are new, and which nobody but a person can tell.

In this order: the create key in a record's marker, the other system's id that a record names as its own, the natural
key. Each only one to one; what is ambiguous is held, never guessed (`facts/two_way_sync.md` 1.7). Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from bitbylaw_pipeline.domain.equivalence import canonical, chain
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Policy, Record
from bitbylaw_pipeline.domain.two_way_state import Decision

Free = Mapping[Side, Mapping[str, Record]]
"""By side: the records in scope that no link has, by id."""
Named = tuple[Side, str]
"""A record that one of the other side's names, or that a person names in an answer: its side and its id."""
FEW = 3
"""So many new records on both sides within one pass are everyday work, however young the pair is."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two records that are one thing; `link_id` says whose it was first, `gen` how often it was made anew."""

    link_id: str
    left_id: str
    right_id: str
    gen: int = 0


@dataclass(slots=True)
class Matched:
    """What came of the records without a link."""

    pairs: list[Pairing] = field(default_factory=list)
    new: list[tuple[Side, str]] = field(default_factory=list)
    held: list[tuple[Side, str, str]] = field(default_factory=list)
    """Side, record id, why."""


def link_id_of(side: Side, record_id: str) -> str:
    """The id of the link of a record that was there first: "left:n1"."""
    return f"{side.value}:{record_id}"


def create_key(side: Side, record_id: str, gen: int) -> str:
    """The idempotency key under which a record's counterpart is made: "left:n1:g0"."""
    return f"{side.value}:{record_id}:g{gen}"


def claimed_by(claim: str) -> tuple[Side, str] | None:
    """Whose counterpart a marker says that it is: the side and the id in its create key."""
    side, _, rest = claim.partition(":")
    record_id, _, generation = rest.rpartition(":g")
    if side not in ("left", "right") or not record_id or not generation.isdigit():
        return None
    return Side(side), record_id


def _generation(claim: str) -> int:
    generation = claim.rpartition(":g")[2]
    return int(generation) if generation.isdigit() else 0


def match_records(
    free: Free,
    policy: Policy,
    *,
    is_linked: Mapping[Side, frozenset[str]],
    has_links: bool,
    is_complete: Mapping[Side, bool],
    linked_records: Free | None = None,
) -> Matched:
    """Sorts the free records.

    `is_linked` holds the ids that have a link already, `has_links` whether this pair ever had one, `is_complete` whether
    a side was seen whole: without that, a missing partner means nothing, and a natural key could be a twin's.
    `linked_records` are those that a new record must not look like.
    """
    found = Matched()
    rest = {side: dict(free[side]) for side in Side}
    _by_marker(rest, found)
    _by_partner(rest, found, is_linked)
    # One to one can be said only of what was seen whole: the twin may stand on the page that did not come.
    is_whole = all(is_complete[side] for side in Side)
    for key in policy.match if is_whole else ():
        _by_natural_key(rest, found, policy, key)
    is_searchable = is_whole or not policy.match
    known = len(found.pairs) + min(len(is_linked[side]) for side in Side)
    has_known = has_links or bool(found.pairs)
    if (
        is_searchable
        and policy.holds_unmatched_bootstrap
        and _may_be_doubles(rest, known, has_known=has_known)
    ):
        found.held += [(side, record_id, "bootstrap_unmatched") for side in Side for record_id in rest[side]]
        return found
    for side in Side:
        if not rest[side]:
            continue
        taken = _keys((linked_records or {}).get(side.other, {}).values(), policy)
        for record_id, record in rest[side].items():
            if not is_searchable:
                found.held.append((side, record_id, "partner_not_searchable"))
            elif not taken.isdisjoint(_keys([record], policy)):
                # The other one of two look-alikes, say: nobody has said that it is somebody else.
                found.held.append((side, record_id, "ambiguous_match"))
            else:
                found.new.append((side, record_id))
    return found


def _may_be_doubles(rest: Free, known: int, *, has_known: bool) -> bool:
    """Both sides are full, and little is known of them: creating would double a whole collection.

    What could be there twice is at most what the smaller side has left over. Where that is more than all that is known
    to belong together, the keys do not tell: one lucky match must not open the way for everything else. It counts what
    is linked, too: else the very next pass, with that one link, would make what this one has held.
    """
    twins = min(len(rest[side]) for side in Side)
    return twins > 0 if not has_known else twins > FEW and twins > known


def missing_partners(found: Matched, free: Free) -> dict[tuple[Side, str], Named]:
    """The records that are held because their partner was not seen, and whom they name."""
    missing: dict[tuple[Side, str], Named] = {}
    for side, record_id, why in found.held:
        partner = free[side][record_id].partner
        if why == "partner_missing" and partner is not None:
            missing[side, record_id] = side.other, partner
    return missing


def answered_links(
    found: Matched, free: Free, decisions: Mapping[str, Mapping[str, Decision]]
) -> dict[tuple[Side, str], Named]:
    """The held records that a person has linked with one that was not seen, and with which."""
    named: dict[tuple[Side, str], Named] = {}
    for side, record_id, _ in found.held:
        for decision in decisions.get(link_id_of(side, record_id), {}).values():
            kind, _, partner = decision.take.partition(":")
            if kind == "link" and partner not in free[side.other]:
                named[side, record_id] = side.other, partner
    return named


def settle_partners(
    found: Matched, free: Free, read: Mapping[Named, Record | None], withheld: Mapping[Side, AbstractSet[str]]
) -> None:
    """Links what names a record that was not listed, but was `read` by itself (None: it is gone).

    One that is there and nobody's business, as all in `withheld`, is no partner and yet not gone: making it anew would
    double it. So neither is held under the reason that `create` answers where nothing is known.
    """
    for (side, record_id), named in missing_partners(found, free).items():
        is_withheld = named[1] in withheld[named[0]]
        if not is_withheld and named not in read:
            continue
        found.held.remove((side, record_id, "partner_missing"))
        partner = read.get(named)
        if is_withheld or (partner is not None and not partner.is_in_scope):
            found.held.append((side, record_id, "partner_withheld"))
        elif partner is None:
            found.held.append((side, record_id, "partner_gone"))
        else:
            found.pairs.append(_as_claimed(side, free[side][record_id], partner.id))


def _as_claimed(side: Side, record: Record, partner: str) -> Pairing:
    """The pairing of a record with the one that it names; as its counterpart, if its marker says so."""
    left_id, right_id = _ordered(side, record.id, partner)
    if record.claim and claimed_by(record.claim) == (side.other, partner):
        return Pairing(link_id_of(side.other, partner), left_id, right_id, _generation(record.claim))
    return Pairing(link_id_of(side, record.id), left_id, right_id)


def decide_records(found: Matched, free: Free, decisions: Mapping[str, Mapping[str, Decision]]) -> None:
    """Does with held records what a person has said: make the counterpart, or link it with the one named."""
    for side, record_id, why in list(found.held):
        decision = decisions.get(link_id_of(side, record_id), {}).get(why)
        if decision is None or (side, record_id, why) not in found.held:
            continue
        kind, _, partner = decision.take.partition(":")
        if kind == "create" and why != "partner_withheld":  # its counterpart is there
            found.held.remove((side, record_id, why))
            found.new.append((side, record_id))
        elif kind == "link" and partner in free[side.other] and not _is_paired(found, side.other, partner):
            settled = ((side, record_id), (side.other, partner))
            found.held = [one for one in found.held if one[:2] not in settled]
            found.new = [one for one in found.new if one not in settled]
            left_id, right_id = _ordered(side, record_id, partner)
            found.pairs.append(Pairing(link_id_of(side, record_id), left_id, right_id))


def _is_paired(found: Matched, side: Side, record_id: str) -> bool:
    return any(record_id == (one.left_id if side is Side.LEFT else one.right_id) for one in found.pairs)


def focused(found: Matched, focus: tuple[Side, str]) -> Matched:
    """What concerns that one record."""
    side, record_id = focus
    return Matched(
        [one for one in found.pairs if record_id == (one.left_id if side is Side.LEFT else one.right_id)],
        [one for one in found.new if one == focus],
        [one for one in found.held if one[:2] == focus],
    )


def _take(
    rest: dict[Side, dict[str, Record]],
    found: Matched,
    link_id: str,
    left_id: str,
    right_id: str,
    gen: int = 0,
) -> None:
    found.pairs.append(Pairing(link_id, left_id, right_id, gen))
    del rest[Side.LEFT][left_id], rest[Side.RIGHT][right_id]


def _by_marker(rest: dict[Side, dict[str, Record]], found: Matched) -> None:
    claims: dict[tuple[Side, str], list[str]] = defaultdict(list)
    for side in Side:
        for record in rest[side].values():
            origin = claimed_by(record.claim) if record.claim else None
            if origin is not None and origin[0] is side.other:
                claims[origin].append(record.id)
    for (side, origin_id), claimants in claims.items():
        # A copy carries the marker along: two claims, or an origin that is taken, prove nothing.
        if len(claimants) == 1 and origin_id in rest[side] and claimants[0] in rest[side.other]:
            left_id, right_id = _ordered(side, origin_id, claimants[0])
            # The keys up to this generation are burnt: the next re-creation needs a later one.
            gen = _generation(rest[side.other][claimants[0]].claim or "")
            _take(rest, found, link_id_of(side, origin_id), left_id, right_id, gen)


def _by_partner(
    rest: dict[Side, dict[str, Record]], found: Matched, is_linked: Mapping[Side, frozenset[str]]
) -> None:
    for side in Side:
        named: dict[str, list[str]] = defaultdict(list)
        for record in rest[side].values():
            if record.partner is not None:
                named[record.partner].append(record.id)
        for partner, names in named.items():
            if len(names) == 1 and partner in rest[side.other]:
                left_id, right_id = _ordered(side, names[0], partner)
                _take(rest, found, link_id_of(side, names[0]), left_id, right_id)
                continue
            why = (
                "ambiguous_partner"
                if len(names) > 1 or partner in is_linked[side.other]
                else "partner_missing"
            )
            for record_id in names:
                found.held.append((side, record_id, why))
                del rest[side][record_id]
            if partner in rest[side.other]:
                # Whose it is waits for an answer; until then it is no new record.
                found.held.append((side.other, partner, why))
                del rest[side.other][partner]


def _by_natural_key(
    rest: dict[Side, dict[str, Record]], found: Matched, policy: Policy, key: tuple[str, ...]
) -> None:
    by_key = {side: _grouped(rest[side].values(), policy, key) for side in Side}
    for values, left_ids in by_key[Side.LEFT].items():
        right_ids = by_key[Side.RIGHT].get(values)
        if right_ids is None:
            continue
        if len(left_ids) == len(right_ids) == 1:
            _take(rest, found, link_id_of(Side.LEFT, left_ids[0]), left_ids[0], right_ids[0])
            continue
        for side, ids in ((Side.LEFT, left_ids), (Side.RIGHT, right_ids)):
            for record_id in ids:
                found.held.append((side, record_id, "ambiguous_match"))
                del rest[side][record_id]


def _grouped(
    records: Iterable[Record], policy: Policy, key: tuple[str, ...]
) -> dict[tuple[object, ...], list[str]]:
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for record in records:
        values = tuple(_part(policy, record, name) for name in key)
        # A key with an empty part matches everyone who lacks it too.
        if all(value is not None for value in values):
            groups[values].append(record.id)
    return groups


def _keys(records: Iterable[Record], policy: Policy) -> set[object]:
    """All natural keys of these records."""
    found = list(records)
    return {(key, values) for key in policy.match for values in _grouped(found, policy, key)}


def _part(policy: Policy, record: Record, part: str) -> object:
    if part.startswith("!"):
        # Only of records that have nothing there, which by itself says nothing about two of them.
        return None if policy.field(part[1:]).canonical(record.fields.get(part[1:])) is not None else ""
    name, _, looser = part.partition("~")
    value = policy.field(name).canonical(record.fields.get(name))
    return canonical(value, chain(looser)) if looser else value


def _ordered(side: Side, own: str, other: str) -> tuple[str, str]:
    return (own, other) if side is Side.LEFT else (other, own)
