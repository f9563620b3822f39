"""Each way in which the stand-ins, or what is ours, can be broken: `doctor` names it, and says what to do about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from cryptography.fernet import Fernet

from bitbylaw_pipeline.cli.telling_checks import check_credentials
from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.inbox import batches, collection_states
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings as Values
from tests.cli.conftest import EMPLOYEES, Office, Terminal, calendar_of, calendars, mail_of, open_office

Settings = dict[str, str]
Breaking = Callable[[Office], Settings | None]
RECEIVER = "http://receiver.kanzlei.example:3111"
NOBODY = {"host": "127.0.0.1", "port": "1"}


@dataclass(frozen=True, slots=True)
class Told:
    """A finding as it was printed."""

    level: str
    says: str
    advice: str


def told(office: Office, **changed: str) -> list[Told]:
    """Every finding that is not ok; with the exit code of what is wrong."""
    result = office.run("doctor", "--quiet", **changed)
    assert "Traceback" not in result.output
    found: list[Told] = []
    for line in result.stdout.splitlines():
        if match := re.match(r"(warning|wrong)\s+(.*)", line):
            found.append(Told(match[1], match[2], ""))
        elif (match := re.match(r"\s+-> (.*)", line)) and found:
            found[-1] = Told(found[-1].level, found[-1].says, match[1])
    assert result.exit_code == int(any(one.level == "wrong" for one in found))
    return found


def set_to(**settings: str) -> Breaking:
    """Another setting."""

    def broken(office: Office) -> Settings:
        del office
        return settings

    return broken


def seeded(**seed: Any) -> Breaking:
    """Another EspoCRM."""

    def broken(office: Office) -> None:
        office.seed(**seed)

    return broken


def documents(**changes: Any) -> Breaking:
    """Another data model of documents."""
    return seeded(entities={"CDokumente": changes})


def role(**changed: Any) -> Breaking:
    """Our role with other rights for some types."""
    everything = {
        "CDokumente": True, "CVmhRumungsklage": True, "CMietinkasso": True, "Account": True, "CBeteiligte": True,
        "CBankverbindungen": True, "Webhook": True, "Task": True,
    }  # fmt: skip

    def broken(office: Office) -> None:
        acl = {**everything, **changed}
        key = office.sandbox.espocrm_api_key
        office.seed(users=[{"userName": "sync", "type": "api", "apiKey": key, "acl": acl}])

    return broken


def lock_out(office: Office) -> None:
    """Somebody at our address knocks with a wrong key until EspoCRM has enough."""
    for _ in range(10):
        httpx.get(
            f"{office.sandbox.espocrm_api_base_url}/App/user", headers={"X-Api-Key": "wrong"}, timeout=10
        )


def webhook(changes: dict[str, Any]) -> Breaking:
    """One registration of ours is changed by hand in EspoCRM."""

    def broken(office: Office) -> None:
        found = next(row for row in office.webhooks() if row["event"] == "CDokumente.update")
        office.espocrm("PUT", f"Webhook/{found['id']}", changes)

    return broken


def without_webhook(office: Office) -> None:
    """One registration is deleted by hand in EspoCRM."""
    found = next(row for row in office.webhooks() if row["event"] == "CDokumente.update")
    office.espocrm("DELETE", f"Webhook/{found['id']}")


def another_webhook(**values: Any) -> Breaking:
    """A further registration of an event that is registered already."""
    event = {"event": "CDokumente.update", "url": f"{RECEIVER}/vmh/webhook/document/update", "skipOwn": True}
    return seeded(webhooks=[{**event, **values}])


def unknown_webhook(office: Office) -> None:
    """Registered anew by hand: of its secret we know nothing."""
    without_webhook(office)
    another_webhook()(office)


def old(office: Office) -> None:
    """A version from before webhooks were signed in today's way."""
    office.sandbox.espocrm.espo.version = "8.4.2"


def late(name: str, seconds: float) -> Breaking:
    """The clock of that stand-in goes wrong."""

    def broken(office: Office) -> None:
        getattr(office.sandbox, name).clock.advance(seconds)

    return broken


def xai(**switches: Any) -> Breaking:
    """Switches of xAI's stand-in."""

    def broken(office: Office) -> None:
        office.switch_xai(**switches)

    return broken


def swapped(office: Office) -> Settings:
    """Both keys of xAI, each in the other's place."""
    return {
        "XAI_API_KEY": office.sandbox.xai_management_key,
        "XAI_MANAGEMENT_KEY": office.sandbox.xai_api_key,
    }


def advoware(**switches: Any) -> Breaking:
    """Switches of Advoware's stand-in."""

    def broken(office: Office) -> None:
        office.sandbox.advoware.switches.update(switches)

    return broken


def without_rights(office: Office) -> None:
    """Advoware gives a token and takes it for nothing."""
    office.sandbox.advoware.faults.add(Fault("status", "/relay/.*", status=401, body=""))


def google(**switches: Any) -> Breaking:
    """Switches of Google's stand-in."""

    def broken(office: Office) -> None:
        office.sandbox.google.switches.update(switches)

    return broken


def edited(**edit: Any) -> Breaking:
    """What somebody does in Google."""

    def broken(office: Office) -> None:
        office.sandbox.google.edit(edit)

    return broken


def a_stranger_s_calendar(office: Office) -> Settings:
    """EF's entry names a calendar of somebody who shares it with nobody."""
    office.sandbox.google.seed(
        {
            "users": [{"mail": "zz@kanzlei.example"}],
            "calendars": [
                {"id": "c_zz@group.calendar.google.com", "owner": "zz@kanzlei.example", "summary": "Z"}
            ],
        }
    )
    return {"GOOGLE_CALENDARS": calendars(*EMPLOYEES, EF="c_zz@group.calendar.google.com")}


def stopped(office: Office) -> None:
    """The kill switch is on."""
    url = office.terminal.settings["STATE_DB_URL"]
    database = Database.open(url)
    database.run_sync(lambda conn: batches.set_flag(conn, database.now(conn), batches.EGRESS_STOP))
    database.close()


def unpermitted(office: Office) -> None:
    """Of an owner who has withdrawn the permission a collection is left at xAI."""
    database = Database.open(office.terminal.settings["STATE_DB_URL"])
    lost = CollectionState("Account:64f0c1d2e3b4a5968", "collection_1", False, "field", 1.0)
    database.run_sync(lambda conn: collection_states.put(conn, lost))
    database.close()


MAIL = {
    "ALERT_EMAIL_TO": "it@kanzlei.example", "ALERT_EMAIL_FROM": "bitbylaw@kanzlei.example",
    "SMTP_HOST": NOBODY["host"], "SMTP_PORT": NOBODY["port"],
}  # fmt: skip
MODEL = "Administration > Entity Manager"
ROLES = "in Administration > Roles"
APPLY = "run bitbylaw setup-espocrm --apply"
OWNER_FIELDS = {"removeFields": ["kiFreigabeDatum"]}

# name: (how it is broken, what is said, what is to be done)
CASES: dict[str, tuple[Breaking, str, str]] = {
    # EspoCRM: reachable, key, rights
    "espocrm_key": (set_to(ESPOCRM_API_KEY="wrong"), "does not accept our key", "Administration > API Users"),
    "espocrm_locked_out": (lock_out, "has locked our address out after wrong logins", "ends by itself after a minute"),
    "espocrm_away": (set_to(ESPOCRM_API_BASE_URL="http://127.0.0.1:1"), "espocrm cannot be reached", "ESPOCRM_API_BASE_URL"),
    "espocrm_maintenance": (seeded(config={"maintenanceMode": True}), "is in maintenance mode", "whether EspoCRM is up"),
    "espocrm_reads_own": (role(CDokumente={"read": "own", "edit": "all"}), "lets us not read every CDokumente", ROLES),
    "espocrm_no_edit": (role(Account={"read": "all", "edit": "no"}), "lets us not edit every Account", ROLES),
    "espocrm_no_create": (
        role(CBankverbindungen={"read": "all", "edit": "all", "create": "no"}),
        "lets us not create every CBankverbindungen", 'create: "yes"',
    ),
    "espocrm_no_webhook_scope": (role(Webhook=False), "no right to webhooks", "switch on the scope Webhook"),
    "espocrm_no_tasks": (role(Task=False), "may not read, create and edit all tasks", "ADVOWARE_TASKS=false"),
    # EspoCRM: data model
    "field_missing": (documents(removeFields=["sha256"]), "CDokumente.sha256 is missing", "varchar, max length 64 or more"),
    "field_type": (documents(fields={"sha256": {"type": "int"}}), "CDokumente.sha256 is of type int", "varchar or text"),
    "field_short": (
        documents(fields={"sha256": {"type": "varchar", "maxLength": 40}}), "sha256 takes 40 characters",
        f"raise its maximum length in {MODEL}",
    ),
    "field_read_only": (
        documents(fields={"md5sum": {"type": "varchar", "readOnly": True}}), "md5sum is read-only", "hide it by the layout",
    ),
    "option_missing": (
        documents(fields={"fileStatus": {"type": "enum", "options": ["neu"]}}), 'has no option "synced"', "add the option",
    ),
    "excluded_field_missing": (
        set_to(DOCUMENT_FIELDS='{"excluded": "kiGesperrt"}'), "CDokumente.kiGesperrt is missing", "as bool",
    ),
    "permission_field_missing": (
        seeded(entities={"Account": OWNER_FIELDS}), "Account.kiFreigabeDatum is missing", "as date",
    ),
    "no_concurrency_control": (
        documents(optimisticConcurrencyControl=False), "CDokumente has no optimistic concurrency control",
        "switch it on in Entity Manager",
    ),
    "no_link_multiple": (
        documents(removeFields=["rumungsklages"]), "rumungsklages has no link-multiple field", "Relationships",
    ),
    "betnr_missing": (
        seeded(entities={"CBeteiligte": {"removeFields": ["betnr"]}}), "CBeteiligte.betnr is missing", "integer (int)",
    ),
    "matter_number_missing": (
        seeded(entities={"CMietinkasso": {"removeFields": ["aktennummer"]}}), "CMietinkasso lacks aktennummer",
        "as integer (int)",
    ),
    "short_pages": (
        seeded(config={"recordListMaxSizeLimit": 100}), "gives fewer than 200 rows at once", "recordListMaxSizeLimit to 200",
    ),
    "espocrm_clock": (late("espocrm", 3600), "EspoCRM's clock and ours differ by 3", "by NTP"),
    "espocrm_old": (old, "EspoCRM 8.4.2 signs its webhooks in a way of its own", "update EspoCRM to 9.0"),
    # EspoCRM: webhooks
    "webhook_missing": (without_webhook, "not registered, so that only the change feed", APPLY),
    "webhook_twice": (another_webhook(), "registered more than once, and sent as often: CDokumente.update", APPLY),
    "webhook_elsewhere": (
        webhook({"url": "http://old.kanzlei.example/vmh/webhook/document/update"}),
        "sent to another address than RECEIVER_PUBLIC_URL: CDokumente.update", APPLY,
    ),
    "webhook_inactive": (webhook({"isActive": False}), "switched off in EspoCRM: CDokumente.update", APPLY),
    "webhook_own": (webhook({"skipOwn": False}), "also report what we ourselves write: CDokumente.update", APPLY),
    "webhook_secret": (unknown_webhook, "secret is not stored here, so that they are answered 401: CDokumente.update", APPLY),
    "webhook_second_receiver": (
        another_webhook(url="http://old.kanzlei.example/vmh/webhook/document/update"), "also goes to another receiver",
        "remove them in EspoCRM",
    ),
    # xAI
    "xai_key": (set_to(XAI_API_KEY="wrong"), "xai-files does not accept our key", "an API key that is valid into XAI_API_KEY"),
    "xai_management_key": (
        set_to(XAI_MANAGEMENT_KEY="wrong"), "xai-management", "a management key that is valid into XAI_MANAGEMENT_KEY",
    ),
    "xai_other_team": (xai(management_team="another"), "belong to different teams", "of the same, active team"),
    "xai_blocked": (xai(api_key_state="team_blocked"), "The team of XAI_API_KEY is blocked", "of the same, active team"),
    "xai_disabled": (xai(api_key_state="disabled"), "XAI_API_KEY is disabled", "console.x.ai"),
    "xai_swapped": (swapped, "XAI_API_KEY holds the management key", "exchange them in .env"),
    "xai_cannot_add": (
        xai(denied_endpoints=["AddFileToCollection"]), "lacks the right AddFileToCollection", "Management Keys",
    ),
    "xai_no_group": (
        xai(denied_endpoints=["CreateCollection", "DeleteCollection"]),
        "does not list the rights CreateCollection, DeleteCollection", '"Collections Endpoint"',
    ),
    "xai_clock": (late("xai", 350), "its clock and ours differ by 3", "by NTP"),
    # Advoware
    "advoware_password": (set_to(ADVOWARE_PASSWORD="wrong"), "refuses our user or password", "correct ADVOWARE_USER"),
    "advoware_database": (
        set_to(ADVOWARE_DATABASE="nobody"), "does not know this firm or database", "ADVOWARE_KANZLEI and ADVOWARE_DATABASE",
    ),
    "advoware_offline": (advoware(connector="offline"), "the firm is not connected", "Advoware-Netzwerk-Zugriff"),
    "advoware_not_enabled": (advoware(enabled=False), "has not enabled our App-ID", "have advoware GmbH enable"),
    "advoware_rights": (without_rights, "does not accept our token", "the rights of a member of staff"),
    "advoware_no_list": (
        advoware(lists_beteiligte=False), "does not list its parties", "ADVOWARE_LISTS_BETEILIGTE=false",
    ),
    "advoware_clock": (late("advoware", 200), "Advoware's clock and ours differ by", "by NTP"),
    # Google
    "google_delegation": (google(delegation="missing"), "domain-wide delegation is missing", "admin.google.com"),
    "google_scope": (
        google(delegated_scopes=["https://www.googleapis.com/auth/calendar.app.created"]),
        "lacks the scope calendar.events", "admin.google.com",
    ),
    "google_api": (google(api_enabled=False), "has not enabled the Google Calendar API", "APIs and services"),
    "google_calendar_gone": (
        edited(do="delete_calendar", calendar=calendar_of("EF")), "EF: ", "bitbylaw setup-calendar makes another one",
    ),
    "google_reader": (
        edited(do="set_role", calendar=calendar_of("EF"), role="reader"), "EF: the calendar can be seen, but not written",
        "Make changes to events",
    ),
    "google_stranger": (a_stranger_s_calendar, "EF: ", "compare the calendar's id in GOOGLE_CALENDARS"),
    "google_suspended": (
        edited(do="set_user", user=mail_of("EF"), state="suspended"), "EF: ", "whoever has left the firm is taken out",
    ),
    "google_clock": (late("google", 200), "Google's clock and ours differ by", "by NTP"),
    # Ours
    "state_key": (
        set_to(STATE_ENCRYPTION_KEY=Fernet.generate_key().decode()), "not the key that this state was written with",
        "nothing more is known of the state database",
    ),
    "state_away": (
        set_to(STATE_DB_URL="postgresql://nobody@127.0.0.1:1/x"), "The state database cannot be opened", "check STATE_DB_URL",
    ),
    "redis_down": (set_to(REDIS_HOST="127.0.0.1", REDIS_PORT="1"), "127.0.0.1:1 does not answer", "correct REDIS_HOST"),
    "spool": (set_to(SPOOL_DIR="/proc/nowhere"), "/proc/nowhere cannot be written", "SPOOL_DIR"),
    "egress_off": (set_to(XAI_EGRESS="off"), "XAI_EGRESS is off: nothing leaves the firm", "decide on collection or field"),
    "egress_stopped": (stopped, "The kill switch is on", "bitbylaw egress allow lifts it"),
    "egress_remaining": (unpermitted, "1 files or collections are at xAI although somebody has forbidden", "bitbylaw egress remaining"),
    "credential_ended": (
        set_to(CREDENTIALS_EXPIRE='{"XAI_API_KEY": "2020-01-31"}'), "XAI_API_KEY ended on 2020-01-31", "make a new one",
    ),
    "credential_unknown": (
        set_to(CREDENTIALS_EXPIRE='{"XAI_KEY": "2199-01-31"}'), "names XAI_KEY, which is no setting", "correct its name",
    ),
    "mail_half": (set_to(ALERT_EMAIL_TO="it@kanzlei.example"), "SMTP_HOST are not: no mail is sent", "set what is missing"),
    "mail_umlaut": (set_to(**MAIL, SMTP_USER="u", SMTP_PASSWORD="Schlüssel"), "other than ASCII characters", "another password"),
    "mail_away": (set_to(**MAIL), "mail server 127.0.0.1:1 cannot be reached", "check SMTP_HOST"),
    "alert_webhook_away": (
        set_to(ALERT_WEBHOOK_URL="http://127.0.0.1:1/secret"), "The webhook for alerts at 127.0.0.1:1 cannot be reached",
        "check ALERT_WEBHOOK_URL",
    ),
    "status_page": (set_to(STATUS_PASSWORD="", API_KEYS=""), "Nobody gets into the status page", "set STATUS_PASSWORD"),
}  # fmt: skip

KNOWN = (
    "REDIS_HOST is empty",
    'CDokumente.fileStatus has no option "unchanged"',
    "Account has no optimistic concurrency control",
    "CBeteiligte has no optimistic concurrency control",
    "CBankverbindungen has no optimistic concurrency control",
    "The receiver does not answer at RECEIVER_PUBLIC_URL",
    "TERMINE_MASKED is false",
    "Nobody is told of trouble",
)
"""What a healthy set of stand-ins, without receiver and Redis, is warned of: the sample firm has it like this."""


@pytest.fixture
def well(with_state: tuple[Terminal, Database]) -> Iterator[Office]:
    """All four systems, in order, with the webhooks registered."""
    for office in open_office(with_state[0], "9.2.7", with_advoware=True, employees=EMPLOYEES):
        office.terminal.settings["STATUS_PASSWORD"] = "a long password of the firm's"
        assert office.run("setup-espocrm", "--apply").exit_code == 0
        yield office


def test_a_healthy_firm_is_warned_of_what_is_known_and_of_nothing_else(well: Office) -> None:
    """What the cases below look for stands there only once something is broken."""
    found = told(well)
    assert [one for one in found if one.level == "wrong"] == []
    assert len(found) == len(KNOWN)
    for known, one in zip(KNOWN, found, strict=True):
        assert known in one.says
        assert one.advice
    assert {name for name, (_, says, _) in CASES.items() if any(says in one.says for one in found)} <= {
        "state_away"
    }


@pytest.mark.parametrize("name", CASES)
def test_what_is_broken_is_named_with_its_remedy(well: Office, name: str) -> None:
    """One finding says what is wrong, and the same says what to do; all other checks are made all the same."""
    broken, says, remedy = CASES[name]
    settings = broken(well) or {}
    found = told(well, **settings)
    fitting = [one for one in found if says in one.says and remedy in one.advice]
    assert fitting, found
    assert all(one.advice for one in found)
    output = well.run("doctor", **settings).output
    assert "settings" in output
    assert "proxy" in output


def test_the_cases_are_as_many_as_promised() -> None:
    """Ways of breaking, each of its own."""
    assert len(CASES) >= 50
    assert len({(says, remedy) for _, says, remedy in CASES.values()}) == len(CASES)


@pytest.mark.parametrize(
    ("version", "url", "level", "says", "remedy"),
    [
        (
            "9.3.10", "http://127.0.0.1:3111", "warning", "an address of the own network",
            "'webhookAllowedAddressList' => ['127.0.0.1:3111']",
        ),
        ("10.0.0", "http://192.0.2.7:3111", "wrong", "stops its whole webhook queue", "give the receiver a DNS name"),
        ("9.2.7", "https://hooks.kanzlei.example", "warning", "is served by a proxy", "/ready must answer 200"),
    ],
)  # fmt: skip
def test_an_address_that_this_version_does_not_take_is_told(
    with_state: tuple[Terminal, Database], version: str, url: str, level: str, says: str, remedy: str
) -> None:
    """Each version has a trap of its own."""
    for office in open_office(with_state[0], version):
        found = told(office, RECEIVER_PUBLIC_URL=url)
        assert [one for one in found if one.level == level and says in one.says and remedy in one.advice], (
            found
        )


@pytest.mark.parametrize(
    "name", ["webhook_missing", "webhook_twice", "webhook_elsewhere", "webhook_inactive", "webhook_own"]
)
def test_setup_repairs_what_doctor_finds_of_webhooks(well: Office, name: str) -> None:
    """The remedy is the command: after it doctor finds nothing of webhooks, and a second time changes nothing."""
    CASES[name][0](well)
    before = [one for one in told(well) if "CDokumente.update" in one.says]
    assert before
    assert well.run("setup-espocrm", "--apply").exit_code == 0
    assert [one for one in told(well) if "CDokumente.update" in one.says] == []
    assert "nothing to do" in well.run("setup-espocrm", "--apply").output
    assert len(well.webhooks()) == 18


class _Silent:
    """Takes no mail, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def handle_MAIL(self, *given: Any) -> str:  # noqa: N802  # the name that the library asks for
        self.told.append(repr(given))
        return "550 no"


def test_a_mail_server_and_a_webhook_that_are_there_are_well(well: Office) -> None:
    """Both are connected to and told nothing; the webhook's path, which may be a secret, is not printed."""
    silent = _Silent()
    server = Controller(silent, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        given = {
            **MAIL, "SMTP_PORT": str(server.port), "SMTP_SECURITY": "none",
            "ALERT_WEBHOOK_URL": f"{well.sandbox.xai_url}/a/secret/path",
        }  # fmt: skip
        output = well.run("doctor", **given).output
        assert f"The mail server 127.0.0.1:{server.port} answers." in output
        port = well.sandbox.xai_url.rpartition(":")[2]
        assert f"The webhook for alerts at 127.0.0.1:{port} can be reached" in output
        assert "secret/path" not in output
        assert silent.told == []
        assert "/a/secret/path" not in {entry.path for entry in well.sandbox.xai.ledger.entries}
        unsafe = [
            one for one in told(well, **given, SMTP_USER="u", SMTP_PASSWORD="p") if "alerts" in one.says
        ]
        assert ["the password would be read on the way" in one.says for one in unsafe] == [True]
        no_mail = told(well, **{**given, "SMTP_PORT": port})
        assert [one for one in no_mail if one.says.startswith("alerts") and one.level == "wrong"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("day", "level"),
    [("2026-11-22", "wrong"), ("2026-11-23", "warning"), ("2026-12-07", "warning"), ("2026-12-08", "ok")],
)
def test_a_credential_is_told_of_before_it_ends(day: str, level: str) -> None:
    """Fourteen days before, on its last day, and afterwards as wrong."""
    settings = Values.load(_env_file=None, credentials_expire={"XAI_API_KEY": day})

    async def look() -> list[str]:
        return [one.level async for one in check_credentials(settings, date(2026, 11, 23))]

    assert asyncio.run(look()) == [level]
