"""Files beyond the recordings: stealing, copies, rights, limits, large ones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from tests.sandbox.espocrm.driving import server
from tests.sandbox.espocrm.recorded import DOCUMENT, document
from tests.sandbox.espocrm.states import FILE, PDF, file

BIG = 48_000_000


def upload(name: str = "a.pdf", content: bytes = PDF, **more: Any) -> dict[str, Any]:
    """An upload's body."""
    data = f"data:application/pdf;base64,{base64.b64encode(content).decode()}"
    place = {"relatedType": "CDokumente", "field": "dokument", "role": "Attachment"}
    return {"name": name, "type": "application/pdf", **place, "file": data, **more}


def test_a_file_given_to_a_second_record_is_stolen() -> None:
    """The file moves to the second record, and clearing it on the first deletes it for the second."""

    async def main() -> None:
        async with server() as running:
            rows = [document(dokumentId=FILE), {"id": "d2", "name": "zwei"}]
            await running.seed({"attachments": [file()], "records": {"CDokumente": rows}})
            await running.ask("PUT", "CDokumente/d2", {"dokumentId": FILE})
            assert (await running.get(f"Attachment/{FILE}"))["relatedId"] == "d2"
            await running.ask("PUT", f"CDokumente/{DOCUMENT}", {"dokumentId": None})
            assert (await running.ask("GET", f"Attachment/file/{FILE}")).status_code == 404
            second = await running.get("CDokumente/d2")
            assert (second["dokumentId"], second["dokumentName"]) == (FILE, None)

    asyncio.run(main())


def test_a_copy_lives_its_own_life() -> None:
    """Attachment/copy gives the same bytes under a new id that outlives the original."""

    async def main() -> None:
        async with server() as running:
            await running.seed(
                {"attachments": [file()], "records": {"CDokumente": [document(dokumentId=FILE)]}}
            )
            body = {"relatedType": "CDokumente", "field": "dokument"}
            copied = (await running.ask("POST", f"Attachment/copy/{FILE}", body)).json()
            await running.ask("PUT", f"CDokumente/{DOCUMENT}", {"dokumentId": None})
            answer = await running.ask("GET", f"Attachment/file/{copied['id']}")
            assert (answer.content, copied["sourceId"]) == (PDF, FILE)

    asyncio.run(main())


def test_contents_never_change() -> None:
    """A PUT with new contents changes the reported size and not a byte of the download."""

    async def main() -> None:
        async with server() as running:
            made = (await running.ask("POST", "Attachment", upload())).json()
            body = {"name": "b.pdf", "file": "data:application/pdf;base64,QQ=="}
            changed = (await running.ask("PUT", f"Attachment/{made['id']}", body)).json()
            assert (changed["size"], changed["name"]) == (1, "b.pdf")
            assert (await running.ask("GET", f"Attachment/file/{made['id']}")).content == PDF

    asyncio.run(main())


def test_a_file_outlives_its_deleted_record() -> None:
    """After the record is deleted its file can still be read."""

    async def main() -> None:
        async with server() as running:
            await running.seed(
                {"attachments": [file()], "records": {"CDokumente": [document(dokumentId=FILE)]}}
            )
            await running.ask("DELETE", f"CDokumente/{DOCUMENT}")
            assert (await running.ask("GET", f"Attachment/file/{FILE}")).content == PDF

    asyncio.run(main())


def test_what_an_upload_needs() -> None:
    """Name, field and a right on the entity are asked for; exe files are not refused, the list is for admins."""

    async def main() -> None:
        async with server() as running:
            refused = {
                "No file contents.": {key: value for key, value in upload().items() if key != "file"},
                "Non-string file contents.": upload(file=5),
                "Field type 'varchar' is not allowed for Attachment.": upload(field="name"),
                "Role not allowed.": upload(role="Import File"),
            }
            for reason, body in refused.items():
                answer = await running.ask("POST", "Attachment", body)
                assert answer.headers["x-status-reason"] == reason
            answer = await running.ask("POST", "Attachment", upload(), user="readonly")
            assert answer.headers["x-status-reason"] == "No access to CDokumente."
            assert (await running.ask("POST", "Attachment", upload("böse.exe"))).status_code == 200
            assert (await running.ask("GET", "Attachment")).status_code == 403
            assert (await running.get("Attachment", user="admin"))["total"] == 1

    asyncio.run(main())


def test_a_hidden_file_field_hides_the_file() -> None:
    """Who may not read the file field may not download the file either."""

    async def main() -> None:
        async with server() as running:
            reader = {
                "userName": "readonly",
                "apiKey": "readonly-key",
                "acl": {"CDokumente": {"read": "all"}},
            }
            hidden = {"CDokumente": {"dokument": {"read": "no", "edit": "no"}}}
            parts = {"CDokumente": [document(dokumentId=FILE)]}
            await running.seed(
                {"users": [{**reader, "fieldAcl": hidden}], "attachments": [file()], "records": parts}
            )
            assert (await running.ask("GET", f"Attachment/file/{FILE}", user="readonly")).status_code == 403

    asyncio.run(main())


def test_bodies_over_the_limit_are_refused_by_nginx() -> None:
    """An upload over the limit is 413 with nginx's page, whether or not its length is announced."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"config": {"maxBodyBytes": 1000}})
            headers = {"X-Api-Key": "sync-key", "Content-Type": "application/json"}
            announced = await running.client.post("/api/v1/Attachment", content=b"x" * 1001, headers=headers)

            async def pieces() -> Any:
                for _ in range(11):
                    yield b"x" * 100

            chunked = await running.client.post("/api/v1/Attachment", content=pieces(), headers=headers)
            for answer in (announced, chunked):
                assert answer.status_code == 413
                assert "413 Request Entity Too Large" in answer.text

    asyncio.run(main())


def test_a_made_up_file_of_48_megabytes_streams() -> None:
    """A file given by size and seed is sent in pieces, has that size, is text, and has the hash the state shows."""

    async def main() -> None:
        async with server() as running:
            made = {"id": "f-big", "name": "gross.txt", "type": "text/plain", "size": BIG, "fill": "1"}
            parts = {"CDokumente": [document(dokumentId="f-big")]}
            await running.seed({"attachments": [made], "records": parts})
            answer = await running.ask("GET", "Attachment/file/f-big")
            assert answer.headers["content-length"] == str(BIG)
            assert len(answer.content) == BIG
            assert answer.content[:300].isascii()
            [shown] = (await running.state())["attachments"]
            assert shown["sha256"] == hashlib.sha256(answer.content).hexdigest()

    asyncio.run(main())


def test_an_uploaded_file_comes_back_whole() -> None:
    """A megabyte of arbitrary bytes is downloaded as it was uploaded."""

    async def main() -> None:
        async with server() as running:
            content = hashlib.shake_256(b"seed").digest(1_000_003)
            made = (await running.ask("POST", "Attachment", upload(content=content))).json()
            assert made["size"] == len(content)
            assert (await running.ask("GET", f"Attachment/file/{made['id']}")).content == content

    asyncio.run(main())
