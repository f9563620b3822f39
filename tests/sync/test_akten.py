"""Akten and matters over both stand-ins: linked once, held where in doubt, quiet the second time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_akten import MatterRecords
from bitbylaw_pipeline.domain.akte_match import AkteState, AkteStatus
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.errors import Permanent, Unexpected, Unreachable
from bitbylaw_pipeline.domain.outcome import Outcome, Result
from bitbylaw_pipeline.inbox import akte_states, collection_states, run_leases, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sandbox.advoware.app import create_app as create_advoware
from bitbylaw_pipeline.sandbox.espocrm import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.espocrm import seeding
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.akten import AktenSides, AktenStream, AktenSweep
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.wiring import open_runtime
from tests.clients.advoware.office import advoware_over
from tests.clients.sandboxes import espocrm_over
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url

KLAGE, INKASSO = "CVmhRumungsklage", "CMietinkasso"
AKTEN = [
    {"id": 7, "aktennummer": 100, "az": "100/26", "kurzrubrum": "Anders ./. Bau"},
    {"id": 8, "aktennummer": 200, "az": "200/26"},
    {"id": 9, "aktennummer": 300, "az": "300/26"},
]
MATTERS: dict[str, list[dict[str, Any]]] = {
    KLAGE: [
        {"id": "k1", "name": "Anders", "aktennummer": 100, "aktenzeichen": "100/26", "xaiCollectionId": "c1"},
        {"id": "k2", "name": "x", "aktenzeichen": "300/26"},
    ],
    INKASSO: [{"id": "m1", "name": "y", "aktennummer": 200, "aktenzeichen": "0201/26"}],
}


class Killed(BaseException):
    """The process dies here."""


class Way(httpx.AsyncBaseTransport):
    """The way to EspoCRM's stand-in, with a hook before and after each request."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app)
        self.hook: Callable[[str, str], Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        if self.hook is not None:
            await self.hook("before", request.method)
        response = await self._inner.handle_async_request(request)
        if self.hook is not None:
            await self.hook("after", request.method)
        return response


class Office:
    """Both stand-ins, a state database, and the sweep and the stream over them."""

    def __init__(self, folder: Path, *, model: str = "kanzlei", kind: str = "sqlite", **more: Any) -> None:
        self.espocrm = create_espocrm()
        seeding.seed(self.espocrm.espo, {"reset": True, "model": model, "records": MATTERS, **more})
        self.advoware = create_advoware()
        self.advoware.seed({"akten": AKTEN})
        clock = FakeClock()
        self.database = Database.open(migrated_url(kind, folder), clock=clock, encryption_key=ENCRYPTION_KEY)
        self.way = Way(self.espocrm)
        self.key = seeding.SYNC_API_KEY

    async def open(self, story: Callable[[AktenSweep, AktenStream], Coroutine[Any, Any, None]]) -> None:
        """Runs the story with fresh clients, as a process would."""
        settings = Settings.load(
            _env_file=None, espocrm_api_base_url="http://espocrm", espocrm_api_key=self.key
        )
        espocrm = EspoCrm.open(settings, transport=self.way)
        async with advoware_over("asgi", self.advoware) as advoware:
            sides = AktenSides(self.database, advoware, MatterRecords(espocrm, settings))
            try:
                await story(AktenSweep(sides), AktenStream(sides))
            finally:
                await espocrm.aclose()

    def sweep(self) -> PairPass:
        """One whole pass."""
        passes: list[PairPass] = []

        async def story(sweep: AktenSweep, _: AktenStream) -> None:
            passes.append(await sweep.run())

        asyncio.run(self.open(story))
        return passes[0]

    def sync(self, key: str) -> Outcome:
        """One Akte's pass."""
        outcomes: list[Outcome] = []

        async def story(_: AktenSweep, stream: AktenStream) -> None:
            outcomes.append(await stream.sync(key))

        asyncio.run(self.open(story))
        return outcomes[0]

    def describe(self, key: str) -> list[str]:
        """What the stream would do."""
        lines: list[str] = []

        async def story(_: AktenSweep, stream: AktenStream) -> None:
            lines.extend(await stream.describe(key))

        asyncio.run(self.open(story))
        return lines

    def states(self) -> dict[str, tuple[str, str | None, str | None]]:
        """Akte -> status, matter, collection."""
        found = self.database.run_sync(akte_states.load)
        return {key: (one.status.value, one.owner_key, one.collection_id) for key, one in found.items()}

    def ids(self) -> dict[str, int | None]:
        """What each matter of EspoCRM says."""
        tables = self.espocrm.espo.store.tables
        rows = [row for name in (KLAGE, INKASSO) for row in tables[name].all_live()]
        return {row["id"]: row.get("advowareAkteId") for row in rows}

    def put(self, entity_type: str, record_id: str, **values: Any) -> None:
        """An edit of a person in EspoCRM, a new record if there is none."""
        seeding.seed(
            self.espocrm.espo, {"records": {entity_type: [{"id": record_id, "name": "x", **values}]}}
        )

    def edit(self, entity_type: str, record_id: str, **values: Any) -> None:
        """A person's change of a matter."""
        self.espocrm.espo.store.tables[entity_type].rows[record_id].update(values)

    def remove(self, entity_type: str, record_id: str) -> None:
        """A person deletes a matter."""
        self.edit(entity_type, record_id, deleted=True)

    def holds(self) -> set[tuple[str, str]]:
        """Subject and reason of what waits for a person."""
        views = self.database.run_sync(lambda c: two_way_desk.list_holds(c, "akten"))
        return {(one.subject, one.why) for one in views}

    def writes(self) -> int:
        """How many writes EspoCRM has had."""
        return sum(entry.method != "GET" for entry in self.espocrm.ledger.entries)

    def advoware_calls(self) -> list[str]:
        """The requests to Advoware's API so far."""
        rows = self.advoware.ledger.select(path=".*/relay/.*")
        return [f"{row['method']} {row['path'].rpartition('advonet/')[2]}" for row in rows]


@pytest.fixture
def office(tmp_path: Path) -> Any:
    """The small firm."""
    made = Office(tmp_path)
    yield made
    made.database.close()


LINKED = {
    "7": ("linked", f"{KLAGE}:k1", "c1"),
    "8": ("linked", f"{INKASSO}:m1", None),
    "9": ("unmatched", None, None),
}
WRITTEN = {"k1": 7, "k2": None, "m1": 8}


def test_each_akte_finds_its_matter_and_the_way_back(office: Office) -> None:
    """The ids are written once; from the Akte one gets to matter and collection and back; one list call a pass."""
    first = office.sweep()
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)
    assert office.advoware_calls() == ["GET Akten"]
    assert first.counts["written"] == 2
    assert {one.key for one in first.finished} == {"7", "8"}
    outcome = next(one.outcome for one in first.finished if one.key == "7")
    assert outcome is not None
    assert outcome.assets == ("advoware/akten",)
    facts = {"status": "linked", "matter": f"{KLAGE}:k1", "collection_id": "c1", "aktennummer": 100}
    assert outcome.facts == facts
    state = AkteState("7", AkteStatus.LINKED, 100, f"{KLAGE}:k1", "c1")
    read = office.database.run_sync
    found = read(lambda c: akte_states.get(c, "7"))
    assert found == state
    assert found is not None
    assert found.updated_at == 1_700_000_000.0
    assert read(lambda c: akte_states.of_owner(c, f"{KLAGE}:k1")) == [state]
    assert read(lambda c: akte_states.of_number(c, 100)) == [state]
    # The way back: the collection of the tied matter tells its Akte with its next pass; it is asked for that once.
    wanted = read(lambda c: work_queue.get(c, "collections", f"{KLAGE}:k1"))
    assert wanted is not None
    assert wanted.wanted == 1
    assert read(lambda c: work_queue.get(c, "collections", f"{INKASSO}:m1")) is None
    office.sweep()
    again = read(lambda c: work_queue.get(c, "collections", f"{KLAGE}:k1"))
    assert again is not None
    assert again.wanted == 1
    # A number that may be mistyped is told, and nothing else follows from it.
    assert first.counts["aktenzeichen_differ"] == 1


def test_the_second_pass_writes_nothing(office: Office) -> None:
    """Neither to EspoCRM nor to the state, and it tells nothing."""
    office.sweep()
    writes = office.writes()
    second = office.sweep()
    assert (second.counts["written"], second.counts["changed"], list(second.finished)) == (0, 0, [])
    assert office.writes() == writes
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)


def test_the_state_is_the_same_on_postgresql(tmp_path: Path) -> None:
    """A pass and a second one on a server's database."""
    office = Office(tmp_path, kind="postgresql")
    office.sweep()
    assert office.sweep().counts["changed"] == 0
    assert office.states() == LINKED
    office.database.close()


def test_without_number_fields_only_named_akten_are_linked(tmp_path: Path) -> None:
    """The Aktenzeichen is never taken for a number."""
    klagen = [
        {"id": "k1", "name": "x", "aktenzeichen": "100/26", "advowareAkteId": 7},
        {"id": "k2", "name": "x", "aktenzeichen": "300/26"},
    ]
    office = Office(tmp_path, model="recorded", records={KLAGE: klagen})
    office.sweep()
    assert office.states()["7"] == ("linked", f"{KLAGE}:k1", None)
    assert office.states()["9"] == ("unmatched", None, None)
    assert office.writes() == 0
    office.database.close()


def test_two_matters_with_one_number_are_held_until_a_person_puts_it_right(office: Office) -> None:
    """Nothing is written for them, all are named; the rest goes on; afterwards the hold ends by itself."""
    office.put(INKASSO, "m2", aktennummer=100)
    held = office.sweep()
    assert office.ids() == {**WRITTEN, "k1": None, "m2": None}
    assert office.states() == {**LINKED, "7": ("held", None, None)}
    why = "same_number"
    assert office.holds() == {("right:7", why), (f"left:{KLAGE}:k1", why), (f"left:{INKASSO}:m2", why)}
    outcome = next(one.outcome for one in held.finished if one.key == "7")
    assert outcome is not None
    assert (outcome.result, outcome.assets, outcome.facts["held"]) == (Result.WAITING, (), why)
    assert outcome.warning is not None
    assert f"{KLAGE}:k1" in outcome.warning
    assert "Anders" not in outcome.warning
    office.sync("9")
    assert len(office.holds()) == 3, "Another Akte's pass ends no hold."
    assert office.sync("7").result is Result.WAITING
    office.edit(INKASSO, "m2", aktennummer=None)
    office.sweep()
    assert (office.holds(), office.states()) == (set(), LINKED)


def test_a_copied_matter_takes_nothing_away(office: Office) -> None:
    """A copy carries number and id too: both are held, and neither record is written."""
    office.sweep()
    writes = office.writes()
    office.put(KLAGE, "k3", aktennummer=100, advowareAkteId=7)
    office.sweep()
    assert office.states()["7"] == ("held", None, None)
    office.remove(KLAGE, "k3")
    office.sweep()
    assert office.states() == LINKED
    assert office.writes() == writes


def test_two_akten_with_one_number_are_held(office: Office) -> None:
    """Nobody can say which one is meant."""
    office.advoware.seed({"akten": [{"id": 10, "aktennummer": 100, "az": "100/25"}]})
    office.sweep()
    assert office.ids() == {**WRITTEN, "k1": None}
    assert office.holds() == {(one, "same_number") for one in ("right:7", "right:10", f"left:{KLAGE}:k1")}


def test_a_matter_that_names_another_akte_is_not_overwritten(office: Office) -> None:
    """Its number says one Akte, its field another: held, whichever is right."""
    office.edit(KLAGE, "k1", advowareAkteId=9)
    office.sweep()
    assert office.ids() == {**WRITTEN, "k1": 9}
    assert (f"left:{KLAGE}:k1", "names_another_akte") in office.holds()
    assert {key: one[0] for key, one in office.states().items()} == {"7": "held", "8": "linked", "9": "held"}
    assert office.sync("9").result is office.sync("7").result is Result.WAITING
    assert office.ids()["k1"] == 9


def test_an_akte_that_is_gone_is_told_and_its_matter_kept(office: Office) -> None:
    """The state keeps the way to the matter, the matter keeps its field, a person is told."""
    office.sweep()
    office.advoware.edit({"table": "akten", "id": 7, "delete": True})
    passed = office.sweep()
    assert office.ids() == WRITTEN
    assert office.states()["7"] == ("gone", f"{KLAGE}:k1", "c1")
    assert office.holds() == {(f"left:{KLAGE}:k1", "akte_gone")}
    (finished,) = passed.finished
    assert finished.outcome is not None
    assert (finished.outcome.result, finished.outcome.facts["held"]) == (Result.DELETED, "akte_gone")
    assert office.database.run_sync(lambda c: akte_states.of_owner(c, f"{KLAGE}:k1")) == []
    assert office.sweep().counts["changed"] == 0
    assert office.sync("7").result is Result.DELETED


@pytest.mark.parametrize("named", [True, False])
def test_an_empty_list_is_an_error_and_never_all_gone(office: Office, named: bool) -> None:
    """Where our state or EspoCRM knows of Akten, an empty list changes nothing."""
    if named:
        office.edit(KLAGE, "k1", advowareAkteId=7)
    else:
        office.sweep()
        for entity_type, record_id in ((KLAGE, "k1"), (INKASSO, "m1")):
            office.edit(entity_type, record_id, advowareAkteId=None)
    before = (office.ids(), office.states(), office.writes())
    for akte in AKTEN:
        office.advoware.edit({"table": "akten", "id": akte["id"], "delete": True})
    with pytest.raises(Unexpected):
        office.sweep()
    assert (office.ids(), office.states(), office.writes()) == before


def test_a_firm_without_akten_is_fine(office: Office) -> None:
    """An empty list where there never was anything is just that."""
    office.advoware.seed({"reset": True})
    assert office.sweep().counts["matters_without_akte"] == 3


def test_an_offline_connector_changes_nothing(office: Office) -> None:
    """The pass ends with Unreachable, the stream too; afterwards all is as if nothing had been."""
    office.advoware.switches.update({"connector": "offline"})
    for attempt in (office.sweep, lambda: office.sync("7")):
        with pytest.raises(Unreachable):
            attempt()
    assert (office.states(), office.writes()) == ({}, 0)
    office.advoware.switches.update({"connector": "online"})
    office.sweep()
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)


@pytest.mark.parametrize("whose", ["sweep", "sync"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_call_leaves_nothing_to_mend(office: Office, whose: str, when: str) -> None:
    """Killed at the first call, the second, …: the next pass ends in the same state, and the one after is quiet."""

    def once() -> None:
        if whose == "sweep":
            office.sweep()
        else:
            office.sync("7")

    ids, states = WRITTEN, LINKED
    if whose == "sync":
        ids, states = {**WRITTEN, "m1": None}, {"7": LINKED["7"]}
    for deadly in range(1, 40):
        count = 0

        async def hook(moment: str, _: str, deadly: int = deadly) -> None:
            nonlocal count
            count += moment == when
            if moment == when and count == deadly:
                raise Killed

        office.way.hook = hook
        try:
            once()
        except Killed:
            office.way.hook = None
            once()
        else:
            break
        assert (office.ids(), office.states()) == (ids, states)
        writes = office.writes()
        once()
        assert office.writes() == writes
        _forget(office)
    assert deadly > 6, "There were hardly any calls to die at."


def _forget(office: Office) -> None:
    for table, name in ((KLAGE, "k1"), (INKASSO, "m1")):
        office.edit(table, name, advowareAkteId=None)
    office.database.run_sync(lambda c: c.exec_driver_sql("DELETE FROM akte_state"))


def test_a_crash_between_the_write_and_the_state(office: Office) -> None:
    """The id is in EspoCRM and nobody remembers: the next pass only remembers, without a write."""

    async def hook(moment: str, method: str) -> None:
        if (moment, method) == ("after", "PUT"):
            raise Killed

    office.way.hook = hook
    with pytest.raises(Killed):
        office.sync("7")
    office.way.hook = None
    assert (office.ids()["k1"], office.states()) == (7, {})
    writes = office.writes()
    assert office.sync("7").facts["matter"] == f"{KLAGE}:k1"
    assert office.states() == {"7": LINKED["7"]}
    assert office.writes() == writes


def test_an_edit_just_before_the_write_wins(office: Office) -> None:
    """A person saves the matter between our read and our write: refused, told to the queue, linked by the stream."""

    async def hook(moment: str, method: str) -> None:
        if (moment, method) == ("before", "PUT"):
            office.way.hook = None
            async with espocrm_over("asgi", office.espocrm) as person:
                for entity_type, record_id in ((KLAGE, "k1"), (INKASSO, "m1")):
                    await person.update(entity_type, record_id, {"aktenzeichen": "9/26"})

    office.way.hook = hook
    first = office.sweep()
    assert first.counts["failed"] >= 1
    queue = office.database.run_sync(lambda c: work_queue.claim(c, 2e9, "akten", limit=9, lease_seconds=9.0))
    assert len(queue) == first.counts["failed"]
    for claim in queue:
        assert claim.key not in office.states()
        assert office.sync(claim.key).result is Result.SYNCED
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)


def test_espocrm_away_in_the_middle_stops_the_pass(office: Office) -> None:
    """What could not be written is not agreed; the rest is kept; the next pass goes on."""
    fault = Fault("status", "/api/v1/C.*", method="PUT", status=401)
    office.espocrm.faults.add(fault)
    passed = office.sweep()
    assert passed.stopped_by is not None
    assert (passed.counts["written"], passed.counts["failed"]) == (0, 2)
    assert office.states() == {"9": LINKED["9"]}
    # Not one by one, while the system is away: the next pass has them all.
    assert office.database.run_sync(lambda c: work_queue.get(c, "akten", "7")) is None
    office.espocrm.faults.clear()
    office.sweep()
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)


def test_the_collection_follows_the_matter(office: Office) -> None:
    """A new id at the matter shows; where the matter has none yet, what was agreed with xAI counts."""
    office.sweep()
    office.edit(KLAGE, "k1", xaiCollectionId="c2")
    agreed = CollectionState(f"{INKASSO}:m1", "c9", True, "field", 1.0, "settled")
    office.database.run_sync(lambda c: collection_states.put(c, agreed))
    passed = office.sweep()
    assert office.states() == {
        **LINKED,
        "7": ("linked", f"{KLAGE}:k1", "c2"),
        "8": ("linked", f"{INKASSO}:m1", "c9"),
    }
    assert {one.key for one in passed.finished} == {"7", "8"}
    assert office.sweep().counts["changed"] == 0


def test_a_deleted_matter_sets_its_akte_free(office: Office) -> None:
    """The Akte is unmatched again, and told as an asset that changed; also where it was the last of its type."""
    office.sweep()
    office.remove(INKASSO, "m1")
    passed = office.sweep()
    assert office.states()["8"] == ("unmatched", None, None)
    assert [one.key for one in passed.finished] == ["8"]


def test_matters_that_are_not_shown_any_more_are_not_taken_for_deleted(office: Office) -> None:
    """EspoCRM lists none of a type although one of them can be read: an error, and nothing changes."""
    office.sweep()
    body = {"total": -2, "list": []}
    office.espocrm.faults.add(Fault("status", f"/api/v1/{INKASSO}", method="GET", status=200, body=body))
    with pytest.raises(Unexpected):
        office.sweep()
    assert office.states() == LINKED


def test_one_pass_at_a_time(office: Office) -> None:
    """While another run has the pair, this one does nothing."""
    office.database.run_sync(lambda c: run_leases.take(c, office.database.now(c), "akten", 60.0))
    assert office.sweep().is_skipped
    assert office.states() == {}


def test_the_stream_links_one_akte(office: Office) -> None:
    """The same outcome as the pass, with metadata; described first without a write; quiet the second time."""
    assert office.describe("7") == [f"write the Akte's id to {KLAGE}:k1"]
    assert office.writes() == 0
    outcome = office.sync("7")
    assert (outcome.result, outcome.assets) == (Result.SYNCED, ("advoware/akten",))
    assert outcome.facts["matter"] == f"{KLAGE}:k1"
    assert outcome.facts["collection_id"] == "c1"
    writes = office.writes()
    again = office.sync("7")
    assert (again.result, again.assets, again.facts) == (Result.UNCHANGED, (), outcome.facts)
    assert office.writes() == writes
    assert office.describe("7") == ["nothing to write"]
    assert office.sync("9").facts == {"status": "unmatched", "aktennummer": 300}


def test_the_stream_sees_the_other_akte_of_that_number(office: Office) -> None:
    """Before it writes it looks at the whole list, and it knows what the last pass saw."""
    office.advoware.seed({"akten": [{"id": 10, "aktennummer": 100, "az": "100/25"}]})
    assert office.sync("7").result is Result.WAITING
    assert office.ids()["k1"] is None
    office.sweep()
    calls = len(office.advoware_calls())
    assert office.sync("7").result is Result.WAITING
    assert office.advoware_calls()[calls:] == ["GET Akten/7", "GET Akten/10"]
    office.advoware.edit({"table": "akten", "id": 10, "delete": True})
    assert office.sync("7").result is Result.SYNCED
    assert ("right:7", "same_number") not in office.holds()


@pytest.mark.parametrize(("key", "reason"), [("07", "bad_key"), ("x", "bad_key"), ("4711", "no_akte")])
def test_the_stream_refuses_what_is_no_akte(office: Office, key: str, reason: str) -> None:
    """A key that cannot be one, and an Akte that never was."""
    with pytest.raises(Permanent) as caught:
        office.sync(key)
    assert caught.value.reason == reason


def test_over_http_and_in_the_runtime(office: Office, tmp_path: Path) -> None:
    """The same over sockets, and the runtime has the sweep and the stream where Advoware is configured."""

    async def over_http() -> None:
        async with (
            espocrm_over("http", office.espocrm) as espocrm,
            advoware_over("http", office.advoware) as there,
        ):
            await AktenSweep(_sides(office, espocrm, there)).run()

    async def in_runtime() -> None:
        settings = Settings.load(
            _env_file=None,
            espocrm_api_base_url="http://espocrm",
            espocrm_api_key=office.key,
            xai_api_key="x",
            xai_management_key="x",
            state_encryption_key=ENCRYPTION_KEY,
            dagster_home=tmp_path,
            **office.advoware.settings("http://advoware"),
        )
        ways = {"espocrm": office.way, "advoware": httpx.ASGITransport(office.advoware)}
        async with open_runtime(settings, database=office.database, transports=ways) as runtime:
            assert runtime.advoware is not None
            assert (await runtime.advoware.akten.run()).counts["changed"] == 0
            assert (await runtime.streams["akten"].sync("7")).result is Result.UNCHANGED

    asyncio.run(over_http())
    assert (office.ids(), office.states()) == (WRITTEN, LINKED)
    asyncio.run(in_runtime())


def _sides(office: Office, espocrm: EspoCrm, advoware: Advoware) -> AktenSides:
    return AktenSides(office.database, advoware, MatterRecords(espocrm, Settings.load(_env_file=None)))
