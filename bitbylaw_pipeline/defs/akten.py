"""Matters: each Akte of Advoware finds its matter in EspoCRM, and by it the collection of its documents at xAI."""

import dagster as dg

from bitbylaw_pipeline.defs.advoware import AKTENBESTAND
from bitbylaw_pipeline.defs.collections import collection_ids
from bitbylaw_pipeline.defs.espocrm import MATTER_ASSETS
from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, akte_record, partitions_of
from bitbylaw_pipeline.orchestration.two_way_checks import two_way_checks

AKTEN = dg.AssetKey(["advoware", "akten"])

stream = StreamAssets(
    name="akten",
    specs=(
        dg.AssetSpec(
            AKTEN,
            description="An Akte with its matter in EspoCRM (found by its number) and that matter's collection at xAI.",
            # Not the collections themselves: a batch may not depend on a partitioned asset (see there).
            deps=[AKTENBESTAND, *MATTER_ASSETS, collection_ids],
            skippable=True,
            partitions_def=partitions_of("akten"),
            group_name="advoware",
            kinds={"advoware", "espocrm"},
            owners=OWNERS,
            tags=describe_tags("advoware"),
            code_version="1",
            metadata={"stream": "akten", "partition": "id of the Akte in Advoware"},
        ),
    ),
    record_of=akte_record,
    systems=frozenset({"espocrm", "advoware"}),
)

akten = build_stream_assets(stream)
akten_job = build_stream_job(stream)
akten_queue = build_queue_sensor(stream, akten_job)

checks = two_way_checks(AKTEN, stream.name)
akte_checks = build_asset_checks("akte_checks", checks)
