"""The recorded table of what a PUT of one attribute stores."""

from __future__ import annotations

import asyncio

import pytest

from bitbylaw_pipeline.sandbox.espocrm.system import VERSIONS
from tests.sandbox.espocrm.driving import server
from tests.sandbox.espocrm.recorded import BETEILIGTE, DOCUMENT, beteiligte, document, table

RECORD = {"CDokumente": DOCUMENT, "CBeteiligte": BETEILIGTE}


@pytest.mark.parametrize("version", VERSIONS)
def test_stores_each_value_as_the_real_server_does(version: str) -> None:
    """Status, reason, the value in the answer and the value read afterwards are those of the table."""

    async def main() -> None:
        async with server(version) as running:
            # The table was taken from a record that was in use: these were its values then.
            before = beteiligte(phoneNumber="+49301234002", phoneNumberData=None, geburtsdatum=None)
            await running.seed({"records": {"CDokumente": [document()], "CBeteiligte": [before]}})
            for case in table("field_normalisation")["cases"]:
                path, field = f"{case['entity']}/{RECORD[case['entity']]}", case["field"]
                answer = await running.ask("PUT", path, {field: case["sent"]})
                context = (field, case["sent"])
                assert answer.status_code == case["status"], context
                assert answer.headers.get("x-status-reason") == case["xStatusReason"], context
                if case["status"] == 200:
                    got = answer.json()[field]
                    assert (got, type(got)) == (case["valueInAnswer"], type(case["valueInAnswer"])), context
                kept = (await running.get(path))[field]
                assert (kept, type(kept)) == (case["valueStored"], type(case["valueStored"])), context

    asyncio.run(main())


def test_a_list_where_php_wants_text_crashes_the_request() -> None:
    """A date that is a list is no validation failure but a TypeError: 500 with Slim's HTML page."""

    async def main() -> None:
        async with server() as running:
            await running.seed({"records": {"CBeteiligte": [beteiligte()]}})
            answer = await running.ask("PUT", f"CBeteiligte/{BETEILIGTE}", {"geburtsdatum": ["1970-01-01"]})
            assert answer.status_code == 500
            assert "x-status-reason" not in answer.headers
            assert answer.headers["content-type"].startswith("text/html")

    asyncio.run(main())
