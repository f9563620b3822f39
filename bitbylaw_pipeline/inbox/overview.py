"""Everything that a person asks first, as of one moment: `bitbylaw status`, the status page and the alerts show the same.

Times are UTC epoch seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import batches, outages, remaining_count, two_way_desk
from bitbylaw_pipeline.inbox.flow_views import FlowView, read_flows
from bitbylaw_pipeline.inbox.outages import REFUSED
from bitbylaw_pipeline.settings import Settings

__all__ = ["EgressView", "FlowView", "Overview", "SystemView", "read_overview"]

EGRESS_IN_WORDS = {
    EgressRule.OFF: "off: nothing leaves the firm",
    EgressRule.COLLECTION: "collection: documents linked to a configured owner go into its collection at xAI",
    EgressRule.FIELD: "field: documents leave only where the owner's permission, reference and date are set",
}
EGRESS_STOPPED = "stopped by the kill switch: nothing leaves the firm (the rule would be {rule})"


@dataclass(frozen=True, slots=True)
class SystemView:
    """One outside system, as far as anybody has tried; `limits` in words, from the settings."""

    name: str
    is_paused: bool
    is_refused: bool
    """It refuses our key."""
    since: float | None
    until: float | None
    reason: str | None
    limits: str


@dataclass(frozen=True, slots=True)
class EgressView:
    """What may leave the firm; `says` is the sentence for a person.

    `remaining` is how much is at xAI that nothing permits, `forbidden` how much of it somebody has said no to: the rest is
    kept of records that are gone.
    """

    rule: str
    is_stopped: bool
    says: str
    remaining: int
    forbidden: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole of it."""

    now: float
    flows: Sequence[FlowView]
    systems: Sequence[SystemView]
    egress: EgressView
    is_draining: bool
    holds: int
    """What waits for a person's answer, over all pairs."""
    notices: int


def read_overview(connection: Connection, now: float, settings: Settings) -> Overview:
    """The overview, in the caller's reading transaction; makes no call to any system."""
    is_stopped = batches.get_flag(connection, batches.EGRESS_STOP) is not None
    rule = settings.xai_egress
    says = EGRESS_STOPPED.format(rule=rule.value) if is_stopped else EGRESS_IN_WORDS[rule]
    counts = two_way_desk.counts(connection).values()
    return Overview(
        now,
        read_flows(connection, now, settings),
        _systems(connection, settings),
        EgressView(
            rule.value,
            is_stopped,
            says,
            remaining_count.count(connection, settings),
            remaining_count.count_forbidden(connection, settings),
        ),
        batches.get_flag(connection, batches.DRAIN) is not None,
        sum(pair.holds for pair in counts),
        sum(pair.notices for pair in counts),
    )


def _systems(connection: Connection, settings: Settings) -> tuple[SystemView, ...]:
    down = {outage.system: outage for outage in outages.listing(connection)}
    return tuple(
        SystemView(name, False, False, None, None, None, limits)
        if (outage := down.get(name)) is None
        else SystemView(
            name, True, outage.reason == REFUSED, outage.since, outage.until, outage.reason, limits
        )
        for name, limits in system_limits(settings).items()
    )


def system_limits(settings: Settings) -> dict[str, str]:
    """Every system that is configured, with what we keep to there, in words."""
    at_once = "{} calls at once".format
    limits = {
        "espocrm": at_once(settings.espocrm_max_concurrency),
        "xai-files": f"{at_once(settings.xai_max_concurrency)}, files up to {settings.xai_max_file_bytes / 1e6:g} MB",
        "xai-management": at_once(settings.xai_max_concurrency),
    }
    if settings.has_advoware:
        limits["advoware"] = at_once(settings.advoware_max_concurrency)
    if settings.has_calendars:
        limits["google"] = (
            f"{at_once(settings.google_max_concurrency)}, {settings.google_requests_per_minute} a minute,"
            f" {settings.google_requests_per_minute_per_user} for one employee"
        )
    return limits
