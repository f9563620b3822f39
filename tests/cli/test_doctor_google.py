"""What `bitbylaw doctor` says of Google, of each employee's calendar, and of Advoware's Termine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.cli.conftest import EMPLOYEES, Office, calendar_of, calendars, mail_of
from tests.cli.test_doctor import lines
from tests.cli.test_doctor_advoware import of

EVENTS = "https://www.googleapis.com/auth/calendar.events"
SETUP = "https://www.googleapis.com/auth/calendar.app.created"
CLIENT_ID = "184000000000000000001"
Lines = dict[str, list[str]]


def checked(office: Office, **changed: str) -> tuple[int, Lines, str]:
    """(exit code, lines by level, everything), in which no address, calendar's id, token or key stands."""
    code, found = lines(office, **changed)
    output = office.run("doctor", **changed).output
    secrets = [
        *map(mail_of, EMPLOYEES),
        *map(calendar_of, EMPLOYEES),
        "PRIVATE KEY",
        "gserviceaccount",
        "ya29.",
    ]
    assert [one for one in secrets if one in output] == []
    return code, found, output


def key_file(office: Office, folder: Path, **changes: Any) -> dict[str, str]:
    """The setting of a key file with those changes to its content."""
    info = {**office.sandbox.google.service_account_info(office.sandbox.google_url), **changes}
    path = folder / "other-key.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(info), "utf-8")
    return {"GOOGLE_SERVICE_ACCOUNT_FILE": str(path)}


def test_everything_in_order_is_told_in_few_lines(calendar_office: Office) -> None:
    """Key, delegation, calendars by Kürzel, the scope for making calendars; Advoware's employees and list; the rules."""
    calendar_office.run("setup-espocrm", "--apply")
    code, found, output = checked(calendar_office)
    assert code == 0, found["wrong"]
    told = of(found, "ok", "Google") + of(found, "ok", "Termine")
    for expected in (
        "The key file is usable", "Google takes our key", "3 of 3 calendars can be read and written: AB, CD, EF",
        "setup-calendar may make calendars", "knows every Kürzel that has a calendar (3)",
        "lists Termine on the general surface (today's of AB)", "court deadlines is set",
    ):  # fmt: skip
        assert expected in told, expected
    assert "TERMINE_MASKED is false" in of(found, "warning", "Termine")
    assert "Appointments" not in output
    writes = [entry for entry in calendar_office.sandbox.google.ledger.entries if entry.method != "GET"]
    assert {entry.path for entry in writes if not entry.path.startswith("/sandbox")} == {"/token"}


def test_where_nobody_has_a_calendar_it_is_one_line(advoware_office: Office) -> None:
    """Nothing of it is wrong then, and Google is not asked."""
    _, found = lines(advoware_office)
    assert "Not configured" in of(found, "ok", "Google")
    assert not of(found, "ok", "Termine")
    assert list(advoware_office.sandbox.google.ledger.entries) == []


def test_calendars_without_advoware_are_odd(calendar_office: Office) -> None:
    """Google is checked all the same."""
    _, found, _ = checked(calendar_office, ADVOWARE_API_KEY="")
    assert "Advoware is not configured" in of(found, "warning", "Google")
    assert "3 of 3" in of(found, "ok", "Google")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "names a file that is not there"),
        ("no JSON", "names a file that is not JSON"),
        ('{"installed": {"client_id": "1"}}', "another kind of Google credentials"),
        ('{"type": "service_account", "client_email": "a@b"}', "without private_key"),
        ('{"type": "service_account", "client_email": "a@b", "private_key": "x"}', "private key is broken"),
    ],
)
def test_a_wrong_key_file_is_told_by_what_it_is(
    calendar_office: Office, folder: Path, content: str | None, says: str
) -> None:
    """One wrong line with where keys are made; Advoware's side is checked all the same, and Google is not asked."""
    path = folder / "key.json"
    if content is not None:
        path.write_text(content, "utf-8")
    code, found, output = checked(calendar_office, GOOGLE_SERVICE_ACCOUNT_FILE=str(path))
    assert code == 1
    (wrong,) = [line for line in found["wrong"] if line.startswith("Google")]
    assert says in wrong
    assert "console.cloud.google.com" in output
    assert "knows every Kürzel" in of(found, "ok", "Termine")
    assert list(calendar_office.sandbox.google.ledger.entries) == []


def test_a_missing_setting_of_the_key_file_is_told(calendar_office: Office) -> None:
    """With its name."""
    code, found, _ = checked(calendar_office, GOOGLE_SERVICE_ACCOUNT_FILE="")
    assert code == 1
    assert "GOOGLE_SERVICE_ACCOUNT_FILE is not set" in of(found, "wrong", "Google")


def test_a_key_file_that_others_can_read_is_odd(calendar_office: Office, folder: Path) -> None:
    """It opens every employee's calendars."""
    given = key_file(calendar_office, folder)
    Path(given["GOOGLE_SERVICE_ACCOUNT_FILE"]).chmod(0o644)
    _, found, _ = checked(calendar_office, **given)
    assert "can be read by others" in of(found, "warning", "Google")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"private_key_id": "another"}, "does not accept our key"),
        ({"client_email": "gone@other.iam.example"}, "gives no token for this user"),
    ],
)
def test_a_key_or_an_account_that_google_does_not_know(
    calendar_office: Office, folder: Path, changes: dict[str, str], says: str
) -> None:
    """One line for all, with the place where accounts and keys are."""
    code, found, output = checked(calendar_office, **key_file(calendar_office, folder, **changes))
    assert code == 1
    (wrong,) = [line for line in found["wrong"] if line.startswith("Google")]
    assert says in wrong
    assert "is the account enabled" in output


def test_a_refused_key_is_asked_for_once(calendar_office: Office, folder: Path) -> None:
    """Not for each employee: whoever knocks too often is shut out."""
    lines(calendar_office, **key_file(calendar_office, folder, private_key_id="another"))
    assert calendar_office.sandbox.google.tokens.refused == 1


def test_a_disabled_account_is_told(calendar_office: Office) -> None:
    """By Google's own word for it."""
    body = {"error": "disabled_client", "error_description": "The OAuth client was disabled."}
    calendar_office.sandbox.google.faults.add(Fault("status", "/token", status=401, body=body))
    code, found, _ = checked(calendar_office)
    assert code == 1
    assert "disabled_client" in of(found, "wrong", "Google")


def test_a_missing_delegation_comes_with_what_to_paste_where(calendar_office: Office) -> None:
    """The page of the admin console, the client's number, both scopes."""
    calendar_office.sandbox.google.switches.update({"delegation": "missing"})
    code, found, output = checked(calendar_office)
    assert code == 1
    assert "domain-wide delegation is missing" in of(found, "wrong", "Google")
    assert "admin.google.com" in output
    assert f"client ID {CLIENT_ID}," in output
    assert f"{EVENTS},{SETUP}" in output.splitlines()


def test_a_missing_scope_is_told_from_a_missing_delegation(calendar_office: Office) -> None:
    """The other scope is granted, so it is this one that lacks."""
    calendar_office.sandbox.google.switches.update({"delegated_scopes": [SETUP]})
    code, found, output = checked(calendar_office)
    assert code == 1
    assert "lacks the scope calendar.events" in of(found, "wrong", "Google")
    assert f"{EVENTS},{SETUP}" in output.splitlines()


def test_the_scope_for_making_calendars_may_lack(calendar_office: Office) -> None:
    """A note, and nothing wrong."""
    calendar_office.sandbox.google.switches.update({"delegated_scopes": [EVENTS]})
    code, found, _ = checked(calendar_office)
    assert code == 0
    assert "calendar.app.created is not delegated" in of(found, "ok", "Google")


def test_each_employee_s_own_trouble_is_told_by_kuerzel(calendar_office: Office) -> None:
    """A suspended account, a wrong calendar, and one who is well: three lines, each with what to do."""
    google = calendar_office.sandbox.google
    google.edit({"do": "set_user", "user": mail_of("AB"), "state": "suspended"})
    code, found, output = checked(
        calendar_office, GOOGLE_CALENDARS=calendars(*EMPLOYEES, CD="c_no@group.calendar.google.com")
    )
    assert code == 1
    wrong = of(found, "wrong", "Google").splitlines()
    assert [line.split()[1] for line in wrong] == ["AB:", "CD:"]
    assert "knows no such user, or has suspended them" in wrong[0]
    assert "does not show us this employee's calendar" in wrong[1]
    assert "whoever has left the firm is taken out of GOOGLE_CALENDARS" in output
    assert "bitbylaw setup-calendar makes another one" in output
    assert "1 of 3 calendars can be read and written: EF" in of(found, "ok", "Google")
    assert "Google takes our key" in of(found, "ok", "Google")


def of_another_domain(office: Office) -> dict[str, str]:
    """EF's Google user is of another firm."""
    given = json.loads(calendars(*EMPLOYEES))
    given["EF"]["user"] = "ef@elsewhere.example"
    return {"GOOGLE_CALENDARS": json.dumps(given)}


def read_only(office: Office) -> dict[str, str]:
    """EF may look at the calendar and no more."""
    office.sandbox.google.edit({"do": "set_role", "calendar": calendar_of("EF"), "role": "reader"})
    return {}


def shut_out(office: Office) -> dict[str, str]:
    """EF's calls on the calendar are refused."""
    office.sandbox.google.edit({"do": "revoke_access", "calendar": calendar_of("EF"), "status": 403})
    return {}


@pytest.mark.parametrize(
    ("spoil", "says", "advice"),
    [
        (
            of_another_domain,
            "unknown, suspended or not of our domain",
            "compare the user in GOOGLE_CALENDARS",
        ),
        (read_only, "can be seen, but not written (our role is reader)", "Make changes to events"),
        (shut_out, "does not let us work on this employee's calendar", "Make changes to events"),
    ],
)
def test_what_is_wrong_with_one_is_wrong_with_nobody_else(
    calendar_office: Office, spoil: Callable[[Office], dict[str, str]], says: str, advice: str
) -> None:
    """The others' calendars are well."""
    code, found, output = checked(calendar_office, **spoil(calendar_office))
    assert code == 1
    (wrong,) = [line for line in found["wrong"] if line.startswith("Google")]
    assert wrong.split()[1] == "EF:"
    assert says in wrong
    assert advice in output
    assert "2 of 3 calendars can be read and written: AB, CD" in of(found, "ok", "Google")


def test_a_used_up_quota_is_a_warning(calendar_office: Office) -> None:
    """Of that one calendar, with the advice to wait."""
    calendar_office.sandbox.google.scripts.add(
        [{"kind": "error", "error": "quotaExceeded", "calendar": calendar_of("CD"), "times": 9}]
    )
    code, found, output = checked(calendar_office)
    assert code == 0
    assert "CD: " in of(found, "warning", "Google")
    assert "wait, for hours" in output
    assert "2 of 3" in of(found, "ok", "Google")


@pytest.mark.parametrize("seconds", [-3600, 4200])
def test_a_clock_that_is_off_is_told(calendar_office: Office, seconds: int) -> None:
    """Google refuses what was signed too long ago, or is not signed yet."""
    google = calendar_office.sandbox.google
    google.switches.update({"clock_skew_seconds": seconds})
    code, found, output = checked(calendar_office)
    assert code == 1
    assert "finds our time wrong: set this machine's clock" in of(found, "wrong", "Google")
    assert "NTP" in output


def test_an_api_that_is_not_enabled_is_one_line(calendar_office: Office) -> None:
    """It is about the project, not about each employee."""
    calendar_office.sandbox.google.switches.update({"api_enabled": False})
    code, found, output = checked(calendar_office)
    assert code == 1
    (wrong,) = [line for line in found["wrong"] if line.startswith("Google")]
    assert "has not enabled the Google Calendar API" in wrong
    assert "APIs and services" in output


@pytest.mark.parametrize("setting", ["GOOGLE_TOKEN_URL", "GOOGLE_API_BASE_URL"])
def test_a_google_that_is_away_is_one_line(calendar_office: Office, setting: str) -> None:
    """With the advice to check address and network."""
    code, found, output = checked(calendar_office, **{setting: "http://127.0.0.1:1/x"})
    assert code == 1
    (wrong,) = [line for line in found["wrong"] if line.startswith("Google")]
    assert "google cannot be reached" in wrong
    assert "the network between us" in output
    assert "3 of 3" not in of(found, "ok", "Google")


@pytest.mark.parametrize(
    ("settings", "level", "says"),
    [
        ({"TERMINE_FRISTEN": ""}, "warning", "TERMINE_FRISTEN is not set. Every Termin counts as a Frist"),
        ({"TERMINE_FRISTEN": "alle"}, "ok", "Every Termin counts as a Frist"),
        ({"TERMINE_FRISTEN": "keine"}, "warning", "TERMINE_FRISTEN is keine"),
        ({"TERMINE_MASKED": ""}, "ok", "neither title nor notes nor place"),
        ({"API_KEYS": ""}, "warning", "answers everybody 401"),
        ({"GOOGLE_PUSH": "true"}, "wrong", "RECEIVER_PUBLIC_URL does not begin with https://"),
        ({"GOOGLE_CALENDARS": calendars("AB", "XY")}, "wrong", "Advoware has no employee XY"),
        ({"GOOGLE_CALENDARS": calendars("AB", "cD")}, "wrong", "Advoware spells otherwise: cD (there CD)"),
    ],
)
def test_what_is_set_is_judged(
    calendar_office: Office, settings: dict[str, str], level: str, says: str
) -> None:
    """What it means for the firm, in a sentence."""
    code, found, _ = checked(calendar_office, **settings)
    assert says in of(found, level, "Termine"), found[level]
    assert code == (1 if level == "wrong" else 0)


def test_who_is_no_longer_active_at_advoware_is_odd(calendar_office: Office) -> None:
    """The Kürzel is known, and its calendar is kept in step for nobody."""
    calendar_office.sandbox.advoware.seed({"mitarbeiter": [{"kuerzel": "EF", "name": "EF", "aktiv": False}]})
    _, found, _ = checked(calendar_office)
    assert "EF: no longer active" in of(found, "warning", "Termine")


def test_a_list_that_ignores_what_was_asked_is_wrong(calendar_office: Office) -> None:
    """Told with how many rows are somebody else's, and which surface to try."""
    today = datetime.now(BERLIN).date()
    row = {
        "datum": f"{today}",
        "datumBis": f"{today + timedelta(days=1)}",
        "text": "Mandant Geheim",
        "anwalt": "CD",
    }
    advoware = calendar_office.sandbox.advoware
    advoware.seed({"termine": [{"frNr": 501, "uhrzeitVon": "09:00:00", "uhrzeitBis": "10:00:00", **row}]})
    advoware.switches.update({"ignored_parameters": ["kuerzel"]})
    code, found, output = checked(calendar_office)
    assert code == 1
    assert "does not list what it is asked for (1 rows of other employees" in of(found, "wrong", "Termine")
    assert "ADVOWARE_TERMINE_SURFACE=activesync" in output
    assert "Geheim" not in output


def test_both_surfaces_are_tried_as_set(calendar_office: Office) -> None:
    """Advoware has two, and which one the firm has is not known."""
    _, found, _ = checked(calendar_office, ADVOWARE_TERMINE_SURFACE="activesync")
    assert "lists Termine on the activesync surface" in of(found, "ok", "Termine")


def test_a_surface_that_is_not_there_is_told(calendar_office: Office) -> None:
    """With the other one to try."""
    calendar_office.sandbox.advoware.faults.add(Fault("status", ".*/Termine", status=404, body="not found"))
    code, found, output = checked(calendar_office)
    assert code == 1
    assert of(found, "wrong", "Termine")
    assert "try ADVOWARE_TERMINE_SURFACE=activesync" in output
