"""What Dagster loads: everything is there, and each asset says what it is and whose it is."""

import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.definitions.repository_definition import RepositoryDefinition

from bitbylaw_pipeline.definitions import defs
from bitbylaw_pipeline.defs import advoware_pass, housekeeping
from bitbylaw_pipeline.settings import DEFAULT_OWNERS


@pytest.fixture(scope="module")
def repository() -> RepositoryDefinition:
    """The whole code location."""
    return defs().get_repository_def()


def test_everything_is_loaded(repository: RepositoryDefinition) -> None:
    """All assets, jobs, sensors and schedules of the project are there, and what runs by itself is switched on."""
    keys = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
    assert keys == {
        "espocrm/dokumente", "espocrm/raeumungsklagen", "espocrm/mietinkassos", "espocrm/accounts",
        "espocrm/beteiligte", "espocrm/bankverbindungen", "espocrm/collection_ids",
        "xai/collections", "xai/files", "xai/collection_documents", "xai/drift",
        "advoware/parteien", "advoware/konten", "advoware/aktenbestand",
        "advoware/beteiligte", "advoware/bankverbindungen", "advoware/akten", "advoware/pass", "advoware/drift",
        "advoware/terminkalender", "google/calendars", "google/termine",
        "google/audit",
    }  # fmt: skip
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert set(sensors) == {
        "akten_queue",
        "alerts",
        "bankverbindungen_queue",
        "beteiligte_queue",
        "change_feed",
        "collections_queue",
        "documents_queue",
        "indexing",
        "standing_checks",
        "termine_poll",
        "termine_queue",
    }
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert set(schedules) == {
        "nightly_xai_drift",
        "nightly_housekeeping",
        "advoware_every_quarter_hour",
        "termine_every_quarter_hour",
        "nightly_termine_audit",
        "nightly_advoware_drift",
    }
    assert all(schedule.default_status is dg.DefaultScheduleStatus.RUNNING for schedule in schedules.values())
    assert all(schedule.execution_timezone == "Europe/Berlin" for schedule in schedules.values())
    jobs = {job.name for job in repository.get_all_jobs()}
    assert jobs >= {
        "documents", "collections", "xai_drift", "housekeeping", "beteiligte", "bankverbindungen", "akten", "advoware_pass",
        "termine", "termine_audit", "advoware_drift",
    }  # fmt: skip


def test_every_asset_says_what_it_is(repository: RepositoryDefinition) -> None:
    """Each asset has an owner, kinds, a group, a description, tags, a code version and metadata."""
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        named = {
            "owners": node.owners,
            "kinds": node.kinds,
            "group": node.group_name if node.group_name != "default" else None,
            "description": node.description,
            "tags": {tag for tag in node.tags if not tag.startswith("dagster/")} >= {"system", "pii"},
            "code_version": node.code_version,
        }
        missing = [name for name, value in named.items() if not value]
        assert not missing, f"{key.to_user_string()} has no {', '.join(missing)}"


def test_every_owner_type_has_its_asset(repository: RepositoryDefinition) -> None:
    """Each owner type that the project knows by default stands in the lineage, above the collections."""
    graph = repository.asset_graph
    parents = graph.get(dg.AssetKey(["xai", "collections"])).parent_keys
    shown = {graph.get(key).metadata["entity_type"] for key in parents}
    assert shown == {owner.entity_type for owner in DEFAULT_OWNERS}


def test_lineage(repository: RepositoryDefinition) -> None:
    """A file comes from a document, a membership from a file, a document and a collection."""
    graph = repository.asset_graph
    parents = graph.get(dg.AssetKey(["xai", "collection_documents"])).parent_keys
    assert {key.to_user_string() for key in parents} == {
        "xai/files",
        "espocrm/collection_ids",
        "espocrm/dokumente",
    }
    above = graph.get(dg.AssetKey(["espocrm", "collection_ids"])).parent_keys
    assert {key.to_user_string() for key in above} == {"xai/collections"}
    assert {key.to_user_string() for key in graph.get(dg.AssetKey(["xai", "files"])).parent_keys} == {
        "espocrm/dokumente"
    }


def test_lineage_shows_both_sides_and_leads_from_an_akte_to_its_collection(
    repository: RepositoryDefinition,
) -> None:
    """What is kept in step comes from EspoCRM and from Advoware; above an Akte stand its matter and the collections."""
    graph = repository.asset_graph

    def above(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(["advoware", name])).parent_keys}

    assert above("beteiligte") == {"espocrm/beteiligte", "advoware/parteien"}
    assert above("bankverbindungen") == {"espocrm/bankverbindungen", "advoware/konten"}
    assert above("akten") == {
        "advoware/aktenbestand", "espocrm/raeumungsklagen", "espocrm/mietinkassos", "espocrm/collection_ids",
    }  # fmt: skip
    ancestors = graph.upstream_key_iterator(dg.AssetKey(["advoware", "akten"]))
    assert dg.AssetKey(["xai", "collections"]) in set(ancestors)
    assert above("pass") >= {f"advoware/{stream.name}" for stream in advoware_pass.STREAMS}
    termine = graph.get(dg.AssetKey(["google", "termine"]))
    assert {key.to_user_string() for key in termine.parent_keys} == {
        "advoware/terminkalender",
        "google/calendars",
    }


def test_schedule_comes_every_quarter_of_an_hour(repository: RepositoryDefinition) -> None:
    """The pass over Advoware and the employees' passes are due four times an hour."""
    due = {each.name: (each.cron_schedule, each.job_name) for each in repository.schedule_defs}
    assert due["advoware_every_quarter_hour"] == ("*/15 * * * *", "advoware_pass")
    assert due["termine_every_quarter_hour"] == ("*/15 * * * *", "termine")


def test_stream_assets_are_free_of_what_breaks_them(repository: RepositoryDefinition) -> None:
    """No pool (a slot is held for a whole step) and no retry policy (it turned a cancel into a second attempt)."""
    for name in (stream.name for stream in housekeeping.STREAMS):
        job = repository.get_job(name)
        (node,) = job.nodes
        assert node.name == f"sync_{name}"
        assert job.tags["dagster/max_retries"] == "0"
        assert node.definition.pools == set()
        assert job.get_node_named(node.name).definition.retry_policy is None  # type: ignore[attr-defined]  # an op, no graph


def test_no_stream_asset_depends_on_a_partitioned_one(repository: RepositoryDefinition) -> None:
    """A batch has no partition tags: with a partitioned asset above it, it fails before its body."""
    graph = repository.asset_graph
    for stream in housekeeping.STREAMS:
        for key in stream.asset_keys:
            above = graph.get(key).parent_keys - set(stream.asset_keys)
            assert [parent for parent in above if graph.get(parent).is_partitioned] == []


def test_loading_reaches_nothing_and_reads_no_environment() -> None:
    """Definitions load in an empty environment, open no connection, and leave the clients unloaded."""
    script = """
import socket, sys
def refuse(*_):
    raise RuntimeError("a connection at import")
socket.socket.connect = refuse
from bitbylaw_pipeline.definitions import defs
from bitbylaw_pipeline.defs import advoware_pass, housekeeping
defs().get_repository_def().get_all_jobs()
print([name for name in ("httpx", "aiohttp", "redis", "pandas") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert done.stdout.strip() == "[]"
