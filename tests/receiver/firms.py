"""State databases of a firm in which all is well, and of one in which everything is wrong that can be."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.alert import Alert, Trouble, TroubleKind
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.domain.two_way_link import Hold
from bitbylaw_pipeline.domain.two_way_state import HoldChanges
from bitbylaw_pipeline.inbox import (
    alerts,
    batches,
    egress_switch,
    outages,
    reconciliations,
    two_way_holds,
    work_queue,
)
from bitbylaw_pipeline.inbox.database import Database
from tests.receiver.calendar_office import OFFICE

FLOWS = ("documents", "collections", "beteiligte", "bankverbindungen", "akten", "termine")
PASSWORD = "Sülze-mit-8-Bratkartoffeln"
KEY = "key-of-the-wall-monitor-7d10"
FIRM: dict[str, Any] = {**OFFICE, "api_keys": KEY, "status_password": PASSWORD, "xai_egress": "collection"}
"""Settings with all four systems, a password and a key."""
SCRIPT = "<script>alert('x')</script>"
RUN_LINK = "https://dagster.example/runs/8a4c0f"
_AGO = 4 * 3600.0


def make_well(database: Database) -> None:
    """Each flow has worked off something lately and was compared in the night; documents have work."""

    def put(connection: Connection) -> None:
        now = database.now(connection)
        for stream in FLOWS:
            _work(connection, now - 300, stream, ["AB"])
            reconciliations.note_ended(
                connection, now - _AGO, stream, begun_at=now - _AGO - 60,
                listed={"espocrm": 1800}, counts={"missing": 2} if stream == "documents" else {}, wanted=2, withheld=0,
            )  # fmt: skip
        work_queue.want(connection, now - 4, "documents", ["64f0c1d2e3b4a5968", "64f0c1d2e3b4a5969"])

    database.run_sync(put)


def break_everything(database: Database) -> None:
    """On top of it: two systems away, one key refused, parked work, a failed comparison, holds, alerts, all stopped."""

    def put(connection: Connection) -> None:
        now = database.now(connection)
        outages.pause(connection, now - _AGO, "advoware", 5 * 3600.0, "the connector is offline")
        outages.pause(connection, now - 900, "xai-files", 3600.0, outages.REFUSED)
        outages.pause(connection, now - 86400, "google", 90000.0, f"the answer was {SCRIPT}")
        _park(connection, now - 60)
        reconciliations.note_failed(
            connection, now - 3600, "akten", Unexpected(f"The listing of Akten came back empty {SCRIPT}.")
        )
        reconciliations.note_ended(
            connection, now - 7200, "documents", begun_at=now - 7300,
            listed={"xai": 1800}, counts={"orphaned": 212, "missing": 3}, wanted=3, withheld=212,
        )  # fmt: skip
        held = [Hold(f"left:{number}", "ambiguous_match") for number in range(12)]
        told = [Hold(f"left:n{number}", "unlinked:left_deleted", is_notice=True) for number in range(3)]
        two_way_holds.replace_holds(connection, now, "beteiligte", HoldChanges(held + told))
        egress_switch.stop(connection, now)
        batches.set_flag(connection, now, batches.DRAIN)
        alerts.put(
            connection,
            [
                alert(now - 900, TroubleKind.CREDENTIAL_REJECTED, "XAI_API_KEY", f"xAI refuses {SCRIPT}"),
                alert(now - 9000, TroubleKind.RUN_FAILED, "8a4c0f", "A run failed.", link=RUN_LINK),
                alert(
                    now - 9000, TroubleKind.PARKED, "documents", "12 are parked.", link="javascript:alert(1)"
                ),
                alert(now - 9000, TroubleKind.DRIFT, "akten", "This one has ended.", ended_at=now - 10),
            ],
        )

    database.run_sync(put)


def alert(
    at: float,
    kind: TroubleKind,
    subject: str,
    says: str,
    *,
    link: str | None = None,
    ended_at: float | None = None,
) -> Alert:
    """An alert that people were told of."""
    advice = "The administrator runs `bitbylaw doctor`, which says what to do about it."
    return Alert(Trouble(kind, subject, says, advice, link), at, at, ended_at)


def _work(connection: Connection, now: float, stream: str, keys: list[str]) -> None:
    work_queue.want(connection, now, stream, keys)
    claims = work_queue.claim(connection, now, stream, limit=len(keys), lease_seconds=60.0, keys=keys)
    work_queue.complete(connection, now, claims)


def _park(connection: Connection, now: float) -> None:
    for stream, number in (("documents", 12), ("termine", 1)):
        keys = [f"{stream}{one}" for one in range(number)]
        work_queue.want(connection, now - 7200, stream, keys)
        for claim in work_queue.claim(connection, now, stream, limit=99, lease_seconds=60.0, keys=keys):
            work_queue.park(connection, now, claim, "too_large", f"the file is too large {SCRIPT}")
