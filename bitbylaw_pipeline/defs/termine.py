"""Appointments: each employee's Termine stand in Advoware and in the employee's Google calendar, a partition each."""

import dagster as dg

from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.queue_checks import oldest_waiting_check, parked_check
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, no_record, partitions_of
from bitbylaw_pipeline.orchestration.termine_checks import in_step_check
from bitbylaw_pipeline.orchestration.termine_poll_sensor import build_termine_poll
from bitbylaw_pipeline.orchestration.termine_schedule import build_termine_schedule

TERMINKALENDER = dg.AssetKey(["advoware", "terminkalender"])
CALENDARS = dg.AssetKey(["google", "calendars"])
TERMINE = dg.AssetKey(["google", "termine"])

terminkalender = dg.AssetSpec(
    TERMINKALENDER,
    description="Every employee's Termine, Fristen and series, kept in Advoware by people.",
    group_name="advoware",
    kinds={"advoware"},
    owners=OWNERS,
    tags=describe_tags("advoware"),
    code_version="1",
    metadata={"resource": "Termine"},
)

calendars = dg.AssetSpec(
    CALENDARS,
    description="The calendar made at Google for each employee's Termine; what an employee enters there counts, too.",
    group_name="google",
    kinds={"google"},
    owners=OWNERS,
    tags=describe_tags("google"),
    code_version="1",
    metadata={"resource": "calendars/{calendarId}/events"},
)

stream = StreamAssets(
    name="termine",
    specs=(
        dg.AssetSpec(
            TERMINE,
            description="One employee's appointments, the same in Advoware and in Google; Fristen and series go one way.",
            deps=[TERMINKALENDER, CALENDARS],
            skippable=True,
            partitions_def=partitions_of("termine"),
            group_name="google",
            kinds={"google", "advoware"},
            owners=OWNERS,
            tags=describe_tags("google"),
            code_version="1",
            metadata={"stream": "termine", "partition": "the employee's Kürzel"},
        ),
    ),
    record_of=no_record,
    systems=frozenset({"advoware", "google"}),
)

termine = build_stream_assets(stream)
termine_job = build_stream_job(stream)
termine_queue = build_queue_sensor(stream, termine_job)
termine_every_quarter_hour = build_termine_schedule(stream, termine_job)
termine_poll = build_termine_poll(stream)

checks = (
    in_step_check(TERMINE),
    parked_check(TERMINE, stream.name),
    oldest_waiting_check(TERMINE, stream.name),
)
termine_checks = build_asset_checks("termine_checks", checks)
