"""Bank accounts: a new one arrives on the other side by itself, a changed one only once a person has agreed."""

import dagster as dg

from bitbylaw_pipeline.defs.advoware import KONTEN
from bitbylaw_pipeline.defs.espocrm import BANKVERBINDUNGEN as IN_ESPOCRM
from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, bankverbindung_record, partitions_of
from bitbylaw_pipeline.orchestration.two_way_checks import two_way_checks

BANKVERBINDUNGEN = dg.AssetKey(["advoware", "bankverbindungen"])

stream = StreamAssets(
    name="bankverbindungen",
    specs=(
        dg.AssetSpec(
            BANKVERBINDUNGEN,
            description="A party's bank account, the same in EspoCRM and in Advoware; a change waits for approval.",
            deps=[IN_ESPOCRM, KONTEN],
            skippable=True,
            partitions_def=partitions_of("bankverbindungen"),
            group_name="advoware",
            kinds={"advoware", "espocrm"},
            owners=OWNERS,
            tags=describe_tags("advoware"),
            code_version="1",
            metadata={"stream": "bankverbindungen", "partition": "id of the bank account in EspoCRM"},
        ),
    ),
    record_of=bankverbindung_record,
    systems=frozenset({"espocrm", "advoware"}),
)

bankverbindungen = build_stream_assets(stream)
bankverbindungen_job = build_stream_job(stream)
bankverbindungen_queue = build_queue_sensor(stream, bankverbindungen_job)

checks = two_way_checks(BANKVERBINDUNGEN, stream.name)
bankverbindung_checks = build_asset_checks("bankverbindung_checks", checks)
