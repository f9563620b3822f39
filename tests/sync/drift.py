"""Reconciling documents and collections in a world, and what must be so when nothing is left to be found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, delete

from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport
from bitbylaw_pipeline.inbox import schema
from bitbylaw_pipeline.sync.reconciliation import reconcile
from tests.sync.world import World


async def look(world: World, *, accept_smaller: bool = False) -> list[DriftReport]:
    """What is found, and nothing written."""
    return await world.runtime.reconciliations(accept_smaller=accept_smaller)["documents"].look()


async def reconciled(world: World, *, accept_smaller: bool = False) -> set[tuple[str, str]]:
    """One reconciliation, without the passes that it asks for; the class and the subject of what was found."""
    reports = await reconcile_once(world, accept_smaller=accept_smaller)
    return {(drift.kind.value, drift.subject) for drift in drifts_of(reports)}


async def reconcile_once(
    world: World, *, accept_smaller: bool = False, dry_run: bool = False
) -> list[DriftReport]:
    """One reconciliation with its reports."""
    chosen = world.runtime.reconciliations(accept_smaller=accept_smaller)["documents"]
    return await reconcile(world.database, chosen, dry_run=dry_run)


async def repaired(world: World, *, accept_smaller: bool = False) -> set[tuple[str, str]]:
    """One reconciliation and everything that it wants."""
    found = await reconciled(world, accept_smaller=accept_smaller)
    assert await world.drain() == []
    return found


async def assert_repairs(world: World, *expected: tuple[DriftKind, str]) -> None:
    """Exactly this is found; once the queue is empty a further reconciliation finds nothing and wants nothing."""
    found = await repaired(world)
    assert found == {(kind.value, subject) for kind, subject in expected}, found
    await assert_quiet(world)


async def assert_quiet(world: World) -> None:
    """A further reconciliation finds nothing, and nothing is written anywhere."""
    before = len(world.calls)
    reports = await reconcile_once(world)
    found = [(drift.kind.value, drift.subject, drift.says) for drift in drifts_of(reports)]
    assert not found, found
    assert [call for call in world.calls[before:] if " GET " not in call] == []
    assert await world.drain() == []
    assert [call for call in world.calls[before:] if " GET " not in call] == []


def drifts_of(reports: Iterable[DriftReport]) -> list[Drift]:
    """All of them."""
    return [drift for report in reports for drift in report.drifts]


def tables(conn: Connection) -> dict[str, list[Any]]:
    """Every row of the state database."""
    return {
        table.name: sorted(map(repr, conn.execute(table.select()).all()))
        for table in schema.metadata.sorted_tables
    }


def empty(conn: Connection, *which: Table) -> None:
    """What is lost with a state database, or with a part of it."""
    for table in which:
        conn.execute(delete(table))
