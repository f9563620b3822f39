"""`bitbylaw egress`: the register of what has left the firm, the kill switch, and what is out without permission."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.filters import since_option
from bitbylaw_pipeline.cli.private_file import write_private
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import moment, screen, table
from bitbylaw_pipeline.cli.state import load_settings, open_state
from bitbylaw_pipeline.cli.waking import wake_streams
from bitbylaw_pipeline.domain.document import OwnerKey, is_record_id
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import egress as register
from bitbylaw_pipeline.inbox import egress_switch, remaining
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.egress import EgressRow

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
_PREFIX = 12
"""So many digits of an HMAC tell rows apart."""


@click.group()
def egress() -> None:
    """The register of what has left the firm for xAI, the kill switch, and what is there without permission."""


@egress.command()
def stop() -> None:
    """Stop all egress at once: nothing goes to xAI or Google any more, in running batches within seconds.

    What is on its way is broken off. Reading goes on, and so does what takes something away at xAI.
    """
    with open_state(load_settings()) as database:
        is_news = database.run_sync(lambda conn: egress_switch.stop(conn, database.now(conn)))
        since = database.read(egress_switch.stopped_since)
    if is_news:
        click.echo("Egress is stopped; what is on its way is broken off within a few seconds.")
    else:
        click.echo(f"Egress is stopped since {moment(since)}.")
    click.echo(f"Lift it with: {egress_switch.LIFTED_BY}")


@egress.command()
def allow() -> None:
    """Lift the kill switch: the rule of XAI_EGRESS counts again, and what was kept back goes its way by itself."""
    settings = load_settings()
    with open_state(settings) as database:
        resumed = database.run_sync(lambda conn: egress_switch.allow(conn, database.now(conn)))
    wake_streams(settings, ("documents", "collections", "termine"))
    if not resumed.was_stopped:
        click.echo("Egress was not stopped.")
    else:
        click.echo(
            f"Egress is allowed again: {resumed.documents} documents and {resumed.collections} owners are taken up; "
            "appointments follow within a minute."
        )
    if settings.xai_egress is EgressRule.OFF:
        click.echo("XAI_EGRESS is off, so no document leaves all the same.")


@egress.command()
@click.option(
    "--head",
    metavar="SEQ:HASH",
    help="Also compare with the head of an earlier export, or of an earlier verify.",
)
def verify(head: str | None) -> None:
    """Check the register's chain of hashes; exit code 1 and the first bad row where it is broken."""
    known = None if head is None else _head_of(head)
    with open_state(load_settings()) as database:

        def read(conn: Connection) -> tuple[int | None, tuple[int, str]]:
            end = register.head(conn)
            return register.verify(conn, known), end

        broken, end = database.read(read)
    if broken is not None:
        also = "" if known is None else f" Compared with the head {known[0]}."
        raise Problem(
            f"The register is broken at row {broken}: it, or one before it, was changed, removed or inserted.{also} "
            "Keep the database as it is, and compare it with a back-up or an export."
        )
    click.echo(f"The register is whole: {end[0]} rows.")
    click.echo(f"head {end[0]}:{end[1]}")


@egress.command("list")
@click.option("--matter", "matter", metavar="KEY", help="Only this owner's rows (EntityType:id).")
@click.option("--document", metavar="ID", help="Only this document's rows.")
@since_option
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many, the last."
)
def list_rows(
    matter: str | None, document: str | None, since: Callable[[float], float] | None, limit: int
) -> None:
    """List rows of the register. Ids stand in it as HMACs: whose a row is can be asked while the matter's key exists."""
    matter = None if matter is None else _owner(matter)
    if document is not None and not is_record_id(document):
        raise NotUsable("--document takes the id of a document in EspoCRM.")
    with open_state(load_settings()) as database:

        def read(conn: Connection) -> list[EgressRow]:
            begin = 0.0 if since is None else since(database.now(conn))
            if matter is None and document is None:
                return register.latest(conn, begin, limit)
            rows = _rows_about(conn, database, matter, document)
            return [row for row in rows if row.at >= begin][-limit:]

        rows = database.read(read)
    columns = ("#row", "left at", "system", "ground", "document", "matter")
    cells = [
        (
            row.seq,
            moment(row.at),
            row.system,
            row.ground,
            document or row.document_hmac[:_PREFIX],
            matter or row.matter_hmac[:_PREFIX],
        )
        for row in rows
    ]
    screen().print(table("", columns, cells))
    click.echo(f"{len(rows)} rows")
    if not rows and (matter or document):
        click.echo("Nothing left on that account, or its key was destroyed by an erasure.")


@egress.command()
@click.argument("target", metavar="FILE|-")
def export(target: str) -> None:
    """Write the whole register as JSON lines, the last line its head: keep it elsewhere, for verify --head.

    The file is readable by its owner alone and is there whole or not at all; - is standard output.
    """
    with open_state(load_settings()) as database:

        def write(file: TextIO) -> tuple[int, str]:
            return database.read(lambda conn: _export(conn, file))

        seq, row_hash = write(sys.stdout) if target == "-" else write_private(Path(target), write)
    if target != "-":
        click.echo(f"{seq} rows written.")
        click.echo(f"head {seq}:{row_hash}")


@egress.command("remaining")
@click.option("--json", "as_json", is_flag=True, help="For a program: one JSON object a line.")
def list_remaining(*, as_json: bool) -> None:
    """List what is at xAI although nothing permits it any more, each with the command that erases it."""
    settings = load_settings()
    with open_state(settings) as database:
        found = database.read(lambda conn: remaining.load(conn, settings))
    if as_json:
        for one in found:
            click.echo(json.dumps({**asdict(one), "command": one.command}))
        return
    columns = ("what", "key", "why", "#files", "#collections", "since", "to erase it")
    rows = [
        (one.kind, one.key, one.why, len(one.files), len(one.collections), moment(one.since), one.command)
        for one in found
    ]
    screen().print(table("", columns, rows))
    click.echo(f"{len(found)} at xAI without permission")


def _rows_about(
    conn: Connection, database: Database, matter: str | None, document: str | None
) -> Sequence[EgressRow]:
    if matter is not None:
        return register.rows_of(conn, database.cipher, matter, document)
    return register.rows_of_document(conn, database.cipher, document or "")


def _export(conn: Connection, file: TextIO) -> tuple[int, str]:
    seq, row_hash = register.head(conn)
    for row in register.rows_after(conn):
        if row.seq > seq:
            break  # appended since the head was read
        file.write(_line(asdict(row)))
    file.write(_line({"head": {"seq": seq, "hash": row_hash}}))
    return seq, row_hash


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _head_of(text: str) -> tuple[int, str]:
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise NotUsable(
            "--head takes SEQ:HASH, as verify and export print it: a number, a colon, 64 hex digits."
        )
    return int(found[1]), found[2]


def _owner(text: str) -> str:
    try:
        return str(OwnerKey.parse(text))
    except ValueError as error:
        raise NotUsable(str(error)) from None
