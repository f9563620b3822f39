"""The mutations that Dagster's UI sends for what a person does with partitions and runs."""

from collections.abc import Sequence
from typing import Any

from tests.orchestration.daemon import Daemon
from tests.orchestration.toy import BOTH

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "bitbylaw"}

_LAUNCH = """
mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_TERMINATE = """
mutation ($runId: String!) { terminateRun(runId: $runId) { __typename ... on PythonError { message } } }
"""


def launch_partition(daemon: Daemon, key: str) -> str:
    """A person materializes one partition of both assets; returns the run's id."""
    params = {
        "mode": "default",
        "selector": {
            **REPOSITORY,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": name.split("/")} for name in BOTH],
            "assetCheckSelection": [],
        },
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
    }
    answer: dict[str, Any] = daemon.graphql(_LAUNCH, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def launch_backfill(daemon: Daemon, keys: Sequence[str]) -> str:
    """A person materializes several partitions; returns the backfill's id."""
    params = {
        "assetSelection": [{"path": name.split("/")} for name in BOTH],
        "partitionNames": list(keys),
        "fromFailure": False,
    }
    answer: dict[str, Any] = daemon.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


def terminate(daemon: Daemon, run_id: str) -> None:
    """A person cancels a run."""
    answer = daemon.graphql(_TERMINATE, runId=run_id)["terminateRun"]
    assert answer["__typename"] == "TerminateRunSuccess", answer


def launch_job(daemon: Daemon, name: str) -> str:
    """A person launches a job without partitions; returns the run's id."""
    params = {"mode": "default", "selector": {**REPOSITORY, "pipelineName": name}}
    answer: dict[str, Any] = daemon.graphql(_LAUNCH, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def launch_checks(daemon: Daemon, asset: Sequence[str], *names: str) -> str:
    """A person executes some of an asset's checks; returns the run's id."""
    params = {
        "mode": "default",
        "selector": {
            **REPOSITORY,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [],
            "assetCheckSelection": [{"assetKey": {"path": list(asset)}, "name": name} for name in names],
        },
        "executionMetadata": {"tags": []},
    }
    answer: dict[str, Any] = daemon.graphql(_LAUNCH, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])
