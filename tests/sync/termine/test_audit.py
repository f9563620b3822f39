"""The audit of an employee's appointments: each kind of finding made on purpose, planned, repaired, and gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termin_rows import Termin
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.errors import ScopeRefused, Transient
from bitbylaw_pipeline.domain.two_way_link import Guard
from bitbylaw_pipeline.inbox import two_way_links
from bitbylaw_pipeline.inbox.schema import sync_link, sync_write_log
from bitbylaw_pipeline.sync.pair_lease import pair_lease
from bitbylaw_pipeline.sync.termine_audit import audit
from bitbylaw_pipeline.sync.termine_findings import AuditReport, Kind, Repair
from bitbylaw_pipeline.sync.termine_repair import DELETE_GUARD, RepairStopped, carry_out, why_too_many
from tests.sync.termine.office import EMPLOYEES, Office, Row, berlin, in_office

Story = Callable[[Office], Awaitable[None]]
NAMES = ("Besprechung", "Saal", "Mandant")
"""What no line of an audit may say."""


async def linked(office: Office, count: int = 3) -> list[Row]:
    """So many Termine of AB with their events, in step."""
    numbers = [office.termin(500 + n, f"2026-03-{10 + n:02}") for n in range(1, count + 1)]
    for _ in range(2):
        await office.run()
    return [office.event_of(number) for number in numbers]


def double(office: Office, event: Row, event_id: str = "doppelt1", **changed: Any) -> Row:
    """A second event of ours for the same Termin, as a lost link and a second create leave it."""
    private = {**event["extendedProperties"]["private"], "bitbylaw_event": event_id}
    fields: Row = {
        name: event[name] for name in ("summary", "description", "location", "start", "end") if name in event
    }
    fields |= {"extendedProperties": {"private": private}, **changed}
    made: Row = office.edit_google("create", id=event_id, set=fields)
    return made


async def forget_links(office: Office, *fr_nrs: int) -> None:
    """The rows of these links are lost."""
    await office.database.run(
        lambda c: c.execute(delete(sync_link).where(sync_link.c.left_id.in_([str(one) for one in fr_nrs])))
    )


async def looked(office: Office, kuerzel: str = "AB") -> AuditReport:
    """An audit, which writes nothing anywhere and says no name."""
    before = office.writes("advoware"), office.writes("google"), await stored(office)
    report = await audit(office.pairs, kuerzel)
    assert (office.writes("advoware"), office.writes("google"), await stored(office)) == before
    for finding in report.findings:
        assert not any(name in finding.line for name in NAMES), finding.line
    return report


async def stored(office: Office) -> list[Any]:
    """The links as they are stored."""
    return await office.database.run(lambda c: [tuple(row) for row in c.execute(select(sync_link))])


def kinds(report: AuditReport) -> list[tuple[Kind, Repair]]:
    """What was found, and what is planned."""
    return [(one.kind, one.repair) for one in report.findings]


async def repaired(office: Office, report: AuditReport) -> None:
    """The plan carried out and the pass that it asks for; a second audit finds nothing, and Advoware was not written."""
    termine = office.termine()
    writes = office.writes("advoware")
    done = await carry_out(office.pairs, report)
    assert office.writes("advoware") == writes
    assert office.termine() == termine
    if done.needs_pass:
        await office.run()
        await office.run()
    assert (await looked(office)).findings == ()
    await office.is_at_rest("AB")


def test_what_is_in_step_has_no_findings(tmp_path: Path) -> None:
    """Linked Termine, a Frist, a series and a whole day are nothing to tell of; each side is listed once."""

    async def story(office: Office) -> None:
        office.termin(501)
        office.termin(502, "2026-03-21", text="Frist: Klageerwiderung")
        office.termin(503, "2026-03-22", abwesenheit=1, uhrzeitVon="00:00:00", uhrzeitBis="23:59:00")
        office.termin(504, "2026-03-23", dauertermin=1, turnus=1, turnusArt=2, datumBis="2026-06-23")
        await office.run()
        await office.run()
        before = len(office.google.ledger.entries), len(office.advoware.ledger.entries)
        report = await looked(office)
        assert (report.findings, report.events, report.termine, report.links) == ((), 4, 4, 4)
        asked = [
            entry.method
            for app, count in zip((office.google, office.advoware), before, strict=True)
            for entry in list(app.ledger.entries)[count:]
            if "/sandbox" not in entry.path
        ]
        assert asked == ["GET", "GET"]

    in_office(tmp_path, story)


def test_also_where_titles_are_masked(tmp_path: Path) -> None:
    """Masked, two Termine at the same hour look alike in Google, and are nobody's twins."""

    async def story(office: Office) -> None:
        office.termin(501, text="Mandant Eins", notiz="intern", ort="Saal 1")
        office.termin(502, text="Mandant Zwei")
        await office.run()
        await office.run()
        assert office.event_of(501)["summary"] == office.event_of(502)["summary"] == "Termin"
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story, masks=True)


def test_second_event_of_a_termin_goes_and_the_linked_one_stays(tmp_path: Path) -> None:
    """Two live events of ours for one Termin: the one that no link knows is deleted, and kept in the write log."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        report = await looked(office)
        assert kinds(report) == [(Kind.TWO_EVENTS, Repair.DELETE_EVENT)]
        assert "frNr 501" in report.findings[0].line
        assert "doppelt1" in report.findings[0].line
        await repaired(office, report)
        assert office.event_of(501)["id"] == first["id"]
        logged = await office.database.run(
            lambda c: c.execute(
                select(sync_write_log.c.op).where(sync_write_log.c.link_id == "right:doppelt1")
            ).scalars().all()
        )  # fmt: skip
        assert logged == ["delete"]

    in_office(tmp_path, story)


def test_second_event_that_was_edited_is_a_persons(tmp_path: Path) -> None:
    """A double that differs from the linked one and was changed since we wrote it is not deleted."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.advance(3600.0)
        double(office, first, location="Saal 9")
        report = await looked(office)
        assert kinds(report) == [(Kind.TWO_EVENTS, Repair.PERSON)]
        await carry_out(office.pairs, report)
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_second_event_with_guests_is_not_touched(tmp_path: Path) -> None:
    """A double that others are invited to is no finding, though it says the same."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.edit_google("add_guests", double(office, first), guests=["gegner@fremd.example"])
        report = await looked(office)
        assert report.findings == ()
        await carry_out(office.pairs, report)
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_linked_event_that_has_guests_keeps_its_double_from_standing(tmp_path: Path) -> None:
    """Guests on the linked one: the double goes, the linked one is not written."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        office.edit_google("add_guests", first, guests=["gegner@fremd.example"])
        report = await looked(office)
        assert kinds(report) == [(Kind.TWO_EVENTS, Repair.DELETE_EVENT)]
        await carry_out(office.pairs, report)
        assert first["id"] in {event["id"] for event in office.events()}
        assert len(office.events()) == 3

    in_office(tmp_path, story)


def test_two_events_without_a_link_are_a_persons(tmp_path: Path) -> None:
    """Of two marked events none of which is linked nobody but a person knows the right one."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        await forget_links(office, 501)
        report = await looked(office)
        assert kinds(report) == [(Kind.TWO_EVENTS, Repair.PERSON)]
        assert set(report.findings[0].events) == {first["id"], "doppelt1"}

    in_office(tmp_path, story)


def test_copy_that_a_person_made_is_told_apart_and_stays(tmp_path: Path) -> None:
    """G18: a copy carries our mark along; it is reported as a copy, and a pass makes a Termin of it."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        when = {
            "start": {"dateTime": "2026-03-25T14:00:00+01:00"},
            "end": {"dateTime": "2026-03-25T15:00:00+01:00"},
        }
        copy = office.edit_google("duplicate", first, set=when)
        report = await looked(office)
        assert kinds(report) == [(Kind.COPY, Repair.PASS)]
        assert report.findings[0].events == (copy["id"],)
        await repaired(office, report)
        assert len(office.events()) == len(office.termine()) == 4

    in_office(tmp_path, story)


def test_twins_are_a_persons(tmp_path: Path) -> None:
    """Two Termine with begin, end and title in common are told once, with their events; a person deletes one."""

    async def story(office: Office) -> None:
        await linked(office)
        for number in (601, 602):
            office.termin(number, "2026-03-26", text="Mandant Doppelt")
        for _ in range(2):
            await office.run()
        report = await looked(office)
        assert kinds(report) == [(Kind.TWIN_TERMINE, Repair.PERSON)]
        assert report.findings[0].fr_nrs == ("601", "602")
        await carry_out(office.pairs, report)
        assert len(office.termine()) == len(office.events()) == 5
        office.delete_termin(602)
        await office.run()
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story)


def test_same_title_in_two_akten_is_no_twin(tmp_path: Path) -> None:
    """Two matters with a deadline of one name on one day: nobody's twins; two of one Akte are."""

    async def story(office: Office) -> None:
        office.termin(601, "2026-03-26", text="Frist: Berufung", nr=7)
        office.termin(602, "2026-03-26", text="Frist: Berufung", nr=8)
        for _ in range(2):
            await office.run()
        assert (await looked(office)).findings == ()
        office.termin(603, "2026-03-26", text="Frist: Berufung", nr=8)
        await office.run()
        report = await looked(office)
        assert [(one.kind, one.fr_nrs) for one in report.findings] == [(Kind.TWIN_TERMINE, ("602", "603"))]

    in_office(tmp_path, story)


def test_twin_events_of_a_person_are_a_persons(tmp_path: Path) -> None:
    """Two events of a person that look alike are told, and stay."""

    async def story(office: Office) -> None:
        await linked(office)
        for _ in range(2):
            office.edit_google(
                "create",
                set={
                    "summary": "Mandant Doppelt",
                    "start": {"dateTime": "2026-03-26T14:00:00+01:00"},
                    "end": {"dateTime": "2026-03-26T15:00:00+01:00"},
                },
            )
        report = await looked(office)
        assert kinds(report) == [(Kind.TWIN_EVENTS, Repair.PERSON)]
        await carry_out(office.pairs, report)
        assert len(office.events()) == 5

    in_office(tmp_path, story)


def test_event_in_two_links(tmp_path: Path) -> None:
    """A link that the event's own mark speaks against is forgotten; the other Termin finds its own event."""

    async def story(office: Office) -> None:
        first, second, _ = await linked(office)

        def cross(connection: Any) -> None:
            connection.execute(text("DROP INDEX ux_sync_link_right"))
            connection.execute(
                update(sync_link).where(sync_link.c.left_id == "502").values(right_id=first["id"])
            )

        await office.database.run(cross)
        report = await looked(office)
        assert (Kind.LINKED_TWICE, Repair.DROP_LINK) in kinds(report)
        (twice,) = report.of(Repair.DROP_LINK)
        assert (twice.fr_nrs, twice.events) == (("502",), (first["id"],))
        await repaired(office, report)
        assert office.event_of(501)["id"] == first["id"]
        assert office.event_of(502)["id"] == second["id"]

    in_office(tmp_path, story)


def test_link_with_another_termins_event_deletes_neither(tmp_path: Path) -> None:
    """A Termin linked with another one's event: its own event is no double, whatever the link says, and though they say the same."""

    async def story(office: Office) -> None:
        for number in (501, 502):
            office.termin(number, "2026-03-26", text="Mandant Doppelt")
        for _ in range(2):
            await office.run()
        first = office.event_of(501)
        await forget_links(office, 501)
        await office.database.run(
            lambda c: c.execute(
                update(sync_link).where(sync_link.c.left_id == "502").values(right_id=first["id"])
            )
        )
        report = await looked(office)
        assert (Kind.TWO_EVENTS, Repair.PERSON) in kinds(report)
        assert report.of(Repair.DELETE_EVENT) == []

    in_office(tmp_path, story)


def test_termin_in_two_links_is_a_persons(tmp_path: Path) -> None:
    """Which of two events a Termin belongs to is not guessed."""

    async def story(office: Office) -> None:
        await linked(office)

        def cross(connection: Any) -> None:
            connection.execute(text("DROP INDEX ux_sync_link_left"))
            connection.execute(update(sync_link).where(sync_link.c.left_id == "502").values(left_id="501"))

        await office.database.run(cross)
        report = await looked(office)
        assert (Kind.LINKED_TWICE, Repair.PERSON) in kinds(report)

    in_office(tmp_path, story)


def test_lost_link_is_found_again_by_a_pass(tmp_path: Path) -> None:
    """An event that carries our mark and has no link, its Termin there: a pass links the two, and makes nothing."""

    async def story(office: Office) -> None:
        events = await linked(office)
        await forget_links(office, 501, 502)
        report = await looked(office)
        assert kinds(report) == [(Kind.EVENT_WITHOUT_LINK, Repair.PASS)] * 2
        await repaired(office, report)
        assert {event["id"] for event in office.events()} == {event["id"] for event in events}

    in_office(tmp_path, story)


def test_orphaned_event_that_nobody_touched_goes(tmp_path: Path) -> None:
    """Our event whose link is lost and whose Termin is gone: our nonce and Google's time say that nobody edited it."""

    async def story(office: Office) -> None:
        await linked(office)
        await forget_links(office, 501)
        office.delete_termin(501)
        report = await looked(office)
        assert kinds(report) == [(Kind.EVENT_WITHOUT_TERMIN, Repair.DELETE_EVENT)]
        await repaired(office, report)
        assert len(office.events()) == 2

    in_office(tmp_path, story)


@pytest.mark.parametrize("edit", ["location", "log"])
def test_orphaned_event_that_may_have_been_edited_stays(tmp_path: Path, edit: str) -> None:
    """Edited since, or written so long ago that we no longer know: a person decides."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        await forget_links(office, 501)
        office.delete_termin(501)
        if edit == "location":
            office.edit_google("edit", first, set={"location": "Saal 7"})
        else:
            await office.database.run(lambda c: c.execute(delete(sync_write_log)))
        report = await looked(office)
        assert kinds(report) == [(Kind.EVENT_WITHOUT_TERMIN, Repair.PERSON)]
        await carry_out(office.pairs, report)
        assert len(office.events()) == 3

    in_office(tmp_path, story)


def test_orphan_of_a_persons_making_stays(tmp_path: Path) -> None:
    """An event that a person made in Google carries our mark once it is linked; it is never deleted by a repair."""

    async def story(office: Office) -> None:
        await linked(office)
        when = {
            "start": {"dateTime": "2026-03-25T14:00:00+01:00"},
            "end": {"dateTime": "2026-03-25T15:00:00+01:00"},
        }
        made = office.edit_google("create", set={"summary": "Mandant Neu", **when})
        await office.run()
        (number,) = {row["frNr"] for row in office.termine()} - {501, 502, 503}
        # Written by us since: that does not make it ours to delete.
        office.edit_termin(number, ort="Saal 5")
        await office.run()
        await forget_links(office, number)
        office.delete_termin(number)
        report = await looked(office)
        assert kinds(report) == [(Kind.EVENT_WITHOUT_TERMIN, Repair.PERSON)]
        await carry_out(office.pairs, report)
        assert made["id"] in {event["id"] for event in office.events()}

    in_office(tmp_path, story)


def test_termin_without_a_link_is_taken_by_a_pass(tmp_path: Path) -> None:
    """A Termin that is in no calendar is told, and a pass makes its event."""

    async def story(office: Office) -> None:
        await linked(office)
        office.termin(504, "2026-03-27")
        report = await looked(office)
        assert kinds(report) == [(Kind.TERMIN_WITHOUT_LINK, Repair.PASS)]
        await repaired(office, report)
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_links_whose_records_are_missing(tmp_path: Path) -> None:
    """Gone in Advoware, gone in Google (a Frist), gone in both: each is told by its kind, and a pass does the rest."""

    async def story(office: Office) -> None:
        office.termin(504, "2026-03-27", text="Frist: Berufung")
        first, second, _ = await linked(office)
        office.delete_termin(501)
        office.edit_google("delete", office.event_of(504))
        office.delete_termin(502)
        office.edit_google("delete", second)
        report = await looked(office)
        assert kinds(report) == [
            (Kind.LINK_OF_NOTHING, Repair.PASS),
            (Kind.LINK_WITHOUT_EVENT, Repair.PASS),
            (Kind.LINK_WITHOUT_TERMIN, Repair.PASS),
        ]
        assert [one.fr_nrs for one in report.findings] == [("502",), ("504",), ("501",)]
        await repaired(office, report)
        assert first["id"] not in {event["id"] for event in office.events()}
        assert office.event_of(504)["summary"] == "Frist: Berufung"

    in_office(tmp_path, story)


def test_tombstone_whose_records_live(tmp_path: Path) -> None:
    """A link that was buried while both records are there lives again by a pass."""

    async def story(office: Office) -> None:
        await linked(office)
        await office.database.run(
            lambda c: c.execute(
                update(sync_link).where(sync_link.c.left_id == "501").values(state="tombstone")
            )
        )
        report = await looked(office)
        assert kinds(report) == [(Kind.TOMBSTONE_ALIVE, Repair.PASS)]
        await repaired(office, report)
        assert len(office.events()) == len(office.termine()) == 3

    in_office(tmp_path, story)


def test_link_that_a_person_ended_is_none_of_it(tmp_path: Path) -> None:
    """Both records of a link that was ended by a person stay by themselves, and are no finding."""

    async def story(office: Office) -> None:
        await linked(office)
        await office.database.run(
            lambda c: c.execute(
                update(sync_link)
                .where(sync_link.c.left_id == "501")
                .values(state="tombstone", is_unlinked=True)
            )
        )
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story)


def test_edit_that_the_mirror_hides_is_found_and_put_right(tmp_path: Path) -> None:
    """An edit in Google that no report of changes ever told: the repair has the whole calendar listed anew."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        skip_reports(office, first, {"location": "Saal 3"})
        await office.run()
        assert office.at_advoware(501).get("ort") in (None, "")
        report = await looked(office)
        assert kinds(report) == [(Kind.DIFFERING, Repair.PASS)]
        assert report.findings[0].fields == ("ort",)
        done = await carry_out(office.pairs, report)
        assert done.needs_pass
        await office.run()
        assert office.at_advoware(501)["ort"] == "Saal 3"
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story)


def skip_reports(office: Office, event: Row, fields: Row) -> None:
    """The event is changed, and no report of changes will ever tell."""
    calendars = office.google.store.calendars.values()
    (held,) = [calendar.events[event["id"]] for calendar in calendars if event["id"] in calendar.events]
    held.data.update(fields)
    held.data["etag"] = '"unreported"'


def test_difference_that_the_link_hides_is_found_and_put_right(tmp_path: Path) -> None:
    """Both bases say agreed and the sides differ: the field's agreement is forgotten, and Advoware's value counts."""

    async def story(office: Office) -> None:
        await linked(office)
        await agree_wrongly(office, 501, ort="Saal 1")
        await office.run()
        assert "location" not in office.event_of(501)
        report = await looked(office)
        assert kinds(report) == [(Kind.DIFFERING, Repair.FORGET_AGREED)]
        assert (report.findings[0].fields, report.findings[0].forget) == (("ort",), ("ort",))
        await repaired(office, report)
        assert office.event_of(501)["location"] == "Saal 1"

    in_office(tmp_path, story)


async def agree_wrongly(office: Office, fr_nr: int, **values: Any) -> None:
    """The Termin is edited, and its link takes that for agreed."""
    office.edit_termin(fr_nr, **values)
    cipher, pair = office.database.cipher, office.pairs.pair("AB")

    def work(connection: Any) -> None:
        (link,) = two_way_links.load(connection, cipher, pair, [str(fr_nr)], [])
        agreed = replace(link, base_left={**link.base_left, **values})
        two_way_links.put(connection, office.clock.now, pair, two_way_links.rows_of([agreed], cipher))

    await office.database.run(work)


def test_frist_that_differs_behind_its_link_is_restored_in_google(tmp_path: Path) -> None:
    """A Frist's difference goes to Google alone, whatever hid it."""

    async def story(office: Office) -> None:
        office.termin(504, "2026-03-27", text="Frist: Berufung")
        await linked(office)
        await agree_wrongly(office, 504, ort="Saal 1")
        report = await looked(office)
        assert kinds(report) == [(Kind.DIFFERING, Repair.FORGET_AGREED)]
        await repaired(office, report)
        assert office.event_of(504)["location"] == "Saal 1"

    in_office(tmp_path, story)


def test_what_is_nobodys_business_is_no_finding(tmp_path: Path) -> None:
    """Invitations, private events and Termine, series of a person, events with guests: never told, never written."""

    async def story(office: Office) -> None:
        first, second, _ = await linked(office)
        hour = {
            "start": {"dateTime": "2026-03-25T14:00:00+01:00"},
            "end": {"dateTime": "2026-03-25T15:00:00+01:00"},
        }
        for _ in range(2):
            office.edit_google("invite", set={"summary": "Mandant lädt ein", **hour})
        office.edit_google("make_private", first)
        office.edit_google("add_guests", second, guests=["gegner@fremd.example"])
        office.edit_google("edit", second, set={"location": "Saal 2"})
        for _ in range(2):
            office.edit_google(
                "create", set={"summary": "Jour fixe", **_zoned(hour), "recurrence": ["RRULE:FREQ=WEEKLY"]}
            )
        office.termin(601, "2026-03-28", privat=1)
        report = await looked(office)
        assert report.findings == ()
        writes = office.writes("google")
        await carry_out(office.pairs, report)
        assert office.writes("google") == writes

    in_office(tmp_path, story)


def _zoned(hour: Row) -> Row:
    return {name: {**value, "timeZone": "Europe/Berlin"} for name, value in hour.items()}


def test_repair_stops_where_something_has_changed(tmp_path: Path) -> None:
    """The double was edited between the plan and its repair: nothing is deleted, and one sentence says so."""

    async def story(office: Office) -> None:
        first, second, _ = await linked(office)
        made = double(office, first)
        double(office, second, "doppelt2")
        report = await looked(office)
        office.edit_google("edit", made, set={"location": "Saal 4"})
        with pytest.raises(RepairStopped, match="has changed since the plan was made"):
            await carry_out(office.pairs, report)
        assert len(office.events()) == 5

    in_office(tmp_path, story)


@pytest.mark.parametrize("what", ["keeper", "keeper's link", "termin", "link"])
def test_repair_stops_where_what_it_rests_on_has_changed(tmp_path: Path, what: str) -> None:
    """The linked event is gone, the Termin is back, or the link has moved on: nothing is written."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        row = office.at_advoware(501)
        if what.startswith("keeper"):
            double(office, first)
        elif what == "termin":
            await forget_links(office, 501)
            office.delete_termin(501)
        else:
            await agree_wrongly(office, 501, ort="Saal 1")
        report = await looked(office)
        assert len(report.findings) == 1
        if what == "keeper":
            office.edit_google("delete", first)
        elif what == "keeper's link":
            await forget_links(office, 501)
        elif what == "termin":
            office.advoware.seed({"termine": [row]})
        else:
            await agree_wrongly(office, 501)
        writes = office.writes("google")
        with pytest.raises(RepairStopped, match="has changed since the plan was made"):
            await carry_out(office.pairs, report)
        assert office.writes("google") == writes

    in_office(tmp_path, story)


def test_edit_in_the_moment_of_the_delete_wins(tmp_path: Path) -> None:
    """Edited between the last look and the delete: Google's If-Match keeps the event."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        report = await looked(office)
        edit = {"do": "edit", "set": {"location": "Saal 7"}}
        office.script("concurrent_edit", operation="events.delete", edit=edit)
        with pytest.raises(RepairStopped):
            await carry_out(office.pairs, report)
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_many_deletions_need_a_number(tmp_path: Path) -> None:
    """More than 10 % of a calendar go only where a person has named how many at most."""

    async def story(office: Office) -> None:
        events = await linked(office, 6)
        for n, event in enumerate(events[:4]):
            double(office, event, f"doppelt{n}")
        report = await looked(office)
        with pytest.raises(RepairStopped, match="--delete-limit 4"):
            await carry_out(office.pairs, report)
        with pytest.raises(RepairStopped, match="more than 3"):
            await carry_out(office.pairs, report, delete_limit=3)
        assert len(office.events()) == 10
        assert why_too_many(report, 4) is None
        done = await carry_out(office.pairs, report, delete_limit=4)
        assert done.deleted == 4
        assert len(office.events()) == 6

    in_office(tmp_path, story)


def test_guard_knows_tenths_and_twenty() -> None:
    """Four of fifty are fine; a tenth of few, and more than twenty of many, are not."""
    assert Guard(min_abs=3, frac=0.1, hard_abs=20) == DELETE_GUARD
    assert not DELETE_GUARD.withholds(4, 50)
    assert DELETE_GUARD.withholds(6, 50)
    assert DELETE_GUARD.withholds(21, 1000)


def test_repair_that_is_stopped_half_way_has_the_calendar_listed_anew(tmp_path: Path) -> None:
    """What it has written is no less of a reason: the next pass asks without a token."""

    async def story(office: Office) -> None:
        first, second, _ = await linked(office)
        double(office, first)
        made = double(office, second, "doppelt2")
        await office.run()
        report = await looked(office)
        office.edit_google("edit", made, set={"location": "Saal 4"})
        with pytest.raises(RepairStopped, match="has changed since the plan was made"):
            await carry_out(office.pairs, report)
        before = len(office.google.ledger.entries)
        await office.run()
        lists = [
            entry.query
            for entry in list(office.google.ledger.entries)[before:]
            if entry.method == "GET" and entry.path.endswith("/events")
        ]
        assert lists
        assert not any("syncToken" in str(query) for query in lists)

    in_office(tmp_path, story)


def test_forged_mark_with_too_many_digits_is_not_asked_for(tmp_path: Path) -> None:
    """A number that no Termin can have costs no call; one that it could have is looked for."""

    async def story(office: Office) -> None:
        first, second, _ = await linked(office)
        for event, digits in ((first, "9" * 19), (second, "9" * 18)):
            made = f"doppelt{len(digits)}"
            marks = {"bitbylaw_frnr": digits, "bitbylaw_event": made}
            private = {**event["extendedProperties"]["private"], **marks}
            double(office, event, made, extendedProperties={"private": private})
        before = len(office.advoware.ledger.entries)
        await looked(office)
        asked = [str(entry) for entry in list(office.advoware.ledger.entries)[before:]]
        assert any("9" * 18 in one for one in asked)
        assert not any("9" * 19 in one for one in asked)

    in_office(tmp_path, story)


def test_pass_at_work_keeps_a_repair_off(tmp_path: Path) -> None:
    """While a pass has the calendar in hand, nothing is repaired."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        double(office, first)
        report = await looked(office)
        async with pair_lease(office.database, office.pairs.pair("AB")) as is_ours:
            assert is_ours
            with pytest.raises(RepairStopped, match="in hand"):
                await carry_out(office.pairs, report)
        assert len(office.events()) == 4

    in_office(tmp_path, story)


def test_lost_calendar_is_no_finding(tmp_path: Path) -> None:
    """A calendar that we may no longer see is refused for this employee alone, not taken for an empty one."""

    async def story(office: Office) -> None:
        await linked(office)
        office.edit_google("revoke_access", status=404)
        with pytest.raises(ScopeRefused):
            await audit(office.pairs, "AB")
        assert (await looked(office, "CD")).findings == ()

    in_office(tmp_path, story)


class BusyTermine(Termine):
    """Advoware's Termine, read while a pass changes a link: with each list that is asked for, so often."""

    def __init__(self, office: Office, times: int) -> None:
        present = office.pairs.termine
        super().__init__(present.connection, present.surface, clock=office.clock)
        self._office = office
        self._left = times

    async def list_for(self, kuerzel: str, first_day: date, last_day: date) -> list[Termin]:
        """The list, and a change of the first link before it comes."""
        if self._left:
            self._left -= 1
            await agree_wrongly(self._office, 501)
        return await super().list_for(kuerzel, first_day, last_day)


@pytest.mark.parametrize("times", [2, 3])
def test_pass_at_work_meanwhile_is_no_finding(tmp_path: Path, times: int) -> None:
    """What was seen while links changed does not count: both sides are looked at again, three times at most."""

    async def story(office: Office) -> None:
        await linked(office)
        office.pairs.termine = BusyTermine(office, times)
        if times < 3:
            assert (await audit(office.pairs, "AB")).findings == ()
            return
        with pytest.raises(Transient, match="A pass is at work"):
            await audit(office.pairs, "AB")

    in_office(tmp_path, story)


def test_create_whose_answer_is_lost_is_no_orphan(tmp_path: Path) -> None:
    """An event that is there before its link knows is no finding: the next pass settles it."""

    async def story(office: Office) -> None:
        office.termin(501)
        office.script("error_after", operation="events.insert", error="backendError")
        await office.run()
        assert len(office.events()) == 1
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story)


def test_what_waits_for_an_answer_is_no_difference(tmp_path: Path) -> None:
    """Notes edited on both sides are held: that stands in the list of holds, and is told once."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.edit_termin(501, notiz="von links")
        office.edit_google("edit", first, set={"description": "von rechts"})
        await office.run()
        assert await office.why_held() == ["conflict:notiz"]
        assert (await looked(office)).findings == ()

    in_office(tmp_path, story)


def test_shared_termin_is_each_employees_own(tmp_path: Path) -> None:
    """A Termin of three employees has three events in three calendars, none of them a double."""

    async def story(office: Office) -> None:
        office.termin(501, anwalt="AB,CD,EF")
        for _ in range(2):
            for kuerzel in EMPLOYEES:
                await office.run(kuerzel)
        for kuerzel in EMPLOYEES:
            assert (await looked(office, kuerzel)).findings == ()

    in_office(tmp_path, story)


def test_past_beyond_the_window_is_left_alone(tmp_path: Path) -> None:
    """A year later the Termine are out of the list: they are neither asked for nor missing."""

    async def story(office: Office) -> None:
        await linked(office)
        office.advance(400 * 86400.0)
        before = len(office.advoware.ledger.entries)
        report = await looked(office)
        assert (report.findings, report.termine, report.events) == ((), 0, 3)
        asked = [entry for entry in list(office.advoware.ledger.entries)[before:] if entry.method == "GET"]
        assert len([entry for entry in asked if "Termine" in entry.path]) == 1

    in_office(tmp_path, story)


def test_deletion_is_seen_although_the_event_was_moved_away(tmp_path: Path) -> None:
    """Deleted in Advoware, moved out of the window in Google: the link says that the window should show the Termin."""

    async def story(office: Office) -> None:
        first, *_ = await linked(office)
        office.delete_termin(501)
        when = {
            "start": {"dateTime": "2029-03-25T14:00:00+01:00"},
            "end": {"dateTime": "2029-03-25T15:00:00+01:00"},
        }
        office.edit_google("move", first, set=when)
        assert kinds(await looked(office)) == [(Kind.LINK_WITHOUT_TERMIN, Repair.PASS)]

    in_office(tmp_path, story)


def test_termin_moved_out_of_the_window_is_no_deletion(tmp_path: Path) -> None:
    """No list shows a Termin that was moved far ahead: it is read by itself, and differs."""

    async def story(office: Office) -> None:
        await linked(office)
        office.edit_termin(501, datum="2029-05-02", datumBis="2029-05-02")
        report = await looked(office)
        assert kinds(report) == [(Kind.DIFFERING, Repair.PASS)]
        await repaired(office, report)
        assert berlin(office.event_of(501)).startswith("2029-05-02")

    in_office(tmp_path, story)


@pytest.mark.parametrize("surface", list(Surface))
def test_masked_frist_and_termin_after_edits(tmp_path: Path, surface: Surface) -> None:
    """On both of Advoware's surfaces, masked: a name typed in Google is a difference until a pass has put it back."""

    async def story(office: Office) -> None:
        office.termin(
            504, "2026-03-27", text="Frist: Mandant Berufung", ort="Saal 3", notiz="Zeile 1\r\nZeile 2"
        )
        first, *_ = await linked(office)
        assert (await looked(office)).findings == ()
        office.edit_google("edit", first, set={"summary": "Mandant Klarname"})
        report = await looked(office)
        assert kinds(report) == [(Kind.DIFFERING, Repair.PASS)]
        assert report.findings[0].fields == ("text",)
        await repaired(office, report)

    in_office(tmp_path, story, masks=True, surface=surface)
