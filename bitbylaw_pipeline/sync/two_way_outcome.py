"""From what a run did with a link to what the work queue and Dagster hear of it: ids, counts and field names."""

from __future__ import annotations

from collections.abc import Sequence

from bitbylaw_pipeline.domain.errors import Permanent, Transient
from bitbylaw_pipeline.domain.outcome import Fact, Outcome, Result
from bitbylaw_pipeline.domain.two_way_link import LinkState
from bitbylaw_pipeline.sync.two_way_report import LinkResult, RunReport

TASK = "task"


def outcome_of(key: str, report: RunReport, asset: str) -> Outcome:
    """The outcome for the record with that id in EspoCRM. Raises the error that its link met."""
    result = next((one for one in report.results.values() if one.link.left_id == key), None)
    subjects = {f"left:{key}"} | ({result.link.link_id} if result else set())
    for subject in subjects & report.errors.keys():
        raise report.errors[subject]
    if report.overtaken & subjects or (result is None and report.overtaken):
        raise Transient(
            f"{key}: another run has this record in hand; it is looked at again.", system="pipeline"
        )
    held = [hold.why for hold in report.holds if hold.subject in subjects and not hold.is_notice]
    return outcome_with(key, result, held, asset, is_left_alone=bool(report.withheld or report.unsettled))


def outcome_with(
    key: str, result: LinkResult | None, held: Sequence[str], asset: str, *, is_left_alone: bool = False
) -> Outcome:
    """The outcome of a link's result and of what is held about it."""
    facts = _facts(result) if result is not None else {}
    warning = None
    if held:
        facts["held"] = ", ".join(sorted(held))
        warning = f"Waits for a person: {facts['held']}. See `bitbylaw holds`."
    return Outcome(
        key=key,
        result=_result(result, waits=bool(held) or is_left_alone),
        facts=facts,
        assets=(asset,) if result is not None and (result.made or result.is_agreed) else (),
        warning=warning,
    )


def park_for_tasks(key: str, outcome: Outcome) -> None:
    """Raises Permanent where something is left that only a person can do, and the firm has no tasks for it."""
    reasons = str(outcome.facts.get("held", ""))
    tasks = [why for why in reasons.split(", ") if why.startswith(TASK)]
    if tasks:
        raise Permanent(
            f"{key}: Advoware cannot take this change; a person has to make it there ({', '.join(tasks)}). "
            "The item ends by itself once both sides agree.",
            system="advoware",
            reason="task_for_a_person",
        )


def _facts(result: LinkResult) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"link_state": result.link.state.value}
    if result.link.right_id is not None:
        facts["advoware_id"] = result.link.right_id
    for made in result.made:
        facts[f"{made.op}_{made.side.value}"] = ", ".join(made.fields) or "record"
    if result.conflicts:
        facts["conflicts"] = ", ".join(sorted(result.conflicts))
    return facts


def _result(result: LinkResult | None, *, waits: bool) -> Result:
    if result is None:
        return Result.WAITING if waits else Result.UNCHANGED
    if result.link.state is LinkState.TOMBSTONE:
        return Result.DELETED
    if result.made or result.is_agreed:
        return Result.SYNCED
    return Result.WAITING if waits else Result.UNCHANGED
