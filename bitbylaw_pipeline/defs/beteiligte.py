"""Parties: each stands in EspoCRM and in Advoware, and a change on one side arrives on the other."""

import dagster as dg

from bitbylaw_pipeline.defs.advoware import PARTEIEN
from bitbylaw_pipeline.defs.espocrm import owner_asset
from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, beteiligte_record, partitions_of
from bitbylaw_pipeline.orchestration.two_way_checks import two_way_checks

BETEILIGTE = dg.AssetKey(["advoware", "beteiligte"])

stream = StreamAssets(
    name="beteiligte",
    specs=(
        dg.AssetSpec(
            BETEILIGTE,
            description="A party with main address, numbers and mails, the same in EspoCRM and in Advoware.",
            deps=[owner_asset("CBeteiligte"), PARTEIEN],
            skippable=True,
            partitions_def=partitions_of("beteiligte"),
            group_name="advoware",
            kinds={"advoware", "espocrm"},
            owners=OWNERS,
            tags=describe_tags("advoware"),
            code_version="1",
            metadata={"stream": "beteiligte", "partition": "id of the party in EspoCRM"},
        ),
    ),
    record_of=beteiligte_record,
    systems=frozenset({"espocrm", "advoware"}),
)

beteiligte = build_stream_assets(stream)
beteiligte_job = build_stream_job(stream)
beteiligte_queue = build_queue_sensor(stream, beteiligte_job)

checks = two_way_checks(BETEILIGTE, stream.name)
beteiligte_checks = build_asset_checks("beteiligte_checks", checks)
