"""Checks on what two sides are kept in step by: what waits for a person, open conflicts, records left alone."""

import dagster as dg

from bitbylaw_pipeline.inbox import two_way_desk
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.orchestration.queue_checks import oldest_waiting_check, parked_check
from bitbylaw_pipeline.orchestration.standing_checks import SAMPLE, Finding, Moment, StandingCheck

DAY = 86400.0


def two_way_checks(asset: dg.AssetKey, pair: str) -> tuple[StandingCheck, ...]:
    """All checks of a pair that has a stream of the same name."""
    return (
        held_check(asset, pair),
        conflict_check(asset, pair),
        quarantine_check(asset, pair),
        parked_check(asset, pair),
        oldest_waiting_check(asset, pair),
    )


def held_check(asset: dg.AssetKey, pair: str) -> StandingCheck:
    """Warns while something waits for a person's answer, with its subjects and reasons."""

    def look(moment: Moment) -> Finding:
        counts = _counts(moment, pair)
        if not counts.holds:
            return Finding(True, "Nothing waits for a person.")
        holds = [hold for hold in two_way_desk.list_holds(moment.conn, pair) if not hold.is_notice]
        days = int((moment.now - (counts.oldest_hold or moment.now)) // DAY)
        since = f", the oldest for over {days} days" if days else ""
        return Finding(
            False,
            f"{counts.holds} wait for a person{since}: see `bitbylaw holds`.",
            {"held": counts.holds, "oldest_days": days},
            [f"{hold.subject} ({hold.why})" for hold in holds[:SAMPLE]],
        )

    return StandingCheck(asset, "nothing_held", "Nothing waits for a person's answer.", look)


def conflict_check(asset: dg.AssetKey, pair: str) -> StandingCheck:
    """Warns while there are conflicts that neither a rule nor a person has decided."""

    def look(moment: Moment) -> Finding:
        count = _counts(moment, pair).conflicts
        says = f"{count} open: see `bitbylaw conflicts`." if count else "There is no open conflict."
        return Finding(count == 0, says, {"conflicts": count})

    return StandingCheck(
        asset, "no_open_conflicts", "What was changed on both sides at once has been decided.", look
    )


def quarantine_check(asset: dg.AssetKey, pair: str) -> StandingCheck:
    """Warns while records are left alone because writing them went round in circles or kept failing."""

    def look(moment: Moment) -> Finding:
        count = _counts(moment, pair).quarantined
        says = f"{count} left alone: see `bitbylaw holds`." if count else "No record is left alone."
        return Finding(count == 0, says, {"quarantined": count})

    return StandingCheck(
        asset, "nothing_quarantined", "No record is left alone after writes in circles or failures.", look
    )


def _counts(moment: Moment, pair: str) -> PairCounts:
    return moment.pairs.get(pair, PairCounts())
