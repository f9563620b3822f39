"""What Dagster loads; nothing happens at import."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Everything in `defs/`, one module per flow."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
