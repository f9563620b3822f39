"""The parts with which the demo looks at EspoCRM and Advoware, on the stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.ledgers import Ledgers
from bitbylaw_pipeline.demo.long_wait import skip_long_wait
from bitbylaw_pipeline.demo.two_way_picture import TwoWayPicture, read_two_way
from bitbylaw_pipeline.inbox import outages, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.samples.advoware import (
    TWICE_IN_ADVOWARE,
    advoware_seed_document,
    espocrm_betnr,
)
from bitbylaw_pipeline.sandbox.samples.matters import person_betnr, person_record_id
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from tests.conftest import ENCRYPTION_KEY, migrated_url


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    """Both systems with the sample firm."""
    with running_sandbox(espocrm_seed=seed_document(), advoware_seed=advoware_seed_document()) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty state."""
    opened = Database.open(migrated_url("sqlite", tmp_path), encryption_key=ENCRYPTION_KEY)
    yield opened
    opened.close()


def picture(sandbox: RunningSandbox, database: Database) -> TwoWayPicture:
    """Both systems now."""
    crm, advoware = (
        httpx.get(f"{url}/sandbox/state", timeout=10).json()
        for url in (sandbox.espocrm_url, sandbox.advoware_url)
    )
    return database.read(lambda conn: read_two_way(conn, crm, advoware))


def test_both_systems_are_read_in_one_spelling(sandbox: RunningSandbox, database: Database) -> None:
    """What the samples have on both sides compares as equal, however each system writes it."""
    two_way = picture(sandbox, database)
    for person in PERSONS:
        if espocrm_betnr(person) is None or person is TWICE_IN_ADVOWARE:
            continue
        left, right = two_way.in_espocrm[person_record_id(person)], two_way.in_advoware[person_betnr(person)]
        assert (left.name, left.address, left.phones) == (right.name, right.address, right.phones)
        assert (left.emails, left.ibans, left.betnr) == (right.emails, right.ibans, right.betnr)
    assert two_way.akten.items() >= two_way.matters.items()
    assert two_way.links == 0


def test_an_employees_work_shows(sandbox: RunningSandbox, database: Database) -> None:
    """A changed field and an added number are there, and the connector can be switched."""
    betnr = person_betnr(PERSONS[2])
    with Employee(sandbox.advoware_url) as employee:
        employee.change_party(betnr, titel="Dr. habil.")
        employee.add_number(betnr, "+49 171 3920042", 3)
        employee.switch_connector(is_online=False)
        assert sandbox.advoware.switches.connector == "offline"
        employee.switch_connector(is_online=True)
    party = picture(sandbox, database).in_advoware[betnr]
    assert "Dr. habil." in party.name
    assert "+491713920042" in party.phones


def test_the_ledgers_count_what_was_written_since(sandbox: RunningSandbox) -> None:
    """Reads and requests for a token are no writes; what was refused counts, for it was tried."""
    ledgers = Ledgers((sandbox.espocrm_url, sandbox.advoware_url))
    httpx.put(f"{sandbox.espocrm_api_base_url}/CBeteiligte/before", json={}, timeout=10)
    marks = ledgers.marks()
    httpx.get(f"{sandbox.espocrm_api_base_url}/CBeteiligte", timeout=10)
    httpx.post(f"{sandbox.advoware_url}/security/api/v1/Token", json={}, timeout=10)
    assert ledgers.writes_since(marks) == []
    httpx.put(f"{sandbox.advoware_url}/relay/api/v1/advonet/Beteiligte/20000", json={}, timeout=10)
    assert len(ledgers.writes_since(marks)) == 1
    assert ledgers.paths_with(".*/Beteiligte/20000") == ["/relay/api/v1/advonet/Beteiligte/20000"]


def test_the_long_wait_is_over_at_once(database: Database) -> None:
    """The pause has passed, so that the system is asked again, and what waited is due."""
    database.run_sync(lambda c: outages.pause(c, database.now(c), "advoware", 70.0, "does not answer"))
    database.run_sync(
        lambda c: work_queue.want(c, database.now(c), "beteiligte", ["a"], not_before=database.now(c) + 70.0)
    )
    skip_long_wait(database)
    assert database.read(lambda c: outages.paused(c, database.now(c))) == {}
    assert [one.system for one in database.read(outages.listing)] == ["advoware"]
    assert database.read(lambda c: work_queue.ready_count(c, database.now(c), "beteiligte", limit=9)) == 1
