"""The check on the passes over Advoware: a schedule that stands still shows nowhere else."""

from collections.abc import Sequence

import dagster as dg

from bitbylaw_pipeline.inbox.pass_times import last_pass
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck
from bitbylaw_pipeline.orchestration.streams import NO_ADVOWARE

LONGEST_SECONDS = 3600.0
"""Four passes: one that fails now and then is no news."""


def pass_age_check(asset: dg.AssetKey, pairs: Sequence[str]) -> StandingCheck:
    """Warns where the last whole pass over a pair is older than an hour, or where there was none yet."""

    def look(moment: Moment) -> Finding:
        if not moment.settings.has_advoware:
            return Finding(True, NO_ADVOWARE)
        ages = {pair: _age(moment, pair) for pair in pairs}
        late = {pair: age for pair, age in ages.items() if age is None or age > LONGEST_SECONDS}
        if not late:
            return Finding(True, "Every pair was passed over within the last hour.")
        told = ", ".join(f"{pair} {_in_words(age)}" for pair, age in late.items())
        return Finding(False, f"Not passed over within the last hour: {told}.", {"late": len(late)})

    return StandingCheck(asset, "passed_lately", "Every pair is passed over several times an hour.", look)


def _age(moment: Moment, pair: str) -> float | None:
    last = last_pass(moment.conn, pair)
    return None if last is None else moment.now - last


def _in_words(age: float | None) -> str:
    # In whole hours: mere ageing is no news every minute.
    return "(never yet)" if age is None else f"(for over {int(age // 3600)} h)"
