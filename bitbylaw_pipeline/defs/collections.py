"""One xAI collection per owner (a Räumungsklage, a Mietinkasso, an Account, a Beteiligter), found or created."""

import dagster as dg

from bitbylaw_pipeline.defs.espocrm import OWNER_ASSETS
from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.queue_checks import oldest_waiting_check, parked_check
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, owner_record, partitions_of

COLLECTIONS = dg.AssetKey(["xai", "collections"])

stream = StreamAssets(
    name="collections",
    specs=(
        dg.AssetSpec(
            COLLECTIONS,
            description="One collection at xAI per owner in EspoCRM; its id stands in the owner's xaiCollectionId.",
            deps=OWNER_ASSETS,
            skippable=True,
            partitions_def=partitions_of("collections"),
            group_name="xai",
            kinds={"xai"},
            owners=OWNERS,
            tags=describe_tags("xai"),
            code_version="1",
            metadata={"stream": "collections", "partition": "{EntityType}:{id} of the owner"},
        ),
    ),
    record_of=owner_record,
    systems=frozenset({"espocrm", "xai-management"}),
)

# What the documents' flow reads. Not a detour: depending on a partitioned asset, a run without partition tags fails
# before its body, as soon as that asset has been materialized once (Dagster looks for the partitions it reads from).
collection_ids = dg.AssetSpec(
    dg.AssetKey(["espocrm", "collection_ids"]),
    description="The field xaiCollectionId on each owner in EspoCRM: where a document learns which collections it is for.",
    deps=[COLLECTIONS],
    group_name="espocrm",
    kinds={"espocrm"},
    owners=OWNERS,
    tags=describe_tags("espocrm"),
    code_version="1",
    metadata={"field": "xaiCollectionId"},
)

collections = build_stream_assets(stream)
collections_job = build_stream_job(stream)
collections_queue = build_queue_sensor(stream, collections_job)

checks = (parked_check(COLLECTIONS, stream.name), oldest_waiting_check(COLLECTIONS, stream.name))
collection_checks = build_asset_checks("collection_checks", checks)
