"""What is wrong now, gathered from the state alone: no call to any system, and no text that came from a record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bitbylaw_pipeline.domain.alert import Trouble, TroubleKind, ids_in_words
from bitbylaw_pipeline.inbox import parked_work, reconciliations
from bitbylaw_pipeline.inbox.flow_views import flow_names
from bitbylaw_pipeline.inbox.overview import Overview, SystemView, read_overview
from bitbylaw_pipeline.settings import Settings

DOWN_AFTER_SECONDS = 1800.0
"""A restart, an update or a short line fault is nobody's trouble: the work waits and goes on by itself."""

_FIRM = ZoneInfo("Europe/Berlin")
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_PAGES = {
    "documents": "xai/collection_documents",
    "collections": "xai/collections",
    "beteiligte": "advoware/beteiligte",
    "bankverbindungen": "advoware/bankverbindungen",
    "akten": "advoware/akten",
    "termine": "google/termine",
}
"""The asset of a stream in Dagster's UI."""


@dataclass(frozen=True, slots=True)
class FailedRuns:
    """Runs of one job that failed, the newest first."""

    job: str
    run_ids: Sequence[str]


def troubles_now(
    connection: Connection, now: float, settings: Settings, failed_runs: Sequence[FailedRuns] = ()
) -> list[Trouble]:
    """Everything of now, in the caller's reading transaction; `failed_runs` are Dagster's, whoever knows them."""
    overview = read_overview(connection, now, settings)
    return [
        *_failed(failed_runs, settings),
        *_parked(connection, settings),
        *_drift(connection, now, settings),
        *_silent(overview, settings),
        *_systems(overview),
        *_credentials(settings, datetime.fromtimestamp(now, _FIRM).date()),
    ]


def page_link(settings: Settings, stream: str) -> str | None:
    """Where Dagster's UI shows the stream's partitions."""
    page = _PAGES.get(stream)
    return f"{settings.ui_public_url}/assets/{page}?view=partitions" if page else None


def _failed(failed_runs: Sequence[FailedRuns], settings: Settings) -> Iterator[Trouble]:
    for failed in failed_runs:
        count = len(failed.run_ids)
        yield Trouble(
            TroubleKind.RUN_FAILED,
            failed.job,
            f"{_count(count, 'run')} of {failed.job} failed: {ids_in_words(failed.run_ids)}.",
            "Open the run; its last error says why. A failed batch loses nothing: the next one takes its work over.",
            f"{settings.ui_public_url}/runs/{failed.run_ids[0]}",
            count,
        )


def _parked(connection: Connection, settings: Settings) -> Iterator[Trouble]:
    for group in parked_work.groups(connection):
        # A reason is a short code of ours; whatever else stands there is not sent.
        reason = group.reason if _CODE.fullmatch(group.reason) else "unknown"
        verb = "is" if group.count == 1 else "are"
        yield Trouble(
            TroubleKind.PARKED,
            f"{group.stream}/{reason}",
            f"{group.count} of {group.stream} {verb} set aside ({reason}): {ids_in_words(group.keys, group.count)}.",
            f"bitbylaw inbox parked --stream {group.stream}; put it right, then bitbylaw inbox replay "
            f"--stream {group.stream} --reason {reason}.",
            page_link(settings, group.stream),
            group.count,
        )


def _drift(connection: Connection, now: float, settings: Settings) -> Iterator[Trouble]:
    for flow, found in reconciliations.load(connection).items():
        if found.failed_at is not None:
            yield Trouble(
                TroubleKind.RECONCILIATION_FAILED,
                flow,
                f"The reconciliation of {flow} failed ({found.failed_with}).",
                f"bitbylaw status says why; then bitbylaw reconcile --flow {flow} --dry-run.",
                settings.ui_public_url,
            )
        elif flow in flow_names(settings) and (overdue := found.overdue(now)):
            yield Trouble(
                TroubleKind.RECONCILIATION_FAILED,
                flow,
                f"The reconciliation of {flow} is overdue: {overdue}.",
                "Is its schedule running (Dagster's UI, Automation)? By hand: "
                f"bitbylaw reconcile --flow {flow}.",
                settings.ui_public_url,
            )
        if found.drift:
            yield Trouble(
                TroubleKind.DRIFT,
                flow,
                f"The last reconciliation of {flow} found {found.drift} differing ({_kinds(found.counts)}); "
                f"{found.wanted} put into the queue, {found.withheld} waiting for an approval.",
                _what_to_do_about_drift(flow, found.withheld),
                settings.ui_public_url,
                found.drift,
            )


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()) if count)


def _what_to_do_about_drift(flow: str, withheld: int) -> str:
    look = f"bitbylaw reconcile --flow {flow} --dry-run lists what still differs"
    return f"{look}; deletes wait for bitbylaw approve-deletes." if withheld else f"{look}."


def _silent(overview: Overview, settings: Settings) -> Iterator[Trouble]:
    for flow in overview.flows:
        if flow.silence:
            yield Trouble(
                TroubleKind.SILENT_FLOW,
                flow.name,
                f"{flow.name} is silent. {flow.silence}",
                "bitbylaw status: is bitbylaw up running, is a system paused, is it draining? Then bitbylaw doctor.",
                page_link(settings, flow.name),
            )


def _systems(overview: Overview) -> Iterator[Trouble]:
    for system in overview.systems:
        if system.is_refused:
            yield Trouble(
                TroubleKind.CREDENTIAL_REJECTED,
                system.name,
                f"{system.name} refuses our key; its flows stand still.",
                "bitbylaw doctor says which setting it is and what to do.",
            )
        elif _is_long_down(system, overview.now):
            minutes = (overview.now - (system.since or overview.now)) / 60
            yield Trouble(
                TroubleKind.SYSTEM_DOWN,
                system.name,
                f"{system.name} has been down for {minutes:.0f} min; its flows wait, and nothing is lost.",
                "Have it looked at if it lasts; it is asked again by itself. bitbylaw doctor.",
            )


def _is_long_down(system: SystemView, now: float) -> bool:
    return system.since is not None and now - system.since >= DOWN_AFTER_SECONDS


def _credentials(settings: Settings, today: date) -> Iterator[Trouble]:
    for name, last_day in sorted(settings.credentials_expire.items()):
        days = (last_day - today).days
        if days > settings.credentials_warn_days:
            continue
        when = "ended" if days < 0 else "ends today" if days == 0 else f"ends in {_count(days, 'day')}"
        yield Trouble(
            TroubleKind.CREDENTIAL_EXPIRING,
            name,
            f"{name} {when} ({last_day.isoformat()}).",
            f"Have a new one made, put it into {name}, its last day into CREDENTIALS_EXPIRE, and start bitbylaw up anew.",
        )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
