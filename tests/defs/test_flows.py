"""The project's own jobs and sensors, from EspoCRM to materializations, on the stand-ins."""

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from sqlalchemy import Connection, update

from bitbylaw_pipeline.defs import collections, documents, reconciliation
from bitbylaw_pipeline.inbox import batches, work_queue
from bitbylaw_pipeline.inbox.schema import document_state
from bitbylaw_pipeline.orchestration.feed_sensor import build_feed_sensor
from tests.defs.conftest import KLAGE, Office, SandboxBackend

PERSONS = ("Grünwald", "Mietschulden")


def sandbox_backend(office: Office, **given: Any) -> SandboxBackend:
    """The office's backend with something set otherwise."""
    same = office.backend
    return SandboxBackend(name=same.name, database_url=same.database_url, folder=same.folder, **given)


def poll_feed(office: Office) -> str:
    """One tick of the change feed's sensor; returns what it says."""
    sensor = build_feed_sensor(("documents", "collections"))
    with dg.build_sensor_context(instance=office.instance, resources={"backend": office.backend}) as context:
        return str(sensor.evaluate_tick(context).skip_message)


def work_off(office: Office) -> None:
    """Batches of both streams until nothing is ready."""
    for name in ("collections", "documents", "collections", "documents"):
        assert office.run(name).success


@pytest.fixture
def busy_office(office: Office) -> tuple[Office, str, list[str]]:
    """A firm with one matter and two documents, found by the change feed and worked off."""
    matter = office.new_matter("Grünwald ./. Mietschulden")
    made = [
        office.new_document(matter, f"Grünwald-{number}.txt", b"Mietschulden %d" % number)
        for number in (1, 2)
    ]
    said = poll_feed(office)
    assert said.startswith("Changed and wanted: ")
    assert "2 CDokumente" in said
    assert f"1 {KLAGE}" in said
    work_off(office)
    return office, matter, made


def test_changes_become_materializations(busy_office: tuple[Office, str, list[str]]) -> None:
    """What the feed finds ends as one materialization per document and owner, linked to the record in EspoCRM."""
    office, matter, made = busy_office
    assert office.instance.get_materialized_partitions(documents.FILES) == set(made)
    assert office.instance.get_materialized_partitions(documents.COLLECTION_DOCUMENTS) == set(made)
    assert office.instance.get_materialized_partitions(collections.COLLECTIONS) == {f"{KLAGE}:{matter}"}
    event = office.instance.get_latest_materialization_event(collections.COLLECTIONS)
    assert event is not None
    assert event.asset_materialization is not None
    link = event.asset_materialization.metadata["record"]
    assert link == dg.MetadataValue.url(f"http://crm.example/#{KLAGE}/view/{matter}")
    assert len(office.stand_ins.xai.state()["files"]) == 2


def test_feed_is_left_to_a_batch_that_polls_it(office: Office) -> None:
    """While a batch is alive that polls the feed itself the sensor leaves it alone and says so."""
    office.database.run_sync(
        lambda conn: batches.take_over(conn, office.database.now(conn), "documents", None, "a-run", 60.0)
    )
    assert poll_feed(office) == "Polled by the batch of documents between its claims."


def test_feed_that_batches_do_not_poll_is_polled_by_the_sensor(office: Office) -> None:
    """With FEED_INTERVAL_SECONDS at 0 batches leave the feed alone, so the sensor polls it beside them."""
    office.database.run_sync(
        lambda conn: batches.take_over(conn, office.database.now(conn), "documents", None, "a-run", 60.0)
    )
    alone = replace(office, backend=sandbox_backend(office, feed_interval=0.0))
    assert poll_feed(alone) == "Nothing has changed."


def test_nothing_personal_in_what_dagster_stores(
    busy_office: tuple[Office, str, list[str]], tmp_path: Path
) -> None:
    """No name of a person or file and no word of a document stands in any event, tag, key or log that Dagster keeps."""
    office, _, _ = busy_office
    stored = [json.dumps(dict(run.tags)) + json.dumps(run.run_config) for run in office.instance.get_runs()]
    for run in office.instance.get_runs():
        stored += [serialize_value(entry) for entry in office.instance.all_logs(run.run_id)]
    for file in (tmp_path / "dagster").rglob("*"):
        if file.is_file():
            stored.append(file.read_bytes().decode("utf-8", errors="replace"))
    assert len(stored) > 50
    for name in PERSONS:
        escaped = json.dumps(name)[1:-1]
        assert not any(name in text or escaped in text for text in stored), name


def index_now(conn: Connection) -> None:
    """Makes every look at the indexing due."""
    conn.execute(update(document_state).values(index_check_at=0.0))


def want_all(conn: Connection, keys: list[str]) -> None:
    """An event for each document."""
    work_queue.want(conn, time.time(), "documents", keys)


def test_nightly_comparison_wants_what_differs(busy_office: tuple[Office, str, list[str]]) -> None:
    """The nightly comparison finds a deletion that nobody told us of, wants the document, and publishes counts."""
    office, _, made = busy_office
    # Until xAI has indexed them they are looked at every few seconds anyway.
    office.stand_ins.xai.clock.advance(60.0)
    for prepare in (index_now, partial(want_all, keys=made)):
        office.database.run_sync(prepare)
    work_off(office)
    office.espo("DELETE", f"/api/v1/CDokumente/{made[0]}")
    result = office.run("xai_drift")
    assert result.success
    event = office.instance.get_latest_materialization_event(reconciliation.drift.key)
    assert event is not None
    assert event.asset_materialization is not None
    metadata: dict[str, Any] = {
        name: value.value for name, value in event.asset_materialization.metadata.items()
    }
    assert metadata["documents_listed_espocrm_documents"] == 1
    assert metadata["documents_gone_in_espocrm"] == metadata["documents_wanted"] == 1
    assert metadata["documents_orphaned"] == 0
    (row,) = metadata["drift"].records
    assert row.data["subject"] == made[0]
    row = office.database.read(lambda conn: work_queue.get(conn, "documents", made[0]))
    assert row is not None
    assert row.wanted > row.done


def test_person_is_told_why_nothing_left_the_firm(busy_office: tuple[Office, str, list[str]]) -> None:
    """A partition launched by hand with XAI_EGRESS off fails with the sentence that says so."""
    office, matter, _ = busy_office
    held = office.new_document(matter, "neu.txt", b"neu")
    off = replace(office, backend=sandbox_backend(office, egress="off"))
    office.instance.add_dynamic_partitions("documents", [held])
    result = off.run("documents", partition_key=held)
    assert not result.success
    texts = [serialize_value(entry) for entry in office.instance.all_logs(result.run_id)]
    assert any("Nothing of it may leave the firm" in text for text in texts)


def test_housekeeping_deletes_old_events_and_keeps_what_exists(
    busy_office: tuple[Office, str, list[str]],
) -> None:
    """The nightly clean-up takes old inbox rows and runs that nothing rests on, and no materialization."""
    office, _, made = busy_office
    result = office.run(
        "housekeeping", run_config={"ops": {"delete_what_is_old": {"config": {"run_days": 1}}}}
    )
    assert result.success
    assert office.instance.get_materialized_partitions(documents.FILES) == set(made)
