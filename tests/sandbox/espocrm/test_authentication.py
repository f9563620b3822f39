"""Signing in, the block after failures, outages, and what a role lets one do."""

from __future__ import annotations

import asyncio
import base64

from tests.sandbox.espocrm.driving import auth, hmac_header, server
from tests.sandbox.espocrm.recorded import (
    BETEILIGTE,
    DOCUMENT,
    HMAC_KEY,
    KLAGE,
    USERS,
    beteiligte,
    document,
    klage,
)

VECTOR = (
    "YWFhYWJiYmJjY2NjZGRkZGVlZWVmZmZmMDAwMDExMTE6MTM3MDUxYzEyNGEwZjI5NWZkMWI1MTVjNjZkNjkwMWZhNGRmMGUzMzEyNGFkY2Uz"
    "M2ZiM2NmY2YzZDY0Y2RkYw=="
)


def test_hmac_in_both_forms_and_without_the_query() -> None:
    """The hex and the raw digest pass; with the query string in the signed text it is 401."""

    async def main() -> None:
        async with server() as running:
            path = "/api/v1/CDokumente"
            for raw in (False, True):
                signed = {"X-Hmac-Authorization": hmac_header("GET", path, raw=raw)}
                assert (await running.client.get(f"{path}?maxSize=1", headers=signed)).status_code == 200
            wrong = {"X-Hmac-Authorization": hmac_header("GET", f"{path}/x")}
            assert (await running.client.get(f"{path}?maxSize=1", headers=wrong)).status_code == 401
            assert hmac_header("GET", "/api/v1/CDokumente/abc") == VECTOR
            as_key = {"X-Api-Key": HMAC_KEY}
            assert (await running.client.get(path, headers=as_key)).status_code == 401

    asyncio.run(main())


def test_ten_failures_shut_the_address_out_for_a_minute() -> None:
    """After ten wrong keys within a minute good keys get an empty 403 without a reason, and later 200 again."""

    async def main() -> None:
        async with server(at=1_795_334_400) as running:
            for _ in range(10):
                answer = await running.ask("GET", "App/user", headers={"X-Api-Key": "wrong"})
                assert answer.status_code == 401
            blocked = await running.ask("GET", "App/user")
            assert (blocked.status_code, blocked.content) == (403, b"")
            assert "x-status-reason" not in blocked.headers
            await running.client.post("/sandbox/clock", json={"advance": 59})
            assert (await running.ask("GET", "App/user")).status_code == 403
            await running.client.post("/sandbox/clock", json={"advance": 1})
            assert (await running.ask("GET", "App/user")).status_code == 200

    asyncio.run(main())


def test_an_admin_signs_in_by_password_in_both_headers() -> None:
    """Basic and Espo-Authorization work for people; an API user has no password, a bad string is 400."""

    async def main() -> None:
        async with server() as running:
            text = base64.b64encode(b"admin:sandbox-admin").decode()
            for headers in ({"Authorization": f"Basic {text}"}, {"Espo-Authorization": text}):
                answer = await running.client.get("/api/v1/App/user", headers=headers)
                assert answer.json()["user"]["userName"] == "admin"
            for wrong in (b"admin:no", b"sync:sync-key"):
                headers = {"Authorization": "Basic " + base64.b64encode(wrong).decode()}
                assert (await running.client.get("/api/v1/App/user", headers=headers)).status_code == 401
            headers = {"Espo-Authorization": base64.b64encode(b"nonsense").decode()}
            answer = await running.client.get("/api/v1/App/user", headers=headers)
            assert answer.headers["x-status-reason"] == "Auth: Bad authorization string provided."

    asyncio.run(main())


def test_maintenance_lets_admins_in_and_a_dead_database_nobody() -> None:
    """maintenanceMode is 503 for API users only; databaseDown is an empty 500 for everybody."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"config": {"maintenanceMode": True}})
            assert (await running.ask("GET", "App/user")).status_code == 503
            assert (await running.ask("GET", "App/user", user="admin")).status_code == 200
            await running.seed({"config": {"maintenanceMode": False, "databaseDown": True}})
            answer = await running.ask("GET", "App/user", user="admin")
            assert (answer.status_code, answer.content) == (500, b"")

    asyncio.run(main())


def test_levels_decide_over_single_records() -> None:
    """Level own shows and lets change only records assigned to the user; no level is a 403 with the action's name."""

    async def main() -> None:
        async with server() as running:
            own = {"read": "own", "edit": "own", "delete": "no", "create": "no"}
            reader = {**USERS[5], "id": "6b02a01663eccf000", "acl": {"CBeteiligte": own}, "fieldAcl": {}}
            mine = {"id": "b1", "name": "meiner", "assignedUserId": reader["id"]}
            await running.seed({"users": [reader], "records": {"CBeteiligte": [beteiligte(), mine]}})
            assert [row["id"] for row in (await running.get("CBeteiligte", "readonly"))["list"]] == ["b1"]
            refusals = {
                "GET": ("No 'read' access.", None),
                "PUT": ("No edit access.", {"vorname": "x"}),
                "DELETE": ("No delete access.", None),
            }
            for method, (reason, body) in refusals.items():
                answer = await running.ask(method, f"CBeteiligte/{BETEILIGTE}", body, user="readonly")
                assert (answer.status_code, answer.headers["x-status-reason"]) == (403, reason)
            assert (
                await running.ask("PUT", "CBeteiligte/b1", {"vorname": "x"}, user="readonly")
            ).status_code == 200
            assert (await running.ask("DELETE", "CBeteiligte/b1", user="readonly")).status_code == 403

    asyncio.run(main())


def test_links_need_rights_on_both_ends() -> None:
    """Linking without edit rights is 403, with the text of the operation or none where the scope is closed."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CVmhRumungsklage": [klage()], "CDokumente": [document()]}})
            path, body = f"CVmhRumungsklage/{KLAGE}/dokumentes", {"id": DOCUMENT}
            answer = await running.ask("POST", path, body, user="readonly")
            assert answer.status_code == 403
            reason = "No record access for link operation (CVmhRumungsklage:dokumentes)."
            assert answer.headers["x-status-reason"] == reason
            answer = await running.ask("POST", path, body, user="norole")
            assert (answer.status_code, answer.headers["x-status-reason"]) == (403, "")
            assert (await running.ask("GET", path, user="norole")).headers["x-status-reason"] == "No access."

    asyncio.run(main())


def test_without_a_role_metadata_is_stripped_and_app_user_says_so() -> None:
    """A key without rights reads metadata of nothing, and its rights table is closed."""

    async def main() -> None:
        async with server() as running:
            answer = await running.ask("GET", "Metadata?key=entityDefs.CDokumente", user="norole")
            assert (answer.status_code, answer.content) == (200, b"")
            assert (await running.get("App/user", "norole"))["acl"]["table"]["CDokumente"] is False
            assert (await running.get("Metadata?key=entityDefs.CDokumente.fields.fileStatus.options"))[
                0
            ] == "neu"
            plain = await running.ask("GET", "Metadata?key=entityDefs.CDokumente.fields.name.type")
            assert plain.content == b"varchar"

    asyncio.run(main())


def test_a_hidden_field_can_be_written_by_nobody_it_is_hidden_from() -> None:
    """What a role may not edit is dropped from a PUT without a word."""

    async def main() -> None:
        async with server() as running:
            rights = {"CDokumente": {"read": "all", "edit": "all"}}
            await running.seed(
                {"users": [{**USERS[5], "acl": rights}], "records": {"CDokumente": [document(sha256="5f")]}}
            )
            answer = await running.ask(
                "PUT", f"CDokumente/{DOCUMENT}", {"sha256": "00", "md5sum": "m"}, user="readonly"
            )
            assert answer.status_code == 200
            assert "sha256" not in answer.json()
            kept = await running.get(f"CDokumente/{DOCUMENT}")
            assert (kept["sha256"], kept["md5sum"]) == ("5f", "m")

    asyncio.run(main())


def test_no_key_at_all_asks_for_one_except_on_post() -> None:
    """Without credentials a GET is answered with a Basic challenge, a POST without."""

    async def main() -> None:
        async with server() as running:
            shown = await running.ask("GET", "CDokumente", user="nobody")
            hidden = await running.ask("POST", "CDokumente", {}, user="nobody")
            assert (shown.status_code, hidden.status_code) == (401, 401)
            assert shown.headers["www-authenticate"] == 'Basic realm=""'
            assert "www-authenticate" not in hidden.headers
            assert auth("nobody") == {}

    asyncio.run(main())
