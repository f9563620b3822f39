"""What there is of one party: its links with Advoware and its accounts', with every value that was kept of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from bitbylaw_pipeline.domain.erasure import Kind, Partition
from bitbylaw_pipeline.domain.errors import NotFound
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.inbox import person_tasks, two_way_links
from bitbylaw_pipeline.inbox.schema import sync_hold, sync_seen
from bitbylaw_pipeline.inbox.traces import Traces
from bitbylaw_pipeline.sync.bankverbindungen_sides import PARTEI
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs

STILL_THERE = "{system} still has {what}: delete it there first, the next pass would learn it again"
COLLECTION_ALONE = " (for its collection alone: bitbylaw erase matter {entity_type}:{id})."


@dataclass(frozen=True, slots=True)
class _Known:
    betnrs: frozenset[str]
    links: frozenset[tuple[str, str]]
    accounts: frozenset[str]
    """In EspoCRM."""
    bank_ids: frozenset[str]
    """At Advoware: betNr/number."""


async def plan_party(tools: ErasureTools, party_id: str, named: Iterable[int]) -> ErasurePlan:
    """The plan for one party; `named` are numbers at Advoware that a person knows it by. Raises `domain.errors`."""
    known = await tools.read(
        lambda conn: _known(conn, tools, party_id, frozenset(str(number) for number in named))
    )
    sides = {
        (Pair.BETEILIGTE.value, "left", party_id),
        *((Pair.BETEILIGTE.value, "right", betnr) for betnr in known.betnrs),
        *((Pair.BANKVERBINDUNGEN.value, "left", account) for account in known.accounts),
        *((Pair.BANKVERBINDUNGEN.value, "right", bank_id) for bank_id in known.bank_ids),
    }
    records = known.accounts | {party_id}
    return ErasurePlan(
        Kind.PARTY,
        party_id,
        refusals=tuple(await _refusals(tools, party_id, known)) if tools.pairs is not None else (),
        tasks=await tools.read(lambda conn: _open_tasks(conn, known.links, sides)),
        traces=Traces(
            records=records,
            work=frozenset(
                {
                    (Pair.BETEILIGTE.value, party_id),
                    *((Pair.BANKVERBINDUNGEN.value, account) for account in known.accounts),
                }
            ),
            links=known.links,
            sides=frozenset(sides),
            betnrs=known.betnrs,
            mentions=frozenset(
                {
                    *records,
                    *(f"right:{betnr}" for betnr in known.betnrs),
                    *(f"Beteiligte/{betnr}" for betnr in known.betnrs),
                }
            ),
        ),
        partitions=frozenset(Partition(one) for one in records),
        leases=frozenset(name for pair in Pair for name in (pair.value, f"tasks:{pair.value}")),
    )


async def _refusals(tools: ErasureTools, party_id: str, known: _Known) -> list[str]:
    pairs, found = tools.pairs, []
    if pairs is None:
        return []
    entity_type = tools.settings.beteiligte_fields.entity_type
    if await _espocrm_has(pairs, party_id):
        found.append(
            STILL_THERE.format(system="EspoCRM", what=f"{entity_type} {party_id}")
            + COLLECTION_ALONE.format(entity_type=entity_type, id=party_id)
        )
    for betnr in sorted(known.betnrs):
        try:
            await pairs.advoware.beteiligter(int(betnr))
        except NotFound:
            continue
        found.append(STILL_THERE.format(system="Advoware", what=f"the party {betnr}") + ".")
    for account in sorted(known.accounts):
        try:
            await pairs.bank_records.bankverbindung(account)
        except NotFound:
            continue
        found.append(STILL_THERE.format(system="EspoCRM", what=f"its account {account}") + ".")
    return found


async def _espocrm_has(pairs: Pairs, party_id: str) -> bool:
    try:
        await pairs.beteiligte_records.beteiligter(party_id)
    except NotFound:
        return False
    return True


def _known(conn: Connection, tools: ErasureTools, party_id: str, named: frozenset[str]) -> _Known:
    cipher = tools.database.cipher
    parties = two_way_links.load(conn, cipher, Pair.BETEILIGTE.value, [party_id], named)
    betnrs = named | {link.right_id for link in parties if link.right_id is not None}
    accounts = [
        link
        for link in two_way_links.load(conn, cipher, Pair.BANKVERBINDUNGEN.value)
        if _parties_of(link) & betnrs
    ]
    return _Known(
        betnrs,
        frozenset(
            {
                *((Pair.BETEILIGTE.value, link.link_id) for link in parties),
                *((Pair.BANKVERBINDUNGEN.value, link.link_id) for link in accounts),
            }
        ),
        frozenset(link.left_id for link in accounts if link.left_id is not None),
        frozenset(link.right_id for link in accounts if link.right_id is not None) | _rows_of(conn, betnrs),
    )


def _rows_of(conn: Connection, betnrs: Iterable[str]) -> frozenset[str]:
    """The accounts at Advoware (betNr/number) that were seen or held and never linked, so that no link tells of them."""
    found: set[str] = set()
    for table in (sync_seen, sync_hold):
        of = table.c.record_id
        for betnr in sorted(betnrs):
            where = (table.c.pair == Pair.BANKVERBINDUNGEN.value, table.c.side == "right")
            starts = of.startswith(f"{betnr}/", autoescape=True)
            found.update(conn.execute(select(of).where(*where, starts)).scalars())
    return frozenset(found)


def _parties_of(link: Link) -> set[str]:
    """The betNr to which an account belongs, by its number at Advoware and by every value that is kept of it."""
    found = {(link.right_id or "").partition("/")[0]}
    found |= {str(values.get(PARTEI)) for values in (link.base_left, link.base_right, link.archive)}
    return found - {"", "None"}


def _open_tasks(
    conn: Connection, links: Iterable[tuple[str, str]], sides: Iterable[tuple[str, str, str]]
) -> frozenset[str]:
    prefixes = (
        *(f"{pair}|{link}|" for pair, link in links),
        *(f"{pair}|{side}:{record}|" for pair, side, record in sides),
    )
    asked = {
        name: task
        for pair in Pair
        for name, (_, task) in person_tasks.asked(conn, pair.value).items()
        if task
    }
    return frozenset(task for name, task in asked.items() if name.startswith(prefixes))
