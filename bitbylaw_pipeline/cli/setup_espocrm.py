"""`bitbylaw setup-espocrm`: registers the webhooks, and says what a person has to make in Entity Manager."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from bitbylaw_pipeline.cli.espocrm_facts import read_definitions
from bitbylaw_pipeline.cli.espocrm_model import FieldNeed, check_model, existing_types, missing_fields
from bitbylaw_pipeline.cli.findings import Finding, print_findings
from bitbylaw_pipeline.cli.problems import Problem
from bitbylaw_pipeline.cli.screen import OK, WRONG, screen, table
from bitbylaw_pipeline.cli.state import load_settings, open_own_state
from bitbylaw_pipeline.cli.webhook_plan import Change, plan_webhooks, webhook_needs
from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_webhooks import Webhook
from bitbylaw_pipeline.domain.errors import OutcomeUnknown
from bitbylaw_pipeline.inbox import webhooks
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Setup:
    """What was found, and the changes to the webhooks, made or (without --apply) planned."""

    model: Sequence[Finding]
    changes: Sequence[Change]
    missing: Sequence[FieldNeed] = ()


@click.command("setup-espocrm")
@click.option(
    "--apply", "is_applied", is_flag=True, help="Register the webhooks; without it only the plan is printed."
)
def setup_espocrm(is_applied: bool) -> None:
    """Register the webhooks in EspoCRM, and name what has to be made there by hand.

    Nothing is registered twice; repeating the command changes nothing.
    """
    settings = load_settings(make_key=is_applied)
    settings.require("espocrm_api_base_url", "espocrm_api_key", "receiver_public_url")
    database = open_own_state(settings)
    try:
        done = asyncio.run(set_up(settings, database, apply=is_applied))
    finally:
        database.close()
    _print_changes(done.changes, is_applied=is_applied)
    missing = [finding for finding in done.model if finding.level != OK]
    if missing:
        screen().print("\n[bold]To be made by hand in EspoCRM[/] (Administration > Entity Manager)")
        print_findings(missing)
    if done.missing:
        screen().print()
        screen().print(_fields_table(done.missing))
    if any(finding.level == WRONG for finding in missing):
        raise Problem("EspoCRM lacks something that the flows need; see above.")


async def set_up(settings: Settings, database: Database, *, apply: bool) -> Setup:
    """Compares and, with `apply`, changes. Raises the client's errors; what was done before one of them stays."""
    espocrm = EspoCrm.open(settings)
    try:
        definitions = await read_definitions(espocrm, settings)
        needs = webhook_needs(settings, existing_types(settings, definitions))
        remembered = await _remembered(database)
        changes = plan_webhooks(needs, await espocrm.list_webhooks(), remembered)
        if apply:
            for change in changes:
                await _make(change, espocrm, database)
        return Setup(check_model(settings, definitions), changes, missing_fields(settings, definitions))
    finally:
        await espocrm.aclose()


async def _remembered(database: Database) -> list[str]:
    rows = await database.run(webhooks.listing)
    return [row.webhook_id for row in rows if row.is_active]


async def _make(change: Change, espocrm: EspoCrm, database: Database) -> None:
    match change.kind, change.webhook:
        case "create", _:
            await _remember(await _create(change, espocrm), database)
        case "update", Webhook() as known:
            await _remember(await espocrm.update_webhook(known.id, dict(change.values or {})), database)
        case "remember", Webhook() as known:
            await _remember(known, database)
        case "remove", Webhook() as known:
            await espocrm.delete_webhook(known.id)
            await database.run(lambda conn: webhooks.retire(conn, database.now(conn), known.id))
        case _:
            raise AssertionError(change.kind)


async def _create(change: Change, espocrm: EspoCrm) -> Webhook:
    try:
        return await espocrm.create_webhook(change.event, change.url, skip_own=True)
    except OutcomeUnknown:
        # It may have landed: registered again it would be delivered twice for ever.
        for one in await espocrm.list_webhooks():
            if (one.event, one.url) == (change.event, change.url):
                return one
        raise


async def _remember(known: Webhook, database: Database) -> None:
    if not known.secret_key:
        raise Problem(
            f"EspoCRM did not tell the secret of the webhook for {known.event}: its API user must own it "
            "(remove it in EspoCRM and run this again)."
        )
    await database.run(
        lambda conn: webhooks.put(
            conn,
            database.now(conn),
            database.cipher,
            known.id,
            event=known.event,
            url=known.url,
            secret=known.secret_key,
        )
    )


_WORDS = {
    "create": ("registered", "to be registered"),
    "update": ("corrected", "to be corrected"),
    "remember": ("secret stored", "secret to be stored"),
    "remove": ("removed, it was a double", "to be removed: it is a double"),
}


def _fields_table(needs: Sequence[FieldNeed]) -> Any:
    """What to enter in Entity Manager, a line for each field."""
    rows = [
        (
            need.entity_type, need.field, need.types[0], need.least_length or "",
            ", ".join(need.options), need.purpose,
        )
        for need in needs
    ]  # fmt: skip
    columns = ("entity type", "field", "type", "#least length", "options", "for")
    return table("Fields to be made", columns, rows)


def _print_changes(changes: Sequence[Change], *, is_applied: bool) -> None:
    console = screen()
    if not changes:
        console.print("Webhooks: every one is registered as it should be, nothing to do.")
        return
    rows = [(change.event, _WORDS[change.kind][0 if is_applied else 1], change.url) for change in changes]
    console.print(table("Webhooks", ("event", "", "address"), rows))
    if not is_applied:
        console.print("Nothing has been changed; do it with --apply.")
