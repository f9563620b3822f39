"""`bitbylaw setup-calendar`: one calendar for one employee, made once, and its entry for the settings."""

from __future__ import annotations

import json

import pytest

from bitbylaw_pipeline.sandbox.faults import Fault
from tests.cli.conftest import EMPLOYEES, Office, Terminal, calendar_of, mail_of

NEW = ("setup-calendar", "GH", "--user", "gh@kanzlei.example")


@pytest.fixture
def office_with_gh(calendar_office: Office) -> Office:
    """The office with a fourth employee, who has a Google account and no calendar for Termine."""
    calendar_office.sandbox.google.seed({"users": [{"mail": "gh@kanzlei.example"}]})
    return calendar_office


def calendars_of(office: Office, mail: str) -> list[str]:
    """The ids of the calendars that the account owns, but for its main one."""
    found = office.sandbox.google.state()["calendars"]
    return [one["id"] for one in found if one["owner"] == mail and one["id"] != mail]


def test_without_apply_nothing_is_made(office_with_gh: Office) -> None:
    """What would be made is told, once Google has said that it may be."""
    result = office_with_gh.run(*NEW)
    assert result.exit_code == 0, result.output
    assert 'a calendar for GH: "Advoware-Termine", Europe/Berlin' in result.output
    assert "Nothing has been made" in result.output
    assert "gh@kanzlei.example" not in result.output
    assert calendars_of(office_with_gh, "gh@kanzlei.example") == []


def test_apply_makes_one_and_prints_an_entry_that_works(office_with_gh: Office) -> None:
    """The last line is JSON for GOOGLE_CALENDARS, and doctor finds the calendar well."""
    result = office_with_gh.run(*NEW, "--apply", "--title", "Termine der Kanzlei")
    assert result.exit_code == 0, result.output
    (made,) = calendars_of(office_with_gh, "gh@kanzlei.example")
    entry = json.loads(result.output.splitlines()[-1])
    assert entry == {"GH": {"user": "gh@kanzlei.example", "calendar": made}}
    office_with_gh.sandbox.advoware.seed({"mitarbeiter": [{"kuerzel": "GH", "name": "GH"}]})
    checked = office_with_gh.run("doctor", GOOGLE_CALENDARS=json.dumps(entry))
    assert "1 of 1 calendars can be read and written: GH" in checked.output
    states = office_with_gh.sandbox.google.state()["calendars"]
    assert [one["summary"] for one in states if one["id"] == made] == ["Termine der Kanzlei"]


def test_the_other_settings_may_still_be_missing(office_with_gh: Office, folder: object) -> None:
    """It is the first thing that is done: of the settings it needs Google's alone."""
    google = {name: value for name, value in office_with_gh.terminal.settings.items() if "GOOGLE" in name}
    del google["GOOGLE_CALENDARS"]
    assert Terminal(google).run(*NEW, "--apply").exit_code == 0
    assert len(calendars_of(office_with_gh, "gh@kanzlei.example")) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("AB", "--user", mail_of("AB")), "AB has a calendar in GOOGLE_CALENDARS already"),
        (("ab", "--user", mail_of("AB")), "ab has a calendar in GOOGLE_CALENDARS already"),
        (("GH", "--user", "nobody"), "the user of GH is not the mail address of a Google account"),
        (("G/H", "--user", "gh@kanzlei.example"), "a Kürzel is up to 20 letters and digits"),
        (("GH",), "--user"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_google_is_asked(
    office_with_gh: Office, arguments: tuple[str, ...], says: str
) -> None:
    """Exit code 2 and one sentence."""
    result = office_with_gh.run("setup-calendar", *arguments, "--apply")
    assert result.exit_code == 2
    assert says in result.stderr
    assert not [one for one in office_with_gh.sandbox.google.ledger.entries if "/sandbox" not in one.path]


def test_after_an_unclear_outcome_it_is_not_repeated(office_with_gh: Office) -> None:
    """The calendar was made and the answer got lost: a person looks first; nothing was tried twice."""
    google = office_with_gh.sandbox.google
    google.faults.add(Fault("timeout_after_commit", "/calendar/v3/calendars", method="POST", seconds=0.1))
    result = office_with_gh.run(*NEW, "--apply")
    assert result.exit_code == 1
    assert "A calendar may have been made for GH" in result.stderr
    assert 'look for "Advoware-Termine" in the account\'s list of calendars first' in result.stderr
    assert len(calendars_of(office_with_gh, "gh@kanzlei.example")) == 1


def test_a_used_up_quota_says_wait(office_with_gh: Office) -> None:
    """Google's limit for new calendars lasts for hours; the call is made once."""
    office_with_gh.sandbox.google.switches.update({"new_calendars_per_day": 1})
    office_with_gh.run(*NEW, "--apply")
    result = office_with_gh.run(*NEW, "--apply")
    assert result.exit_code == 1
    assert "usage limits are exceeded" in result.stderr
    assert "No calendar was made for GH: wait for some hours" in result.stderr
    ledger = office_with_gh.sandbox.google.ledger.entries
    assert len([one for one in ledger if one.path == "/calendar/v3/calendars"]) == 2


@pytest.mark.parametrize(
    ("switches", "says"),
    [
        ({"delegation": "missing"}, "allow the client ID 184000000000000000001"),
        ({"delegated_scopes": ["https://www.googleapis.com/auth/calendar.events"]}, "calendar.app.created"),
    ],
)
def test_what_google_does_not_allow_is_told_by_the_trial_already(
    office_with_gh: Office, switches: dict[str, object], says: str
) -> None:
    """With where it is to be allowed."""
    office_with_gh.sandbox.google.switches.update(switches)
    result = office_with_gh.run(*NEW)
    assert result.exit_code == 1
    assert says in result.stderr


def test_a_user_whom_google_does_not_know_is_told(office_with_gh: Office) -> None:
    """No calendar is made for anybody; the address is not repeated."""
    result = office_with_gh.run("setup-calendar", "GH", "--user", "hg@kanzlei.example", "--apply")
    assert result.exit_code == 1
    assert "knows no such user" in result.stderr
    assert "hg@kanzlei" not in result.output
    assert [calendars_of(office_with_gh, mail_of(one)) for one in EMPLOYEES] == [
        [calendar_of(one)] for one in EMPLOYEES
    ]


def test_a_missing_key_file_is_told(office_with_gh: Office) -> None:
    """Exit code 2: it is a setting."""
    result = office_with_gh.run(*NEW, GOOGLE_SERVICE_ACCOUNT_FILE="")
    assert result.exit_code == 2
    assert "GOOGLE_SERVICE_ACCOUNT_FILE is not set" in result.stderr
