"""The check on what reconciliations found and what of it waits for a person."""

from collections.abc import Sequence

import dagster as dg

from bitbylaw_pipeline.inbox import reconciliations
from bitbylaw_pipeline.inbox.reconciliations import Reconciled
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import ADVOWARE, GOOGLE, NO_ADVOWARE, NO_CALENDARS

OLDEST_SECONDS = 26 * 3600.0
"""A night, and two hours for one that ran late or for the hour that a night of the year has more."""
DAY = 86400.0


def drift_check(asset: dg.AssetKey, flows: Sequence[str], system: str = "") -> StandingCheck:
    """Warns while the last reconciliation failed, is more than 26 hours old, or left something to a person.

    What it found and the queue repairs by itself is told and does not warn. `system` is the one without which there is
    no such flow.
    """

    def look(moment: Moment) -> Finding:
        if system == ADVOWARE and not moment.settings.has_advoware:
            return Finding(True, NO_ADVOWARE)
        if system == GOOGLE and not moment.settings.has_calendars:
            return Finding(True, NO_CALENDARS)
        noted = reconciliations.load(moment.conn)
        found = [noted[flow] for flow in flows if flow in noted]
        facts: dict[str, int | str] = {
            "found": sum(one.drift for one in found),
            "wanted": sum(one.wanted for one in found),
            "withheld": sum(one.withheld for one in found),
            "for_a_person": sum(_for_a_person(one) for one in found),
        }
        troubles = {flow: why for flow in flows if (why := _trouble(noted.get(flow), moment.now))}
        if troubles:
            told = "; ".join(f"{flow}: {why}" for flow, why in troubles.items())
            return Finding(False, f"{told}. See `bitbylaw reconcile --dry-run`.", facts, list(troubles))
        if facts["found"]:
            return Finding(True, f"{facts['found']} differed, and the queue puts them right.", facts)
        return Finding(True, "Nothing differed.", facts)

    return StandingCheck(
        asset,
        "nothing_drifted",
        "The last reconciliation came to its end and left nothing to a person.",
        look,
    )


def _trouble(noted: Reconciled | None, now: float) -> str | None:
    if noted is None:
        return "not reconciled yet"
    if noted.failed_with is not None:
        return f"could not be compared ({noted.failed_with}: {(noted.failed_why or '').rstrip('.')})"
    if noted.ended_at is None:
        return "not reconciled yet"
    if now - noted.ended_at > OLDEST_SECONDS:
        # In whole days: mere ageing is no news every minute.
        return f"not reconciled for over {int((now - noted.ended_at) // DAY)} d"
    person = _for_a_person(noted)
    told = [
        f"{noted.withheld} would delete more than is allowed without an approval" if noted.withheld else "",
        f"{person} wait for a person" if person else "",
    ]
    return ", ".join(filter(None, told)) or None


def _for_a_person(noted: Reconciled) -> int:
    return noted.drift - noted.wanted - noted.withheld
