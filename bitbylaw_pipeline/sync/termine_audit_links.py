"""What an audit finds in the links: records that are missing, tombstones that live, sides that differ. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bitbylaw_pipeline.domain.three_way import Side, Sight, Unit, What, merge_unit
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState, Record, units_of
from bitbylaw_pipeline.domain.two_way_plan import GONE
from bitbylaw_pipeline.sync.termine_audit_look import Look, Sides
from bitbylaw_pipeline.sync.termine_findings import Finding, Kind, Repair

_MISSING = {
    (True, True): (Kind.LINK_OF_NOTHING, "a pass ends the link"),
    (True, False): (Kind.LINK_WITHOUT_TERMIN, "a pass takes the deletion to Google, if nobody has edited it there"),
    (False, True): (
        Kind.LINK_WITHOUT_EVENT,
        "a pass makes a Frist, a series or an edited one anew in Google; another Termin it deletes in Advoware",
    ),
}  # fmt: skip


def audit_links(look: Look) -> Iterator[Finding]:
    """What is wrong with links that are settled; what waits for a person's answer is known already."""
    linked = Counter((side, link.id(side)) for link in look.links for side in Side)
    for link in look.links:
        if any(link.id(side) is not None and linked[side, link.id(side)] > 1 for side in Side):
            continue  # told as one that is linked twice
        if link.intent is not None or link.is_unlinked or link.link_id in look.held:
            continue
        if link.state is LinkState.TOMBSTONE:
            yield from _tombstone(look, link)
        elif link.state is LinkState.ACTIVE:
            yield from _active(look, link)


def differing_units(sides: Sides, link: Link, left: Record, right: Record) -> tuple[list[Unit], list[Unit]]:
    """The units that differ between the sides by the policy's own measure, and those of them that the link hides."""
    policy = sides.policy.of(left.fields)
    found = [
        unit for unit in units_of(policy, left.fields, right.fields) if _differs(sides, unit, left, right)
    ]
    return found, [unit for unit in found if _is_hidden(sides, unit, link, left, right)]


def _tombstone(look: Look, link: Link) -> Iterator[Finding]:
    left = look.records(Side.LEFT).get(link.left_id or "")
    right = look.records(Side.RIGHT).get(link.right_id or "")
    if left is None and right is None:
        return
    yield Finding(
        Kind.TOMBSTONE_ALIVE, Repair.PASS,
        "a pass takes up again what was deleted everywhere and is back",
        (left.id,) if left else (), (right.id,) if right else (), link=link,
    )  # fmt: skip


def _active(look: Look, link: Link) -> Iterator[Finding]:
    left, right = look.presence(Side.LEFT, link.left_id), look.presence(Side.RIGHT, link.right_id)
    about = (str(link.left_id),), (str(link.right_id),)
    if isinstance(left, Record) and isinstance(right, Record):
        yield from _compared(look, link, left, right)
    elif (left is GONE or right is GONE) and all(
        one is GONE or isinstance(one, Record) for one in (left, right)
    ):
        kind, why = _MISSING[left is GONE, right is GONE]
        yield Finding(kind, Repair.PASS, why, *about, link=link)


def _compared(look: Look, link: Link, left: Record, right: Record) -> Iterator[Finding]:
    differing, hidden = differing_units(look.sides, link, left, right)
    if not differing:
        return
    forget = tuple(name for unit in hidden for name in unit.fields)
    why = "a pass puts it right"
    if forget:
        why = (
            f"forget that {'+'.join(forget)} was agreed; then a pass puts it right: Advoware's counts (two notes that"
            " differ wait for a person), and what is overwritten is kept in bitbylaw conflicts"
        )
    yield Finding(
        Kind.DIFFERING,
        Repair.FORGET_AGREED if forget else Repair.PASS,
        why,
        (left.id,),
        (right.id,),
        tuple(unit.name for unit in differing),
        link=link,
        event=right,
        termin=left,
        forget=forget,
    )


def _differs(sides: Sides, unit: Unit, left: Record, right: Record) -> bool:
    # As if nothing had ever been agreed: then alone the merge compares what stands there now.
    return _merged(sides, unit, Link("", left.id, right.id), left, right) not in (What.AGREE, What.NOTHING)


def _is_hidden(sides: Sides, unit: Unit, link: Link, left: Record, right: Record) -> bool:
    return _merged(sides, unit, link, left, right) is What.NOTHING


def _merged(sides: Sides, unit: Unit, link: Link, left: Record, right: Record) -> What:
    return merge_unit(
        unit,
        Sight(left.fields, link.base_left, sides.left.put),
        Sight(right.fields, link.base_right, sides.right.put),
    ).what


def without_agreement(link: Link, names: tuple[str, ...]) -> dict[str, object]:
    """The link's base on the left without these fields.

    On the left alone: to the engine a unit that one side never agreed to was never agreed. What Google held stays known,
    so that an edit there is still told from what we wrote.
    """
    return {name: value for name, value in link.base_left.items() if name not in names}
