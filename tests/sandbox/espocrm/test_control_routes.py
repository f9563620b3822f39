"""Seeding, state, reset, and what stands in front of the API: nginx's and Slim's own pages."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.sandbox.espocrm.app import create_app
from bitbylaw_pipeline.sandbox.serving import serving
from tests.sandbox.espocrm.driving import server
from tests.sandbox.espocrm.recorded import DOCUMENT, KLAGE, document

BAD_SEEDS: list[tuple[Any, str]] = [
    ({"recods": {}}, "The seed has unknown keys ['recods']"),
    ([], "The seed must be a JSON object."),
    ({"model": "alt"}, "There is no model 'alt'; choose one of ['kanzlei', 'recorded']."),
    ({"config": {"period": 1}}, "config has unknown keys ['period']"),
    ({"records": {"CNichts": []}}, "there is no entity type CNichts"),
    ({"records": {"CDokumente": [{"titel": "x"}]}}, "A record of CDokumente has unknown keys ['titel']"),
    ({"users": [{"userName": "x", "type": "robot"}]}, "one of the types api, admin, regular"),
    ({"users": [{"userName": "x", "acl": "none"}]}, 'must be "all" or an object of scopes'),
    ({"attachments": [{"id": "x"}]}, "An attachment needs an id and either contentBase64 or size."),
    ({"attachments": [{"id": "x", "contentBase64": "?"}]}, "contentBase64 of attachment x is not base64."),
    ({"entities": {"CX": {"fields": {"a": {"type": "magic"}}}}}, "Field CX.a has the type 'magic'"),
    ({"entities": {"CDokumente": {"linkMultipleFields": ["nichts"]}}}, "CDokumente has no link 'nichts'"),
    ({"webhooks": [{"event": "CDokumente.update"}]}, "A webhook needs url and an event such as CDokumente.update."),
    ({"linkHooks": {"secret": "s"}}, "linkHooks needs the url"),
    ({"records": {"CBankverbindungen": [{"name": "k"}], "CBeteiligte": [{"name": "b", "bankverbindungensIds": ["x"]}]}},
     "names CBankverbindungen x, which is not there"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "sentence"), BAD_SEEDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_bad_seed_is_one_clear_sentence(document: Any, sentence: str) -> None:
    """Whatever is wrong with a seed is a 400 with a sentence that names it."""

    async def main() -> None:
        async with server() as running:
            answer = await running.client.post("/sandbox/seed", json=document)
            assert answer.status_code == 400
            assert sentence in answer.json()["error"]

    asyncio.run(main())


def test_the_example_that_the_route_shows_can_be_seeded() -> None:
    """GET /sandbox/seed shows a document that POST takes, and the result is as it says."""

    async def main() -> None:
        async with server() as running:
            example = (await running.client.get("/sandbox/seed")).json()
            made = await running.seed({**example, "config": {}})
            assert made["records"] == 2
            key = {"X-Api-Key": "leser-key"}
            read = (await running.ask("GET", f"CDokumente/{DOCUMENT}", headers=key)).json()
            assert (read["dokumentName"], read["rumungsklagesIds"]) == ("klage.txt", [KLAGE])
            assert "sha256" not in read
            assert "vermerk" in read

    asyncio.run(main())


def test_state_and_reset() -> None:
    """The state shows records with deleted ones, links and files by hash; a reset leaves the bare model."""

    async def main() -> None:
        async with server() as running:
            file = {"id": "f1", "name": "a.txt", "contentBase64": "QQ=="}
            rows = [document(dokumentId="f1"), {"id": "d2", "name": "weg", "deleted": True}]
            links = [{"id": KLAGE, "name": "k", "dokumentesIds": [DOCUMENT]}]
            await running.seed(
                {"attachments": [file], "records": {"CDokumente": rows, "CVmhRumungsklage": links}}
            )
            state = await running.state()
            assert [row["deleted"] for row in state["records"]["CDokumente"]] == [False, True]
            assert state["links"]["CDokumente.rumungsklages"] == {DOCUMENT: [KLAGE]}
            [shown] = state["attachments"]
            assert (shown["size"], shown["relatedId"], shown["sha256"][:4]) == (1, DOCUMENT, "559a")
            assert (await running.client.post("/sandbox/reset")).json() == {"reset": True}
            assert (await running.state())["records"]["CDokumente"] == []
            assert (await running.ask("GET", "App/user")).status_code == 401

    asyncio.run(main())


def test_a_seed_can_take_fields_away_and_add_entities() -> None:
    """removeFields drops a field from the model; a new entity type gets the fields of every entity."""

    async def main() -> None:
        async with server() as running:
            new = {"fields": {"ort": {"type": "varchar"}}, "stream": True}
            await running.seed({"entities": {"CTermin": new, "CDokumente": {"removeFields": ["md5sum"]}}})
            made = (await running.ask("POST", "CTermin", {"name": "x", "ort": "Amtsgericht"})).json()
            assert (made["ort"], made["followersIds"]) == ("Amtsgericht", [])
            defs = await running.get("Metadata?key=entityDefs.CDokumente.fields")
            assert "md5sum" not in defs

    asyncio.run(main())


def test_hasmany_at_both_ends_is_many_to_many() -> None:
    """Two links that name each other and no relation are one many-to-many link, as EspoCRM takes them."""

    async def main() -> None:
        async with server() as running:
            one = {"links": {"akten": {"type": "hasMany", "entity": "CAkte", "foreign": "termine"}}}
            two = {"links": {"termine": {"type": "hasMany", "entity": "CTermin", "foreign": "akten"}}}
            records = {
                "CTermin": [{"id": "t1", "name": "a"}],
                "CAkte": [{"id": "a1", "name": "b", "termineIds": ["t1"]}],
            }
            await running.seed({"entities": {"CTermin": one, "CAkte": two}, "records": records})
            assert (await running.get("CTermin/t1/akten"))["list"][0]["id"] == "a1"
            assert (await running.state())["links"] == {
                "CAkte.termine": {"a1": ["t1"]},
                "CTermin.akten": {"t1": ["a1"]},
            }

    asyncio.run(main())


def test_faults_and_the_ledger_work_in_front_of_it() -> None:
    """The common control routes apply: a fault hits the API, and the ledger counts by route."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CDokumente": [document()]}})
            fault = {"kind": "status", "path": "/api/v1/CDokumente/.*", "status": 503, "times": 1}
            await running.client.post("/sandbox/faults", json=fault)
            path = f"CDokumente/{DOCUMENT}"
            assert [(await running.ask("GET", path)).status_code for _ in range(2)] == [503, 200]
            counts = (await running.client.get("/sandbox/counts")).json()
            assert counts["GET /api/v1/CDokumente/{id}"] == 2
            assert (await running.client.get("/sandbox/nichts")).status_code == 404

    asyncio.run(main())


def test_pages_that_are_not_espocrms() -> None:
    """A path outside the API is nginx's 404, a wrong method Slim's 405, a deep path Slim's 404, before any key."""

    async def main() -> None:
        async with server() as running:
            assert "<center>nginx</center>" in (await running.client.get("/anderswo")).text
            wrong = await running.client.patch("/api/v1/CDokumente")
            assert (wrong.status_code, "405 Method Not Allowed" in wrong.text) == (405, True)
            assert (await running.client.get("/api/v1/a/b/c/d")).status_code == 404

    asyncio.run(main())


def test_over_http_there_is_one_date_and_it_is_the_sandbox_clocks() -> None:
    """Under uvicorn the answer carries nginx and the stand-in's own date alone, so that a client can trust it."""
    app = create_app()
    app.clock.pin(1_795_334_400)
    with serving(app) as (url,), httpx.Client() as client:
        answer = client.get(f"{url}/api/v1/App/user", headers={"X-Api-Key": "sandbox-espocrm-key"})
        assert answer.status_code == 200
        assert answer.headers.get_list("server") == ["nginx"]
        [date] = answer.headers.get_list("date")
        assert parsedate_to_datetime(date).timestamp() == 1_795_334_400


def test_json_is_escaped_as_php_does() -> None:
    """Slashes and non-ASCII are escaped in answers; raw bytes matter for signatures."""

    async def main() -> None:
        async with server() as running:
            answer = await running.ask("POST", "CDokumente", {"name": "Müller/Groß"})
            assert rb'"name":"M\u00fcller\/Gro\u00df"' in answer.content

    asyncio.run(main())
