"""The sensor `alerts` on a real instance: failed runs are told once, parked ones not twice, and no tick hangs."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bitbylaw_pipeline.clients import alert_webhook, mail
from bitbylaw_pipeline.defs.alerts import alerts
from bitbylaw_pipeline.inbox import alerts as alert_rows
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.orchestration.alert_sensor import DEADLINE_SECONDS, build_alert_sensor
from bitbylaw_pipeline.orchestration.failed_runs import failed_jobs
from tests.mail_server import MailBox, dripping_server, mail_server
from tests.orchestration.toy import ToyBackend
from tests.orchestration.workbench import Workbench, workbench

OFFICE: dict[str, Any] = {
    "alert_email_to": "office@kanzlei.example",
    "alert_email_from": "pipeline@kanzlei.example",
}


@dg.op(config_schema={"fails": bool})
def one(context: dg.OpExecutionContext) -> None:
    """Fails if told to."""
    if context.op_config["fails"]:
        raise RuntimeError("Annegret Musterfrau")


@dg.job(name="housekeeping")
def some_job() -> None:
    """One op."""
    one()


def run(bench: Workbench, *, fails: bool, tags: dict[str, str] | None = None) -> str:
    """A run of the job in this process; returns its id."""
    config = {"ops": {"one": {"config": {"fails": fails}}}}
    done = some_job.execute_in_process(
        instance=bench.instance, run_config=config, raise_on_error=False, tags=tags
    )
    assert done.success is not fails
    return done.run_id


def told(
    bench: Workbench, cursor: str | None = None, sensor: dg.SensorDefinition = alerts, **given: Any
) -> tuple[str, str | None]:
    """What a tick says, and its cursor."""
    backend = ToyBackend(
        database_url=bench.backend.database_url,
        folder=bench.backend.folder,
        given={**bench.backend.given, **given},
    )
    context = dg.build_sensor_context(instance=bench.instance, resources={"backend": backend}, cursor=cursor)
    result = sensor(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


@pytest.fixture
def box() -> Iterator[MailBox]:
    """A mail server."""
    with mail_server() as running:
        yield running


@pytest.fixture
def office(tmp_path: Path, box: MailBox) -> Iterator[Workbench]:
    """A workbench whose mail goes there."""
    given: dict[str, Any] = {
        **OFFICE,
        "smtp_host": "127.0.0.1",
        "smtp_port": box.port,
        "smtp_security": "none",
    }
    with workbench(tmp_path, **given) as bench:
        yield bench


def test_failed_run_is_told_once_with_its_page_and_without_its_error(office: Workbench, box: MailBox) -> None:
    """A failed run is one mail; the next tick says nothing; the error's text stays in the house."""
    says, cursor = told(office)
    assert says == "0 open. Nothing to tell."
    run_id = run(office, fails=True)
    says, cursor = told(office, cursor)
    assert says == "1 open. mail: told 1 new."
    text = box.mails[0].get_content()
    assert f"1 run of housekeeping failed: {run_id}." in text
    assert f"http://127.0.0.1:3000/runs/{run_id}" in text
    assert "Musterfrau" not in text
    run(office, fails=True)
    assert told(office, cursor)[0] == "1 open. Nothing to tell."
    assert len(box.mails) == 1


def test_failure_that_a_success_has_followed_is_told_all_the_same(office: Workbench, box: MailBox) -> None:
    """Between two ticks a run may fail and another succeed; that of last week, before the first tick, is no news."""
    parked: dict[str, set[str]] = {}
    failed = run(office, fails=True)
    run(office, fails=False)
    now = datetime.now(UTC).timestamp()
    assert failed_jobs(office.instance, parked, now, seen_until=now + 1) == []
    (found,) = failed_jobs(office.instance, parked, now, seen_until=now - 60)
    assert (found.job, found.run_ids) == ("housekeeping", (failed,))
    assert told(office, str(now))[0] == "1 open. mail: told 1 new."
    assert len(box.mails) == 1


def test_what_is_no_failure(office: Workbench) -> None:
    """Runs that were cancelled, that are run again, and those of parked entities, by whatever way they came."""
    run(office, fails=True, tags={"dagster/will_retry": "true"})
    run(office, fails=True, tags={"bitbylaw/run": "parked", "dagster/partition": "d1"})
    office.run_partition("bad-1")
    instance = office.instance
    instance.add_run(instance.get_runs()[0]._replace(run_id="cancelled", status=dg.DagsterRunStatus.CANCELED))
    parked = {"documents": {"bad-1"}}
    assert failed_jobs(instance, parked, time.time(), seen_until=0.0) == []
    assert [one.job for one in failed_jobs(instance, {}, time.time(), seen_until=0.0)] == ["documents"]


def test_parked_entity_is_told_as_parked_and_not_as_a_failed_run(office: Workbench, box: MailBox) -> None:
    """Its partition run fails, too, and one line is enough."""
    office.run_partition("bad-1")
    assert told(office)[0] == "1 open. mail: told 1 new."
    text = box.mails[0].get_content()
    assert "1 of documents is set aside (invalid): bad-1." in text
    assert "failed" not in text


def test_partition_run_of_an_entity_that_is_not_parked_is_told(office: Workbench, box: MailBox) -> None:
    """A person may have started it and gone home."""
    office.run_partition("fail-1")
    told(office)
    assert "1 run of documents failed" in box.mails[0].get_content()


def test_without_a_channel_it_says_which_settings(bench: Workbench) -> None:
    """The alerts are kept, and nobody is told."""
    run(bench, fails=True)
    says, cursor = told(bench)
    assert says.startswith(
        "Nobody is told: set ALERT_EMAIL_TO, ALERT_EMAIL_FROM and SMTP_HOST for mail, or ALERT_WEB"
    )
    assert "1 open." in says
    says, _ = told(bench, cursor, **OFFICE)
    assert says.startswith("ALERT_EMAIL_TO is set and SMTP_HOST is not: no mail is sent.")
    assert len(bench.database.read(alert_rows.open_ones)) == 1


def test_unusable_settings_and_a_dead_database_are_one_sentence(bench: Workbench) -> None:
    """The tick neither fails nor hangs."""
    assert told(bench, None, alert_email_to="nobody")[0].startswith("ALERT_EMAIL_TO")
    broken = ToyBackend(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none", folder="", given={})
    context = dg.build_sensor_context(instance=bench.instance, resources={"backend": broken})
    result = alerts(context)
    assert isinstance(result, dg.SkipReason)
    assert "STATE_DB_URL" in (result.skip_message or "")


def test_tick_ends_in_time_whatever_hangs(bench: Workbench) -> None:
    """At its deadline it is given up; the lease is given back and the alert itself is kept for the next tick."""
    assert mail.DEADLINE_SECONDS < DEADLINE_SECONDS < 20
    assert alert_webhook.TIMEOUT_SECONDS < DEADLINE_SECONDS
    run(bench, fails=True)
    with dripping_server() as port:
        given = {**OFFICE, "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"}
        says, cursor = told(bench, None, build_alert_sensor(deadline=0.3), **given)
    assert says == "Telling took longer than 0.3 s; tried again in a minute."
    assert cursor is None
    assert len(bench.database.read(alert_rows.open_ones)) == 1
    assert "1 open." in told(bench)[0]
