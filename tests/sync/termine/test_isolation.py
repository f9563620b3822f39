"""G22 and G27: one employee's trouble holds up nobody and deletes nothing; Google's own is waited for once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.google_connection import CalendarUser
from bitbylaw_pipeline.clients.google_errors import QUOTA_SECONDS
from bitbylaw_pipeline.domain.errors import ScopeRefused
from bitbylaw_pipeline.domain.outcome import Result
from bitbylaw_pipeline.sync.termine_pairs import CONCURRENCY, CalendarOf
from tests.sync.termine.busy import at
from tests.sync.termine.office import EMPLOYEES, Office, calendar_of, mail_of
from tests.sync.termine.shift import QUARTER, Shift, on_shift

AB = mail_of("AB")
BASE = {"AB": 500, "CD": 600, "EF": 700}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to AB alone, how it ends, and as what it is known."""

    reason: str
    begins: Callable[[Office], object]
    ends: Callable[[Office], object]


def _edit(kind: str, **more: Any) -> Callable[[Office], object]:
    return lambda office: office.edit_google(kind, user=AB, **more)


def _forget_user(office: Office) -> None:
    office.google.store.users[f"gone:{AB}"] = office.google.store.users.pop(AB)
    office.google.tokens.revoke(AB)


def _know_user(office: Office) -> None:
    office.google.store.users[AB] = office.google.store.users.pop(f"gone:{AB}")


def _set_mail(mail: str) -> Callable[[Office], object]:
    def change(office: Office) -> None:
        of = CalendarOf(CalendarUser("AB", mail), calendar_of("AB"))
        office.pairs.calendars = {**office.pairs.calendars, "AB": of}

    return change


def _set_user(state: str) -> Callable[[Office], object]:
    return lambda office: office.google.edit({"do": "set_user", "user": AB, "state": state})


_RESTORED = _edit("restore_access")
TROUBLES = {
    "403": Trouble("calendar_forbidden", _edit("revoke_access", status=403), _RESTORED),
    "404": Trouble("calendar_missing", _edit("revoke_access", status=404), _RESTORED),
    "reader": Trouble("calendar_forbidden", _edit("set_role", role="reader"), _edit("set_role", role=None)),
    "free and busy": Trouble(
        "calendar_forbidden", _edit("set_role", role="freeBusyReader"), _edit("set_role", role=None)
    ),
    "no private access": Trouble(
        "calendar_forbidden",
        _edit("set_role", role="writerWithoutPrivateAccess"),
        _edit("set_role", role=None),
    ),
    "suspended": Trouble("user_unknown", _set_user("suspended"), _set_user("active")),
    "unknown": Trouble("user_unknown", _forget_user, _know_user),
    "no calendar": Trouble("calendar_forbidden", _set_user("no_calendar"), _set_user("active")),
    "another domain": Trouble("access_withdrawn", _set_mail("ab@fremd.example"), _set_mail(AB)),
}


async def filled(shift: Shift, count: int = 5) -> None:
    """So many Termine of each employee with their events, in step."""
    for kuerzel, base in BASE.items():
        for number in range(1, count + 1):
            shift.office.termin(base + number, f"2026-03-{15 + number:02}", anwalt=kuerzel)
    done = await shift.quarter()
    assert all(one.error is None for one in done.values())


def edits(shift: Shift) -> None:
    """Everybody is edited on both sides, and one is deleted on each."""
    office = shift.office
    for kuerzel, base in BASE.items():
        office.edit_termin(base + 1, text="Neuer Titel")
        office.edit_google("move", office.event_of(base + 2, kuerzel), kuerzel, set=at("2026-03-27"))
        office.delete_termin(base + 3)
        office.edit_google("delete", office.event_of(base + 4, kuerzel), kuerzel)
        office.termin(base + 9, "2026-03-24", anwalt=kuerzel)


def assert_caught_up(shift: Shift, kuerzel: str) -> None:
    """The edits are on both sides, and nothing is there twice."""
    office, base = shift.office, BASE[kuerzel]
    rows, events = shift.stands(kuerzel)
    numbers = {base + 1, base + 2, base + 5, base + 9}
    assert sorted(row["frNr"] for row in rows) == sorted(numbers)
    assert len(events) == len(numbers)
    assert office.event_of(base + 1, kuerzel)["summary"] == "Neuer Titel"
    assert office.at_advoware(base + 2)["datum"] == "2026-03-27"


def deletions(shift: Shift, since: int, of: str) -> list[str]:
    """Deletions of one employee's appointments among the requests since then."""
    numbers = {str(BASE[of] + number) for number in range(20)}
    return [
        f"{call.method} {call.path}"
        for call in shift.wire.calls[since:]
        if call.method == "DELETE"
        and (calendar_of(of) in call.path or dict(call.asked).get("frnr") in numbers)
    ]


async def assert_ab_alone_is_refused(shift: Shift, trouble: Trouble) -> None:
    """A quarter's passes: AB's key is parked with that reason, and everybody else's go through."""
    done = await shift.quarter()
    assert {key: one.error is None for key, one in done.items()} == {"AB": False, "CD": True, "EF": True}
    refusal = done["AB"].error
    assert isinstance(refusal, ScopeRefused)
    assert refusal.reason == trouble.reason
    assert AB not in str(refusal)
    row = await shift.row("AB")
    assert (row.parked_at, row.park_reason) == (shift.office.clock(), trouble.reason)
    assert await shift.outages() == []


def test_every_refusal_is_one_employees_alone_and_forgets_nothing(tmp_path: Path) -> None:
    """Whatever it is: parked, nothing deleted or forgotten; with access again the pass is quiet, and says it is well."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        before = await shift.links("AB"), shift.stands("AB")
        writes = office.writes("google"), office.writes("advoware")
        for trouble in TROUBLES.values():
            trouble.begins(office)
            await assert_ab_alone_is_refused(shift, trouble)
            trouble.ends(office)
            done = await shift.quarter()
            assert (await shift.links("AB"), shift.stands("AB")) == before
            assert (office.writes("google"), office.writes("advoware")) == writes
            outcome = done["AB"].outcome
            assert outcome is not None
            assert (outcome.result, outcome.assets) == (Result.UNCHANGED, ("google/termine",))

    on_shift(tmp_path, story)


@pytest.mark.parametrize("name", ["404", "suspended"])
def test_what_was_edited_meanwhile_catches_up_without_doubles(tmp_path: Path, name: str) -> None:
    """Edits and deletions on both sides while access is withdrawn: not lost, not doubled, none of them guessed."""
    trouble = TROUBLES[name]

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        before, since = (shift.stands("AB"), await shift.links("AB")), len(shift.wire.calls)
        passed_at = (await shift.note("AB")).passed_at
        trouble.begins(office)
        await assert_ab_alone_is_refused(shift, trouble)
        for kuerzel in ("CD", "EF"):
            assert_caught_up(shift, kuerzel)
        assert (shift.stands("AB"), await shift.links("AB")) == before
        assert deletions(shift, since, "AB") == []
        note = await shift.note("AB")
        assert note.passed_at == passed_at
        assert note.failure is not None
        assert (note.failure.error, note.failure.since) == ("ScopeRefused", office.clock())
        # The schedule tries it again each time, and it stays one failure.
        await shift.quarter()
        again = (await shift.note("AB")).failure
        assert again is not None
        assert (again.since, again.at) == (note.failure.since, office.clock())
        trouble.ends(office)
        done = await shift.quarter()
        assert done["AB"].outcome is not None
        assert done["AB"].outcome.result is Result.SYNCED
        assert (await shift.note("AB")).failure is None
        assert_caught_up(shift, "AB")
        await shift.quarter()
        await office.is_at_rest()

    on_shift(tmp_path, story)


def test_tokens_that_are_refused_after_they_were_given_are_one_employees_alone(tmp_path: Path) -> None:
    """Google gives AB tokens and takes none of them, while it takes the others': AB's key is parked, nothing pauses."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        before = shift.stands("AB"), await shift.links("AB")
        office.script("error", user=AB, error="authError", times=1000)
        await shift.quarter("CD", "EF")
        # Within two minutes of a neighbour's success.
        office.advance(60.0)
        await shift.ask(["AB"])
        refusal = (await shift.batch())["AB"].error
        assert isinstance(refusal, ScopeRefused)
        assert (await shift.row("AB")).park_reason == "token_refused"
        assert await shift.outages() == []
        assert (shift.stands("AB"), await shift.links("AB")) == before
        office.google.scripts.clear()
        await shift.quarter()
        assert_caught_up(shift, "AB")

    on_shift(tmp_path, story)


def limit(
    office: Office, status: int, reason: str, headers: dict[str, str] | None = None, after: int = 0
) -> None:
    """Google asks to slow down for AB, from the call after so many on."""
    body = {
        "error": {"code": status, "message": "m", "errors": [{"domain": "usageLimits", "reason": reason}]}
    }
    office.fail(
        "google", f"/calendar/v3/calendars/{calendar_of('AB')}/.*", status=status, headers=headers or {}, body=body,
        after=after,
    )  # fmt: skip


LIMITS: list[tuple[int, str, dict[str, str], float]] = [
    (429, "rateLimitExceeded", {"Retry-After": "2000"}, 2000.0),
    (403, "userRateLimitExceeded", {"Retry-After": "2000"}, 2000.0),
    (403, "quotaExceeded", {}, QUOTA_SECONDS),
    (429, "rateLimitExceeded", {}, 5.0),
]


async def assert_ab_alone_waits(shift: Shift, seconds: float) -> None:
    """AB's key waits for so long, without an attempt; nobody else's, and no system is paused."""
    row, now = await shift.row("AB"), shift.office.clock()
    assert (row.attempts, row.parked_at) == (0, None)
    assert seconds <= row.not_before - now <= seconds + 2.0
    assert await shift.outages() == []


def test_every_limit_is_one_employees_delay(tmp_path: Path) -> None:
    """However Google says it: no attempt, no pause; the schedule leaves it alone, a person's want does not."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift, 1)
        for status, reason, headers, seconds in LIMITS:
            limit(office, status, reason, headers)
            done = await shift.quarter()
            assert {key: one.error is None for key, one in done.items()} == {
                "AB": False,
                "CD": True,
                "EF": True,
            }
            await assert_ab_alone_waits(shift, seconds)
            assert await shift.ask(EMPLOYEES) == ["CD", "EF"]
            await shift.want("AB")
            assert set(await shift.batch()) == {"AB", "CD", "EF"}
            await assert_ab_alone_waits(shift, seconds)
            office.mend()
            office.advance(seconds + 3.0)
            assert (await shift.batch())["AB"].error is None

    on_shift(tmp_path, story)


@pytest.mark.parametrize("after", [0, 2])
def test_a_limit_in_the_middle_of_a_pass_makes_nothing_twice(tmp_path: Path, after: int) -> None:
    """G27: the pass stops at the limit, and later does what it had not done."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        limit(office, 403, "quotaExceeded", {}, after)
        since = len(shift.wire.calls)
        await shift.quarter()
        for kuerzel in ("CD", "EF"):
            assert_caught_up(shift, kuerzel)
        await assert_ab_alone_waits(shift, QUOTA_SECONDS)
        # As many as are at work at once may meet the limit together; nobody goes on after it.
        refused = [
            call for call in shift.wire.calls[since:] if call.system == "google" and call.status == 403
        ]
        assert 1 <= len(refused) <= CONCURRENCY
        office.mend()
        office.advance(QUOTA_SECONDS + 3.0)
        assert set(await shift.batch()) == {"AB"}
        await shift.quarter()
        assert_caught_up(shift, "AB")
        await shift.quarter()
        await office.is_at_rest()

    on_shift(tmp_path, story)


@pytest.mark.parametrize("path", ["/calendar/.*", ".*"])
def test_google_down_pauses_it_once_and_counts_no_attempt(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """503 everywhere: one pause, nobody's attempts, no calls while it lasts; afterwards everything catches up."""
    caplog.set_level(logging.INFO)

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        before = [shift.stands(kuerzel) for kuerzel in EMPLOYEES]
        office.fail("google", path, status=503)
        done = await shift.quarter()
        assert set(done) == set(EMPLOYEES)
        assert all(one.error is not None and not one.is_parked for one in done.values())
        (outage,) = await shift.outages()
        assert outage.system == "google"
        assert caplog.text.count("system_paused") == 1
        assert [shift.stands(kuerzel) for kuerzel in EMPLOYEES] == before
        for kuerzel in EMPLOYEES:
            row = await shift.row(kuerzel)
            assert (row.attempts, row.parked_at) == (0, None)
        # Half a day of it: each look is one cheap question.
        for _ in range(2):
            asked = len(shift.wire.to("google"))
            assert await shift.quarter() == {}
            assert len(shift.wire.to("google")) - asked <= 2
        office.mend()
        office.advance(QUARTER)
        done = await shift.quarter()
        if not done:
            done = await shift.quarter()
        assert await shift.outages() == []
        for kuerzel in EMPLOYEES:
            assert_caught_up(shift, kuerzel)
            assert (await shift.row(kuerzel)).attempts == 0
        await shift.quarter()
        await office.is_at_rest()

    on_shift(tmp_path, story)


def test_a_delegation_that_is_gone_for_all_pauses_google(tmp_path: Path) -> None:
    """Nobody's key is parked for what only an administrator can mend; once it is, everything catches up."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        office.google.switches.update({"delegation": "missing"})
        office.google.tokens.revoke()
        done = await shift.quarter()
        assert all(one.error is not None and not one.is_parked for one in done.values())
        (outage,) = await shift.outages()
        assert (outage.system, outage.reason) == ("google", "refuses our key")
        office.google.switches.update({"delegation": "granted"})
        done = await shift.quarter()
        assert set(done) == set(EMPLOYEES)
        for kuerzel in EMPLOYEES:
            assert_caught_up(shift, kuerzel)
            assert (await shift.row(kuerzel)).attempts == 0

    on_shift(tmp_path, story)


def test_one_appointment_that_is_refused_holds_up_no_other(tmp_path: Path) -> None:
    """A permanent refusal of one event is a warning with its reason; the pass is done, and the next tries it again."""

    async def story(shift: Shift) -> None:
        office = shift.office
        await filled(shift)
        edits(shift)
        event = office.event_of(501)["id"]
        office.script(
            "error", operation="events.patch", event=event, error="forbiddenForNonOrganizer", times=2
        )
        done = await shift.quarter()
        outcome = done["AB"].outcome
        assert outcome is not None
        assert outcome.facts["failed"] == 1
        assert outcome.facts["refused_for"] == "forbidden_for_non_organizer"
        assert outcome.warning == "1 appointments are refused: forbidden_for_non_organizer."
        assert office.event_of(501)["summary"] == "Besprechung 501"
        assert office.at_advoware(502)["datum"] == "2026-03-27"
        await shift.quarter()
        await shift.quarter()
        assert_caught_up(shift, "AB")

    on_shift(tmp_path, story)
