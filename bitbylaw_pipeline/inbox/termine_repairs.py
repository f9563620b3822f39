"""Whose next pass carries out the audit's repairs first: asked for by a reconciliation, kept among the state's flags."""

from __future__ import annotations

from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import batches

_PREFIX = "repair:termine:"


def ask(connection: Connection, now: float, kuerzel: str) -> None:
    """The employee's next pass repairs first."""
    batches.set_flag(connection, now, _PREFIX + kuerzel)


def is_asked(connection: Connection, kuerzel: str) -> bool:
    """Whether it was asked for, and has not come to its end yet."""
    return batches.get_flag(connection, _PREFIX + kuerzel) is not None


def conclude(connection: Connection, kuerzel: str) -> None:
    """It has come to its end."""
    batches.clear_flag(connection, _PREFIX + kuerzel)
