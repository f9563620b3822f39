"""Documents: each one's file stands once at xAI, and in the collection of every matter that it belongs to."""

import dagster as dg

from bitbylaw_pipeline.defs.collections import collection_ids
from bitbylaw_pipeline.defs.espocrm import DOKUMENTE
from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.orchestration.document_checks import (
    egress_check,
    failed_indexing_check,
    permission_check,
)
from bitbylaw_pipeline.orchestration.feed_sensor import build_feed_sensor
from bitbylaw_pipeline.orchestration.indexing_sensor import build_indexing_sensor
from bitbylaw_pipeline.orchestration.queue_checks import oldest_waiting_check, parked_check
from bitbylaw_pipeline.orchestration.queue_sensor import build_queue_sensor
from bitbylaw_pipeline.orchestration.standing_checks import build_asset_checks
from bitbylaw_pipeline.orchestration.stream_op import build_stream_assets, build_stream_job
from bitbylaw_pipeline.orchestration.streams import StreamAssets, document_record, partitions_of

FILES = dg.AssetKey(["xai", "files"])
COLLECTION_DOCUMENTS = dg.AssetKey(["xai", "collection_documents"])

DOCUMENTS = partitions_of("documents")

stream = StreamAssets(
    name="documents",
    specs=(
        dg.AssetSpec(
            FILES,
            description="One file at xAI per document and content, uploaded once and never shared between documents.",
            deps=[DOKUMENTE],
            skippable=True,
            partitions_def=DOCUMENTS,
            group_name="xai",
            kinds={"xai"},
            owners=OWNERS,
            tags=describe_tags("xai"),
            code_version="1",
            metadata={"stream": "documents", "partition": "id of the document in EspoCRM"},
        ),
        dg.AssetSpec(
            COLLECTION_DOCUMENTS,
            description="The document's membership in the collection of every owner it is linked to in EspoCRM.",
            deps=[FILES, DOKUMENTE, collection_ids],
            skippable=True,
            partitions_def=DOCUMENTS,
            group_name="xai",
            kinds={"xai"},
            owners=OWNERS,
            tags=describe_tags("xai"),
            code_version="1",
            metadata={"stream": "documents", "partition": "id of the document in EspoCRM"},
        ),
    ),
    record_of=document_record,
    systems=frozenset({"espocrm", "xai-files", "xai-management"}),
)

documents = build_stream_assets(stream)
documents_job = build_stream_job(stream)
documents_queue = build_queue_sensor(stream, documents_job)
change_feed = build_feed_sensor(
    streams=("documents", "collections", "beteiligte", "bankverbindungen", "akten")
)
indexing = build_indexing_sensor(stream.name)

checks = (
    parked_check(COLLECTION_DOCUMENTS, stream.name),
    oldest_waiting_check(COLLECTION_DOCUMENTS, stream.name),
    failed_indexing_check(COLLECTION_DOCUMENTS),
    egress_check(FILES),
    permission_check(FILES),
)
document_checks = build_asset_checks("document_checks", checks)
