"""Asset checks that say what is wrong right now, kept up to date without runs.

A run costs some 5 seconds of CPU, and every 15 minutes is too seldom for a person who has just repaired something. So
one sensor looks every minute (a few queries on the state database) and reports a check when its answer has changed, and
once a day otherwise. The "Execute" button in the UI works all the same: each check is an ordinary one.

What a check finds of each partition is told as an observation of that partition, beside one answer for all of them that
lists each. Dagster's own partitioned checks (a preview in 1.13.27) cannot be kept up to date without runs: the second
evaluation without a run of one partition is refused by the database (UNIQUE over asset, check, run and partition), none
of them counts as current once that partition was materialized, the UI's "Execute" is switched off for them, and of
dynamic partitions GraphQL cannot tell how they stand.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
from sqlalchemy import Connection

from bitbylaw_pipeline.inbox import two_way_desk, work_queue
from bitbylaw_pipeline.inbox.database import DatabaseUnavailable
from bitbylaw_pipeline.orchestration.backend import Backend
from bitbylaw_pipeline.settings import Settings, SettingsError

REPORTED_AGAIN_AFTER = 24 * 3600.0
MATERIALIZED_AGAIN_AFTER = 15 * 60.0
"""Dagster shows a check as "Not evaluated" once its asset has been materialized anew: then it is told again, but not
each minute of a working day."""
SAMPLE = 20
"""Ids shown of a longer list; the whole list is in `bitbylaw inbox`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `facts` are counts and ids, rounded so that mere ageing is not news.

    `each` is what it found of each partition by itself, where it looks at several.
    """

    passed: bool
    says: str
    facts: Mapping[str, int | str] = field(default_factory=dict)
    ids: Sequence[str] = ()
    each: "Mapping[str, Finding]" = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes when there is something new to say."""
        told = json.dumps(
            [self.passed, self.says, dict(self.facts), list(self.ids)[:SAMPLE]]
            + [[key, finding.digest] for key, finding in sorted(self.each.items())],
            sort_keys=True,
        )
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """Typed for Dagster."""
        typed: dict[str, dg.MetadataValue] = {
            name: dg.MetadataValue.int(fact) if isinstance(fact, int) else dg.MetadataValue.text(fact)
            for name, fact in self.facts.items()
        }
        if self.ids:
            typed["sample"] = dg.MetadataValue.json(list(self.ids)[:SAMPLE])
        if self.each:
            typed["partitions"] = dg.MetadataValue.table(
                [
                    dg.TableRecord({"partition": key, "passed": one.passed, "says": one.says})
                    for key, one in sorted(self.each.items())
                ]
            )
        return typed


@dataclass(frozen=True)
class Moment:
    """What a check looks at: the state database, its time (UTC epoch seconds), the settings.

    What several checks need of it is read once for all of them: each by itself made 36 statements a minute out of four.
    """

    conn: Connection
    now: float
    settings: Settings

    @functools.cached_property
    def queue(self) -> Mapping[str, work_queue.StreamSummary]:
        """The queue's figures by stream."""
        return work_queue.summary(self.conn, self.now)

    @functools.cached_property
    def pairs(self) -> Mapping[str, two_way_desk.PairCounts]:
        """The two-way sync's figures by pair."""
        return two_way_desk.counts(self.conn)


Look = Callable[[Moment], Finding]


@dataclass(frozen=True, slots=True)
class StandingCheck:
    """One check: on which asset, under which name, and how it looks."""

    asset: dg.AssetKey
    name: str
    description: str
    look: Look

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """As Dagster wants it."""
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description)

    @property
    def label(self) -> str:
        """Unique among all checks."""
        return f"{self.asset.to_user_string()}/{self.name}"


def build_asset_checks(name: str, checks: Sequence[StandingCheck]) -> dg.AssetChecksDefinition:
    """The checks as one op, for the "Execute" button."""

    @dg.multi_asset_check(name=name, specs=[check.spec for check in checks], can_subset=True)
    def standing_checks(
        context: dg.AssetCheckExecutionContext, backend: Backend
    ) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        for check, finding in look_at_all(backend, checks):
            if check.spec.key in selected:
                yield dg.AssetCheckResult(
                    passed=finding.passed,
                    asset_key=check.asset,
                    check_name=check.name,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=finding.says,
                    metadata=finding.metadata,
                )

    return standing_checks


def build_check_sensor(checks: Sequence[StandingCheck]) -> dg.SensorDefinition:
    """The sensor that reports those checks whose answer has changed."""

    @dg.sensor(
        name="standing_checks",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Keeps the asset checks up to date: reports each one when its answer changes, and once a day.",
    )
    def standing_checks_sensor(
        context: dg.SensorEvaluationContext, backend: Backend
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            found = list(look_at_all(backend, checks))
            now = backend.database().read(backend.database().now)
        except (DatabaseUnavailable, SettingsError) as error:
            return dg.SkipReason(f"{type(error).__name__}: {error}")
        told = _told(context.cursor)
        made = _materialized_at(context.instance, checks)
        news = [
            (check, finding)
            for check, finding in found
            if _is_news(told.get(check.label), finding, now, made.get(check.asset, 0.0))
        ]
        of_partitions = [one for check, finding in news for one in _of_partitions(check, finding, told)]
        if not news:
            failing = sum(1 for _, finding in found if not finding.passed)
            return dg.SkipReason(f"Nothing new: {len(found) - failing} checks pass, {failing} warn.")
        told |= {check.label: (finding.digest, now) for check, finding in news}
        told |= {label: (finding.digest, now) for label, finding, _ in of_partitions}
        return dg.SensorResult(
            asset_events=[
                *(_evaluation(check, finding) for check, finding in news),
                *(observation for _, _, observation in of_partitions),
            ],
            cursor=json.dumps(told),
        )

    return standing_checks_sensor


def look_at_all(backend: Backend, checks: Sequence[StandingCheck]) -> list[tuple[StandingCheck, Finding]]:
    """All findings as of one moment. Raises DatabaseUnavailable, SettingsError."""
    database = backend.database()
    settings = backend.settings()

    def look(conn: Connection) -> list[tuple[StandingCheck, Finding]]:
        moment = Moment(conn, database.now(conn), settings)
        return [(check, check.look(moment)) for check in checks]

    return database.read(look)


def _evaluation(check: StandingCheck, finding: Finding) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=check.asset,
        check_name=check.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.says,
        metadata=finding.metadata,
    )


def _of_partitions(
    check: StandingCheck, finding: Finding, told: Mapping[str, tuple[str, float]]
) -> list[tuple[str, Finding, dg.AssetObservation]]:
    """What is new of single partitions: label, finding, and the event that tells it."""
    found = []
    for key, one in sorted(finding.each.items()):
        label = f"{check.label}[{key}]"
        # Not repeated by the day: an observation, unlike a check, does not grow old.
        if told.get(label, ("", 0.0))[0] != one.digest:
            metadata = {check.name: dg.MetadataValue.bool(one.passed), **one.metadata}
            observation = dg.AssetObservation(
                check.asset, partition=key, description=one.says, metadata=metadata
            )
            found.append((label, one, observation))
    return found


def _materialized_at(
    instance: dg.DagsterInstance, checks: Sequence[StandingCheck]
) -> dict[dg.AssetKey, float]:
    """When each check's asset was last materialized, in UTC epoch seconds."""
    found = {}
    for record in instance.get_asset_records(list({check.asset for check in checks})):
        last = record.asset_entry.last_materialization_record
        if last is not None:
            found[record.asset_entry.asset_key] = last.timestamp
    return found


def _is_news(told: tuple[str, float] | None, finding: Finding, now: float, materialized_at: float) -> bool:
    if told is None or told[0] != finding.digest:
        return True
    silent = now - told[1]
    return silent >= REPORTED_AGAIN_AFTER or (
        silent >= MATERIALIZED_AGAIN_AFTER and materialized_at > told[1]
    )


def _told(cursor: str | None) -> dict[str, tuple[str, float]]:
    try:
        return {label: (str(digest), float(at)) for label, (digest, at) in json.loads(cursor or "{}").items()}
    except (ValueError, AttributeError, TypeError):
        # A cursor from another version: everything is reported once more, which harms nobody.
        return {}
