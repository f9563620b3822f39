"""What a person does with appointments: passes, holds, conflicts, answers, approvals, links, and what status tells."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bitbylaw_pipeline.cli import termine_pass
from bitbylaw_pipeline.cli.hold_words import meaning, name_of
from bitbylaw_pipeline.domain.errors import Transient
from bitbylaw_pipeline.domain.outcome import Outcome
from bitbylaw_pipeline.domain.termin_pair import PAIR_PREFIX
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.domain.two_way_link import Link
from bitbylaw_pipeline.inbox import (
    calendar_passes,
    events,
    run_leases,
    two_way_desk,
    two_way_links,
    work_queue,
)
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.sync.termine_google import EXCEPTION, NO_COUNTERPART
from bitbylaw_pipeline.sync.termine_policy import UNMAPPED
from bitbylaw_pipeline.sync.termine_stream import InHand
from bitbylaw_pipeline.wiring import open_runtime
from tests.cli.conftest import EMPLOYEES, Office, Terminal, calendar_of, calendars, mail_of
from tests.conftest import ENCRYPTION_KEY

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]


TODAY = datetime.now(BERLIN).date()
"""Once for all: at midnight a Termin would stand on another day than the test looks for."""


def day(n: int) -> str:
    """The day so many days from `TODAY`."""
    return f"{TODAY + timedelta(days=n)}"


@dataclass(slots=True)
class Firm:
    """An office with calendars, and the state behind it."""

    office: Office
    database: Database

    def run(self, *arguments: str, **changed: str) -> Result:
        """The command's result."""
        return self.office.run(*arguments, **changed)

    def passed(self, kuerzel: str = "AB") -> None:
        """One pass that goes through."""
        result = self.run("pass", f"termine:{kuerzel}")
        assert result.exit_code == 0, result.output

    def termin(self, fr_nr: int, n: int = 3, **given: Any) -> int:
        """A Termin of AB's, so many days from now."""
        row = {
            "frNr": fr_nr, "datum": day(n), "uhrzeitVon": "09:30:00", "datumBis": day(n), "uhrzeitBis": "10:30:00",
            "text": f"Mandant Geheim {fr_nr}", "anwalt": "AB", **given,
        }  # fmt: skip
        self.office.sandbox.advoware.seed({"termine": [row]})
        return fr_nr

    def in_advoware(self, fr_nr: int) -> Row:
        """The Termin as it is stored; empty if it is gone."""
        return dict(self.office.sandbox.advoware.store.termine.get(fr_nr, {}))

    def edit_termin(self, fr_nr: int, **values: Any) -> None:
        """A person edits it in Advoware."""
        self.office.sandbox.advoware.edit({"table": "termine", "id": fr_nr, "set": values})

    def events(self, kuerzel: str = "AB") -> list[Row]:
        """The living events of the calendar."""
        found = self.office.sandbox.google.state()["calendars"]
        (calendar,) = [one for one in found if one["id"] == calendar_of(kuerzel)]
        return [one for one in calendar["events"] if one["status"] != "cancelled"]

    def edit_google(self, kind: str, kuerzel: str = "AB", **more: Any) -> None:
        """What the employee does in the calendar."""
        self.office.sandbox.google.edit({"do": kind, "calendar": calendar_of(kuerzel), **more})

    def google_writes(self) -> list[str]:
        """Every call by which a calendar was changed."""
        ledger = self.office.sandbox.google.ledger.entries
        return [f"{one.method} {one.path}" for one in ledger if one.method != "GET" and "/events" in one.path]

    def lists_of_advoware(self) -> list[str]:
        """Every list of Termine that Advoware was asked for."""
        ledger = self.office.sandbox.advoware.ledger.entries
        return [one.query for one in ledger if one.method == "GET" and one.path.endswith("/Termine")]

    def hold(self, why: str) -> HoldView:
        """The one hold for that reason."""
        found = self.database.read(lambda c: two_way_desk.list_holds(c, None, self.database.cipher))
        (one,) = [one for one in found if one.why == why]
        return one

    def link(self) -> Link:
        """The one link of AB's."""
        (found,) = self.database.read(
            lambda c: two_way_links.load(c, self.database.cipher, f"{PAIR_PREFIX}AB")
        )
        return found


@pytest.fixture
def firm(calendar_office: Office, with_state: tuple[Terminal, Database]) -> Firm:
    """Three employees; AB has one Termin in Advoware, and no pass has been made."""
    made = Firm(calendar_office, with_state[1])
    made.termin(501)
    return made


@pytest.fixture
def differing(firm: Firm) -> Firm:
    """The notes of AB's Termin are changed on both sides, and a person is asked."""
    firm.passed()
    (event,) = firm.events()
    firm.edit_termin(501, notiz="Aktenwort")
    firm.edit_google("edit", event=event["id"], set={"description": "Kalenderwort"})
    firm.passed()
    return firm


def row(output: str, name: str) -> list[str]:
    """The cells of the line that begins with that name."""
    return [line.split() for line in output.splitlines() if line.startswith(name)][-1]


# -- passes


@pytest.mark.parametrize("name", ["termine:AB", "termine:ab", "termin_gcal:AB"])
def test_a_pass_over_one_employee_puts_everything_right_once(firm: Firm, name: str) -> None:
    """However it is named: the first makes the event, the second writes nothing, nobody else is looked at."""
    first = firm.run("pass", name)
    assert first.exit_code == 0, first.output
    assert row(first.output, "termine:AB")[1:6] == ["0", "1", "0", "0", "0"]
    assert "termine:CD" not in first.output
    assert len(firm.events()) == 1
    assert row(firm.run("pass", name).output, "termine:AB")[1:6] == ["1", "0", "0", "0", "0"]
    assert len(firm.google_writes()) == 1


def test_a_pass_over_everything_includes_everybody(firm: Firm) -> None:
    """Parties, accounts, Akten, and each employee; `termine` alone leaves the former out."""
    output = firm.run("pass").output
    for name in ("beteiligte", "bankverbindungen", "akten", "termine:AB", "termine:CD", "termine:EF"):
        assert row(output, name)
    assert "beteiligte" not in firm.run("pass", "termine").output


def test_a_plan_says_what_a_pass_would_do_and_does_nothing(firm: Firm) -> None:
    """By the Termin's number, with which side is which; no title, and nothing is written."""
    result = firm.run("plan", "termine:AB")
    assert result.exit_code == 0, result.output
    assert "termine:AB (left is Advoware, right is Google)" in result.output
    assert "left:501: create on the right" in result.output
    assert "Geheim" not in result.output
    assert firm.google_writes() == []
    assert "termine:EF" in firm.run("plan").output


def test_who_cannot_be_planned_for_has_a_line_that_says_why(firm: Firm) -> None:
    """AB's calendar is closed to us: the plans of the others are shown all the same, and the exit code is 1."""
    firm.termin(601, anwalt="CD")
    firm.edit_google("revoke_access", status=404)
    result = firm.run("plan", "termine")
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert re.search(r"termine:AB \([^)]*\) google does not show us", said), said
    assert "left:601: create on the right" in result.output
    assert "termine:EF" in result.output


def test_a_system_that_is_away_is_not_asked_for_everybody_s_plan(firm: Firm) -> None:
    """Each employee's line says so, and one of them was tried."""
    result = firm.run("plan", "termine", GOOGLE_TOKEN_URL="http://127.0.0.1:1/token")
    assert result.exit_code == 1
    assert result.output.count("cannot be reached") == 3
    assert len(firm.lists_of_advoware()) == 1


def test_a_fault_of_our_own_is_not_called_another_run(firm: Firm) -> None:
    """Only where another run has the employee in hand is that said; any other error of ours is shown as it is."""

    class Faulty:
        name, systems = "termine", frozenset[str]()

        def entity_lock(self, key: str) -> str:
            return key

        async def sync(self, key: str) -> Outcome:
            if key == "AB":
                raise InHand("AB is in hand.", system="pipeline")
            raise Transient("KeyError at x.py:1: a fault of this program.", system="pipeline")

        async def describe(self, key: str) -> list[str]:
            return [key]

    async def story() -> list[PairPass]:
        settings = Settings.load(_env_file=None, **firm.office.sandbox.settings, **state)
        async with open_runtime(settings, database=firm.database) as runtime:
            return await termine_pass.run(replace(runtime, streams={"termine": Faulty()}), ["AB", "CD"])

    state = {"state_encryption_key": ENCRYPTION_KEY}
    in_hand, faulty = asyncio.run(story())
    assert (in_hand.is_skipped, in_hand.stopped_by) == (True, None)
    assert not faulty.is_skipped
    assert "a fault of this program" in str(faulty.stopped_by)


def test_one_employee_s_trouble_holds_up_nobody(firm: Firm) -> None:
    """AB's calendar is closed to us: the others pass, AB's line says why, nothing is deleted, the exit code is 1."""
    firm.passed()
    firm.edit_google("revoke_access", status=404)
    result = firm.run("pass", "termine")
    assert result.exit_code == 1
    assert re.search(r"termine:AB: stopped half way\. google does not show us", result.output)
    assert row(result.output, "termine:EF")[1:6] == ["0", "0", "0", "0", "0"]
    assert firm.in_advoware(501)


def test_a_system_that_is_away_ends_the_pass(firm: Firm) -> None:
    """Nobody after the first is tried in vain, and status says what is paused."""
    result = firm.run("pass", "termine", GOOGLE_TOKEN_URL="http://127.0.0.1:1/token")
    assert result.exit_code == 1
    assert "termine:AB: stopped half way" in result.output
    assert "termine:CD" not in result.output
    assert "paused google" in firm.run("status").output


def test_a_limit_of_one_employee_s_ends_nobody_else_s_pass(firm: Firm) -> None:
    """Google asks to leave AB alone: CD and EF pass, and nothing is paused."""
    firm.office.sandbox.google.scripts.add(
        [{"kind": "error", "error": "quotaExceeded", "calendar": calendar_of("AB"), "times": 99}]
    )
    result = firm.run("pass", "termine")
    assert result.exit_code == 1
    assert "usage limits are exceeded" in result.output
    assert row(result.output, "termine:EF")[1:6] == ["0", "0", "0", "0", "0"]
    assert "paused" not in firm.run("status").output


def test_one_pass_at_a_time_over_an_employee(firm: Firm) -> None:
    """While another run has AB in hand, AB alone is left alone."""
    database = firm.database
    database.run_sync(lambda c: run_leases.take(c, database.now(c), f"{PAIR_PREFIX}AB", 60.0))
    result = firm.run("pass", "termine")
    assert result.exit_code == 1
    assert "termine:AB: another run has it in hand" in result.output
    assert row(result.output, "termine:CD")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pass", "termine:XY"), "XY has no calendar"),
        (("plan", "termine:XY"), "XY has no calendar"),
        (("sync", "termine", "XY"), "XY has no calendar"),
        (("approve-deletes", "termine:XY", "left", "3"), "XY has no calendar"),
        (("sync", "termine", "A B"), "'A B' is no Kürzel"),
        (("pass", "termine:"), "'' is no Kürzel"),
        (("release", "termine"), "termine:KÜRZEL"),
        (("holds", "--pair", "AB"), "'AB' is no pair"),
    ],
)
def test_who_has_no_calendar_cannot_be_meant(firm: Firm, arguments: tuple[str, ...], says: str) -> None:
    """Exit code 2 and one sentence; nothing reaches the queue."""
    result = firm.run(*arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert firm.database.read(lambda c: work_queue.summary(c, firm.database.now(c))) == {}


@pytest.mark.parametrize(
    "arguments", [("pass", "termine"), ("plan", "termine:AB"), ("sync", "termine", "AB")]
)
def test_without_calendars_it_is_said_at_once(advoware_office: Office, arguments: tuple[str, ...]) -> None:
    """Exit code 2 and which setting is missing."""
    result = advoware_office.run(*arguments)
    assert result.exit_code == 2
    assert "set GOOGLE_CALENDARS" in result.stderr


# -- one employee through the queue


def test_an_employee_is_synced_by_kuerzel(firm: Firm) -> None:
    """The trial changes nothing, --here works in this process, and the next trial has nothing to do."""
    assert "left:501: create on the right" in firm.run("sync", "termine", "ab", "--dry-run").output
    assert firm.google_writes() == []
    done = firm.run("sync", "termine", "ab", "--here")
    assert done.exit_code == 0, done.output
    assert "AB: synced" in done.output
    assert "Nothing to do." in firm.run("sync", "termine", "AB", "--dry-run").output


def test_a_key_file_that_is_none_is_told_by_the_trial(firm: Firm) -> None:
    """In the sentence that doctor has, too."""
    result = firm.run("sync", "termine", "AB", "--dry-run", GOOGLE_SERVICE_ACCOUNT_FILE="/nowhere")
    assert "names a file that is not there" in result.output


def test_the_durable_way_asks_for_a_pass_with_an_event(firm: Firm) -> None:
    """Under the topic that every request for a pass has; it waits in the queue while nobody works."""
    result = firm.run("sync", "termine", "AB", "--timeout", "0.3")
    assert result.exit_code == 1
    assert "it stays in the queue" in result.stderr
    (came,) = firm.database.read(lambda c: events.listing(c, entity_id="AB"))
    assert (came.source, came.topic, came.entity_type, came.action) == (
        "cli",
        calendar_passes.TOPIC,
        "Employee",
        "sync",
    )
    assert "waiting since" in firm.run("inbox", "show", "termine", "AB").output


def test_whom_google_asked_to_leave_alone_is_left_alone(firm: Firm) -> None:
    """A used-up quota is met by the first pass; what a person asks for then waits for its time, for a try prolongs it."""
    firm.office.sandbox.google.scripts.add(
        [{"kind": "error", "error": "quotaExceeded", "calendar": calendar_of("AB"), "times": 99}]
    )
    assert "not done, it is tried again later" in firm.run("sync", "termine", "AB", "--here").stderr
    before = firm.database.read(lambda c: work_queue.get(c, "termine", "AB"))
    result = firm.run("sync", "termine", "AB", "--timeout", "0.3")
    assert "ScopeLimited" in result.stderr
    after = firm.database.read(lambda c: work_queue.get(c, "termine", "AB"))
    assert before is not None
    assert after is not None
    assert after.not_before == before.not_before > firm.database.read(firm.database.now) + 3600
    assert firm.database.read(lambda c: events.listing(c, entity_id="AB"))


# -- holds


def test_a_series_of_google_s_is_listed_with_its_meaning(firm: Firm) -> None:
    """Under its employee, with which side is which; by id alone, and as everybody's or AB's or nobody's."""
    begin = {"dateTime": f"{day(2)}T09:00:00", "timeZone": "Europe/Berlin"}
    end = {"dateTime": f"{day(2)}T10:00:00", "timeZone": "Europe/Berlin"}
    rule = {"summary": "Geheim", "start": begin, "end": end, "recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}
    firm.edit_google("create", set=rule)
    firm.passed()
    for chosen in ((), ("--pair", "termine"), ("--pair", "termine:ab"), ("--pair", "termin_gcal:AB")):
        output = firm.run("holds", *chosen).output
        assert "termine:AB" in output, chosen
        assert "serie_ohne_gegenstueck: A series made in Google stays there" in output
        assert "termine: left is Advoware, right is Google." in output
        assert "Geheim" not in output
        assert "1 wait" in output
    assert "0 wait" in firm.run("holds", "--pair", "termine:CD").output
    (told,) = csv.DictReader(io.StringIO(firm.run("holds", "--csv").stdout))
    assert (told["pair"], told["why"]) == ("termine:AB", "serie_ohne_gegenstueck")
    refused = firm.run("resolve", told["hold"], "--take", "left")
    assert refused.exit_code == 1
    assert "takes no answer" in refused.stderr


def test_every_reason_of_appointments_has_a_meaning() -> None:
    """A person is never shown a code that nothing explains; nor is one withheld of which nobody is told."""
    series = (ROOT / "bitbylaw_pipeline" / "clients" / "advoware_termin_series.py").read_text("utf-8")
    found = {*re.findall(r'TerminSeries\(None, "(\w+)"\)', series), NO_COUNTERPART, EXCEPTION, "unreadable"}
    assert len(found) == 6
    assert found <= UNMAPPED
    for reason in UNMAPPED:
        assert "docs/operation.md" not in meaning(reason).says, reason


def test_a_series_that_advoware_alone_can_have_is_told(firm: Firm) -> None:
    """Monthly on the 31st: which day February has is not known."""
    start = datetime.now(BERLIN).date().replace(month=1, day=31)
    firm.termin(
        502,
        datum=f"{start}",
        datumBis=f"{start.replace(year=start.year + 3)}",
        dauertermin=1,
        turnus=1,
        turnusArt=3,
    )
    firm.passed()
    assert "end_of_month: A series on a day that not every month has" in firm.run("holds").output


# -- conflicts and answers


def test_a_conflict_shows_its_values_only_on_request(differing: Firm) -> None:
    """Named by its systems, which are not those of the parties."""
    hold = differing.hold("conflict:notiz")
    short = differing.run("conflicts", "--pair", "termine")
    assert name_of(hold) in short.output
    assert "Aktenwort" not in short.output
    assert "1 open" in differing.run("conflicts", "--pair", "termine:AB").output
    assert "0 open" in differing.run("conflicts", "--pair", "termine:CD").output
    whole = differing.run("conflicts", "--values").output
    assert whole.index("personal data") < whole.index("Aktenwort")
    assert re.search(r"Advoware +Aktenwort", whole)
    assert re.search(r"Google +Kalenderwort", whole)


def test_an_edit_of_a_frist_in_google_is_told_as_decided(firm: Firm) -> None:
    """Put back, and noted with both times, as the person reads them on the wall."""
    firm.termin(502, text="Frist Berufung")
    firm.passed()
    (event,) = [one for one in firm.events() if one["summary"] == "Frist Berufung"]
    moved = {
        name: {"dateTime": f"{day(3)}T{clock}", "timeZone": "Europe/Berlin"}
        for name, clock in (("start", "12:00:00"), ("end", "13:00:00"))
    }
    firm.edit_google("edit", event=event["id"], set=moved)
    firm.passed()
    told = firm.run("conflicts", "--all", "--values", "--pair", "termine:AB").output
    assert "Advoware won" in told
    assert re.search(rf"Advoware +{day(3)} 09:30 CES?T", told)
    assert re.search(rf"Google +{day(3)} 12:00 CES?T", told)
    assert firm.in_advoware(502)["uhrzeitVon"] == "09:30:00"


def test_the_trial_of_an_answer_shows_what_would_be_done(differing: Firm) -> None:
    """By the plan of a pass, with the values where asked for; nothing is stored or written."""
    name = name_of(differing.hold("conflict:notiz"))
    writes = len(differing.google_writes())
    trial = differing.run("resolve", name, "--take", "right", "--dry-run", "--values")
    assert trial.exit_code == 0, trial.output
    assert "termine:AB" in trial.output
    assert "left is Advoware, right is Google" in trial.output
    assert "update on the left: notiz" in trial.output
    assert re.search(r"Advoware +Aktenwort", trial.output)
    assert re.search(r"Google +Kalenderwort", trial.output)
    assert "Nothing has been changed" in trial.output
    assert len(differing.google_writes()) == writes
    assert differing.hold("conflict:notiz").decision is None
    other = differing.run("resolve", name, "--take", "left", "--dry-run")
    assert "update on the right: notiz" in other.output
    assert "Aktenwort" not in other.output


@pytest.mark.parametrize("what", ["another calendar", "other rules"])
def test_no_trial_takes_new_settings_in(differing: Firm, what: str) -> None:
    """Neither a dry run nor a plan nor an audit forgets a link or what was agreed: each says why it can say nothing."""
    name = name_of(differing.hold("conflict:notiz"))
    new = calendars(*EMPLOYEES, AB="c_new@group.calendar.google.com")
    given, says = (
        ({"GOOGLE_CALENDARS": new}, "is another one than before")
        if what == "another calendar"
        else ({"TERMINE_MASKED": "true"}, "TERMINE_MASKED or TERMINE_FRISTEN has changed")
    )
    before = differing.link()
    trial = differing.run("resolve", name, "--take", "left", "--dry-run", **given)
    assert (trial.exit_code, says in trial.stderr) == (1, True), trial.output
    assert says in differing.run("plan", "termine:AB", **given).output
    audited = differing.run("audit", "AB", **given)
    assert audited.exit_code == 1
    assert "AB: could not be looked at." in audited.output
    assert says in " ".join(audited.output.split())
    assert differing.link() == before
    assert differing.hold("conflict:notiz").decision is None


@pytest.mark.parametrize(("take", "word"), [("left", "Aktenwort"), ("right", "Kalenderwort")])
def test_an_answer_is_carried_out_by_the_employee_s_pass(differing: Firm, take: str, word: str) -> None:
    """It wants AB in the queue and says so; after the pass both sides hold the chosen words, and nobody waits."""
    given = differing.run("resolve", name_of(differing.hold("conflict:notiz")), "--take", take)
    assert given.exit_code == 0, given.output
    assert "termine AB is wanted" in given.output
    row_of = differing.database.read(lambda c: work_queue.get(c, "termine", "AB"))
    assert row_of is not None
    assert row_of.wanted > row_of.done
    assert differing.run("sync", "termine", "AB", "--here").exit_code == 0
    (event,) = differing.events()
    assert event["description"] == word
    assert differing.in_advoware(501)["notiz"] == word
    assert "0 wait" in differing.run("holds").output


def test_an_answer_for_somebody_who_has_left_waits(differing: Firm) -> None:
    """Without a calendar there is no pass to want; the hold is still listed."""
    without = json.dumps({"CD": {"user": mail_of("CD"), "calendar": calendar_of("CD")}})
    name = name_of(differing.hold("conflict:notiz"))
    assert name in differing.run("holds", "--pair", "termine:AB", GOOGLE_CALENDARS=without).output
    trial = differing.run("resolve", name, "--take", "left", "--dry-run", GOOGLE_CALENDARS=without)
    assert trial.exit_code == 2
    assert "AB has no calendar" in trial.stderr
    assert differing.run("resolve", name, "--take", "left", GOOGLE_CALENDARS=without).exit_code == 0
    assert differing.database.read(lambda c: work_queue.get(c, "termine", "AB")) is None


# -- what only a person may let go on


def test_many_deletions_wait_until_they_are_approved(firm: Firm) -> None:
    """A calendar of five is emptied but for one: held; approved up to four, the next pass deletes them in Advoware."""
    for n in range(502, 506):
        firm.termin(n, n - 497)
    firm.passed()
    for event in firm.events()[1:]:
        firm.edit_google("delete", event=event["id"])
    firm.passed()
    assert "delete_guard: Too many deletes at once" in firm.run("holds").output
    approved = firm.run("approve-deletes", "termine:ab", "left", "4")
    assert approved.exit_code == 0, approved.output
    assert "The next pass over termine:AB may delete up to 4 records in Advoware." in approved.output
    assert "bitbylaw pass termine:AB" in approved.output
    firm.passed()
    assert [one for one in range(501, 506) if firm.in_advoware(one)] == [501]
    assert "0 wait" in firm.run("holds").output


def test_a_link_is_ended_and_taken_up_again(firm: Firm) -> None:
    """An ended one is left alone; taken up again it is merged; both name the side and want the employee."""
    firm.passed()
    link = firm.link().link_id
    ended = firm.run("unlink", "termine:AB", link)
    assert ended.exit_code == 0, ended.output
    assert f"bitbylaw relink termine:AB {link}" in ended.output
    firm.edit_termin(501, ort="Saal 3")
    firm.passed()
    assert "location" not in firm.events()[0]
    assert firm.run("relink", "termine:AB", link).exit_code == 0
    row_of = firm.database.read(lambda c: work_queue.get(c, "termine", "AB"))
    assert row_of is not None
    assert row_of.wanted > row_of.done
    firm.passed()
    assert firm.events()[0]["location"] == "Saal 3"
    unknown = firm.run("unlink", "termine:AB", "left:999")
    assert unknown.exit_code == 1
    assert "no link left:999" in unknown.stderr


def test_what_google_refuses_again_and_again_is_released_by_a_person(firm: Firm) -> None:
    """After five failures the link is in quarantine, listed by its systems; released, it is written."""
    firm.passed()
    (event,) = firm.events()
    firm.edit_termin(501, ort="Saal 3")
    body = {"error": {"code": 400, "message": "no", "errors": [{"domain": "global", "reason": "invalid"}]}}
    path = f".*/events/{event['id']}"
    firm.office.sandbox.google.faults.add(Fault("status", path, method="PATCH", status=400, body=body))
    assert "refused_for: refused" in firm.run("sync", "termine", "AB", "--here").output
    for _ in range(5):
        failed = firm.run("pass", "termine:AB")
        assert failed.exit_code in (0, 1)
        if failed.exit_code:
            assert "termine:AB: 1 could not be written; bitbylaw sync termine AB --here" in failed.output
    firm.office.sandbox.google.faults.clear()
    listed = firm.run("release", "termine:AB").output
    assert row(listed, "link") == ["link", "Advoware", "Google", "failures"]
    assert "1 in quarantine" in listed
    assert firm.run("release", "termine:AB", firm.link().link_id).exit_code == 0
    firm.passed()
    assert firm.events()[0]["location"] == "Saal 3"


# -- status


def test_status_has_everybody_in_one_line_while_all_is_well(firm: Firm) -> None:
    """How many there are, and the oldest pass; then no line of anybody's."""
    assert "Appointments: 3 employees, no pass yet" in firm.run("status").output
    firm.run("pass", "termine:AB")
    told = firm.run("status").output
    assert re.search(
        r"Appointments: 3 employees, oldest pass \d+ s ago, 2 without one; 1 links, 0 holds", told
    )
    assert "Advoware answered" in told
    assert not [line for line in told.splitlines() if line.startswith("  ")]


def test_status_names_who_is_not_well(firm: Firm) -> None:
    """AB's calendar is closed to us: one line by Kürzel, with since when and why; no address, no calendar."""
    firm.passed()
    firm.edit_google("revoke_access", status=404)
    firm.run("sync", "termine", "AB", "--here")
    told = firm.run("status").output
    (line,) = [line for line in told.splitlines() if line.startswith("  ")]
    assert re.match(r"  AB +fails since \d+ s: google does not show us this employee's calendar", line)
    assert calendar_of("AB") not in told
    assert mail_of("AB") not in told
    assert row(told, "termine")[1:5] == ["0", "0", "0", "1"]
    found = json.loads(firm.run("status", "--json").stdout)["termine"]
    assert found["employees"] == 3
    assert list(found["troubles"]) == ["AB"]
    parked = firm.run("inbox", "parked", "--stream", "termine").output
    assert "calendar_missing" in parked


def test_status_tells_of_a_pass_that_does_not_come(firm: Firm) -> None:
    """An hour without one, and no failure: nobody seems to be at work."""
    database = firm.database
    database.run_sync(
        lambda c: calendar_passes.note_passed(c, database.now(c) - 3600, "EF", database.now(c) - 3601, {})
    )
    assert "EF     no pass for 60 min: does bitbylaw up run?" in firm.run("status").output


def test_status_leaves_appointments_out_where_there_are_none(advoware_office: Office) -> None:
    """Neither the stream nor the line."""
    advoware_office.run("pass", "akten")
    told = advoware_office.run("status").output
    assert "ppointments" not in told
    assert "termine" not in told
