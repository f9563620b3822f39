"""The toy stream as a code location that a real daemon loads; told by the environment where its things are."""

import json
import os

import dagster as dg

from tests.orchestration.toy import ToyBackend, toy_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The toy stream's assets, job and sensor."""
    backend = ToyBackend(
        database_url=os.environ["TOY_DATABASE"],
        folder=os.environ["TOY_FOLDER"],
        given=json.loads(os.environ.get("TOY_SETTINGS", "{}")),
    )
    return toy_definitions(backend)
