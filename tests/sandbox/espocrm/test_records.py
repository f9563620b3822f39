"""Records beyond the recordings: versions, equal writes, duplicates, bodies, mass actions, addresses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sandbox.espocrm.driving import server
from tests.sandbox.espocrm.recorded import BETEILIGTE, DOCUMENT, KLAGE, SYNC, beteiligte, document, klage

AT = 1_795_334_400
NOW = "2026-11-22 08:00:00"


def test_equal_values_move_a_record_only_under_concurrency_control() -> None:
    """With the control on even {} moves version and modifiedAt; switched off by a seed, nothing moves."""

    async def main() -> None:
        async with server(at=AT) as running:
            path = f"CDokumente/{DOCUMENT}"
            await running.seed({"records": {"CDokumente": [document()]}})
            after = (await running.ask("PUT", path, {})).json()
            assert (after["versionNumber"], after["modifiedAt"]) == (2, NOW)
            await running.seed({"entities": {"CDokumente": {"optimisticConcurrencyControl": False}}})
            await running.client.post("/sandbox/clock", json={"advance": 60})
            after = (
                await running.ask("PUT", path, {"fileStatus": "neu"}, headers={"X-Version-Number": "1"})
            ).json()
            assert "versionNumber" not in after
            assert after["modifiedAt"] == NOW
            changed = (await running.ask("PUT", path, {"fileStatus": "synced"})).json()
            assert changed["modifiedAt"] == "2026-11-22 08:01:00"

    asyncio.run(main())


STALE = [
    ("3", {"md5sum": "new"}, 409),
    ("4", {"md5sum": "new"}, 200),
    ("3", {"md5sum": "old"}, 200),
    ("abc", {"md5sum": "new"}, 409),
    ("3", {}, 200),
]


@pytest.mark.parametrize(("version", "body", "status"), STALE)
def test_a_stale_version_is_refused_if_the_write_would_change_something(
    version: str, body: dict[str, Any], status: int
) -> None:
    """A stale or garbled version is 409 for a change and nothing for an equal write, which still bumps the version."""

    async def main() -> None:
        async with server() as running:
            row = document(versionNumber=4, md5sum="old", sha256="other")
            await running.seed({"records": {"CDokumente": [row]}})
            path = f"CDokumente/{DOCUMENT}"
            answer = await running.ask("PUT", path, body, headers={"X-Version-Number": version})
            assert answer.status_code == status
            if status == 409:
                assert answer.json() == {"values": {"md5sum": "old"}, "versionNumber": 4}
            assert (await running.get(path))["versionNumber"] == (5 if status == 200 else 4)

    asyncio.run(main())


def test_a_conflict_over_a_file_shows_id_and_name() -> None:
    """The values of a conflict are all attributes of the fields that one tried to change."""

    async def main() -> None:
        async with server() as running:
            file = {"id": "f1", "name": "a.pdf", "contentBase64": ""}
            parts = {"CDokumente": [document(dokumentId="f1", versionNumber=2)]}
            await running.seed({"attachments": [file], "records": parts})
            headers = {"X-Version-Number": "1"}
            answer = await running.ask("PUT", f"CDokumente/{DOCUMENT}", {"dokumentId": None}, headers=headers)
            assert answer.json()["values"] == {"dokumentId": "f1", "dokumentName": "a.pdf"}

    asyncio.run(main())


def test_duplicates_are_found_by_loose_comparison_and_can_be_skipped() -> None:
    """The duplicate check compares as the database does, not the record with itself, and yields to its header."""

    async def main() -> None:
        async with server() as running:
            check = {"CDokumente": {"duplicateCheckFieldList": ["xaiId"], "updateDuplicateCheck": True}}
            await running.seed({"entities": check, "records": {"CDokumente": [document(xaiId="Ärger")]}})
            body = {"name": "zwei", "xaiId": "arger"}
            answer = await running.ask("POST", "CDokumente", body)
            assert (answer.status_code, answer.json()[0]["id"]) == (409, DOCUMENT)
            assert (await running.ask("PUT", f"CDokumente/{DOCUMENT}", {"md5sum": "m"})).status_code == 200
            skip = {"X-Skip-Duplicate-Check": "true"}
            assert (await running.ask("POST", "CDokumente", body, headers=skip)).status_code == 200
            assert (await running.ask("POST", "CDokumente", {"name": "ohne"})).status_code == 200

    asyncio.run(main())


def test_a_body_counts_only_as_json() -> None:
    """Without the content type the body is ignored; malformed JSON is an empty 500 without a reason."""

    async def main() -> None:
        async with server() as running:
            key = {"X-Api-Key": "sync-key"}
            answer = await running.client.post("/api/v1/CDokumente", content=b'{"name":"x"}', headers=key)
            assert answer.headers["x-status-reason"].endswith("field: name, type: required.")
            headers = {**key, "Content-Type": "application/json; charset=utf-8"}
            answer = await running.client.post("/api/v1/CDokumente", content=b'{"name":"x"}', headers=headers)
            assert answer.status_code == 200
            answer = await running.client.post("/api/v1/CDokumente", content=b"{", headers=headers)
            assert (answer.status_code, answer.content) == (500, b"")
            assert "x-status-reason" not in answer.headers

    asyncio.run(main())


def test_ids_begin_with_the_time_and_rise() -> None:
    """New ids are 17 hex digits that begin with the Unix time, each greater than the one before."""

    async def main() -> None:
        async with server(at=AT) as running:
            made = [(await running.ask("POST", "CDokumente", {"name": "x"})).json()["id"] for _ in range(20)]
            assert all(len(one) == 17 and int(one[:8], 16) == AT for one in made)
            assert made == sorted(made)

    asyncio.run(main())


def test_deleted_records_are_gone_for_api_users_and_their_links_come_back() -> None:
    """A deleted record is 404 in every way; undeleting it brings its links back and leaves modifiedAt."""

    async def main() -> None:
        async with server(at=AT) as running:
            parts = {"CDokumente": [document()], "CVmhRumungsklage": [klage(dokumentesIds=[DOCUMENT])]}
            await running.seed({"records": parts})
            path, links = f"CDokumente/{DOCUMENT}", f"CVmhRumungsklage/{KLAGE}/dokumentes"
            assert (await running.ask("DELETE", path)).json() is True
            for method in ("GET", "PUT", "DELETE"):
                assert (await running.ask(method, path, {})).status_code == 404
            assert (await running.get(links))["total"] == 0
            shown = await running.get(path, user="admin")
            assert (shown["deleted"], shown["modifiedAt"]) == (True, NOW)
            await running.client.post("/sandbox/clock", json={"advance": 60})
            await running.ask("POST", "CDokumente/action/restoreDeleted", {"id": DOCUMENT}, user="admin")
            assert (await running.get(links))["total"] == 1
            assert (await running.get(path))["modifiedAt"] == NOW
            again = await running.ask(
                "POST", "CDokumente/action/restoreDeleted", {"id": DOCUMENT}, user="admin"
            )
            assert again.status_code == 409

    asyncio.run(main())


def test_mass_update_by_search_and_its_refusals() -> None:
    """By a search the count alone is answered; no ids are a 500, another action is 404, a missing right 403."""

    async def main() -> None:
        async with server() as running:
            rows = [
                {"id": f"d{n}", "name": "x", "fileStatus": "neu" if n < 3 else "synced"} for n in range(5)
            ]
            await running.seed({"records": {"CDokumente": rows}})
            body = {"entityType": "CDokumente", "action": "update", "data": {"md5sum": "m"}}
            where = [{"type": "equals", "attribute": "fileStatus", "value": "neu"}]
            assert (await running.ask("POST", "MassAction", {**body, "params": {"where": where}})).json() == {
                "count": 3
            }
            assert (await running.get("CDokumente/d0"))["md5sum"] == "m"
            empty = await running.ask("POST", "MassAction", {**body, "params": {"ids": []}})
            assert (empty.status_code, empty.content) == (500, b"")
            other = {**body, "action": "gibtsNicht", "params": {"ids": ["d1"]}}
            assert (await running.ask("POST", "MassAction", other)).status_code == 404
            some = {**body, "params": {"ids": ["d1"]}}
            assert (await running.ask("POST", "MassAction", some, user="readonly")).status_code == 403
            bad = {**body, "params": {"ids": ["d1"]}, "data": {"md5sum": "x" * 33}}
            assert (await running.ask("POST", "MassAction", bad)).json() == {"count": 0, "ids": []}

    asyncio.run(main())


@pytest.mark.parametrize("version", ["9.2.7", "10.0.0"])
def test_addresses_behind_the_address(version: str) -> None:
    """A new address takes the primary one's place; 9.x still shows the old list in the PUT's answer."""

    async def main() -> None:
        async with server(version) as running:
            await running.seed({"records": {"CBeteiligte": [beteiligte()]}})
            path = f"CBeteiligte/{BETEILIGTE}"
            answer = (await running.ask("PUT", path, {"emailAddress": "Neu@Example.ORG"})).json()
            shown = [item["emailAddress"] for item in answer["emailAddressData"]]
            assert shown == (["joerg@example.org"] if version == "9.2.7" else ["Neu@Example.ORG"])
            item = {"emailAddress": "Neu@Example.ORG", "lower": "neu@example.org", "primary": True}
            stored = await running.get(path)
            assert stored["emailAddressData"] == [{**item, "optOut": False, "invalid": False}]
            two = [
                {"emailAddress": "a@example.org"},
                {"emailAddress": "b@example.org", "primary": True, "optOut": True},
            ]
            await running.ask("PUT", path, {"emailAddressData": two})
            stored = await running.get(path)
            assert (stored["emailAddress"], stored["emailAddressIsOptedOut"]) == ("b@example.org", True)
            await running.ask("PUT", path, {"emailAddress": None})
            assert (await running.get(path))["emailAddressIsOptedOut"] is None

    asyncio.run(main())


def test_a_new_party_has_its_flags_and_lists() -> None:
    """The answer to a create shows address flags as false and the lists behind the addresses; what is unset is absent."""

    async def main() -> None:
        async with server() as running:
            made = (
                await running.ask("POST", "CBeteiligte", {"name": "Neu", "phoneNumber": "+49 30 1234"})
            ).json()
            flags = {
                name: value for name, value in made.items() if name.endswith(("IsOptedOut", "IsInvalid"))
            }
            assert list(flags.values()) == [False] * 4
            assert made["emailAddressData"] == []
            assert made["phoneNumberData"][0]["phoneNumber"] == "+49301234"
            assert "emailAddress" not in made
            read = await running.get(f"CBeteiligte/{made['id']}")
            assert (read["emailAddressIsOptedOut"], read["phoneNumberIsOptedOut"]) == (None, False)
            await running.ask("PUT", f"CBeteiligte/{made['id']}", {"phoneNumberIsOptedOut": True})
            assert (await running.get(f"CBeteiligte/{made['id']}"))["phoneNumberData"][0]["optOut"] is True

    asyncio.run(main())


def test_an_account_may_have_the_empty_option() -> None:
    """An enum with an empty option takes null and the empty text; a made-up one is refused."""

    async def main() -> None:
        async with server() as running:
            made = (await running.ask("POST", "Account", {"name": "Haus GmbH", "type": None})).json()
            assert made["kiFreigabe"] is False
            path = f"Account/{made['id']}"
            for value, status in (("Partner", 200), ("", 200), ("Feind", 400)):
                assert (await running.ask("PUT", path, {"type": value})).status_code == status

    asyncio.run(main())


def test_reads_and_writes_leave_a_history_and_lists_do_not() -> None:
    """Each single read and write is in the action history; an API user sees only its own, without a total."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CDokumente": [document()]}})
            path = f"CDokumente/{DOCUMENT}"
            await running.get("CDokumente")
            await running.get(path)
            await running.ask("PUT", path, {"md5sum": "m"}, user="hmac")
            mine = await running.get("ActionHistoryRecord")
            assert [(row["action"], row["targetId"], row["userId"]) for row in mine["list"]] == [
                ("read", DOCUMENT, SYNC)
            ]
            assert mine["total"] == -2
            everybody = await running.get("ActionHistoryRecord?orderBy=number&order=asc", user="admin")
            assert [row["action"] for row in everybody["list"]] == ["read", "update"]

    asyncio.run(main())
