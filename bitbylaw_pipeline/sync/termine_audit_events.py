"""What an audit finds in marks and look-alikes: doubles, copies, twins, orphaned events. Pure.

An event's mark says which Termin it was made for. A person's copy carries it along, but under another id (G18).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from bitbylaw_pipeline.domain.termin_kind import MASKED, UNTITLED
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState, Policy, Record, units_of
from bitbylaw_pipeline.domain.two_way_plan import GONE
from bitbylaw_pipeline.sync.termine_audit_look import Look
from bitbylaw_pipeline.sync.termine_findings import Finding, Kind, Repair
from bitbylaw_pipeline.sync.termine_policy import WHEN

OWN_WRITE_SECONDS = 60.0
"""How far Google's time of an event's last change may lie from our own time of the write whose nonce it carries, for
it to have been that write: an edit by a person within that minute is taken for ours."""

_NOBODYS_TITLES = frozenset({None, MASKED, UNTITLED})
"""Two masked ones at the same hour are nobody's twins."""


def audit_events(look: Look) -> Iterator[Finding]:
    """Everything that can be told without comparing two linked records."""
    by_left = _by(look.links, Side.LEFT)
    by_right = _by(look.links, Side.RIGHT)
    yield from _linked_twice(look, by_left, by_right)
    told: set[str] = set()
    for finding in _marked(look, by_left, by_right):
        told.update(finding.events)
        yield finding
    yield from _unlinked_termine(look, by_left, told)
    yield from _twins(look, by_right, told)


def is_untouched(look: Look, event: Record) -> bool:
    """Whether nobody has changed an event that we made since we wrote it last, as far as there is evidence for it."""
    written = look.written_at.get(event.nonce or "")
    if event.claim is None or written is None or event.updated is None:
        return False
    return abs(event.updated - written) <= OWN_WRITE_SECONDS


def is_same(policy: Policy, one: Record, other: Record) -> bool:
    """Whether two events say the same, in every field."""
    units = units_of(policy, one.fields, other.fields)
    return all(unit.same(one.fields, other.fields) for unit in units)


def _by(links: Iterable[Link], side: Side) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        record_id = link.id(side)
        if record_id is not None:
            found[record_id].append(link)
    return found


def _linked_twice(
    look: Look, by_left: Mapping[str, list[Link]], by_right: Mapping[str, list[Link]]
) -> Iterator[Finding]:
    for event_id, links in by_right.items():
        if len(links) < 2:
            continue
        event = look.presence(Side.RIGHT, event_id)
        partner = event.partner if isinstance(event, Record) else None
        right_one = [link for link in links if partner is not None and link.left_id == partner]
        for link in links:
            if len(right_one) != 1:
                why = f"say which is wrong: bitbylaw unlink termine:{look.kuerzel} {link.link_id}"
                yield Finding(Kind.LINKED_TWICE, Repair.PERSON, why, _ids(link.left_id), (event_id,))
            elif link is not right_one[0] and isinstance(event, Record):
                why = f"forget the link {link.link_id}: the event's mark names frNr {event.partner}"
                yield Finding(
                    Kind.LINKED_TWICE, Repair.DROP_LINK, why, _ids(link.left_id), (event_id,),
                    link=link, event=event,
                )  # fmt: skip
    for fr_nr, links in by_left.items():
        if len(links) > 1:
            names = " or ".join(link.link_id for link in links)
            why = f"say which link is wrong: bitbylaw unlink termine:{look.kuerzel} {names}"
            events = tuple(sorted(link.right_id for link in links if link.right_id))
            yield Finding(Kind.LINKED_TWICE, Repair.PERSON, why, (fr_nr,), events)


def _marked(
    look: Look, by_left: Mapping[str, list[Link]], by_right: Mapping[str, list[Link]]
) -> Iterator[Finding]:
    free: dict[str, list[Record]] = defaultdict(list)
    for record in look.records(Side.RIGHT).values():
        if record.id in by_right:
            continue
        if look.is_copy(record.id):
            yield Finding(
                Kind.COPY, Repair.PASS, "a person made it: a pass takes it for a new appointment",
                events=(record.id,),
            )  # fmt: skip
        elif record.partner is not None:
            free[record.partner].append(record)
    for fr_nr, events in sorted(free.items()):
        links = by_left.get(fr_nr, [])
        if any(link.intent is not None for link in links):
            continue  # a create under way: its event is there before its link knows
        if any(len(by_right.get(link.right_id or "", [])) > 1 for link in links) or len(links) > 1:
            continue  # told as linked twice: until that is settled, nobody knows which event stays
        keeper = _keeper(look, links)
        if keeper is not None:
            yield from (_double(look, fr_nr, links[0], keeper, event) for event in events)
        elif len(events) > 1:
            yield Finding(
                Kind.TWO_EVENTS, Repair.PERSON, "none of them is linked: delete in Google what is too many",
                (fr_nr,), tuple(event.id for event in events),
            )  # fmt: skip
        else:
            yield from _orphan(look, fr_nr, links, events[0])


def _keeper(look: Look, links: list[Link]) -> Record | None:
    """The event that the Termin is linked with, also one that is not ours to write."""
    for link in links:
        found = look.observed[Side.RIGHT].items.get(link.right_id or "")
        if found is not None and link.state is not LinkState.TOMBSTONE:
            return found
    return None


def _double(look: Look, fr_nr: str, link: Link, keeper: Record, event: Record) -> Finding:
    both = (fr_nr,), (event.id,)
    # A keeper that is another Termin's by its own mark, through a wrong link, would leave this one without any.
    is_another = keeper.partner not in (None, fr_nr)
    is_whole = is_same(look.sides.policy, event, keeper)
    if not is_another and (is_whole or (keeper.partner == fr_nr and is_untouched(look, event))):
        why = f"delete event {event.id} in Google; the linked one, {keeper.id}, stays"
        return Finding(
            Kind.TWO_EVENTS, Repair.DELETE_EVENT, why, *both, link=link, event=event, keeper=keeper
        )
    why = f"it differs from the linked one, {keeper.id}, and may have been edited: delete in Google what is too many"
    return Finding(Kind.TWO_EVENTS, Repair.PERSON, why, *both)


def _orphan(look: Look, fr_nr: str, links: list[Link], event: Record) -> Iterator[Finding]:
    termin = look.presence(Side.LEFT, fr_nr)
    about = (fr_nr,), (event.id,)
    if termin is GONE:
        if is_untouched(look, event):
            why = f"delete event {event.id} in Google: its Termin is gone"
            yield Finding(Kind.EVENT_WITHOUT_TERMIN, Repair.DELETE_EVENT, why, *about, event=event)
        else:
            why = "its Termin is gone, and it may have been edited: delete it in Google, or answer bitbylaw holds"
            yield Finding(Kind.EVENT_WITHOUT_TERMIN, Repair.PERSON, why, *about)
    elif isinstance(termin, Record):
        if links or termin.id not in look.observed[Side.LEFT].items:
            why = "its Termin has another link, or begins outside of the window: answer bitbylaw holds"
            yield Finding(Kind.EVENT_WITHOUT_LINK, Repair.PERSON, why, *about)
        else:
            yield Finding(Kind.EVENT_WITHOUT_LINK, Repair.PASS, "a pass links it with its Termin", *about)


def _unlinked_termine(look: Look, by_left: Mapping[str, list[Link]], told: set[str]) -> Iterator[Finding]:
    named = {look.observed[Side.RIGHT].items[event].partner for event in told}
    for record in look.records(Side.LEFT).values():
        is_known = record.id in by_left or record.id in named
        if not is_known and not look.is_held(None, Side.LEFT, record.id):
            yield Finding(Kind.TERMIN_WITHOUT_LINK, Repair.PASS, "a pass takes it to Google", (record.id,))


def _twins(look: Look, by_right: Mapping[str, list[Link]], told: set[str]) -> Iterator[Finding]:
    akten = look.sides.left.akten
    told_termine = []
    for group in _look_alikes(look.sides.policy, look.records(Side.LEFT).values(), akten):
        told_termine.append(frozenset(group))
        why = "one of them may be too many: a person deletes it in Advoware"
        yield Finding(Kind.TWIN_TERMINE, Repair.PERSON, why, tuple(group))
    lefts = {event: link.left_id for event, links in by_right.items() for link in links if link.left_id}
    akten_of_events = {event: akten.get(fr_nr) for event, fr_nr in lefts.items()}
    events = (one for one in look.records(Side.RIGHT).values() if one.id not in told)
    for group in _look_alikes(look.sides.policy, events, akten_of_events):
        # Each stands for a Termin of its own: the Termine are the twins, and told already.
        if any({lefts.get(event) for event in group} <= twins for twins in told_termine):
            continue
        why = "one of them may be too many: a person deletes it in Google"
        yield Finding(Kind.TWIN_EVENTS, Repair.PERSON, why, events=tuple(group))


def _look_alikes(
    policy: Policy, records: Iterable[Record], akten: Mapping[str, int | None]
) -> list[list[str]]:
    """The ids of those that begin, end and are called alike, each group sorted.

    Two matters may well have a deadline of the same name on one day: with an Akte of its own, each is nobody's twin.
    """
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for record in records:
        if record.fields.get("text") not in _NOBODYS_TITLES:
            key = tuple(policy.field(name).canonical(record.fields.get(name)) for name in (*WHEN, "text"))
            groups[key].append(record.id)
    found = []
    for group in groups.values():
        by_akte: dict[int | None, list[str]] = defaultdict(list)
        for record_id in group:
            by_akte[akten.get(record_id)].append(record_id)
        found += [group] if None in by_akte else list(by_akte.values())
    return sorted(sorted(group) for group in found if len(group) > 1)


def _ids(record_id: str | None) -> tuple[str, ...]:
    return (record_id,) if record_id is not None else ()
