"""The webhook queue over time: portions, retries with stale bodies, own events, rights, the job's own period."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.sandbox.espocrm.driving import Receiver, Server, receiver, server
from tests.sandbox.espocrm.recorded import KLAGE, KONTO, SYNC, USERS, beteiligte, exchanges, klage, konto
from tests.sandbox.espocrm.test_recorded_exchanges import compare

UPDATE = "CBankverbindungen.update"


def hook(listening: Receiver, event: str = UPDATE, **more: Any) -> dict[str, Any]:
    """A webhook to the receiver, at a path named after the event."""
    return {"event": event, "url": f"{listening.url}/{event}", **more}


async def change(running: Server, value: str, user: str = "sync") -> None:
    """One update of the bank account."""
    assert (
        await running.ask("PUT", f"CBankverbindungen/{KONTO}", {"bic": value}, user=user)
    ).status_code == 200


def values_of(listening: Receiver) -> list[list[str]]:
    """The values of `bic` in each request, in the order of arrival."""
    return [[item["bic"] for item in json.loads(got.body)] for got in listening.received]


async def answer_with(listening: Receiver, status: int) -> None:
    """Make the receiver answer `status`."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    listening.answer = answer


def test_a_run_takes_twenty_events_and_sends_them_as_one_batch() -> None:
    """65 updates go out as 20, 20, 20 and 5 items, in order."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            await running.seed({"webhooks": [hook(listening)], "records": {"CBankverbindungen": [konto()]}})
            for number in range(65):
                await change(running, f"B{number}")
            await running.run_webhooks("4")
            assert [len(batch) for batch in values_of(listening)] == [20, 20, 20, 5]
            assert [value for batch in values_of(listening) for value in batch] == [
                f"B{number}" for number in range(65)
            ]

    asyncio.run(main())


def test_a_failed_event_comes_again_after_newer_ones_with_its_old_body() -> None:
    """After a 503 the older event is sent ten minutes later, out of order and with the value of its own time."""

    async def main() -> None:
        async with receiver() as listening, server(at=1_795_334_400) as running:
            await running.seed({"webhooks": [hook(listening)], "records": {"CBankverbindungen": [konto()]}})
            await answer_with(listening, 503)
            await change(running, "OLD")
            await running.run_webhooks()
            await answer_with(listening, 200)
            await change(running, "NEW")
            await running.run_webhooks()
            assert values_of(listening) == [["OLD"], ["NEW"]]
            await running.client.post("/sandbox/clock", json={"advance": 599})
            assert (await running.run_webhooks())["sent"] == []
            await running.client.post("/sandbox/clock", json={"advance": 1})
            await running.run_webhooks()
            assert values_of(listening) == [["OLD"], ["NEW"], ["OLD"]]

    asyncio.run(main())


def test_four_failures_lose_the_event_and_the_admin_sees_it() -> None:
    """The fourth failed try ends in status Failed, which an admin can list and an API user cannot."""
    recorded = next(exchange for exchange in exchanges() if exchange.name == "queue_item_admin")

    async def main() -> None:
        async with receiver() as listening, server() as running:
            await running.seed(
                {"webhooks": [hook(listening)], "records": {"CBankverbindungen": [konto(modifiedById=SYNC)]}}
            )
            await answer_with(listening, 500)
            await change(running, "CCCC")
            for _ in range(5):
                await running.run_webhooks()
                await running.client.post("/sandbox/clock", json={"advance": 600})
            assert len(listening.received) == 4
            shown = await running.get(recorded.path.removeprefix("/api/v1/"), user="admin")
            free = frozenset({"id", "number", "createdAt", "webhookId"})
            compare(recorded.body["list"][0], shown["list"][0], free)
            assert (await running.ask("GET", "WebhookQueueItem")).status_code == 403
            item = shown["list"][0]["id"]
            assert (
                await running.ask("PUT", f"WebhookQueueItem/{item}", {"status": "Pending"}, user="admin")
            ).status_code == 403

    asyncio.run(main())


def test_the_event_queue_has_the_recorded_shape() -> None:
    """A link-multiple field set by PUT leaves a fieldUpdate event with the recorded keys and data."""
    recorded = next(exchange for exchange in exchanges() if exchange.name == "eventqueue_admin")

    async def main() -> None:
        async with receiver() as listening, server() as running:
            parts = {
                "CBeteiligte": [beteiligte()],
                "CVmhRumungsklage": [klage(beteiligtesIds=[beteiligte()["id"]])],
            }
            event = "CVmhRumungsklage.fieldUpdate.beteiligtes"
            await running.seed({"records": parts, "webhooks": [hook(listening, event)]})
            await running.ask("PUT", f"CVmhRumungsklage/{KLAGE}", {"beteiligtesIds": []})
            shown = await running.get("WebhookEventQueueItem?maxSize=1", user="admin")
            compare(recorded.body, shown, frozenset({"id", "total", "number", "createdAt"}))

    asyncio.run(main())


def test_skip_own_leaves_out_what_the_owner_did() -> None:
    """With skipOwn the owner's changes are not queued for it, other people's are."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            await running.seed(
                {"webhooks": [hook(listening, skipOwn=True)], "records": {"CBankverbindungen": [konto()]}}
            )
            await change(running, "MINE")
            await change(running, "THEIRS", user="hmac")
            await running.run_webhooks()
            assert values_of(listening) == [["THEIRS"]]

    asyncio.run(main())


def test_what_fires_nothing() -> None:
    """Equal values, link endpoints, undelete and an upload fire no webhook; a mass update fires one per record."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            events = [
                "CVmhRumungsklage.update",
                "CVmhRumungsklage.create",
                "CVmhRumungsklage.delete",
                "CDokumente.update",
            ]
            rows = [{"id": "d1", "name": "a"}, {"id": "d2", "name": "b"}]
            parts = {"CVmhRumungsklage": [klage()], "CDokumente": rows, "CBeteiligte": [beteiligte()]}
            await running.seed({"records": parts, "webhooks": [hook(listening, event) for event in events]})
            path = f"CVmhRumungsklage/{KLAGE}"
            await running.ask("PUT", path, {"aktenzeichen": klage()["aktenzeichen"]})
            await running.ask("PUT", path, {})
            await running.ask("POST", f"{path}/dokumentes", {"id": "d1"})
            await running.ask("POST", f"{path}/beteiligtes", {"id": beteiligte()["id"]})
            await running.ask("DELETE", f"{path}/dokumentes", {"id": "d1"})
            assert (await running.run_webhooks())["events"] == 0
            await running.ask("DELETE", path)
            await running.ask("POST", "CVmhRumungsklage/action/restoreDeleted", {"id": KLAGE}, user="admin")
            body = {"entityType": "CDokumente", "action": "update", "params": {"ids": ["d1", "d2"]}}
            answer = await running.ask("POST", "MassAction", {**body, "data": {"md5sum": "m"}})
            assert answer.json() == {"count": 2, "ids": ["d1", "d2"]}
            await running.run_webhooks("all")
            paths = [got.path for got in listening.received]
            assert paths == ["/CVmhRumungsklage.delete", "/CDokumente.update"]
            expected = [{"md5sum": "m", "modifiedById": SYNC, "id": one} for one in ("d1", "d2")]
            assert json.loads(listening.received[1].body) == expected

    asyncio.run(main())


def test_bodies_are_cut_to_what_the_owner_may_read() -> None:
    """Hidden fields are missing from the body, and records the owner may no longer read are dropped silently."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            await running.seed({"records": {"CDokumente": [{"id": "d1", "name": "a"}]}})
            await running.seed({"webhooks": [hook(listening, "CDokumente.update", userName="readonly")]})
            await running.ask("PUT", "CDokumente/d1", {"sha256": "5f", "md5sum": "m"})
            await running.run_webhooks()
            assert json.loads(listening.received[0].body)[0].keys() == {
                "md5sum",
                "modifiedById",
                "modifiedByName",
                "id",
            }
            await running.ask("PUT", "CDokumente/d1", {"md5sum": "n"})
            await running.seed({"users": [{**USERS[5], "acl": {}}]})
            await running.run_webhooks()
            assert len(listening.received) == 1
            assert (await running.state())["webhookQueue"][1:] == []

    asyncio.run(main())


def test_the_job_runs_by_itself_on_the_sandbox_clock() -> None:
    """With webhookPeriodSeconds 120, two minutes of the sandbox clock bring the event, and not before."""

    async def main() -> None:
        async with receiver() as listening, server(at=1_795_334_400) as running:
            arrived = asyncio.Event()

            async def answer(_: web.Request) -> web.Response:
                arrived.set()
                return web.Response()

            listening.answer = answer
            config = {"webhookPeriodSeconds": 120}
            await running.seed(
                {"config": config, "webhooks": [hook(listening)], "records": {"CBankverbindungen": [konto()]}}
            )
            await change(running, "DD")
            await running.client.post("/sandbox/clock", json={"advance": 119})
            assert not arrived.is_set()
            await running.client.post("/sandbox/clock", json={"advance": 1})
            await asyncio.wait_for(arrived.wait(), 5)
            assert values_of(listening) == [["DD"]]

    asyncio.run(main())


def test_registering_is_refused_after_fifty() -> None:
    """A user may have 50 webhooks; the 51st is refused."""

    async def main() -> None:
        async with server() as running:
            body = {"event": "CDokumente.update", "url": "http://127.0.0.1:1/x"}
            for _ in range(50):
                assert (await running.ask("POST", "Webhook", body)).status_code == 201
            answer = await running.ask("POST", "Webhook", body)
            assert answer.status_code == 403
            assert answer.headers["x-status-reason"] == "Webhook number per user exceeded the limit."

    asyncio.run(main())


def test_a_field_that_is_a_bare_link_cannot_be_listened_to() -> None:
    """fieldUpdate of a link without a field is refused; other people's webhooks cannot be seen."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            event = "CDokumente.fieldUpdate.rumungsklages"
            answer = await running.ask("POST", "Webhook", {"event": event, "url": "http://127.0.0.1:1/x"})
            assert (answer.status_code, answer.headers["x-status-reason"]) == (403, "Field does not exist.")
            await running.seed({"webhooks": [hook(listening, id="6b02a8587c3ec379f", userName="synchmac")]})
            assert (await running.get("Webhook"))["total"] == 0
            assert (await running.ask("GET", "Webhook/6b02a8587c3ec379f")).status_code == 403

    asyncio.run(main())
