"""What reconciliations found, as metadata: counts become plots over time, the rows a table of ids."""

from collections.abc import Sequence
from itertools import islice

import dagster as dg

from bitbylaw_pipeline.domain.drift import DriftReport

ROWS = 100
"""Of the table; all rows are in `bitbylaw reconcile --csv`."""


def drift_metadata(reports: Sequence[DriftReport]) -> dict[str, dg.MetadataValue]:
    """For each flow the count of each class, found or not, and of what was listed; one table of all that was found."""
    metadata: dict[str, dg.MetadataValue] = {}
    for report in reports:
        numbers = {
            "found": len(report.drifts),
            **report.counts(),
            "wanted": sum(1 for drift in report.drifts if drift.repair == "queue"),
            "withheld": report.withheld,
            "for_a_person": sum(1 for drift in report.drifts if drift.repair == "person"),
            "busy": report.busy,
            "requests": report.calls,
            **{f"listed_{name}": count for name, count in report.listed.items()},
        }
        metadata |= {f"{report.flow}_{name}": dg.MetadataValue.int(count) for name, count in numbers.items()}
        metadata[f"{report.flow}_seconds"] = dg.MetadataValue.float(round(report.seconds, 3))
    drifts = (drift for report in reports for drift in report.drifts)
    rows = [
        dg.TableRecord(
            {
                "flow": drift.flow,
                "class": drift.kind.value,
                "subject": drift.subject,
                "says": drift.says,
                "repair": drift.repair,
                "what to do": drift.advice,
            }
        )
        for drift in islice(drifts, ROWS)
    ]
    if rows:
        metadata["drift"] = dg.MetadataValue.table(rows)
    return metadata
