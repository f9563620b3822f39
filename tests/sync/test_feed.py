"""EspoCRM's change feed: every change is wanted, none is passed over, our own write-back is not."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox import events, feed_cursors, work_queue
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sync.feed import ChangeFeed, feed_sources
from tests.sync.test_crashes import Killed
from tests.sync.test_document_flow import FIRST, SECOND, assert_in_step, settled_document
from tests.sync.world import KLAGE, World, in_world, open_world

DOKUMENTE = "CDokumente"


async def poll(world: World) -> dict[str, int]:
    """One poll by what was left off; returns how many changed, by entity type."""
    return (await world.runtime.feed.poll_once()).changed


async def rows(world: World, stream: str = "documents") -> dict[str, WorkRow]:
    """The queue's open rows."""

    def read(conn: Any) -> dict[str, WorkRow]:
        keys = conn.execute(
            text("SELECT key FROM work WHERE stream = :stream AND wanted > done"), {"stream": stream}
        )
        found = {key: work_queue.get(conn, stream, key) for (key,) in keys}
        return {key: row for key, row in found.items() if row is not None}

    return await world.database.run(read)


async def forget(world: World) -> None:
    """Takes everything wanted for done."""
    await world.database.run(lambda conn: conn.exec_driver_sql("UPDATE work SET done = wanted"))


def advance(world: World, seconds: float) -> None:
    """EspoCRM's clock moves on."""
    world.espocrm_app.clock.advance(seconds)
    world.clock.advance(seconds)


def stamp(world: World, ago: float) -> str:
    """EspoCRM's time so many seconds ago, as it writes it."""
    return datetime.fromtimestamp(world.espocrm_app.clock.now() - ago, UTC).strftime("%Y-%m-%d %H:%M:%S")


async def records_of(world: World, at: str, *ids: str, entity_type: str = DOKUMENTE) -> None:
    """Records with that stamp, as if they had been stored then."""
    seed = {"records": {entity_type: [{"id": id_, "name": "Schreiben", "createdAt": at} for id_ in ids]}}
    await world.seed(seed)


def test_the_first_read_brings_everything_the_old_behind_the_new(tmp_path: Path) -> None:
    """Years of records wait behind what happened within the hour; deleted ones and unstamped ones are not there."""

    async def story(world: World) -> None:
        await records_of(world, "2019-05-05 10:00:00", "old1", "old2")
        await records_of(world, stamp(world, 60), "new1")
        matter = await world.new_matter()
        assert await poll(world) == {DOKUMENTE: 3, KLAGE: 1}
        assert {key: row.priority for key, row in (await rows(world)).items()} == {
            "old1": 1,
            "old2": 1,
            "new1": 0,
        }
        assert set(await rows(world, "collections")) == {f"{KLAGE}:{matter}"}
        assert await poll(world) == {}

    in_world(tmp_path, story)


def test_a_firm_without_documents_yet_is_polled_from_the_beginning(tmp_path: Path) -> None:
    """An empty list leaves no place to go on from: the first document of all is found."""

    async def story(world: World) -> None:
        assert await poll(world) == {}
        assert await poll(world) == {}
        document = await world.new_document(None)
        assert await poll(world) == {DOKUMENTE: 1}
        assert set(await rows(world)) == {document}

    in_world(tmp_path, story)


def test_ties_in_one_second_over_a_page_boundary_are_all_found(tmp_path: Path) -> None:
    """450 rows share one second and 200 make a page."""

    async def story(world: World) -> None:
        ids = [f"tie{number:03}" for number in range(450)]
        await records_of(world, stamp(world, 3600), *ids)
        assert await poll(world) == {DOKUMENTE: 450}
        assert sorted(await rows(world)) == ids
        assert await poll(world) == {}

    in_world(tmp_path, story)


def test_a_row_that_becomes_visible_late_is_found_within_the_overlap(tmp_path: Path) -> None:
    """Stamped before the row that was seen last, committed after it: the overlap reads that stretch again."""

    async def story(world: World) -> None:
        await records_of(world, stamp(world, 2), "m2")
        assert await poll(world) == {DOKUMENTE: 1}
        await forget(world)
        await records_of(world, stamp(world, 8), "late-before")
        await records_of(world, stamp(world, 2), "a-same-second", "z-same-second")
        assert await poll(world) == {DOKUMENTE: 3}
        assert set(await rows(world)) == {"late-before", "a-same-second", "z-same-second"}
        assert await poll(world) == {}

    in_world(tmp_path, story)


def test_the_overlap_is_kept_until_a_poll_has_seen_beyond_it(tmp_path: Path) -> None:
    """However long the pause between two polls, a row visible ten seconds after its stamp is read by one of them."""

    async def story(world: World) -> None:
        for round_ in range(12):
            await records_of(world, stamp(world, 0), f"punctual{round_}")
            await poll(world)
            await forget(world)
            advance(world, 3.0 + round_)
            await records_of(world, stamp(world, 9.0), f"late{round_}")
            await poll(world)
            assert f"late{round_}" in await rows(world)
            await forget(world)

    in_world(tmp_path, story)


def test_our_own_write_back_is_left_out_and_a_persons_change_in_the_same_second_is_not(
    tmp_path: Path,
) -> None:
    """With version numbers the very state that our pass left behind is known; any other is wanted."""

    async def story(world: World) -> None:
        await world.seed({"entities": {DOKUMENTE: {"optimisticConcurrencyControl": True}}})
        world.espocrm_app.clock.pin(world.espocrm_app.clock.now())
        await poll(world)
        _, document = await settled_document(world)
        assert DOKUMENTE not in await poll(world)
        await world.espo("PUT", f"CDokumente/{document}", {"name": "Umbenannt"})
        assert (await poll(world))[DOKUMENTE] == 1
        assert set(await rows(world)) == {document}
        await world.drain()
        assert DOKUMENTE not in await poll(world)

    in_world(tmp_path, story)


def test_a_persons_change_between_our_write_and_our_reading_again_is_wanted_or_seen(tmp_path: Path) -> None:
    """The state that is remembered as ours is the one that was read: what came after it has another version."""

    async def story(world: World) -> None:
        await world.seed({"entities": {DOKUMENTE: {"optimisticConcurrencyControl": True}}})
        world.espocrm_app.clock.pin(world.espocrm_app.clock.now())
        matter = await world.new_matter()
        document = await world.new_document(FIRST, matter)

        async def replace(moment: str, name: str) -> None:
            if moment == "after" and name.startswith("espocrm PUT /api/v1/CDokumente"):
                world.listener = None
                await world.new_version(document, SECOND)

        world.listener = replace
        await world.want(document)
        await world.drain()
        await poll(world)
        await world.drain()
        await assert_in_step(world, document, matter)
        state = await world.state(document)
        assert state is not None
        assert (await world.document(document))["dokumentId"] == state.attachment_id

    in_world(tmp_path, story)


def test_without_version_numbers_a_change_in_the_same_second_is_not_lost(tmp_path: Path) -> None:
    """Seconds alone cannot tell ours from theirs, so each is looked at, by a cheap pass."""

    async def story(world: World) -> None:
        await world.seed({"entities": {DOKUMENTE: {"optimisticConcurrencyControl": False}}})
        world.espocrm_app.clock.pin(world.espocrm_app.clock.now())
        _, document = await settled_document(world)
        await poll(world)
        assert set(await rows(world)) == {document}

    in_world(tmp_path, story)


def test_two_processes_that_poll_at_once_do_not_double_the_work(tmp_path: Path) -> None:
    """One reads each feed at a time; together they want every change once."""

    async def story(world: World) -> None:
        await records_of(world, stamp(world, 100), *(f"doc{number}" for number in range(50)))
        runtime = world.runtime
        other = ChangeFeed(
            runtime.espocrm, runtime.database, runtime.coordination, runtime.settings, runtime.outage_watch
        )
        found = await asyncio.gather(*(feed.poll_once() for feed in (runtime.feed, other) * 3))
        assert sum(result.changed.get(DOKUMENTE, 0) for result in found) == 50
        assert {row.wanted for row in (await rows(world)).values()} == {1}

    in_world(tmp_path, story)


def test_espocrm_down_in_the_middle_goes_on_where_it_left_off(tmp_path: Path) -> None:
    """Two pages came in and stay in; the third comes with the next poll, and nothing is read from the beginning."""

    async def story(world: World) -> None:
        ids = [f"doc{number:03}" for number in range(500)]
        await records_of(world, "2025-01-01 10:00:00", *ids)
        fault = world.espocrm_app.faults.add(
            Fault("status", "/api/v1/CDokumente", status=503, after=2, times=1)
        )
        with pytest.raises(SyncError):
            await poll(world)
        assert fault.applied == 1
        assert len(await rows(world)) == 400
        assert await poll(world) == {DOKUMENTE: 100}
        assert sorted(await rows(world)) == ids

    in_world(tmp_path, story)


@pytest.mark.parametrize("position", range(4))
def test_the_cursor_never_passes_what_was_not_captured(tmp_path: Path, position: int) -> None:
    """Killed before or after any page: every record is wanted in the end."""

    async def story(world: World) -> None:
        ids = [f"doc{number:03}" for number in range(450)]
        await records_of(world, stamp(world, 5), *ids)
        for when in ("before", "after"):
            seen = 0

            async def kill(moment: str, name: str, when: str = when) -> None:
                nonlocal seen
                if moment == when and name == "espocrm GET /api/v1/CDokumente":
                    seen += 1
                    if seen == position + 1:
                        world.listener = None
                        raise Killed(name)

            world.listener = kill
            try:
                await poll(world)
            except Killed:
                # The reading is held by the dead for a while.
                world.clock.advance(61.0)
        world.listener = None
        await poll(world)
        assert sorted(await rows(world)) == ids

    in_world(tmp_path, story)


def test_five_thousand_rows_in_one_second_are_taken_in_and_not_twice(tmp_path: Path) -> None:
    """An import within the overlap: all wanted once, polls meanwhile want nothing, and the place moves on."""

    async def story(world: World) -> None:
        # The server's time stands still: reading all of it takes seconds, and the overlap is counted in them.
        world.espocrm_app.clock.pin(world.espocrm_app.clock.now())
        ids = [f"imp{number:04}" for number in range(5000)]
        await records_of(world, stamp(world, 1), *ids)
        began = time.process_time()
        assert await poll(world) == {DOKUMENTE: 5000}
        spent = time.process_time() - began
        assert spent < 10.0
        assert {row.wanted for row in (await rows(world)).values()} == {1}
        advance(world, 4.0)
        assert await poll(world) == {}
        advance(world, 8.0)
        for _ in range(3):
            assert await poll(world) == {}
        world.calls.clear()
        assert await poll(world) == {}
        assert world.calls.count("espocrm GET /api/v1/CDokumente") == 1
        cursor = await world.database.run(lambda conn: feed_cursors.get(conn, DOKUMENTE))
        assert (cursor.record_id, cursor.seen) == ("imp4999", ())

    in_world(tmp_path, story)


def test_more_than_a_poll_reads_is_read_by_the_next(tmp_path: Path) -> None:
    """A first read of many old records goes on poll by poll, and says that it is behind."""

    async def story(world: World) -> None:
        await records_of(world, "2025-01-01 10:00:00", *(f"doc{number:04}" for number in range(2300)))
        first = await world.runtime.feed.poll_once()
        assert (first.changed[DOKUMENTE], first.is_behind) == (2000, True)
        second = await world.runtime.feed.poll_once()
        assert (second.changed[DOKUMENTE], second.is_behind) == (300, False)

    in_world(tmp_path, story)


def test_an_owner_type_that_this_server_does_not_have_stops_nobody(tmp_path: Path) -> None:
    """Of the default owner types only some exist here: the others are named once and left out."""

    async def story(world: World) -> None:
        await world.new_matter()
        document = await world.new_document(None)
        feed = world.runtime.feed
        assert set((await feed.poll_once()).changed) >= {DOKUMENTE, KLAGE}
        absent = set(feed._absent)
        assert absent < {source.entity_type for source in feed_sources(world.runtime.settings)}
        world.calls.clear()
        await feed.poll_once()
        assert not any(name in call for call in world.calls for name in absent)
        assert document in await rows(world)

    in_world(tmp_path, story)


def test_what_the_feed_brings_stands_in_the_inbox_as_ids_alone(tmp_path: Path) -> None:
    """One event a record: source, topic, type, id; no name."""

    async def story(world: World) -> None:
        document = await world.new_document(None, name="Mustermann.pdf")
        await poll(world)
        listed = await world.database.run(lambda conn: events.listing(conn, limit=10))
        (event,) = [event for event in listed if event.entity_id == document]
        assert (event.source, event.topic, event.entity_type) == ("feed", "vmh.document.update", DOKUMENTE)
        assert "Mustermann" not in str(event)

    in_world(tmp_path, story)


def test_with_webhooks_off_the_feed_brings_every_change_in(tmp_path: Path) -> None:
    """A batch that polls the feed: created, new version, renamed, permission given, new matter; all in step."""

    async def main() -> None:
        async with open_world(tmp_path, is_real_time=True, feed_interval_seconds=0.1) as world:
            async with world.batches(polls_feed=True):
                matter = await world.new_matter()
                closed = await world.new_matter(kiFreigabe=False)
                document = await world.new_document(FIRST, matter)
                waiting = await world.new_document(b"Noch nicht", closed)
                await world.until(lambda: len(world.files_in(matter)) == 1, "The new document was not found.")
                await world.rest()
                await assert_in_step(world, document, matter)
                first = set(world.files())
                await world.new_version(document, SECOND)
                await world.until(lambda: set(world.files()) != first and len(world.files()) == 1)
                await world.espo("PUT", f"{KLAGE}/{closed}", {"kiFreigabe": True})
                await world.until(lambda: len(world.files_in(closed)) == 1, "The permission was not found.")
                await world.rest()
            await assert_in_step(world, document, matter)
            await assert_in_step(world, waiting, closed)

    asyncio.run(main())


ADVOWARE: dict[str, Any] = {
    "advoware_api_base_url": "http://advoware.test",
    "advoware_api_key": "app",
    "advoware_api_secret": "a2V5",
}
PARTY = "CBeteiligte"
ACCOUNT = "CBankverbindungen"


async def new_party_and_account(world: World) -> tuple[str, str]:
    """One of each, as a person makes them; returns their ids."""
    await world.seed({"model": "kanzlei"})
    party = await world.espo("POST", PARTY, {"name": "Probe", "nachname": "Probe"})
    account = await world.espo(
        "POST", ACCOUNT, {"name": "Bank", "iban": "DE64001201000007300000", "beteiligteId": party["id"]}
    )
    return str(party["id"]), str(account["id"])


def test_a_party_is_wanted_for_its_collection_and_for_advoware(tmp_path: Path) -> None:
    """One list call brings a changed party into both streams, under each one's key; an account into its own."""

    async def story(world: World) -> None:
        party, account = await new_party_and_account(world)
        world.calls.clear()
        assert await poll(world) == {PARTY: 1, ACCOUNT: 1}
        assert set(await rows(world, "collections")) == {f"{PARTY}:{party}"}
        assert set(await rows(world, "beteiligte")) == {party}
        assert set(await rows(world, "bankverbindungen")) == {account}
        assert world.calls.count(f"espocrm GET /api/v1/{PARTY}") == 1
        listed = await world.database.run(lambda conn: events.listing(conn, limit=10))
        assert {event.topic for event in listed} == {
            "vmh.beteiligte.update",
            "vmh.bankverbindungen.update",
        }
        assert await poll(world) == {}

    in_world(tmp_path, story, **ADVOWARE)


def test_a_party_that_owns_no_collection_is_wanted_for_advoware_alone(tmp_path: Path) -> None:
    """Where parties are not among the owners of collections the feed reads them all the same."""

    async def story(world: World) -> None:
        party, _ = await new_party_and_account(world)
        assert (await poll(world))[PARTY] == 1
        assert set(await rows(world, "beteiligte")) == {party}
        assert await rows(world, "collections") == {}

    in_world(tmp_path, story, **ADVOWARE, collection_owners=())


def test_without_advoware_accounts_are_not_read_and_parties_are_owners_alone(tmp_path: Path) -> None:
    """A firm that has no Advoware pays for no list call and gets no row that nobody would work off."""

    async def story(world: World) -> None:
        party, _ = await new_party_and_account(world)
        world.calls.clear()
        assert await poll(world) == {PARTY: 1}
        assert set(await rows(world, "collections")) == {f"{PARTY}:{party}"}
        assert await rows(world, "beteiligte") == {}
        assert not any(ACCOUNT in call for call in world.calls)
        (event,) = await world.database.run(lambda conn: events.listing(conn, limit=10))
        assert event.topic == "beteiligte.update"

    in_world(tmp_path, story)


def test_batches_leave_out_what_another_has_just_read(tmp_path: Path) -> None:
    """Of several batches that poll, one asks EspoCRM within half an interval; the next change is found after it."""

    async def story(world: World) -> None:
        runtime = world.runtime
        feeds = [
            ChangeFeed(
                runtime.espocrm,
                runtime.database,
                runtime.coordination,
                runtime.settings,
                runtime.outage_watch,
            )
            for _ in range(5)
        ]
        document = await world.new_document(None)
        world.calls.clear()
        found = [await feed.poll_quietly() for feed in feeds]
        assert [result.changed.get(DOKUMENTE, 0) for result in found] == [1, 0, 0, 0, 0]
        assert world.calls.count("espocrm GET /api/v1/CDokumente") == 1
        await forget(world)
        await world.espo("PUT", f"CDokumente/{document}", {"name": "Umbenannt"})
        assert (await feeds[0].poll_quietly()).changed == {}
        advance(world, runtime.settings.feed_interval_seconds / 2)
        assert (await feeds[1].poll_quietly()).changed == {DOKUMENTE: 1}

    in_world(tmp_path, story)


def test_a_batch_that_is_behind_reads_on_at_once(tmp_path: Path) -> None:
    """Years of records are taken in without a pause between two polls, though the last one was a moment ago."""

    async def story(world: World) -> None:
        await records_of(world, "2025-01-01 10:00:00", *(f"doc{number:04}" for number in range(2300)))
        feed = world.runtime.feed
        assert (await feed.poll_quietly()).is_behind
        assert (await feed.poll_quietly()).changed == {DOKUMENTE: 300}

    in_world(tmp_path, story)
