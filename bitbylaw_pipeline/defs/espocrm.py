"""The firm's records in EspoCRM, as the systems of record that everything else is made from."""

import dagster as dg

from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags
from bitbylaw_pipeline.settings import DEFAULT_MATTERS, DEFAULT_OWNERS

DOKUMENTE = dg.AssetKey(["espocrm", "dokumente"])
BANKVERBINDUNGEN = dg.AssetKey(["espocrm", "bankverbindungen"])

# What the lineage calls the owner types that the project knows by default. A type added in the settings works all the
# same; it shows below its entity type's name once it stands here.
OWNER_NAMES = {
    "CVmhRumungsklage": "raeumungsklagen",
    "CMietinkasso": "mietinkassos",
    "Account": "accounts",
    "CBeteiligte": "beteiligte",
}


def owner_asset(entity_type: str) -> dg.AssetKey:
    """The asset of an owner type's records."""
    return dg.AssetKey(["espocrm", OWNER_NAMES.get(entity_type, entity_type.lower())])


OWNER_ASSETS = tuple(owner_asset(owner.entity_type) for owner in DEFAULT_OWNERS)
MATTER_ASSETS = tuple(owner_asset(matter.entity_type) for matter in DEFAULT_MATTERS)


def _record_asset(key: dg.AssetKey, entity_type: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        description=description,
        group_name="espocrm",
        kinds={"espocrm"},
        owners=OWNERS,
        tags=describe_tags("espocrm"),
        code_version="1",
        metadata={"entity_type": entity_type},
    )


dokumente = _record_asset(
    DOKUMENTE,
    "CDokumente",
    "The firm's documents, kept in EspoCRM by people; read here, written back only in sync fields.",
)

bankverbindungen = _record_asset(
    BANKVERBINDUNGEN,
    "CBankverbindungen",
    "Bank accounts of parties, kept in EspoCRM by people and in step with Advoware by the stream bankverbindungen.",
)

owner_records = [
    _record_asset(
        owner_asset(owner.entity_type),
        owner.entity_type,
        f"Records of the type {owner.entity_type}: each owns a collection of its documents at xAI.",
    )
    for owner in DEFAULT_OWNERS
]
