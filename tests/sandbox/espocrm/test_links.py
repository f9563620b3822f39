"""Links beyond the recordings: order of failures, whole lists, the firm's own hook, what moves and what does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.sandbox.espocrm.driving import receiver, server
from tests.sandbox.espocrm.recorded import (
    BETEILIGTE,
    DOCUMENT,
    KLAGE,
    KONTO,
    beteiligte,
    document,
    klage,
    konto,
)

RECORDS: dict[str, Any] = {
    "CDokumente": [document(), {"id": "d2", "name": "zwei"}, {"id": "d3", "name": "drei"}],
    "CVmhRumungsklage": [klage()],
    "CBeteiligte": [beteiligte(), {"id": "b2", "name": "Zweite"}],
    "CBankverbindungen": [konto(beteiligteId=None)],
}
LINKS = f"CVmhRumungsklage/{KLAGE}/dokumentes"


def test_ids_before_a_bad_one_stay_linked() -> None:
    """A list with an unknown id is 404, with what came before it done and what comes after it not."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": RECORDS})
            answer = await running.ask("POST", LINKS, {"ids": ["d2", "000000000000000aa", "d3"]})
            assert (answer.status_code, answer.headers["x-status-reason"]) == (404, "")
            assert [row["id"] for row in (await running.get(LINKS))["list"]] == ["d2"]
            assert (await running.ask("POST", LINKS, {})).json() is False

    asyncio.run(main())


def test_linking_moves_neither_end() -> None:
    """modifiedAt and version of both records stay; an audited link moves streamUpdatedAt and leaves a note."""

    async def main() -> None:
        async with server(at=1_795_334_400) as running:
            await running.seed({"records": RECORDS})
            before = await running.get(f"CVmhRumungsklage/{KLAGE}")
            await running.ask("POST", LINKS, {"id": DOCUMENT})
            assert await running.get(f"CVmhRumungsklage/{KLAGE}") == before
            assert (await running.get(f"CDokumente/{DOCUMENT}"))["modifiedAt"] == document()["modifiedAt"]
            await running.ask("POST", f"CVmhRumungsklage/{KLAGE}/beteiligtes", {"id": BETEILIGTE})
            after = await running.get(f"CVmhRumungsklage/{KLAGE}")
            assert after["streamUpdatedAt"] == "2026-11-22 08:00:00"
            assert after["modifiedAt"] == before["modifiedAt"]
            notes = await running.get(f"CVmhRumungsklage/{KLAGE}/stream")
            assert [note["type"] for note in notes["list"]] == ["Relate"]

    asyncio.run(main())


def test_both_ends_see_a_link() -> None:
    """What is linked from the matter is in the document's list, and can be unlinked from there."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": RECORDS})
            await running.ask("POST", LINKS, {"id": DOCUMENT})
            back = f"CDokumente/{DOCUMENT}/rumungsklages"
            assert [row["id"] for row in (await running.get(back))["list"]] == [KLAGE]
            await running.ask("DELETE", back, {"ids": [KLAGE]})
            assert (await running.get(LINKS))["total"] == 0

    asyncio.run(main())


def test_a_whole_list_by_put_and_at_creation() -> None:
    """A link-multiple field takes the whole list; a bare link takes one id at creation, none in a PUT, never two."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": RECORDS})
            path = f"CVmhRumungsklage/{KLAGE}"
            await running.ask("PUT", path, {"beteiligtesIds": [BETEILIGTE, "b2"]})
            after = (await running.ask("PUT", path, {"beteiligtesIds": ["b2"]})).json()
            assert after["beteiligtesNames"] == {"b2": "Zweite"}
            made = (
                await running.ask("POST", "CVmhRumungsklage", {"name": "neu", "dokumentesIds": ["d2"]})
            ).json()
            assert made["dokumentesIds"] == ["d2"]
            assert (await running.get(f"CVmhRumungsklage/{made['id']}/dokumentes"))["total"] == 1
            two = await running.ask(
                "POST", "CVmhRumungsklage", {"name": "neu", "dokumentesIds": ["d2", "d3"]}
            )
            text = "Cannot set multiple IDs for link 'dokumentes' as there's no link-multiple field."
            assert (two.status_code, two.headers["x-status-reason"]) == (403, text)
            unknown = await running.ask("PUT", path, {"beteiligtesIds": ["000000000000000aa"]})
            assert unknown.status_code == 403

    asyncio.run(main())


def test_one_to_many_from_both_sides() -> None:
    """The many side's PUT and the one side's link endpoint write the same field; only the PUT moves modifiedAt."""

    async def main() -> None:
        async with server(at=1_795_334_400) as running:
            await running.seed({"records": RECORDS})
            path, links = f"CBankverbindungen/{KONTO}", f"CBeteiligte/{BETEILIGTE}/bankverbindungens"
            await running.ask("POST", links, {"id": KONTO})
            linked = await running.get(path)
            assert (linked["beteiligteName"], linked["modifiedAt"]) == ("Müller, Jörg", konto()["modifiedAt"])
            moved = (await running.ask("PUT", path, {"beteiligteId": "b2"})).json()
            assert (moved["beteiligteName"], moved["modifiedAt"]) == ("Zweite", "2026-11-22 08:00:00")
            assert (await running.get(links))["total"] == 0
            refused = await running.ask("POST", f"{path}/beteiligte", {"id": "b2"})
            assert (
                refused.headers["x-status-reason"]
                == "Only manyMany, hasMany & hasChildren relations are allowed."
            )

    asyncio.run(main())


def test_the_firms_hook_hears_of_every_link_and_unlink() -> None:
    """Endpoints, a list set by PUT and links at creation each post to url/link or url/unlink with the secret."""

    async def main() -> None:
        async with receiver() as listening, server() as running:
            hook = {
                "url": f"{listening.url}/vmh/webhook/entity",
                "header": "X-Webhook-Secret",
                "secret": "s3",
            }
            await running.seed({"records": RECORDS, "linkHooks": hook})
            await running.ask("POST", LINKS, {"id": DOCUMENT})
            await running.ask("PUT", f"CVmhRumungsklage/{KLAGE}", {"beteiligtesIds": ["b2"]})
            await running.ask("DELETE", LINKS, {"id": DOCUMENT})
            made = (
                await running.ask("POST", "CVmhRumungsklage", {"name": "neu", "dokumentesIds": ["d2"]})
            ).json()
            await running.ask("PUT", f"CBankverbindungen/{KONTO}", {"beteiligteId": "b2"})
            heard = [(got.path.rsplit("/", 1)[1], json.loads(got.body)) for got in listening.received]
            ends = {"entityType": "CVmhRumungsklage", "id": KLAGE}
            document_end = {"foreignEntityType": "CDokumente", "foreignId": DOCUMENT, "link": "dokumentes"}
            party_end = {"foreignEntityType": "CBeteiligte", "foreignId": "b2", "link": "beteiligtes"}
            assert heard[:3] == [
                ("link", {**ends, **document_end}),
                ("link", {**ends, **party_end}),
                ("unlink", {**ends, **document_end}),
            ]
            assert heard[3:] == [("link", {**ends, "id": made["id"], **document_end, "foreignId": "d2"})]
            assert {got.headers["X-Webhook-Secret"] for got in listening.received} == {"s3"}

    asyncio.run(main())


def test_a_hook_that_nobody_hears_does_not_fail_the_link() -> None:
    """The link is made although the firm's receiver is down; the state shows that nobody answered."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": RECORDS, "linkHooks": {"url": "http://127.0.0.1:9/x"}})
            assert (await running.ask("POST", LINKS, {"id": DOCUMENT})).json() is True
            [call] = (await running.state())["linkHookCalls"]
            assert (call["action"], call["status"]) == ("link", None)

    asyncio.run(main())


def test_the_firms_model_links_every_kind_of_owner() -> None:
    """With the model kanzlei, documents hang on four kinds of owners that carry the permission fields."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"reset": True, "model": "kanzlei"})
            key = {"X-Api-Key": "sandbox-espocrm-key"}
            made = (await running.ask("POST", "CDokumente", {"name": "x"}, headers=key)).json()
            for owner, link in (
                ("CMietinkasso", "mietinkassos"),
                ("Account", "accounts"),
                ("CBeteiligte", "beteiligtes"),
            ):
                row = (
                    await running.ask(
                        "POST", owner, {"name": "o", "dokumentesIds": [made["id"]]}, headers=key
                    )
                ).json()
                assert row["kiFreigabe"] is False
                listed = (await running.ask("GET", f"CDokumente/{made['id']}/{link}", headers=key)).json()
                assert [one["id"] for one in listed["list"]] == [row["id"]]

    asyncio.run(main())
