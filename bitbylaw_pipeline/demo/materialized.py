"""What Dagster's UI shows, asked as the UI asks: by GraphQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.demo.graphql import ask
from bitbylaw_pipeline.demo.picture import Picture

CHECK_SECONDS = 75.0
"""The checks are looked at once a minute."""
_STATS = """
query Stats($path: [String!]!) {
  assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode { partitionStats { numMaterialized } } }
}
"""
_CHECK = """
query Check($path: [String!]!, $name: String!) {
  assetCheckExecutions(assetKey: {path: $path}, checkName: $name, limit: 1) { status evaluation { severity } }
}
"""


def check_materializations(ui_address: str, picture: Picture) -> list[Verdict]:
    """One verdict an asset: what has a file, a collection, or a counterpart at Advoware, is materialized.

    Raises httpx.HTTPError where the UI does not answer.
    """
    two_way = picture.two_way
    expected = {
        "xai/files": sum(state.file_id is not None for state in picture.states.values()),
        "xai/collections": sum(
            state.collection_id is not None for state in picture.collection_states.values()
        ),
        "google/termine": len(picture.calendars.passes),
        "advoware/akten": sum(one is not None for one in two_way.matters.values()),
        **{f"advoware/{pair}": one.active for pair, one in two_way.counts.items() if one.active},
    }
    return [_check_stats(ui_address, name, count) for name, count in expected.items()]


def check_warnings(ui_address: str, picture: Picture) -> list[Verdict]:
    """One verdict a pair: where something waits for a person, its asset check warns. Waits until it has been looked
    at, at most a good minute.
    """
    pairs = sorted({one.pair for one in picture.two_way.holds})
    deadline = time.monotonic() + CHECK_SECONDS
    return [_check_warning(ui_address, pair, deadline) for pair in pairs]


def _check_stats(ui_address: str, name: str, expected: int) -> Verdict:
    stats = ask(ui_address, _STATS, path=name.split("/"))["assetNodeOrError"]["partitionStats"]
    found = stats["numMaterialized"]
    return Verdict(
        found == expected, f"Dagster shows {found} partitions of {name} materialized", f"expected {expected}"
    )


def _check_warning(ui_address: str, pair: str, deadline: float) -> Verdict:
    seen: Sequence[dict[str, Any]] = ()
    while time.monotonic() < deadline:
        answer = ask(ui_address, _CHECK, path=["advoware", pair], name="nothing_held")
        seen = answer["assetCheckExecutions"]
        if seen and seen[0]["status"] == "FAILED":
            break
        time.sleep(1.0)
    warns = bool(seen) and seen[0]["status"] == "FAILED" and seen[0]["evaluation"]["severity"] == "WARN"
    return Verdict(
        warns, f"Dagster's asset check on advoware/{pair} warns of what waits for a person", str(list(seen))
    )
