"""Where 9.2.7, 9.3.10 and 10.0.0 differ."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.espocrm.app import create_app
from bitbylaw_pipeline.sandbox.espocrm.system import VERSIONS
from tests.sandbox.espocrm.driving import server
from tests.sandbox.espocrm.recorded import table


@pytest.mark.parametrize("version", VERSIONS)
def test_an_array_never_set_is_null_before_10_and_empty_since(version: str) -> None:
    """9.x reads null and leaves it out of the create answer, 10.0 gives an empty list; jsonArray stays null."""

    async def main() -> None:
        async with server(version) as running:
            made = (await running.ask("POST", "CDokumente", {"name": "x"})).json()
            read = await running.get(f"CDokumente/{made['id']}")
            empty: Any = [] if version == "10.0.0" else None
            assert (read["xaiCollections"], read["schlagworte"]) == (empty, empty)
            assert read["xaiCollectionsJson"] is None
            # Since 10.0 the database fills the column; the answer to the create does not know of it yet.
            assert "xaiCollections" not in made

    asyncio.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_says_its_version_and_describes_itself_since_9_3(version: str) -> None:
    """App/user names the version; OpenApi is there from 9.3 on, for admins and roles with that scope."""

    async def main() -> None:
        async with server(version) as running:
            assert (await running.get("App/user"))["settings"]["version"] == version
            answer = await running.ask("GET", "OpenApi", user="admin")
            if version == "9.2.7":
                assert answer.status_code == 404
                assert answer.headers["x-status-reason"] == "Controller 'OpenApi' does not exist."
                return
            assert (await running.ask("GET", "OpenApi")).status_code == 403
            recorded, got = table("v9_3_10_openapi_excerpt"), answer.json()
            assert got["openapi"] == recorded["openapi"]
            for path, operations in recorded["paths"].items():
                assert set(got["paths"][path]) == set(operations), path
            recorded_properties = recorded["schemas"]["CDokumente"]["properties"]
            properties = got["components"]["schemas"]["CDokumente"]["properties"]
            assert set(properties) == set(recorded_properties)
            for name, described in recorded_properties.items():
                keys = described.keys() & {"type", "maxLength", "enum", "items", "readOnly"}
                assert {key: properties[name].get(key) for key in keys} == {
                    key: described[key] for key in keys
                }, name
            assert got["components"]["schemas"]["CDokumente_create"]["required"] == ["name"]

    asyncio.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_text_about_a_forbidden_attribute_is_doubled_before_10(version: str) -> None:
    """Filtering by a hidden field is 400; 9.x says so twice in one line."""

    async def main() -> None:
        async with server(version) as running:
            where = "where[0][type]=isNull&where[0][attribute]=sha256"
            answer = await running.ask("GET", f"CDokumente?{where}", user="readonly")
            text = "Forbidden attribute 'sha256' in where."
            assert answer.status_code == 400
            assert answer.headers["x-status-reason"] == (text if version == "10.0.0" else f"{text} {text}")

    asyncio.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_internal_targets_are_refused_since_9_3_2(version: str) -> None:
    """A changed url is checked like a new one; a name without a dot counts as inside, an allowed one passes."""

    async def main() -> None:
        async with server(version) as running:
            await running.seed({"config": {"webhookAllowedAddressList": ["dagster-hook:8000"]}})
            body = {"event": "CDokumente.update", "url": "http://dagster-hook:8000/x"}
            made = await running.ask("POST", "Webhook", body)
            assert made.status_code == 201
            answer = await running.ask(
                "PUT", f"Webhook/{made.json()['id']}", {"url": "http://dagster-hook:8001/x"}
            )
            assert answer.status_code == (200 if version == "9.2.7" else 400)
            assert (
                await running.ask("POST", "Webhook", {**body, "url": "https://hooks.example.org/x"})
            ).status_code == 201

    asyncio.run(main())


def test_there_is_no_stand_in_of_another_version() -> None:
    """Another version is refused with a sentence that names those that exist."""
    with pytest.raises(ValueError, match=r"choose one of 9\.2\.7"):
        create_app("8.0.0")


def test_10_hangs_on_an_ip_address_when_told_so() -> None:
    """webhookIpLiteralCrash reproduces the crash of 10.0.0's job on a target given as an address."""

    async def main() -> None:
        async with server("10.0.0") as running:
            config = {"webhookIpLiteralCrash": True, "webhookAllowedAddressList": ["127.0.0.1:9"]}
            hook = {"event": "CDokumente.create", "url": "http://127.0.0.1:9/x"}
            await running.seed({"config": config, "webhooks": [hook]})
            await running.ask("POST", "CDokumente", {"name": "x"})
            answer = await running.client.post("/sandbox/webhooks/run")
            assert answer.status_code == 500
            assert "CURLOPT_RESOLVE" in answer.json()["error"]
            assert (await running.state())["webhookQueue"][0]["status"] == "Pending"

    asyncio.run(main())
