"""The poll between the passes: what it asks, whom it wants, whom it leaves alone, and that things come to rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware_records import Records
from bitbylaw_pipeline.domain.errors import Permanent, SyncError
from bitbylaw_pipeline.inbox import calendar_passes, events, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM, TOPIC
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.work_queue import WorkRow
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.termine_poll import Memory, PollReport, TerminePoll
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from tests.sync.termine.office import EMPLOYEES, Office, in_office, mail_of

MINUTE = 60.0
IN_THE_EVENING = {
    "start": {"dateTime": "2026-03-20T17:30:00+01:00"},
    "end": {"dateTime": "2026-03-20T18:30:00+01:00"},
}


@dataclass(slots=True)
class Desk:
    """The poll and the queue of an office, and what the poll remembers from one time to the next."""

    office: Office
    poll: TerminePoll
    memory: Mapping[str, Memory] = field(default_factory=dict)
    passes: list[str] = field(default_factory=list)

    async def ask(self, seconds: float = MINUTE) -> PollReport:
        """A poll, a minute after whatever was before it."""
        self.office.advance(seconds)
        report = await self.poll.run(self.memory)
        self.memory = report.memory
        return report

    async def work_off(self) -> list[str]:
        """A pass of everybody who is wanted, as a batch does it; returns who that was."""
        database = self.office.database
        claims = await database.run(
            lambda c: work_queue.claim(c, database.now(c), STREAM, limit=10, lease_seconds=60.0)
        )
        for claim in claims:
            ended: SyncError | None = None
            try:
                await TermineStream(self.office.pairs).sync(claim.key)
            except SyncError as error:
                ended = error
            await database.run(partial(_settle, self.office, claim, ended))
        self.passes += [claim.key for claim in claims]
        return sorted(claim.key for claim in claims)

    async def at_rest(self) -> None:
        """Polls and passes until nobody is wanted; everybody had a pass."""
        for _ in range(4):
            if not (await self.ask()).wanted:
                return
            await self.work_off()
        raise AssertionError("Polls and passes go on for ever.")

    async def row(self, kuerzel: str) -> WorkRow | None:
        """The employee's row in the queue."""
        return await self.office.database.run(lambda c: work_queue.get(c, STREAM, kuerzel))

    def asked(self) -> dict[str, list[str]]:
        """The calls that both systems have had since the last time, the tokens' left out."""
        found = {}
        for name, app, part in (
            ("google", self.office.google, "/calendar/v3/"),
            ("advoware", self.office.advoware, "/relay/"),
        ):
            found[name] = [entry.method for entry in list(app.ledger.entries) if part in entry.path]
            app.ledger.clear()
        return found


def _settle(office: Office, claim: work_queue.Claim, error: SyncError | None, conn: Connection) -> None:
    now = office.database.now(conn)
    if error is None:
        work_queue.complete(conn, now, [claim])
    elif isinstance(error, Permanent):
        work_queue.park(conn, now, claim, error.reason, str(error))
    else:
        work_queue.retry(conn, now, claim, error=str(error), delay=300.0)


def at_desk(folder: Path, story: Callable[[Desk], Awaitable[None]], **given: Any) -> None:
    """Runs the story in a fresh office with a poll."""

    async def main(office: Office) -> None:
        probes = {
            "advoware": Records(office.pairs.termine.connection).probe,
            "google": office.pairs.google.probe,
        }
        # Short, for it counts in real time how long bad news is believed.
        watch = OutageWatch(office.database, probes, probe_seconds=0.001)
        await story(Desk(office, TerminePoll(office.pairs, watch, Coordination(None))))

    in_office(folder, main, **given)


def test_change_in_advoware_is_found_and_comes_to_rest(tmp_path: Path) -> None:
    """A Termin that is entered wants its employee alone; our own write in Google wants one more pass, then all is quiet."""

    async def story(desk: Desk) -> None:
        office = desk.office
        await desk.at_rest()
        assert sorted(desk.passes) == list(EMPLOYEES)
        office.termin(501)
        assert (await desk.ask()).wanted == ("AB",)
        assert await desk.work_off() == ["AB"]
        assert office.event_of(501)["summary"]
        writes = office.writes("google"), office.writes("advoware")
        assert (await desk.ask()).wanted == ("AB",)
        await desk.work_off()
        assert (office.writes("google"), office.writes("advoware")) == writes
        for _ in range(3):
            assert (await desk.ask()).wanted == ()
            assert await desk.work_off() == []

    at_desk(tmp_path, story)


def test_change_in_google_is_found_and_comes_to_rest(tmp_path: Path) -> None:
    """An event that its employee moves reaches Advoware; what we wrote there wants one more pass, and no other after it."""

    async def story(desk: Desk) -> None:
        office = desk.office
        office.termin(501)
        await desk.at_rest()
        office.edit_google("edit", office.event_of(501), set=IN_THE_EVENING)
        assert (await desk.ask()).wanted == ("AB",)
        await desk.work_off()
        assert office.at_advoware(501)["uhrzeitVon"] == "17:30:00"
        writes = office.writes("google"), office.writes("advoware")
        assert (await desk.ask()).wanted == ("AB",)
        await desk.work_off()
        assert (office.writes("google"), office.writes("advoware")) == writes
        assert [(await desk.ask()).wanted for _ in range(3)] == [(), (), ()]

    at_desk(tmp_path, story)


def test_quiet_poll_is_one_list_call_of_each_side(tmp_path: Path) -> None:
    """Where nothing has changed everybody costs one GET at Google and one at Advoware, and nothing is stored or wanted."""

    async def story(desk: Desk) -> None:
        desk.office.termin(501)
        await desk.at_rest()
        before = desk.memory
        desk.asked()
        report = await desk.ask()
        assert desk.asked() == {"google": ["GET"] * 3, "advoware": ["GET"] * 3}
        assert (report.asked, report.wanted, dict(report.left)) == (3, (), {})
        assert report.memory == before
        assert await desk.work_off() == []

    at_desk(tmp_path, story)


@pytest.mark.parametrize(
    "edit",
    [
        {"text": "Anders"},
        {"notiz": "Anders"},
        {"ort": "Anders"},
        {"uhrzeitVon": "09:00:00"},
        {"privat": True},
        {"anwalt": "CD"},
    ],
    ids=str,
)
def test_every_field_counts(tmp_path: Path, edit: dict[str, Any]) -> None:
    """Whatever of a Termin is changed, the poll sees it, also where Advoware does not say when it was changed."""

    async def story(desk: Desk) -> None:
        office = desk.office
        office.termin(501)
        await desk.at_rest()
        stamp = office.at_advoware(501)["zuletztGeaendertAm"]
        office.edit_termin(501, **edit)
        office.advoware.store.termine[501]["zuletztGeaendertAm"] = stamp
        assert "AB" in (await desk.ask()).wanted

    at_desk(tmp_path, story)


def test_nothing_of_an_appointment_is_remembered(tmp_path: Path) -> None:
    """The memory is a hash and a time by Kürzel: it stands in Dagster's storage, in plain text."""

    async def story(desk: Desk) -> None:
        desk.office.termin(501, text="Mandantin Grünwald")
        report = await desk.ask()
        assert sorted(report.memory) == list(EMPLOYEES)
        for one in report.memory.values():
            assert (len(one.digest), int(one.digest, 16) > 0, one.until) == (32, True, 0.0)

    at_desk(tmp_path, story)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_employee_is_left_to_the_pass(tmp_path: Path, status: int) -> None:
    """One calendar closed to us: that employee's pass notes it once, the others' changes are found all the same."""

    async def story(desk: Desk) -> None:
        office = desk.office
        await desk.at_rest()
        office.edit_google("revoke_access", user=mail_of("AB"), status=status)
        office.termin(501)
        office.termin(601, anwalt="CD")
        report = await desk.ask()
        assert (report.wanted, dict(report.left)) == (("AB", "CD"), {"AB": "ScopeRefused"})
        await desk.work_off()
        assert office.event_of(601, "CD")
        failure = await office.database.run(lambda c: calendar_passes.load(c, ["AB"])["AB"].failure)
        assert failure is not None
        # Parked by now: asked for again by the schedule alone.
        report = await desk.ask()
        assert (report.wanted, dict(report.left)) == (("CD",), {})

    at_desk(tmp_path, story)


def test_used_up_limits_are_not_met_again_before_their_time(tmp_path: Path) -> None:
    """Google's limit for one employee: that one is not asked again before the time is over; nobody else waits."""

    async def story(desk: Desk) -> None:
        office = desk.office
        await desk.at_rest()
        office.script("error", operation="events.list", user=mail_of("AB"), error="quotaExceeded")
        office.termin(501)
        report = await desk.ask()
        assert (report.wanted, dict(report.left)) == ((), {"AB": "ScopeLimited"})
        assert report.memory["AB"].until > office.clock.now + 3600
        desk.asked()
        assert ((await desk.ask()).asked, desk.asked()["google"]) == (2, ["GET", "GET"])
        assert (await desk.ask(5 * 3600.0)).wanted == ("AB",)

    at_desk(tmp_path, story)


def test_who_gets_a_pass_anyway_is_not_asked(tmp_path: Path) -> None:
    """Employees whose row is open, leased, put off or parked cost no call; a parked one is not lifted every minute."""

    async def story(desk: Desk) -> None:
        office, database = desk.office, desk.office.database
        await desk.at_rest()
        for one in EMPLOYEES:
            office.termin(500 + ord(one[0]), anwalt=one)

        def occupy(conn: Connection) -> None:
            now = database.now(conn)
            work_queue.want(conn, now, STREAM, EMPLOYEES)
            claims = {
                claim.key: claim
                for claim in work_queue.claim(conn, now, STREAM, limit=9, lease_seconds=600.0)
            }
            work_queue.park(conn, now, claims["CD"], "calendar_forbidden", "no")
            work_queue.retry(conn, now, claims["EF"], error="later", delay=600.0)

        await database.run(occupy)
        desk.asked()
        report = await desk.ask()
        assert (report.asked, report.wanted, desk.asked()) == (0, (), {"google": [], "advoware": []})
        parked = await desk.row("CD")
        assert parked is not None
        assert parked.parked_at is not None

    at_desk(tmp_path, story)


def test_an_outage_stops_the_poll(tmp_path: Path) -> None:
    """While Advoware is away the poll pauses it for everybody and asks nobody; afterwards the change is found."""

    async def story(desk: Desk) -> None:
        office = desk.office
        await desk.at_rest()
        office.termin(501)
        office.advoware.switches.update({"connector": "offline"})
        report = await desk.ask()
        assert (report.is_down, report.wanted) == (True, ())
        desk.asked()
        report = await desk.ask(1.0)
        assert (report.is_down, desk.asked()) == (True, {"google": [], "advoware": []})
        office.advoware.switches.update({"connector": "online"})
        assert (await desk.ask(3600.0)).wanted == ("AB",)

    at_desk(tmp_path, story)


def test_who_was_not_reached_comes_first(tmp_path: Path) -> None:
    """The next poll begins with whoever was asked the longest ago; who has left the setting is forgotten."""

    async def story(desk: Desk) -> None:
        await desk.at_rest()
        hasty = replace(desk.poll, longest_seconds=0.0)
        memory = {"ZZ": Memory("gone"), "EF": Memory("e"), "AB": Memory("a")}
        report = await hasty.run(memory)
        assert (report.asked, report.wanted, list(report.memory)) == (0, (), ["EF", "AB"])
        report = await replace(desk.poll, concurrency=1).run(report.memory)
        assert list(report.memory) == ["CD", "EF", "AB"]

    at_desk(tmp_path, story)


def test_wants_are_events_of_the_inbox(tmp_path: Path) -> None:
    """What a poll wants stands in the inbox under the topic of the employees' passes, and before the schedule's in the queue."""

    async def story(desk: Desk) -> None:
        office = desk.office
        await desk.at_rest()
        office.termin(501)
        await desk.ask()
        rows = await office.database.run(lambda c: events.listing(c, limit=1))
        assert [(row.source, row.topic, row.entity_id) for row in rows] == [("feed", TOPIC, "AB")]
        row = await desk.row("AB")
        assert row is not None
        assert (row.wanted > row.done, row.priority) == (True, work_queue.EVENT_PRIORITY)

    at_desk(tmp_path, story)
