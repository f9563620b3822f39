"""`bitbylaw erase`: a document, a matter or a party taken out of every system but the firm's own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import click

from bitbylaw_pipeline.cli.history import DagsterHistory
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import moment, screen, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.domain.document import OwnerKey, is_record_id
from bitbylaw_pipeline.domain.erasure import SHORTEST_ID, Kind
from bitbylaw_pipeline.inbox import erasures
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.erasure import Asked, Erased, plan_erasure
from bitbylaw_pipeline.sync.erasure import erase as carry_out
from bitbylaw_pipeline.sync.erasure_plan import ErasurePlan, ErasureRefused, NotErased
from bitbylaw_pipeline.sync.erasure_tools import ErasureTools
from bitbylaw_pipeline.wiring import open_runtime

_CONFIRM = click.option("--confirm", "is_confirmed", is_flag=True, help="Carry the plan out.")
_TERMINE = click.option(
    "--termin",
    "termine",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="NUMBER",
    help="A Termin of it that has been deleted in Advoware: its event in Google goes, too. Can be repeated.",
)


@click.group()
def erase() -> None:
    """Erase a document, a matter or a party: at xAI, in Google's calendars, in our state and in Dagster's history.

    Without --confirm the plan is printed and nothing is changed. What would come back is refused.
    """


@erase.command()
@click.argument("document_id", metavar="ID")
@_CONFIRM
def document(document_id: str, is_confirmed: bool) -> None:
    """A document, by its id in EspoCRM."""
    _run(Asked(Kind.DOCUMENT, _checked(document_id)), is_confirmed=is_confirmed)


@erase.command()
@click.argument("key", metavar="ENTITYTYPE:ID")
@_TERMINE
@_CONFIRM
def matter(key: str, termine: tuple[int, ...], is_confirmed: bool) -> None:
    """A matter, or another owner of a collection: its collection, and the documents that belong to no other."""
    try:
        parsed = OwnerKey.parse(key)
    except ValueError as error:
        raise NotUsable(str(error)) from None
    _checked(parsed.id)
    _run(Asked(Kind.MATTER, str(parsed), termine=frozenset(termine)), is_confirmed=is_confirmed)


@erase.command()
@click.argument("party_id", metavar="ID")
@click.option(
    "--betnr",
    "betnrs",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="NUMBER",
    help="Its number at Advoware, where the link is not known any more. Can be repeated.",
)
@_TERMINE
@_CONFIRM
def party(party_id: str, betnrs: tuple[int, ...], termine: tuple[int, ...], is_confirmed: bool) -> None:
    """A party, by its id in EspoCRM: all that was kept of it and its accounts, and its collection."""
    asked = Asked(Kind.PARTY, _checked(party_id), frozenset(termine), frozenset(betnrs))
    _run(asked, is_confirmed=is_confirmed)


@erase.command()
@click.option(
    "--of",
    "subject",
    type=(click.Choice([kind.value for kind in Kind]), str),
    default=None,
    metavar="KIND ID",
    help="Those of one document, matter or party alone.",
)
@click.option("--json", "is_json", is_flag=True, help="Whole, one JSON document a line.")
def proofs(subject: tuple[str, str] | None, is_json: bool) -> None:
    """List the proofs of what was erased; they name nobody. Exit code 1 where --of finds none."""
    settings = load_settings()
    with open_state(settings) as database:
        digest = None if subject is None else erasures.digest_of(database.cipher, *subject)
        found = database.read(lambda conn: erasures.load(conn, subject_digest=digest))
    if is_json:
        for proof in found:
            line = {"id": proof.id, "at": proof.at, "kind": proof.kind, "subject": proof.subject_digest}
            click.echo(json.dumps({**line, **proof.document}))
    else:
        rows = [
            (
                moment(proof.at),
                proof.kind,
                proof.id,
                proof.subject_digest[:16],
                sum(proof.document["counts"].values()),
                proof.document["remaining"],
            )
            for proof in found
        ]
        columns = ("at", "what", "proof", "subject's digest", "#erased", "#remaining")
        screen().print(table("", columns, rows) if rows else "No proofs.")
    if subject is not None and not found:
        sys.exit(1)


def _checked(record_id: str) -> str:
    if not is_record_id(record_id):
        raise NotUsable("An id is the record's in EspoCRM, for example 64f0c1d2e3b4a5968.")
    if len(record_id) < SHORTEST_ID:
        raise NotUsable(
            f"An id of fewer than {SHORTEST_ID} characters cannot be told from other text where it is named."
        )
    return record_id


def _require_owner_type(settings: Settings, entity_type: str) -> None:
    if settings.owner_type(entity_type) is None:
        known = ", ".join(owner.entity_type for owner in settings.collection_owners)
        raise NotUsable(
            f"{entity_type} owns no collections; COLLECTION_OWNERS names {known}. If it did once: name it there again, "
            "where it permits nothing (by its permission field, or with XAI_EGRESS=off), erase, and take it out again."
        )


def _run(asked: Asked, *, is_confirmed: bool) -> None:
    settings = load_settings(make_key=True)
    if asked.kind is Kind.MATTER:
        _require_owner_type(settings, OwnerKey.parse(asked.subject).entity_type)
    try:
        if is_confirmed:
            _print_erased(asked, asyncio.run(_erase(settings, asked)))
        else:
            _print_plan(asyncio.run(_plan(settings, asked)))
    except (ErasureRefused, NotErased) as error:
        raise Problem(str(error)) from None


async def _plan(settings: Settings, asked: Asked) -> ErasurePlan:
    async with _opened(settings) as tools:
        return await plan_erasure(tools, asked)


async def _erase(settings: Settings, asked: Asked) -> Erased:
    async with _opened(settings) as tools:
        return await carry_out(tools, asked)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[ErasureTools]:
    async with open_runtime(settings) as runtime:
        yield ErasureTools(
            settings=settings,
            database=runtime.database,
            coordination=runtime.coordination,
            records=runtime.records,
            xai=runtime.xai,
            streams=runtime.streams,
            history=DagsterHistory(settings),
            version=version("bitbylaw-pipeline"),
            tasks=Tasks(runtime.espocrm),
            pairs=None if runtime.advoware is None else runtime.advoware.pairs,
            termine=None if runtime.calendars is None else runtime.calendars.pairs,
        )


def _print_plan(plan: ErasurePlan) -> None:
    console = screen()
    counts = plan.counts()
    if not counts and not plan.refusals:
        console.print("Nothing is left of it.")
    elif counts:
        console.print(table("What would be erased", ("where", "#count"), counts.items()))
        for label, ids in _ids(plan):
            console.print(f"{label}: {', '.join(ids)}", markup=False, soft_wrap=True)
    for sentence in (*plan.refusals, *plan.remaining):
        console.print(sentence, markup=False, soft_wrap=True)
    if plan.refusals:
        console.print("As things stand, --confirm refuses this.", markup=False)
    elif counts:
        console.print("Nothing has been changed: --confirm carries it out.", markup=False)


def _ids(plan: ErasurePlan) -> list[tuple[str, list[str]]]:
    found = [
        ("documents", sorted(plan.documents)),
        ("documents that stay, being in other matters too", sorted(plan.neighbours)),
        ("collections", sorted(plan.collections)),
        ("foreign files, taken out and kept", sorted(plan.foreign)),
        ("events", [f"{event.kuerzel}:{event.event_id}" for event in sorted(plan.events)]),
    ]
    return [(label, ids) for label, ids in found if ids]


def _print_erased(asked: Asked, erased: Erased) -> None:
    console = screen()
    if erased.proof is None:
        console.print(f"Nothing is left of this {asked.kind.value}: nothing was done.", markup=False)
    else:
        proof = erased.proof
        console.print(
            table(f"Erased; proof {proof.id}", ("where", "#count"), proof.document["counts"].items())
        )
        console.print(table("Looked at afterwards", ("where", "found"), proof.document["checks"].items()))
        head = proof.document["register"]
        console.print(f"register: row {head['seq']}, {head['hash']}", markup=False, soft_wrap=True)
    if not erased.is_compact:
        console.print(
            "A reader keeps SQLite from emptying its log: run it again when bitbylaw up is stopped."
        )
    for sentence in erased.remaining:
        console.print(sentence, markup=False, soft_wrap=True)
    if erased.remaining:
        sys.exit(1)
