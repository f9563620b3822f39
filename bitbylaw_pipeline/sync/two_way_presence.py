"""Where a record of a link is missing: unlink, delete, make anew, adopt; and each noting the other's id."""

from __future__ import annotations

from dataclasses import replace

import structlog

from bitbylaw_pipeline.domain.errors import Conflict, NotFound, SyncError
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Capabilities, Intent, Link, LinkState, LogEntry, Record
from bitbylaw_pipeline.domain.two_way_link import Conflict as ConflictRow
from bitbylaw_pipeline.domain.two_way_match import create_key
from bitbylaw_pipeline.domain.two_way_plan import Held, Recreate, Remove, agreed_source, last_words, payload
from bitbylaw_pipeline.domain.two_way_state import Changes, LinkChanged
from bitbylaw_pipeline.sync.two_way_adapter import Taken
from bitbylaw_pipeline.sync.two_way_conflicts import presence_conflict
from bitbylaw_pipeline.sync.two_way_link_work import NOT_EXECUTED, LinkWork
from bitbylaw_pipeline.sync.two_way_recovery import created_link
from bitbylaw_pipeline.sync.two_way_report import Made

log = structlog.get_logger(__name__)


async def hold_record(work: LinkWork, plan: Held) -> None:
    """Leaves the whole record to a person; an edit against a deletion is logged too."""
    work.hold(plan.why)
    if plan.conflict is None:
        return
    record = next((one for one in work.presence.values() if isinstance(one, Record)), None)
    side = Side.LEFT if record is work.presence[Side.LEFT] else Side.RIGHT
    if record is not None:
        rows = presence_conflict(work, "none", record, side)
        await work.store(work.link, conflicts=rows)


async def unlink(work: LinkWork, gone: Side) -> None:
    """Ends the link; the other record stays by itself, and a person is told."""
    await work.store(replace(work.link, state=LinkState.TOMBSTONE, is_unlinked=True))
    work.hold(f"unlinked:{gone.value}_deleted", is_notice=True)


async def remove(work: LinkWork, plan: Remove) -> None:
    """Deletes the record on the plan's side, keeping its fields in the link, and ends the link."""
    record = work.record(plan.side)
    conflicts = presence_conflict(work, plan.side.other.value, record, plan.side) if plan.conflict else ()
    intent = Intent("delete", work.bench.new_nonce(), side=plan.side)
    entry = LogEntry(
        work.link.link_id, plan.side, "delete", tuple(sorted(record.fields)), record.fields, intent.nonce
    )
    await work.store(
        replace(work.link, intent=intent, archive=dict(record.fields), lease_until=work.lease_until()),
        conflicts=conflicts,
        log=(entry,),
    )
    try:
        await work.bench.adapters[plan.side].delete(record)
        work.result.made.append(Made(plan.side, "delete", ()))
    except NotFound:
        pass
    except (Conflict, *NOT_EXECUTED) as error:
        # Somebody has just touched it: the next run sees an edit against a deletion.
        await work.store(replace(work.link, intent=None, archive={}, lease_until=0.0))
        if not isinstance(error, Conflict):
            work.fail(error)
        return
    except SyncError as error:
        await _keep_intent(work, error)
        return
    await work.store(replace(work.link, intent=None, state=LinkState.TOMBSTONE, lease_until=0.0, refusals={}))


async def recreate(work: LinkWork, plan: Recreate) -> bool:
    """Makes the deleted record anew from the survivor; True if the link should be planned once more."""
    survivor = work.record(plan.side.other)
    conflicts = (
        presence_conflict(work, plan.side.other.value, survivor, plan.side.other) if plan.conflict else ()
    )
    return await create(work, plan.side, survivor, work.link.gen + 1, conflicts)


async def create(
    work: LinkWork, side: Side, origin: Record, generation: int, conflicts: tuple[ConflictRow, ...] = ()
) -> bool:
    """Makes the counterpart of `origin` on `side`; True if the link should be planned once more."""
    bench, adapter = work.bench, work.bench.adapters[side]
    policy = work.policy
    fields = {
        **payload(origin, bench.facts[side], policy, side),
        **last_words(work.link, bench.facts[side], policy, side),
    }
    key = create_key(side.other, origin.id, generation)
    intent = Intent(
        "create", bench.new_nonce(), side=side, key=key, payload=fields,
        source=agreed_source(origin, fields, policy, side), seen=bench.seen[side].number,
    )  # fmt: skip
    entry = LogEntry(work.link.link_id, side, "create", tuple(sorted(fields)), {}, intent.nonce)
    begun = replace(work.link, gen=generation, intent=intent, lease_until=work.lease_until())
    await work.store(begun, conflicts=conflicts, log=(entry,))
    try:
        made = await adapter.create(key, fields, intent.nonce, origin)
    except (Conflict, NotFound, *NOT_EXECUTED) as error:
        await _never_made(work, generation)
        if isinstance(error, Conflict):
            work.hold("duplicate_refused")
        else:
            work.fail(error)
        return False
    except SyncError as error:
        await _keep_intent(work, error)
        return False
    if isinstance(made, Taken):
        return await _adopt(work, side, made)
    work.result.made.append(Made(side, "create", tuple(sorted(fields))))
    work.result.is_agreed = True
    work.presence[side] = made
    held = {name: made.fields.get(name, value) for name, value in fields.items()}
    linked = created_link(work.link, intent, side, made.id, held)
    await work.store(linked.with_side(side, version=made.stamp))
    await link_back(work)
    return adapter.capabilities.create_fields is not None


async def _keep_intent(work: LinkWork, error: SyncError) -> None:
    """It may have landed: the intent stays for recovery, and the link's run fails."""
    await work.store(replace(work.link, lease_until=0.0, fail_count=work.link.fail_count + 1))
    work.fail(error)


async def _never_made(work: LinkWork, generation: int) -> None:
    if work.link.state is LinkState.PENDING:
        await work.bench.store.commit(Changes(removed=(work.link,)))
    else:
        await work.store(replace(work.link, intent=None, gen=generation - 1, lease_until=0.0))


async def _adopt(work: LinkWork, side: Side, taken: Taken) -> bool:
    """Somebody made it before us, and we do not remember: linked, but nothing was ever agreed."""
    bare = replace(
        work.link, state=LinkState.ACTIVE, intent=None, lease_until=0.0, base_left={}, base_right={}
    )
    try:
        await work.store(bare.with_side(side, record_id=taken.id))
    except LinkChanged:
        # Somebody else's counterpart: a key is a claim, and this one has been given away.
        await _never_made(work, work.link.gen)
        work.hold("key_taken")
        return False
    await work.look_again()
    return True


async def link_back(work: LinkWork) -> None:
    """Lets each record note the other's id; that it failed is logged and no more."""
    left, right = work.presence[Side.LEFT], work.presence[Side.RIGHT]
    if not (isinstance(left, Record) and isinstance(right, Record)):
        return
    for side, own, other in ((Side.LEFT, left, right), (Side.RIGHT, right, left)):
        try:
            await work.bench.adapters[side].link_back(own, other)
        except SyncError as error:
            log.warning(
                "link_back_failed", link=work.link.link_id, side=side.value, error=type(error).__name__
            )


async def note_partner(work: LinkWork) -> None:
    """Writes an id back that a crash has kept from it, or that somebody has changed or taken away since."""
    for side in Side:
        record, partner = work.presence[side], work.presence[side.other]
        able = work.bench.adapters[side].capabilities
        if (
            isinstance(record, Record)
            and isinstance(partner, Record)
            and names_another(work.link, side, record, partner, able)
        ):
            await link_back(work)
            return


def names_another(link: Link, side: Side, record: Record, partner: Record, able: Capabilities) -> bool:
    """Whether the record, on that side, has a place for its partner's id and does not name it.

    One that is as it was when it was last agreed has been written already: a system may ignore the id in silence, and is
    not asked on and on. An account of another party than its partner's is not meant: there the id is the party's matter.
    """
    stamp = link.ver_left if side is Side.LEFT else link.ver_right
    return (
        able.notes_partner
        and record.partner != partner.id
        and record.parent == partner.parent
        and (stamp is None or stamp != record.version)
    )
