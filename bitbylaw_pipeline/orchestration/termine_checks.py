"""The check on each employee's appointments: a calendar silently out of step is the worst that can happen here."""

from collections.abc import Mapping

import dagster as dg

from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.inbox import calendar_passes
from bitbylaw_pipeline.inbox.calendar_passes import CalendarPasses
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.orchestration.pass_checks import LONGEST_SECONDS
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE, NO_CALENDARS

IN_STEP = "In step."
GONE = "Has no calendar in the setting any more: what was made for it stays as it is."


def in_step_check(asset: dg.AssetKey) -> StandingCheck:
    """Warns while any employee's appointments may differ, and says of each employee whether, and why.

    Out of step is whoever had no whole pass within the last hour (or none at all yet), whose last pass failed, or had
    appointments refused, and whoever has appointments left alone, open conflicts, or answers to give.
    """

    def look(moment: Moment) -> Finding:
        settings = moment.settings
        if not settings.has_calendars:
            return Finding(True, NO_CALENDARS if settings.has_advoware else NO_ADVOWARE)
        return _of_all(moment, sorted(settings.calendars))

    return StandingCheck(
        asset, "in_step", "Every employee's appointments are the same in Advoware and in Google.", look
    )


def _of_all(moment: Moment, employees: list[str]) -> Finding:
    passes = calendar_passes.load(moment.conn, employees)
    each = {one: _of_one(moment, one, passes.get(one)) for one in employees}
    late = {one: finding for one, finding in each.items() if not finding.passed}
    former = {one: Finding(True, GONE) for one in calendar_passes.everybody(moment.conn) if one not in each}
    facts = {"employees": len(each), "out_of_step": len(late), **_sums(late)}
    if late:
        says = f"{len(late)} of {len(each)} employees out of step: {', '.join(late)}."
    else:
        says = f"The appointments of all {len(each)} employees are in step."
    ids = [f"{one}: {finding.says}" for one, finding in late.items()]
    return Finding(not late, says, facts, ids, each={**each, **former})


def _sums(findings: Mapping[str, Finding]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for finding in findings.values():
        for name, fact in finding.facts.items():
            if isinstance(fact, int):
                sums[name] = sums.get(name, 0) + fact
    return sums


def _of_one(moment: Moment, kuerzel: str, passes: CalendarPasses | None) -> Finding:
    counts = moment.pairs.get(PAIR_PREFIX + kuerzel, PairCounts())
    facts = {
        "refused": passes.counts.get("failed", 0) if passes else 0,
        "quarantined": counts.quarantined,
        "conflicts": counts.conflicts,
        "held": counts.holds,
    }
    told = {name: number for name, number in facts.items() if number}
    troubles = [*_of_passes(moment.now, passes), *(_in_words(name, told[name]) for name in told)]
    return Finding(not troubles, " ".join(troubles) or IN_STEP, told)


def _of_passes(now: float, passes: CalendarPasses | None) -> list[str]:
    troubles = []
    begun_at = passes.begun_at if passes else None
    if begun_at is None:
        # At once and not after an hour: nothing says since when the employee has been in the setting.
        troubles.append("No whole pass yet.")
    elif now - begun_at > LONGEST_SECONDS:
        # In whole hours: mere ageing is no news every minute.
        troubles.append(f"No whole pass for over {int((now - begun_at) // 3600)} h.")
    failure = passes.failure if passes else None
    if failure is not None:
        troubles.append(f"The last pass failed ({failure.error}): {failure.why}")
    return troubles


def _in_words(name: str, number: int) -> str:
    match name:
        case "refused":
            return f"{number} refused in the last pass: see its materialization."
        case "quarantined":
            return f"{number} left alone after writes in circles or failures: see `bitbylaw holds`."
        case "conflicts":
            return f"{number} open conflicts: see `bitbylaw conflicts`."
        case _:
            return f"{number} wait for a person: see `bitbylaw holds`."
