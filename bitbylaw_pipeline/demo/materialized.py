"""What Dagster's UI shows as materialized, asked as the UI asks: by GraphQL."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.demo.picture import Picture

SECONDS = 60.0
_QUERY = """
query Stats($path: [String!]!) {
  assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode { partitionStats { numMaterialized } } }
}
"""


def check_materializations(ui_address: str, picture: Picture) -> list[Verdict]:
    """One verdict an asset: each document that has a file at xAI, and each owner with a collection, is materialized.

    Raises httpx.HTTPError where the UI does not answer.
    """
    documents = sum(state.file_id is not None for state in picture.states.values())
    owners = sum(state.collection_id is not None for state in picture.collection_states.values())
    return [
        _check(ui_address, ("xai", "files"), documents),
        _check(ui_address, ("xai", "collections"), owners),
        *(
            _check(ui_address, ("advoware", pair), one.active)
            for pair, one in sorted(picture.two_way.counts.items())
            if one.active
        ),
    ]


def _check(ui_address: str, path: Sequence[str], expected: int) -> Verdict:
    answer = httpx.post(
        f"{ui_address}/graphql", json={"query": _QUERY, "variables": {"path": list(path)}}, timeout=SECONDS
    )
    stats = answer.raise_for_status().json()["data"]["assetNodeOrError"]["partitionStats"]
    found = stats["numMaterialized"]
    return Verdict(
        found == expected,
        f"Dagster shows {found} partitions of {'/'.join(path)} materialized",
        f"expected {expected}",
    )
