"""`bitbylaw setup-espocrm`: what is missing is registered, nothing twice, and every secret is stored."""

from __future__ import annotations

import pytest

from bitbylaw_pipeline.inbox import webhooks
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Office, Terminal, open_office

BASE = "http://receiver.kanzlei.example:3111"


def stored(database: Database) -> dict[str, str | None]:
    """Webhook id -> its secret, decrypted, of those that count."""
    return database.run_sync(
        lambda conn: {
            row.webhook_id: webhooks.secret_by_id(conn, database.cipher, row.webhook_id)
            for row in webhooks.listing(conn)
            if row.is_active
        }
    )


def test_without_apply_nothing_is_changed(office: Office) -> None:
    """Only the plan is printed."""
    result = office.run("setup-espocrm")
    assert result.exit_code == 0
    assert result.output.count("to be registered") == 15
    assert office.webhooks() == []


def test_apply_registers_each_event_once(office: Office, with_state: tuple[Terminal, Database]) -> None:
    """Create, update and delete of documents and of every owner type, each with its secret stored; a second time
    changes nothing."""
    assert office.run("setup-espocrm", "--apply").exit_code == 0
    found = office.webhooks()
    assert {row["event"]: row["url"] for row in found} == {
        f"{entity_type}.{action}": f"{BASE}/vmh/webhook/{word}/{action}"
        for entity_type, word in (
            ("CDokumente", "document"),
            ("CVmhRumungsklage", "raeumungsklage"),
            ("CMietinkasso", "mietinkasso"),
            ("Account", "account"),
            ("CBeteiligte", "beteiligte"),
        )
        for action in ("create", "update", "delete")
    }
    assert len(found) == 15
    assert all(row["skipOwn"] for row in found)
    assert stored(with_state[1]) == {row["id"]: row["secretKey"] for row in found}
    again = office.run("setup-espocrm", "--apply")
    assert "nothing to do" in again.output
    assert office.webhooks() == found


def test_no_secret_is_printed(office: Office) -> None:
    """Neither by setup-espocrm nor by doctor."""
    output = office.run("setup-espocrm", "--apply").output + office.run("doctor").output
    assert not [row for row in office.webhooks() if row["secretKey"] in output]


def test_what_does_not_fit_is_corrected(office: Office, with_state: tuple[Terminal, Database]) -> None:
    """Another host, switched off, registered by hand without our knowledge, doubled: all is put right."""
    path = "/vmh/webhook/document"
    office.seed(
        webhooks=[
            {
                "event": "CDokumente.create",
                "url": f"http://old.kanzlei.example{path}/create",
                "skipOwn": True,
            },
            {"event": "CDokumente.update", "url": f"{BASE}{path}/update", "skipOwn": True, "isActive": False},
            {"event": "CDokumente.delete", "url": f"{BASE}{path}/delete"},
            {"event": "CDokumente.delete", "url": f"{BASE}{path}/delete", "skipOwn": True},
            {"event": "CDokumente.update", "url": "http://elsewhere.example/hook"},
        ]
    )
    told = office.run("doctor").output
    for expected in ("another address than RECEIVER_PUBLIC_URL: CDokumente.create", "switched off",
                     "more than once", "answered 401"):  # fmt: skip
        assert expected in told
    assert office.run("setup-espocrm", "--apply").exit_code == 0
    ours = [row for row in office.webhooks() if row["url"].startswith(BASE)]
    assert len(ours) == 15
    assert len({row["event"] for row in ours}) == 15
    assert all(row["isActive"] and row["skipOwn"] for row in ours)
    assert stored(with_state[1]) == {row["id"]: row["secretKey"] for row in ours}
    assert [row["url"] for row in office.webhooks() if row not in ours] == ["http://elsewhere.example/hook"]
    assert "nothing to do" in office.run("setup-espocrm").output


def test_a_lost_state_is_filled_again(office: Office, folder: object) -> None:
    """The secrets are readable in EspoCRM: nothing is registered anew."""
    office.run("setup-espocrm", "--apply")
    before = office.webhooks()
    office.terminal.settings["STATE_DB_URL"] = f"sqlite:///{folder}/another.sqlite"
    result = office.run("setup-espocrm", "--apply")
    assert result.output.count("secret stored") == 15
    assert office.webhooks() == before


def test_missing_fields_are_named_and_end_with_1(office: Office) -> None:
    """What has to be made by hand in Entity Manager is printed with its type."""
    office.seed(
        entities={"CDokumente": {"removeFields": ["xaiId"]}, "Account": {"removeFields": ["kiFreigabe"]}}
    )
    result = office.run("setup-espocrm")
    assert result.exit_code == 1
    assert "CDokumente.xaiId is missing" in result.output
    assert "as varchar" in result.output
    assert "Account.kiFreigabe is missing" in result.output
    assert "as bool" in result.output


def test_missing_fields_are_a_table_to_work_through(advoware_office: Office) -> None:
    """Each with its type, its least length and its options, Advoware's fields among them; what is there is not in it."""
    advoware_office.seed(
        entities={
            "CDokumente": {"removeFields": ["sha256", "fileStatus"]},
            "CBeteiligte": {"removeFields": ["betnr", "titel"]},
        }
    )
    output = advoware_office.run("setup-espocrm").stdout
    table = output[output.index("Fields to be made") :].splitlines()[2:]
    rows = {tuple(line.split()[:3]): line for line in table if line.strip()}
    assert set(rows) == {
        ("CDokumente", "sha256", "varchar"), ("CDokumente", "fileStatus", "enum"),
        ("CBeteiligte", "betnr", "integer"), ("CBeteiligte", "titel", "varchar"),
    }  # fmt: skip
    assert " 64 " in rows["CDokumente", "sha256", "varchar"]
    assert "neu, geändert, synced, unchanged" in rows["CDokumente", "fileStatus", "enum"]


def test_the_public_address_is_needed(office: Office) -> None:
    """Without it nobody knows where webhooks should go."""
    result = office.run("setup-espocrm", RECEIVER_PUBLIC_URL="")
    assert result.exit_code == 2
    assert "RECEIVER_PUBLIC_URL must be set" in result.stderr


def test_an_address_that_espocrm_refuses_is_one_sentence(with_state: tuple[Terminal, Database]) -> None:
    """From 9.3.2 on it takes no internal address; nothing is stored by halves."""
    for office in open_office(with_state[0], "9.3.10"):
        result = office.run("setup-espocrm", "--apply", RECEIVER_PUBLIC_URL="http://127.0.0.1:3111")
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        assert "notInternal" in result.stderr
        assert office.webhooks() == []


@pytest.mark.parametrize("owners", ["[]", '[{"entity_type": "CKfz", "word": "kfz"}]'])
def test_only_what_the_server_has_is_registered(office: Office, owners: str) -> None:
    """An owner type that is not there gets no webhooks."""
    office.run("setup-espocrm", "--apply", COLLECTION_OWNERS=owners)
    assert {row["event"] for row in office.webhooks()} == {
        "CDokumente.create", "CDokumente.update", "CDokumente.delete"
    }  # fmt: skip


def test_with_advoware_bank_accounts_are_registered_too(advoware_office: Office) -> None:
    """Parties have their webhooks as owners already: once for both flows; a second time changes nothing."""
    assert advoware_office.run("setup-espocrm", "--apply").exit_code == 0
    found = {row["event"]: row["url"] for row in advoware_office.webhooks()}
    assert len(found) == 18
    assert found["CBankverbindungen.update"] == f"{BASE}/vmh/webhook/bankverbindungen/update"
    assert found["CBeteiligte.delete"] == f"{BASE}/vmh/webhook/beteiligte/delete"
    assert "nothing to do" in advoware_office.run("setup-espocrm", "--apply").output


def test_parties_are_registered_where_they_own_nothing(advoware_office: Office) -> None:
    """Without collections for them they still go to Advoware."""
    advoware_office.run("setup-espocrm", "--apply", COLLECTION_OWNERS="[]")
    assert {row["event"].partition(".")[0] for row in advoware_office.webhooks()} == {
        "CDokumente", "CBeteiligte", "CBankverbindungen"
    }  # fmt: skip
