"""The merge of a link's fields: intent, writes, what they came to, bases (`facts/two_way_sync.md` 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, SyncError
from bitbylaw_pipeline.domain.three_way import Fields, Side, What
from bitbylaw_pipeline.domain.two_way_link import Advance, Intent, Link, LinkState, LogEntry, Record, Write
from bitbylaw_pipeline.domain.two_way_plan import MergeFields, task, with_stamps
from bitbylaw_pipeline.sync.two_way_conflicts import conflict_rows, hold_units
from bitbylaw_pipeline.sync.two_way_link_work import NOT_EXECUTED, WRITE_ORDER, LinkWork
from bitbylaw_pipeline.sync.two_way_loop import loops, remembered
from bitbylaw_pipeline.sync.two_way_recovery import with_advances
from bitbylaw_pipeline.sync.two_way_report import Made


async def merge_fields(work: LinkWork, plan: MergeFields) -> bool:
    """Writes what the plan says and advances the bases; True if the link should be planned once more."""
    left, right = work.records()
    hold_units(work, plan, left, right)
    writes = plan.writes()
    if loops(work, plan):
        await work.store(replace(work.link, state=LinkState.QUARANTINED))
        work.hold("loop")
        return False
    conflicts = conflict_rows(work, plan, left, right)
    settled = _advanced_without_write(work, plan, left, right)
    if not writes:
        if settled != work.link or conflicts:
            work.result.is_agreed |= bool(plan.agreed())
            await work.store(settled, conflicts=conflicts)
        return False
    intent = _intent(work, plan, left, right)
    entries = tuple(
        LogEntry(
            work.link.link_id, side, "update", tuple(sorted(write.patch)),
            {name: work.record(side).fields.get(name) for name in write.patch}, intent.nonce,
        )
        for side, write in intent.writes.items()
    )  # fmt: skip
    begun = replace(settled, intent=intent, lease_until=work.lease_until(), recent=remembered(work, plan))
    await work.store(begun, conflicts=conflicts, log=entries)
    return await _write(work, intent, {Side.LEFT: left.fields, Side.RIGHT: right.fields})


def _advanced_without_write(work: LinkWork, plan: MergeFields, left: Record, right: Record) -> Link:
    base_left, base_right = dict(work.link.base_left), dict(work.link.base_right)
    refusals = dict(work.link.refusals)
    refusals.pop("logged:edit_vs_delete", None)
    for one in plan.agreed():
        base_left |= one.unit.of(left.fields)
        base_right |= one.unit.of(right.fields)
    for one in plan.units:
        if one.what in (What.AGREE, What.NOTHING):
            for told in ("left", "right", "logged"):
                refusals.pop(f"{told}:{one.unit.name}", None)
    agreed = replace(work.link, base_left=base_left, base_right=base_right, refusals=refusals)
    return with_stamps(agreed, left, right, work.policy)


def _intent(work: LinkWork, plan: MergeFields, left: Record, right: Record) -> Intent:
    nonce = work.bench.new_nonce()
    writes = {
        side: Write(plan.patch(side), record.version, nonce)
        for side, record in ((Side.RIGHT, right), (Side.LEFT, left))
        if plan.patch(side)
    }
    advances = tuple(
        Advance(
            unit=one.unit.name,
            left={**one.unit.of(left.fields), **one.to_left},
            right={**one.unit.of(right.fields), **one.to_right},
            writes=tuple(side for side in WRITE_ORDER if one.to(side)),
        )
        for one in plan.writes()
    )
    return Intent("update", nonce, writes=writes, advances=advances)


async def _write(work: LinkWork, intent: Intent, before: Mapping[Side, Fields]) -> bool:
    echoes: dict[Side, Record] = {}
    overtaken: SyncError | None = None
    failed: SyncError | None = None
    for side in WRITE_ORDER:
        if side not in intent.writes:
            continue
        write, record = intent.writes[side], work.record(side)
        try:
            echo = await work.bench.adapters[side].update(record, write.patch, write.nonce)
        except (Conflict, NotFound) as error:
            overtaken = error
            work.overtaken_by += isinstance(error, Conflict)
            break
        except NOT_EXECUTED as error:
            failed = error
            break
        except SyncError as error:
            # It may have landed. The intent stays, and nothing is planned for this link before that is known.
            await _keep(work, intent, echoes)
            work.fail(error)
            return False
        echoes[side] = echo
        work.presence[side] = echo
        work.result.made.append(Made(side, "update", tuple(sorted(write.patch))))
    await _settle_writes(work, intent, before, echoes, failed)
    if failed is not None:
        work.fail(failed)
        return False
    if overtaken is not None:
        await work.look_again()
        return True
    return False


async def _keep(work: LinkWork, intent: Intent, echoes: Mapping[Side, Record]) -> None:
    writes = {
        side: replace(write, is_done=write.is_done or side in echoes) for side, write in intent.writes.items()
    }
    kept = replace(intent, writes=writes)
    await work.store(replace(work.link, intent=kept, lease_until=0.0, fail_count=work.link.fail_count + 1))


async def _settle_writes(
    work: LinkWork,
    intent: Intent,
    before: Mapping[Side, Fields],
    echoes: Mapping[Side, Record],
    failed: SyncError | None,
) -> None:
    refused = {
        (side, advance.unit)
        for advance in intent.advances
        for side in advance.writes
        if side in echoes and _is_ignored(work, intent.writes[side], before[side], advance, echoes[side])
    }
    kept = tuple(
        _with_echo(advance, echoes)
        for advance in intent.advances
        if not any(unit == advance.unit for _, unit in refused)
    )
    link = with_advances(work.link, replace(intent, advances=kept), frozenset(echoes))
    refusals = _refusals_after(work, link, intent, refused, kept, echoes)
    for side, echo in echoes.items():
        # A stamp, not the version: somebody may edit within the second in which we wrote.
        link = link.with_side(side, version=echo.stamp)
    # A refused key or a busy system says nothing about this record.
    fail_count = link.fail_count + isinstance(failed, Permanent) if failed else 0
    if work.state_after(fail_count) is LinkState.QUARANTINED:
        # Told, and kept until somebody releases it: nobody would see why its edits travel no longer.
        work.hold("quarantined")
    work.result.is_agreed |= bool(echoes)
    await work.store(
        replace(
            link,
            intent=None,
            lease_until=0.0,
            refusals=refusals,
            fail_count=fail_count,
            state=work.state_after(fail_count),
        )
    )


def _is_ignored(work: LinkWork, write: Write, before: Fields, advance: Advance, echo: Record) -> bool:
    """True if a member stands there as before although something else was sent: silently ignored."""
    for name in advance.unit.split("+"):
        if name not in write.patch or name not in echo.fields:
            continue
        canonical = work.bench.policy.field(name).canonical
        held = canonical(echo.fields[name])
        if held == canonical(before.get(name)) and held != canonical(write.patch[name]):
            return True
    return False


def _with_echo(advance: Advance, echoes: Mapping[Side, Record]) -> Advance:
    """What the written sides really hold takes the place of what was sent."""

    def held(side: Side, sent: Fields) -> dict[str, Any]:
        echo = echoes.get(side)
        if echo is None or side not in advance.writes:
            return dict(sent)
        return {name: echo.fields.get(name, value) for name, value in sent.items()}

    return replace(advance, left=held(Side.LEFT, advance.left), right=held(Side.RIGHT, advance.right))


def _refusals_after(
    work: LinkWork,
    link: Link,
    intent: Intent,
    refused: set[tuple[Side, str]],
    kept: tuple[Advance, ...],
    echoes: Mapping[Side, Record],
) -> dict[str, str]:
    """The link's refusals with those just met, which are held as well, and without those that are over."""
    refusals = dict(link.refusals)
    for side, unit in refused:
        patch = {name: value for name, value in intent.writes[side].patch.items() if name in unit.split("+")}
        refusals[f"{side.value}:{unit}"] = work.digest(patch)
        work.hold(task(side, "update", sorted(patch)))
    for advance in kept:
        for side in Side:
            refusals.pop(f"{side.value}:{advance.unit}", None)
        if set(advance.writes) <= set(echoes):
            refusals.pop(f"logged:{advance.unit}", None)
    return refusals
