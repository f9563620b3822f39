"""Recorded webhook requests of real servers, sent again over HTTP by the stand-in: bytes, signatures, headers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.espocrm.delivery import signatures
from tests.sandbox.espocrm.driving import Received, Server, receiver, server
from tests.sandbox.espocrm.recorded import USERS, beteiligte, deliveries, document, konto, seconds
from tests.sandbox.espocrm.states import file

DELIVERIES = list(deliveries())
WEBHOOK_DOCUMENT, UPLOADED = "6b02a25b068214cfd", "6b02a25d89f6a8465"

Act = Callable[[Server, dict[str, Any]], Awaitable[None]]


def item_of(case: dict[str, Any]) -> dict[str, Any]:
    """The first item of a recorded body."""
    item: dict[str, Any] = case["request"]["body"][0]
    return item


async def seed_document(running: Server, case: dict[str, Any], **values: Any) -> str:
    """The document of the case; returns its path."""
    row = document(id=item_of(case)["id"], xaiId=None, fileStatus="neu", **values)
    await running.seed({"records": {"CDokumente": [row]}})
    return f"CDokumente/{row['id']}"


async def create(running: Server, case: dict[str, Any]) -> None:
    """A document is made."""
    data = {key: value for key, value in item_of(case).items() if key in ("name", "xaiCollections")}
    assert (await running.ask("POST", "CDokumente", data)).status_code == 200


async def create_update_delete(running: Server, case: dict[str, Any]) -> None:
    """A document is made, changed and deleted before the job runs."""
    made = (await running.ask("POST", "CDokumente", {"name": "kurzlebig"})).json()
    await running.ask("PUT", f"CDokumente/{made['id']}", {"xaiId": "z"})
    await running.ask("DELETE", f"CDokumente/{made['id']}")


async def update_two_fields(running: Server, case: dict[str, Any]) -> None:
    """Two fields of a document change, for the first time since it was made."""
    path = await seed_document(running, case)
    await running.ask("PUT", path, {"fileStatus": "synced", "xaiId": "file_1"})


async def there_and_back(running: Server, case: dict[str, Any]) -> None:
    """A value changes and changes back, by the person who changed it last."""
    path = await seed_document(running, case, modifiedById=USERS[0]["id"])
    await running.ask("PUT", path, {"fileStatus": "synced"})
    await running.client.post("/sandbox/webhooks/run?times=all")
    for value in ("neu", "synced"):
        await running.ask("PUT", path, {"fileStatus": value})


async def delete(running: Server, case: dict[str, Any]) -> None:
    """A document is deleted."""
    await running.ask("DELETE", await seed_document(running, case))


async def email_and_phone(running: Server, case: dict[str, Any]) -> None:
    """A party's address and number change."""
    row = beteiligte(id=item_of(case)["id"], modifiedById=USERS[0]["id"])
    await running.seed({"records": {"CBeteiligte": [row]}})
    body = {"emailAddress": "neu@example.org", "phoneNumber": "+49 30 123456"}
    assert (await running.ask("PUT", f"CBeteiligte/{row['id']}", body)).status_code == 200


async def file_set(running: Server, case: dict[str, Any]) -> None:
    """A document gets a file."""
    await running.seed({"attachments": [file(UPLOADED, "w.pdf")]})
    await running.ask("PUT", await seed_document(running, case), {"dokumentId": UPLOADED})


async def parent_cleared(running: Server, case: dict[str, Any]) -> None:
    """A bank account loses its party."""
    await running.seed({"records": {"CBeteiligte": [beteiligte()], "CBankverbindungen": [konto()]}})
    await running.ask("PUT", f"CBankverbindungen/{konto()['id']}", {"beteiligteId": None})


ACTS: dict[str, Act] = {
    "delivery_create_update_delete": create_update_delete,
    "delivery_create": create,
    "delivery_delete": delete,
    "delivery_update_batch": there_and_back,
    "delivery_update_email": email_and_phone,
    "delivery_update_file": file_set,
    "delivery_update_link": parent_cleared,
    "delivery_update": update_two_fields,
}


def users_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The user sync under the id that it has on the recorded server."""
    item = item_of(case)
    own_id = item.get("createdById") or item.get("modifiedById") or USERS[0]["id"]
    return [{**USERS[0], "id": own_id}]


def assert_same_request(case: dict[str, Any], got: Received, new_id: str | None) -> None:
    """The bytes (with our new id in the recorded one's place), both signatures over them, and the headers."""
    recorded, hook = case["request"], case["webhook"]
    raw = recorded["body_raw"].replace(item_of(case)["id"], new_id or item_of(case)["id"])
    assert got.body.decode() == raw
    own = dict(
        zip(
            ("Signature", "X-Signature"),
            signatures(hook["id"], hook["secretKey_test_only"], got.body),
            strict=True,
        )
    )
    assert {name: got.headers[name] for name in own} == own
    if new_id is None:
        assert {name: recorded["headers"][name] for name in own} == own
    assert set(got.headers) == set(recorded["headers"])
    for name in ("Accept", "Content-Type", "Content-Length", "User-Agent"):
        if new_id is None or name != "Content-Length":
            assert got.headers.get(name) == recorded["headers"].get(name), name


@pytest.mark.parametrize("case", DELIVERIES, ids=lambda case: case["name"])
def test_sends_what_the_real_server_sent(case: dict[str, Any]) -> None:
    """The same change gives the same request to the same path, byte for byte."""
    version, path = case["server"].split()[1], case["request"]["path"]
    item, hook = item_of(case), case["webhook"]
    at = seconds(item.get("createdAt", "2026-11-22 08:06:00"))

    async def main() -> None:
        async with receiver() as listening, server(version, at) as running:
            webhook = {"id": hook["id"], "event": hook["event"], "secretKey": hook["secretKey_test_only"]}
            allowed = [listening.url.removeprefix("http://")]
            await running.seed(
                {
                    "users": users_of(case),
                    "config": {"webhookAllowedAddressList": allowed},
                    "webhooks": [{**webhook, "url": listening.url + path}],
                }
            )
            act = next(act for name, act in ACTS.items() if name in case["name"])
            await act(running, case)
            await running.run_webhooks()
            new_id = None
            if "_create" in case["name"]:
                new_id = (await running.state())["records"]["CDokumente"][0]["id"]
            assert listening.received[-1].path == path
            assert_same_request(case, listening.received[-1], new_id)

    asyncio.run(main())


def test_signatures_are_those_of_the_recordings() -> None:
    """Signature is the hex digest and X-Signature the raw one, over the raw body, with the webhook's id in front."""
    for case in DELIVERIES:
        hook, headers = case["webhook"], case["request"]["headers"]
        made = signatures(hook["id"], hook["secretKey_test_only"], case["request"]["body_raw"].encode())
        assert made == (headers["Signature"], headers["X-Signature"])
