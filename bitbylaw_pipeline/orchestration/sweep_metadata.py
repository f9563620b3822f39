"""The nightly comparison's report as metadata: counts become plots, ids a list."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from bitbylaw_pipeline.sync.sweep import SweepReport

SAMPLE = 100


def sweep_metadata(report: "SweepReport") -> dict[str, dg.MetadataValue]:
    """Each count by its name; of each list its length and up to a hundred ids."""
    metadata: dict[str, dg.MetadataValue] = {}
    for name, value in asdict(report).items():
        if isinstance(value, list):
            metadata[name] = dg.MetadataValue.int(len(value))
            if value:
                metadata[f"{name}_ids"] = dg.MetadataValue.json(value[:SAMPLE])
        else:
            metadata[name] = dg.MetadataValue.int(int(value))
    return metadata
