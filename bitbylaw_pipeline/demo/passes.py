"""A pass over EspoCRM and Advoware, started as a person does it in Dagster's UI: by GraphQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bitbylaw_pipeline.demo.graphql import ask

JOB = "advoware_pass"
ENDED_WELL = "SUCCESS"
ENDED_BADLY = frozenset({"FAILURE", "CANCELED"})
_LAUNCH = """
mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_STATUS = "query ($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"


class Passes(Protocol):
    """Whoever can start a pass and tell how it is going."""

    def launch(self) -> str:
        """Starts one; the run's id."""
        ...

    def status(self, run_id: str) -> str:
        """Dagster's word for where the run is."""
        ...


@dataclass(frozen=True, slots=True)
class DagsterPasses:
    """Passes as runs of the job, at the UI's address. Raises httpx.HTTPError, or RuntimeError for a refusal."""

    ui_address: str

    def launch(self) -> str:
        """Starts one, as the button "Launch run" does."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "bitbylaw",
            "pipelineName": JOB,
        }
        answer = ask(
            self.ui_address, _LAUNCH, params={"selector": selector, "mode": "default", "runConfigData": {}}
        )
        launched = answer["launchPipelineExecution"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"Dagster does not launch {JOB}: {launched['__typename']}.")
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        """Such as QUEUED, STARTED, SUCCESS."""
        return str(ask(self.ui_address, _STATUS, id=run_id)["runOrError"].get("status", "LOST"))
