"""What every asset, sensor and job of the project is given."""

import dagster as dg

from bitbylaw_pipeline.orchestration.backend import Backend


@dg.definitions
def project_resources() -> dg.Definitions:
    """One process per run: starting a second one for its only step costs 7 seconds of CPU."""
    return dg.Definitions(resources={"backend": Backend()}, executor=dg.in_process_executor)
