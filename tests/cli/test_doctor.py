"""`bitbylaw doctor` against stand-ins that are well, and against everything that can be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet

from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Office, Terminal, open_office
from tests.servers import RedisServer


def lines(office: Office, *arguments: str, **changed: str) -> tuple[int, dict[str, list[str]]]:
    """(exit code, what is said by level)."""
    result = office.run("doctor", *arguments, **changed)
    found: dict[str, list[str]] = {"ok": [], "warning": [], "wrong": []}
    for line in result.stdout.splitlines():
        if match := re.match(r"(ok|warning|wrong)\s+(.*)", line):
            found[match[1]].append(match[2])
    assert "Traceback" not in result.output
    return result.exit_code, found


def test_a_prepared_office_is_well(office: Office) -> None:
    """After setup-espocrm nothing is wrong; what a person should know are warnings, and each says what to do."""
    assert office.run("setup-espocrm", "--apply").exit_code == 0
    code, found = lines(office)
    assert code == 0
    assert found["wrong"] == []
    told = "\n".join(found["ok"])
    for expected in (
        "accepts the key (version 9.2.7)", "accepts XAI_API_KEY", "accepts XAI_MANAGEMENT_KEY", "the same team",
        "CDokumente: the role lets us read and edit all", "CDokumente has every field", "clock agrees",
        "15 of 15 are registered", "The state database answers", "can be written", "XAI_EGRESS is field",
        "The stored secrets open",
    ):  # fmt: skip
        assert expected in told
    output = office.run("doctor").stdout
    assert output.count("-> ") == len(found["warning"])


def test_quiet_shows_only_what_is_not_well(office: Office) -> None:
    """No line that begins with ok."""
    _, found = lines(office, "--quiet")
    assert found["ok"] == []
    assert found["warning"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ESPOCRM_API_KEY": "not-the-key"}, "does not accept our key"),
        ({"ESPOCRM_API_BASE_URL": "http://127.0.0.1:1/api/v1"}, "EspoCRM"),
        ({"ESPOCRM_API_BASE_URL": ""}, "ESPOCRM_API_BASE_URL"),
        ({"XAI_API_KEY": "not-the-key"}, "xAI"),
        ({"XAI_MANAGEMENT_KEY": "not-the-key"}, "xAI"),
        ({"XAI_API_BASE_URL": "http://127.0.0.1:1/v1"}, "xAI"),
        ({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}, "Redis"),
        ({"SPOOL_DIR": "/proc/nowhere"}, "/proc/nowhere cannot be written"),
        ({"STATE_DB_URL": "postgresql://nobody@127.0.0.1:1/x"}, "state"),
        ({"STATE_DB_URL": "nonsense"}, "The state database cannot be opened"),
        ({"STATE_ENCRYPTION_KEY": "short"}, "STATE_ENCRYPTION_KEY is not a usable key"),
    ],
)
def test_what_is_wrong_is_found_and_the_rest_is_checked_all_the_same(
    office: Office, settings: dict[str, str], says: str
) -> None:
    """Exit code 1, a line about it, and the other systems' lines are there."""
    code, found = lines(office, **settings)
    assert code == 1
    assert any(says in line for line in found["wrong"]), found["wrong"]
    assert len(found["ok"]) >= 4


def test_a_key_that_does_not_open_the_state_is_wrong(office: Office) -> None:
    """The secrets stored at setup were written under another key."""
    office.run("setup-espocrm", "--apply")
    code, found = lines(office, STATE_ENCRYPTION_KEY=Fernet.generate_key().decode())
    assert code == 1
    assert any("not the key that this state was written with" in line for line in found["wrong"])


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({"removeFields": ["sha256"]}, "wrong", "CDokumente.sha256 is missing"),
        ({"fields": {"sha256": {"type": "int"}}}, "wrong", "CDokumente.sha256 is of type int"),
        ({"fields": {"sha256": {"type": "varchar", "maxLength": 40}}}, "wrong", "takes 40 characters"),
        ({"fields": {"fileStatus": {"type": "enum", "options": ["neu"]}}}, "wrong", 'has no option "synced"'),
        ({"removeFields": ["rumungsklages"]}, "warning", "rumungsklages has no link-multiple field"),
        (
            {"optimisticConcurrencyControl": False},
            "warning",
            "CDokumente has no optimistic concurrency control",
        ),
    ],
)
def test_the_data_model_is_checked(office: Office, change: dict[str, Any], level: str, says: str) -> None:
    """A missing, short or mistyped field and a missing option are wrong; the rest costs calls and is a warning."""
    office.seed(entities={"CDokumente": change})
    code, found = lines(office)
    assert any(says in line for line in found[level]), found
    assert code == (1 if level == "wrong" else 0)


def test_permission_fields_are_needed_under_the_rule_field_alone(office: Office) -> None:
    """Under the rule collection nobody reads them."""
    office.seed(entities={"Account": {"removeFields": ["kiFreigabeDatum"]}})
    assert any("Account.kiFreigabeDatum is missing" in line for line in lines(office)[1]["wrong"])
    assert lines(office, XAI_EGRESS="collection")[0] == 0


def test_a_role_with_too_few_rights_is_wrong(office: Office) -> None:
    """Read "own" makes records look deleted."""
    acl = {
        "CDokumente": {"read": "own", "edit": "own"}, "Webhook": True, "CBeteiligte": True,
        "CVmhRumungsklage": {"read": "all", "edit": "no"}, "CMietinkasso": True, "Account": True,
    }  # fmt: skip
    office.seed(
        users=[{"userName": "sync", "type": "api", "apiKey": office.sandbox.espocrm_api_key, "acl": acl}]
    )
    code, found = lines(office)
    assert code == 1
    assert any("not read or edit every CDokumente" in line for line in found["wrong"])
    assert any("not edit every CVmhRumungsklage" in line for line in found["wrong"])


def test_an_owner_type_that_the_server_lacks_is_a_warning(office: Office) -> None:
    """It owns no collections, and the others work."""
    owners = '[{"entity_type": "CKfz", "word": "kfz"}, {"entity_type": "Account", "word": "account"}]'
    code, found = lines(office, COLLECTION_OWNERS=owners)
    assert code == 0
    assert any("There is no entity type CKfz" in line for line in found["warning"])


def test_keys_of_two_states_are_told(office: Office) -> None:
    """A blocked key is accepted by the host, and wrong all the same."""
    office.switch_xai(api_key_state="blocked")
    code, found = lines(office)
    assert code == 1
    assert any("XAI_API_KEY is blocked" in line for line in found["wrong"])


def test_a_clock_that_is_off_is_a_warning(office: Office) -> None:
    """EspoCRM's clock decides what counts as changed, so a person should know."""
    office.sandbox.espocrm.clock.advance(3600)
    _, found = lines(office)
    assert any(re.search(r"differ by 3[56]\d\d s", line) for line in found["warning"]), found["warning"]


def test_a_redis_that_answers_is_well(office: Office) -> None:
    """Asked by a real ping."""
    server = RedisServer()
    server.start()
    try:
        _, found = lines(office, REDIS_HOST=server.host, REDIS_PORT=str(server.port))
    finally:
        server.stop()
    assert any(f"{server.host}:{server.port} answers" in line for line in found["ok"])


@pytest.fixture
def old_and_new(with_state: tuple[Terminal, Database], request: pytest.FixtureRequest) -> Iterator[Office]:
    """The office with EspoCRM in the version that the test names."""
    yield from open_office(with_state[0], request.param)


@pytest.mark.parametrize("old_and_new", ["9.3.10"], indirect=True)
def test_an_internal_address_is_told_from_9_3_2_on(old_and_new: Office) -> None:
    """EspoCRM refuses it unless it stands in its configuration; the line to write there is printed."""
    result = old_and_new.run("doctor", RECEIVER_PUBLIC_URL="http://127.0.0.1:3111")
    assert "'webhookAllowedAddressList' => ['127.0.0.1:3111']" in result.output


@pytest.mark.parametrize("old_and_new", ["10.0.0"], indirect=True)
def test_an_address_without_a_name_is_wrong_with_10_0(old_and_new: Office) -> None:
    """It stops the whole webhook queue there."""
    code, found = lines(old_and_new, RECEIVER_PUBLIC_URL="http://192.0.2.7:3111")
    assert code == 1
    assert any("stops its whole webhook queue" in line for line in found["wrong"])
