"""What every asset carries: owners and tags in one spelling."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

LINEAGE_ONLY = dg.SpecificPartitionsPartitionMapping([])
"""For what looks at all partitions at once: an arrow in the graph, and no partition that it waits for."""

BY_MORNING = dg.FreshnessPolicy.cron(
    deadline_cron="30 6 * * *", lower_bound_delta=timedelta(hours=3), timezone="Europe/Berlin"
)
"""Of what is made anew every night after 03:30: stale if the office opens without it."""

OWNERS = ["team:kanzlei-it"]
"""Who is asked when an asset is red."""


def describe_tags(system: str) -> Mapping[str, str]:
    """Tags of an asset in the given outside system; all of them hold, or point to, client secrets (§ 203 StGB)."""
    return {"system": system, "pii": "true"}
