"""What `bitbylaw doctor` says of Advoware, of EspoCRM's side of it, and of the proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.cli.advoware_checks import clock
from bitbylaw_pipeline.inbox import batches, outages
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.sync.login_refusals import FLAG
from tests.cli.conftest import Office, Terminal
from tests.cli.test_doctor import lines
from tests.servers import RedisServer


def of(found: dict[str, list[str]], level: str, area: str) -> str:
    """The lines of that level about that area."""
    return "\n".join(line for line in found[level] if line.startswith(area))


def test_a_prepared_advoware_is_well(advoware_office: Office) -> None:
    """Settings, addresses, login, connector, clock, list; EspoCRM's fields, rights and tasks; the proxy's state."""
    advoware_office.run("setup-espocrm", "--apply")
    code, found = lines(advoware_office)
    assert code == 0, found["wrong"]
    told = "\n".join(found["ok"])
    for expected in (
        "settings are complete (the full form)", "the configurator names a relay", "connector is online",
        "Advoware's clock agrees", "lists its parties (18)", "CBeteiligte has every field that Advoware's side has",
        "CBankverbindungen: the role lets us read, create and edit all", "becomes a task in EspoCRM",
        "18 of 18 are registered", "The proxy to Advoware is off",
    ):  # fmt: skip
        assert expected in told, expected


def test_where_it_is_not_configured_it_is_one_line(office: Office) -> None:
    """Nothing of it is wrong then; half of the settings are."""
    code, found = lines(office)
    assert code == 0
    assert "Not configured" in of(found, "ok", "Advoware")
    _, found = lines(office, ADVOWARE_USER="PM")
    assert "not enough to log in: ADVOWARE_USER" in of(found, "wrong", "Advoware")
    _, found = lines(office, PROXY_API_KEYS="k" * 40)
    assert "Advoware is not configured" in of(found, "warning", "proxy")


@pytest.mark.parametrize(
    ("switches", "says", "advice"),
    [
        ({"connector": "offline"}, "the firm is not connected", "start the service"),
        ({"enabled": False}, "has not enabled our App-ID", "have advoware GmbH enable"),
        ({"lists_beteiligte": False}, "does not list its parties", "ADVOWARE_LISTS_BETEILIGTE=false"),
    ],
)
def test_what_is_wrong_there_comes_with_its_remedy(
    advoware_office: Office, switches: dict[str, Any], says: str, advice: str
) -> None:
    """Each in a sentence of its own."""
    advoware_office.sandbox.advoware.switches.update(switches)
    result = advoware_office.run("doctor", "--quiet")
    assert result.exit_code == 1
    assert says in result.stdout
    assert advice in result.stdout
    if "lists_beteiligte" in switches:
        one_by_one = advoware_office.run("doctor", ADVOWARE_LISTS_BETEILIGTE="false")
        assert "Parties are read one by one" in one_by_one.stdout


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ADVOWARE_PASSWORD": ""}, "ADVOWARE_PASSWORD must be set"),
        ({"ADVOWARE_CONFIGURATOR_URL": "http://127.0.0.1:1"}, "advoware"),
        ({"ADVOWARE_KANZLEI": "nobody"}, "advoware"),
        ({"ADVOWARE_DATABASE": "nobody"}, "does not know this firm or database"),
    ],
)
def test_settings_that_do_not_lead_there_are_wrong(
    advoware_office: Office, settings: dict[str, str], says: str
) -> None:
    """Exit code 1 and a line about it; the other systems are checked all the same."""
    code, found = lines(advoware_office, **settings)
    assert code == 1
    assert says in of(found, "wrong", "Advoware")
    assert of(found, "ok", "xAI")


def test_without_redis_and_state_a_refused_login_warns_of_the_next_try(
    advoware_office: Office, tmp_path: Path
) -> None:
    """Nothing remembers it for the next look: whoever looks again and again locks the user out."""
    nowhere = f"sqlite:///{tmp_path / 'nowhere.db'}"
    result = advoware_office.run("doctor", ADVOWARE_PASSWORD="wrong", STATE_DB_URL=nowhere)
    assert "refuses our user or password" in result.stdout
    assert "may lock the user out" in " ".join(result.stdout.split())


def test_without_redis_the_state_remembers_a_refused_login(
    advoware_office: Office, with_state: tuple[Terminal, Database]
) -> None:
    """Nobody tries it again, be it doctor or status; another password is tried at once, and so is all if told so."""
    tokens = advoware_office.sandbox.advoware.tokens
    for times in range(3):
        result = advoware_office.run("doctor", "--quiet", ADVOWARE_PASSWORD="wrong")
        assert "refuses our user or password" in result.stdout
        assert ("not asked again" in result.stdout) == (times > 0)
        assert "lock the user out" not in " ".join(result.stdout.split())
    probed = advoware_office.run("status", "--probe", "--json", ADVOWARE_PASSWORD="wrong")
    assert "not asked again" in probed.stdout
    assert sum(tokens.wrong_passwords.values()) == 1
    kept = with_state[1].read(lambda c: batches.get_flag(c, FLAG))
    assert kept is not None
    assert "wrong" not in kept
    advoware_office.run("doctor", ADVOWARE_PASSWORD="other")
    assert sum(tokens.wrong_passwords.values()) == 2
    for one in ("wrong", "other"):
        assert "not asked again" in advoware_office.run("doctor", ADVOWARE_PASSWORD=one).stdout
    advoware_office.run("doctor", "--forget-refusal", ADVOWARE_PASSWORD="wrong")
    assert sum(tokens.wrong_passwords.values()) == 3
    tokens.wrong_passwords.clear()
    assert "connector is online" in advoware_office.run("doctor").stdout


def test_a_first_refusal_seen_by_status_counts_for_doctor(advoware_office: Office) -> None:
    """Whoever comes first tells the others."""
    advoware_office.run("status", "--probe", ADVOWARE_PASSWORD="wrong")
    result = advoware_office.run("doctor", "--quiet", ADVOWARE_PASSWORD="wrong")
    assert "not asked again" in result.stdout
    assert sum(advoware_office.sandbox.advoware.tokens.wrong_passwords.values()) == 1


def test_a_wrong_password_is_tried_once_however_often_it_is_asked_for(advoware_office: Office) -> None:
    """With Redis the refusal is remembered; the way to try again is told, and works."""
    server = RedisServer()
    server.start()
    advoware = advoware_office.sandbox.advoware
    try:
        given = {"ADVOWARE_PASSWORD": "wrong", "REDIS_HOST": server.host, "REDIS_PORT": str(server.port)}
        for times in range(3):
            result = advoware_office.run("doctor", "--quiet", **given)
            assert "refuses our user or password" in result.stdout
            assert "--forget-refusal" in result.stdout
            assert ("not asked again" in result.stdout) == (times > 0)
        assert sum(advoware.tokens.wrong_passwords.values()) == 1
        advoware_office.run("doctor", "--forget-refusal", **given)
        assert sum(advoware.tokens.wrong_passwords.values()) == 2
    finally:
        server.stop()


def test_without_redis_a_refusal_seen_by_the_pipeline_counts(
    advoware_office: Office, with_state: tuple[Terminal, Database]
) -> None:
    """While its pause lasts no login is tried from here."""
    database = with_state[1]
    advoware_office.run("status")
    database.run_sync(lambda c: outages.pause(c, database.now(c), "advoware", 60.0, "refuses our key"))
    result = advoware_office.run("doctor", "--quiet")
    assert "it is not tried from here" in result.stdout
    assert advoware_office.sandbox.advoware.tokens.given == 0
    assert "connector is online" in advoware_office.run("doctor", "--forget-refusal").stdout


@pytest.mark.parametrize(
    ("entities", "level", "says"),
    [
        ({"CBeteiligte": {"removeFields": ["betnr"]}}, "wrong", "CBeteiligte.betnr is missing"),
        ({"CBankverbindungen": {"removeFields": ["advowareId"]}}, "wrong", "CBankverbindungen.advowareId is missing"),
        ({"CBeteiligte": {"removeFields": ["bitbylawKey"]}}, "warning", "CBeteiligte.bitbylawKey is missing"),
        ({"CBeteiligte": {"removeFields": ["titel", "rechtsform"]}}, "warning",
         "CBeteiligte lacks titel (varchar), rechtsform (varchar)"),
        ({"CBeteiligte": {"fields": {"titel": {"type": "varchar", "readOnly": True}}}}, "warning",
         "CBeteiligte: titel cannot be written"),
    ],
)  # fmt: skip
def test_espocrm_s_fields_are_checked(
    advoware_office: Office, entities: dict[str, Any], level: str, says: str
) -> None:
    """What the flow cannot do without is wrong; what costs something says what; setup-espocrm prints the same."""
    advoware_office.seed(entities=entities)
    code, found = lines(advoware_office)
    assert says in "\n".join(found[level]), found[level]
    assert code == (1 if level == "wrong" else 0)
    assert says in advoware_office.run("setup-espocrm").output


def test_rights_are_checked(advoware_office: Office) -> None:
    """Parties and accounts need create, too; without tasks a person finds the item among the parked ones."""
    own = {"read": "all", "edit": "all", "create": "no"}
    acl = {"CDokumente": True, "Webhook": True, "CVmhRumungsklage": True, "CMietinkasso": True, "Account": True,
           "CBeteiligte": own, "CBankverbindungen": True}  # fmt: skip
    key = advoware_office.sandbox.espocrm_api_key
    advoware_office.seed(users=[{"userName": "sync", "type": "api", "apiKey": key, "acl": acl}])
    code, found = lines(advoware_office)
    assert code == 1
    assert "not create every CBeteiligte" in of(found, "wrong", "EspoCRM")
    assert "read, create and edit all tasks" in of(found, "warning", "EspoCRM")


def test_the_proxy_tells_what_it_lets_through(advoware_office: Office) -> None:
    """How many keys, and whether writes pass; no key is printed."""
    keys = {"PROXY_API_KEYS": "a" * 40 + "," + "b" * 40}
    result = advoware_office.run("doctor", **keys)
    assert "takes 2 keys and passes on no writes" in result.stdout
    assert "a" * 40 not in result.stdout
    assert (
        "passes writes on" in advoware_office.run("doctor", ADVOWARE_PROXY_READ_ONLY="false", **keys).stdout
    )


@pytest.mark.parametrize(
    ("at", "level"), [(None, "warning"), (1000.0, "ok"), (900.0, "warning"), (1100.0, "warning")]
)
def test_the_clock_is_judged(at: float | None, level: str) -> None:
    """More than a minute apart is worth a word, in either direction."""
    assert clock(1000.0, at, 1001.0).level == level
