"""Both systems kept in step by a real daemon on the project's own definitions; the stand-ins speak real HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import httpx
import pytest
from sqlalchemy import Connection, update

from bitbylaw_pipeline.defs import advoware_pass, beteiligte
from bitbylaw_pipeline.inbox import batches, outages, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import outage, work
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sandbox.server import RunningSandbox, running_sandbox
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.orchestration.daemon import Daemon, running_daemon, wait_for_run
from tests.orchestration.graphql import launch_job
from tests.orchestration.workbench import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STREAM = "beteiligte"
PARTY = "CBeteiligte"
TWO_HOURS = 7200.0
SETTINGS = {
    "BATCH_LINGER_SECONDS": "600", "BATCH_POLL_SECONDS": "0.2", "FEED_INTERVAL_SECONDS": "1", "LEASE_SECONDS": "5",
    # Parties and accounts alone: no xAI, and no run for it.
    "COLLECTION_OWNERS": "[]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firm:
    """A running daemon, both systems, and our state database."""

    daemon: Daemon
    sandbox: RunningSandbox
    database: Database

    def espo(self, method: str, path: str, body: Any = None) -> Any:
        """A person's call of EspoCRM's API."""
        response = httpx.request(
            method,
            f"{self.sandbox.espocrm_api_base_url}/{path}",
            json=body,
            headers={"X-Api-Key": self.sandbox.espocrm_api_key},
        )
        assert response.status_code == 200, (path, response.status_code)
        return response.json()

    def at_espocrm(self, party: str) -> Any:
        """A party's given name in EspoCRM."""
        return self.espo("GET", f"{PARTY}/{party}")["vorname"]

    def at_advoware(self, betnr: int) -> Any:
        """A party's given name in Advoware."""
        return self.sandbox.advoware.store.beteiligte[betnr].row["vorname"]

    def want(self, *keys: str) -> None:
        """What the receiver does with a webhook."""
        self.database.run_sync(lambda conn: work_queue.want(conn, self.database.now(conn), STREAM, keys))

    def row(self, key: str) -> work_queue.WorkRow | None:
        """The party's row in the queue."""
        return self.database.read(lambda conn: work_queue.get(conn, STREAM, key))

    def is_quiet(self) -> bool:
        """Whether nothing is open in any stream."""
        figures = self.database.read(lambda conn: work_queue.summary(conn, self.database.now(conn)))
        return not figures

    def materializations(self) -> int:
        """How many materializations of parties there are."""
        return len(self.daemon.instance.fetch_materializations(beteiligte.BETEILIGTE, limit=1000).records)

    def materialized(self) -> set[str]:
        """The parties that are materialized."""
        return set(self.daemon.instance.get_materialized_partitions(beteiligte.BETEILIGTE))

    def writes(self) -> int:
        """How many writing requests both systems have had."""
        ledgers = (self.sandbox.advoware.ledger, self.sandbox.espocrm.ledger)
        return sum(
            entry.method in ("POST", "PUT", "DELETE") and not entry.path.startswith(("/security", "/sandbox"))
            for ledger in ledgers
            for entry in list(ledger.entries)
        )

    def run_pass(self) -> dict[str, Any]:
        """A pass launched by a person in the UI, and its numbers; once more if the schedule's had a pair in hand."""
        for _ in range(2):
            run_id = launch_job(self.daemon, advoware_pass.JOB)
            ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
            assert wait_for_run(self.daemon, run_id, *ended).status is dg.DagsterRunStatus.SUCCESS
            (record,) = self.daemon.instance.get_records_for_run(
                run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            ).records[-1:]
            assert record.asset_materialization is not None
            told = {name: value.value for name, value in record.asset_materialization.metadata.items()}
            if not any(name.endswith("_skipped") for name in told):
                return told
        raise AssertionError("Another pass has every pair in hand.")

    def let_pass(self, seconds: float) -> None:
        """Time passes for both systems and, in what is due when, for us."""
        self.sandbox.advoware.clock.advance(seconds)
        self.sandbox.espocrm.clock.advance(seconds)

        def hurry(conn: Any) -> None:
            conn.execute(update(outage).values(until=outage.c.until - seconds))
            conn.execute(update(work).values(not_before=work.c.not_before - seconds))

        self.database.run_sync(hurry)


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    """One daemon for the tests of this module; each brings about what it stands on, for another may not have run."""
    folder = tmp_path_factory.mktemp("advoware-daemon")
    url = migrated_url("sqlite", folder)
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    sample = seed_document()
    kept = {name: sample["records"][name] for name in (PARTY, "CBankverbindungen")}
    espocrm_seed = {"reset": True, "model": "kanzlei", "records": kept}
    try:
        with running_sandbox(
            espocrm_seed=espocrm_seed,
            advoware_seed=advoware_seed_document(),
            # Our clock stands still while theirs moves on.
            advoware_switches={"clock_window_seconds": 1e6},
        ) as sandbox:
            environment = {
                **SETTINGS,
                "STATE_DB_URL": url,
                "STATE_ENCRYPTION_KEY": ENCRYPTION_KEY,
                **sandbox.environment,
            }
            with running_daemon(folder / "home", "bitbylaw_pipeline.definitions", environment) as daemon:
                opened = Firm(daemon, sandbox, database)
                try:
                    yield opened
                finally:
                    drain(opened)
    finally:
        database.close()


def drain(firm: Firm) -> None:
    """As `bitbylaw` does before it stops anything: the code server waits for its runs."""
    database = firm.database
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.DRAIN))

    def is_over() -> bool:
        def live(conn: Connection) -> int:
            now = database.now(conn)
            return sum(len(batches.live(conn, now, stream.name)) for stream in advoware_pass.STREAMS)

        return not database.read(live)

    wait_until(is_over, "drained")


def two_linked(firm: Firm) -> list[tuple[str, int]]:
    """Two parties that stand on both sides: id in EspoCRM and number in Advoware."""
    listed = firm.espo("GET", f"{PARTY}?select=id,betnr&maxSize=50&orderBy=id")["list"]
    found = [(str(party["id"]), int(party["betnr"])) for party in listed if party.get("betnr")]
    return found[:2]


def test_want_leads_to_a_materialized_partition(firm: Firm) -> None:
    """What a webhook wants is materialized by a batch; the next one, which meets it warm, within seconds."""
    (first, betnr), _ = two_linked(firm)
    firm.want(first)
    wait_until(lambda: first in firm.materialized(), "the first party")
    wait_until(firm.is_quiet, "the first parties from the feed")
    before = firm.materializations()
    firm.espo("PUT", f"{PARTY}/{first}", {"vorname": "Anders"})
    firm.want(first)
    wait_until(lambda: firm.at_advoware(betnr) == "Anders", "the webhook's change at Advoware")
    wait_until(lambda: firm.materializations() > before, "its materialization")


def test_offline_for_two_hours_loses_nothing(firm: Firm) -> None:
    """While the connector is away work waits without counting attempts, and goes on by itself with a new token."""
    advoware = firm.sandbox.advoware
    (first, betnr), _ = two_linked(firm)
    firm.want(first)
    wait_until(firm.is_quiet, "rest")
    before = firm.at_advoware(betnr)
    tokens = advoware.tokens.given
    advoware.switches.update({"offline_until": advoware.clock.now() + TWO_HOURS})
    firm.espo("PUT", f"{PARTY}/{first}", {"vorname": "Offline"})

    def waits() -> bool:
        paused = firm.database.read(lambda conn: outages.paused(conn, firm.database.now(conn)))
        row = firm.row(first)
        # In nobody's hands: a pass that is still to fail would be put off after `let_pass`.
        is_free = row is not None and row.wanted > row.done and row.lease_token is None
        return set(paused) == {"advoware"} and is_free

    wait_until(waits, "the pause", 90)
    row = firm.row(first)
    assert row is not None
    assert (row.attempts, row.parked_at) == (0, None)
    assert firm.at_advoware(betnr) == before
    firm.let_pass(TWO_HOURS)

    def has_arrived() -> bool:
        # Minutes go by: what was found out a moment ago about the outage still counts for a while.
        firm.let_pass(5.0)
        return bool(firm.at_advoware(betnr) == "Offline")

    def is_at_rest() -> bool:
        # Whatever met the outage last waits 70 s, as the vendor's own client does: longer than a test may.
        firm.let_pass(5.0)
        return firm.is_quiet()

    wait_until(has_arrived, "the change after the outage", 90)
    wait_until(is_at_rest, "everything else")
    done = firm.row(first)
    assert done is not None
    assert done.attempts == 0
    assert advoware.tokens.given > tokens


def test_pass_brings_what_advoware_tells_nobody(firm: Firm) -> None:
    """An edit in Advoware is found by a pass launched by hand; after it the sides agree, and another writes nothing."""
    _, (second, betnr) = two_linked(firm)
    firm.run_pass()
    wait_until(firm.is_quiet, "rest")
    firm.sandbox.advoware.edit({"table": "beteiligte", "id": betnr, "set": {"vorname": "Jette"}})
    firm.run_pass()
    # By ours, or by the schedule's a moment before it.
    wait_until(lambda: firm.at_espocrm(second) == "Jette", "Advoware's edit in EspoCRM")
    wait_until(firm.is_quiet, "our own write, seen by the feed")
    before = firm.writes()
    told = firm.run_pass()
    assert firm.writes() == before
    assert [told[f"{stream.name}_failed"] for stream in advoware_pass.STREAMS] == [0, 0, 0]
