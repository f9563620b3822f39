"""`bitbylaw erase` over HTTP on all four stand-ins, with a real Redis and a real Dagster: what a person types and gets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redis
from click.testing import Result

from bitbylaw_pipeline.domain.erasure import Kind
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.inbox import akte_states, egress, erasures, proxy_audit, two_way_desk, two_way_links
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.proxy_audit import ProxyWrite
from bitbylaw_pipeline.settings import DEFAULT_OWNERS
from tests.cli.conftest import Office, Terminal, calendar_of
from tests.servers import RedisServer
from tests.sync.erasure_desk import bytes_naming, rows_naming

FILES = dg.AssetKey(["xai", "files"])
DAY = datetime.now(BERLIN).date() + timedelta(days=3)


@dataclass(slots=True)
class Firm:
    """An office with all four systems, its state, its Redis and its Dagster."""

    office: Office
    database: Database
    home: Path
    redis: RedisServer

    def run(self, *arguments: str) -> Result:
        """The command's result."""
        given = {"REDIS_HOST": self.redis.host, "REDIS_PORT": str(self.redis.port)}
        return self.office.run(*arguments, **given)

    def well(self, *arguments: str) -> str:
        """What the command prints; it ends well."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def materialize(self, *keys: str) -> None:
        """Dagster has seen these documents."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            instance.add_dynamic_partitions("documents", list(keys))
            for key in keys:
                event = dg.AssetMaterialization(FILES, partition=key, metadata={"record": f"#/view/{key}"})
                instance.report_runless_asset_event(event)

    def materialized(self) -> set[str]:
        """The documents that Dagster knows of."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return set(instance.get_materialized_partitions(FILES))

    def redis_keys(self) -> list[str]:
        """Every key in every database of Redis."""
        found = []
        for number in range(2):
            with redis.Redis(self.redis.host, self.redis.port, db=number, decode_responses=True) as client:
                found += [str(key) for key in client.scan_iter()]
        return found

    def events(self) -> list[dict[str, Any]]:
        """The living events of AB's calendar."""
        calendars = self.office.sandbox.google.state()["calendars"]
        (calendar,) = [one for one in calendars if one["id"] == calendar_of("AB")]
        return [one for one in calendar["events"] if one["status"] != "cancelled"]

    def left(self, words: set[str]) -> list[tuple[str, str]]:
        """Where a word still stands: our tables, decrypted; the files of the state and of Dagster; Redis."""
        found = rows_naming(self.database, words) + bytes_naming(self.home, words)
        found += bytes_naming(Path(str(self.database.engine.url.database)).parent, words)
        return found + [("redis", word) for key in self.redis_keys() for word in words if word in key]


@pytest.fixture
def firm(calendar_office: Office, with_state: tuple[Terminal, Database], folder: Path) -> Iterator[Firm]:
    """The sample firm with three employees' empty calendars; nothing has been compared yet."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    server = RedisServer()
    server.start()
    try:
        yield Firm(calendar_office, with_state[1], home, server)
    finally:
        server.stop()


def linked_matter(firm: Firm) -> tuple[str, int]:
    """(its key, the number of its Akte) of a matter that is tied to an Akte and has documents."""
    firm.well("pass", "akten")
    states = firm.database.read(akte_states.load)
    state = next(one for one in states.values() if one.owner_key and one.aktennummer)
    assert state.owner_key is not None
    assert state.aktennummer is not None
    return state.owner_key, state.aktennummer


def documents_of(firm: Firm, matter: str) -> list[str]:
    """The documents that EspoCRM links with the matter."""
    rows = firm.office.espocrm("GET", f"{matter.replace(':', '/')}/dokumentes?maxSize=50")["list"]
    return [str(row["id"]) for row in rows]


def permit(firm: Firm, matter: str, *, is_permitted: bool) -> None:
    """A person gives the permission, or withdraws it."""
    values = {"kiFreigabe": is_permitted, "kiFreigabeReferenz": "Mandat 7", "kiFreigabeDatum": "2026-01-02"}
    firm.office.espocrm("PUT", matter.replace(":", "/"), values)


def test_a_document_from_plan_to_proof(firm: Firm) -> None:
    """Refused, planned, erased, looked for everywhere, proved; and a second time there is nothing left."""
    matter, _ = linked_matter(firm)
    permit(firm, matter, is_permitted=True)
    gone, stays = documents_of(firm, matter)[:2]
    firm.well("sync", "collections", matter, "--here")
    for document in (gone, stays):
        firm.well("sync", "documents", document, "--here")
    firm.materialize(gone, stays)
    refused = firm.run("erase", "document", gone, "--confirm")
    assert refused.exit_code == 1
    assert "withdraw the permission, exclude it, unlink it or delete it in EspoCRM first" in refused.output
    plan = firm.well("erase", "document", gone)
    assert "As things stand, --confirm refuses this." in plan
    firm.office.espocrm("DELETE", f"CDokumente/{gone}")
    before = rows_naming(firm.database, {gone})
    plan = firm.well("erase", "document", gone)
    assert "Nothing has been changed: --confirm carries it out." in plan
    assert rows_naming(firm.database, {gone}) == before
    assert firm.materialized() == {gone, stays}

    said = firm.well("erase", "document", gone, "--confirm")
    assert "dagster" in said
    assert firm.left({gone}) == []
    assert firm.materialized() == {stays}
    assert gone not in json.dumps(firm.office.sandbox.xai.state(), default=str)
    assert stays in json.dumps(firm.office.sandbox.xai.state(), default=str)
    assert firm.database.read(egress.verify) is None
    assert "Nothing is left of this document" in firm.well("erase", "document", gone, "--confirm")
    (proof,) = firm.database.read(erasures.load)
    assert proof.id in firm.well("erase", "proofs")
    assert gone not in firm.well("erase", "proofs", "--json")
    assert proof.id in firm.well("erase", "proofs", "--of", "document", gone)
    assert firm.run("erase", "proofs", "--of", "document", stays).exit_code == 1


def termin(firm: Firm, number: int, akte: int) -> None:
    """A Termin of AB's about that Akte."""
    row = {
        "frNr": number, "datum": f"{DAY}", "uhrzeitVon": "09:30:00", "datumBis": f"{DAY}", "uhrzeitBis": "10:30:00",
        "text": f"Besprechung Lindqvist {number}", "anwalt": "AB", "nr": akte,
    }  # fmt: skip
    firm.office.sandbox.advoware.seed({"termine": [row]})


def test_a_matter_with_its_events_in_google(firm: Firm) -> None:
    """While Advoware has its Termin, the event stays and the number is told; deleted there and named, it goes."""
    matter, number = linked_matter(firm)
    permit(firm, matter, is_permitted=True)
    firm.well("sync", "collections", matter, "--here")
    for document in documents_of(firm, matter):
        firm.well("sync", "documents", document, "--here")
    termin(firm, 501, number)
    termin(firm, 502, number + 1)
    firm.well("pass", "termine:AB")
    assert len(firm.events()) == 2
    firm.office.espocrm("DELETE", matter.replace(":", "/"))
    first = firm.run("erase", "matter", matter, "--confirm")
    assert first.exit_code == 1
    assert "Advoware still has 1 Termine of it (501)" in first.output
    assert "--termin 501" in first.output
    assert len(firm.events()) == 2
    matter_id = matter.partition(":")[2]
    assert firm.left({matter_id}) == []
    firm.office.sandbox.advoware.edit({"table": "termine", "id": 501, "delete": True})
    ledger = firm.office.sandbox.google.ledger.entries
    ledger.clear()
    for record in ("501", "502"):
        write = ProxyWrite(f"write-{record}", "0a1b2c3d", "PUT", "Termine", record, "0" * 64)
        firm.database.run_sync(partial(proxy_audit.begin, now=1.0, write=write))
    said = firm.well("erase", "matter", matter, "--termin", "501", "--confirm")
    assert "google_events" in said
    (left,) = firm.events()
    assert "502" in left["summary"]
    deletes = [one for one in ledger if one.method == "DELETE"]
    assert [one.query.partition("&")[0] for one in deletes] == ["sendUpdates=none"]
    assert firm.left({"Lindqvist 501"}) == []
    assert firm.database.read(lambda c: {row.record for row in proxy_audit.listing(c)}) == {None, "502"}
    assert rows_naming(firm.database, {"Lindqvist 502"}) != []
    # The next pass makes nothing of it.
    firm.well("pass", "termine:AB")
    assert len(firm.events()) == 1
    assert "Nothing is left" in firm.well("erase", "matter", matter, "--termin", "501", "--confirm")


def test_a_type_that_was_taken_out_is_named_and_put_back_for_the_erasure(firm: Firm) -> None:
    """What is at xAI of it is forbidden, erase says what to do, and what it says works."""
    matter, _ = linked_matter(firm)
    permit(firm, matter, is_permitted=True)
    firm.well("sync", "collections", matter, "--here")
    for document in documents_of(firm, matter):
        firm.well("sync", "documents", document, "--here")
    assert matter not in firm.run("egress", "remaining").output
    entity_type = matter.partition(":")[0]
    others = [one.model_dump() for one in DEFAULT_OWNERS if one.entity_type != entity_type]
    settings = firm.office.terminal.settings
    settings["COLLECTION_OWNERS"] = json.dumps(others)
    told = firm.run("egress", "remaining")
    assert f"erase matter {matter}" in told.output
    refused = firm.run("erase", "matter", matter, "--confirm")
    assert refused.exit_code != 0
    assert "name it there again" in refused.output
    assert "XAI_EGRESS=off" in refused.output
    del settings["COLLECTION_OWNERS"]
    settings["XAI_EGRESS"] = "off"
    assert "Erased; proof" in firm.well("erase", "matter", matter, "--confirm")
    settings |= {"XAI_EGRESS": "field", "COLLECTION_OWNERS": json.dumps(others)}
    assert matter not in firm.run("egress", "remaining").output


def test_a_party_with_conflict_hold_accounts_and_audit(firm: Firm) -> None:
    """Refused while either system has it; afterwards no value, name or number of it is left, and its neighbour's are."""
    firm.well("pass", "beteiligte")
    firm.well("pass", "bankverbindungen")
    cipher = firm.database.cipher
    links = firm.database.read(lambda c: two_way_links.active_ids(c, "beteiligte"))
    bank = firm.database.read(lambda c: two_way_links.load(c, cipher, "bankverbindungen"))
    betnr = next(str(link.right_id).partition("/")[0] for link in bank if link.left_id and link.right_id)
    party = next(left for left, right in links.items() if right == betnr)
    accounts = [str(one.left_id) for one in bank if str(one.right_id).startswith(f"{betnr}/")]
    other = next(right for right in links.values() if right != betnr)
    name = "Umbenannthausen"
    firm.office.espocrm("PUT", f"CBeteiligte/{party}", {"nachname": name})
    edit = {"table": "beteiligte", "id": int(betnr), "set": {"name": "Andersheim"}}
    firm.office.sandbox.advoware.edit(edit)
    firm.run("pass", "beteiligte")
    assert firm.database.read(
        lambda c: two_way_desk.list_conflicts(c, cipher, "beteiligte", with_closed=True)
    )
    assert rows_naming(firm.database, {name})
    for record in (betnr, f"{betnr}/1", other):
        write = ProxyWrite(f"write-{record}", "0a1b2c3d", "PUT", "Beteiligte/{id}", record, "0" * 64)
        firm.database.run_sync(partial(proxy_audit.begin, now=1.0, write=write))
    refused = firm.run("erase", "party", party, "--confirm")
    assert refused.exit_code == 1
    assert f"EspoCRM still has CBeteiligte {party}" in refused.output
    assert f"Advoware still has the party {betnr}" in refused.output
    for account in accounts:
        firm.office.espocrm("DELETE", f"CBankverbindungen/{account}")
    firm.office.espocrm("DELETE", f"CBeteiligte/{party}")
    assert firm.run("erase", "party", party, "--confirm").exit_code == 1
    firm.office.sandbox.advoware.edit({"table": "beteiligte", "id": int(betnr), "delete": True})
    firm.materialize(party)
    firm.well("erase", "party", party, "--confirm")
    assert firm.left({party, name, "Andersheim", *accounts, f"right:{betnr}"}) == []
    assert firm.materialized() == set()
    left = firm.database.read(lambda c: two_way_links.load(c, cipher, "beteiligte"))
    assert {link.right_id for link in left} == set(links.values()) - {betnr}
    audit = firm.database.read(lambda c: {row.record for row in proxy_audit.listing(c)})
    assert audit == {None, other}
    (proof,) = firm.database.read(erasures.load)
    assert proof.kind == Kind.PARTY
    assert "Nothing is left of this party" in firm.well(
        "erase", "party", party, "--betnr", betnr, "--confirm"
    )


def test_a_partys_accounts_that_were_never_linked_are_forgotten_too(firm: Firm) -> None:
    """Twins at Advoware that wait for a person: no link tells of them, and their ids begin with the party's number."""
    firm.well("pass", "beteiligte")
    cipher = firm.database.cipher
    links = firm.database.read(lambda c: two_way_links.active_ids(c, "beteiligte"))
    party, betnr = next(iter(sorted(links.items())))
    iban = {"iban": "DE02500105170137075030"}
    for _ in range(2):
        firm.office.sandbox.advoware.edit(
            {"table": "bankverbindungen", "betNr": int(betnr), "set": dict(iban)}
        )
    account = firm.office.espocrm("POST", "CBankverbindungen", {"name": "K", **iban, "beteiligteId": party})
    firm.run("pass", "bankverbindungen")
    assert ("sync_hold", f"{betnr}/") in rows_naming(firm.database, {f"{betnr}/"})
    bank = firm.database.read(lambda c: two_way_links.load(c, cipher, "bankverbindungen"))
    for record in [
        account["id"],
        *(one.left_id for one in bank if str(one.right_id).startswith(f"{betnr}/")),
    ]:
        firm.office.espocrm("DELETE", f"CBankverbindungen/{record}")
    firm.office.espocrm("DELETE", f"CBeteiligte/{party}")
    firm.office.sandbox.advoware.edit({"table": "beteiligte", "id": int(betnr), "delete": True})
    firm.well("erase", "party", party, "--confirm")
    assert rows_naming(firm.database, {party, f"{betnr}/"}) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("document", "../x"), "An id is the record's"),
        (("document", "short"), "fewer than 8 characters"),
        (("matter", "nonsense"), "EntityType:id"),
        (("party", "a b"), "An id is the record's"),
        (("matter", "Contact:64f0c1d2e3b4a5968"), "owns no collections"),
    ],
)
def test_what_cannot_be_meant_is_refused(office: Office, arguments: tuple[str, ...], says: str) -> None:
    """One sentence, and nothing is asked of any system that could change."""
    result = office.run("erase", *arguments, "--confirm")
    assert result.exit_code in (1, 2)
    assert says in result.output


def test_the_command_does_not_load_dagster() -> None:
    """Its history is another process's: the command line would start two seconds later."""
    code = "import sys, bitbylaw_pipeline.cli.erase; assert 'dagster' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
