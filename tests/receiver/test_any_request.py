"""Requests that nobody thought of: no crash, no 5xx, and never an acknowledgement without a row."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.inbox import events
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import ENCRYPTION_KEY, FakeClock, migrated_url
from tests.receiver.conftest import Bench, register
from tests.receiver.deliveries import BY_SECRET, DOCUMENT_UPDATE, UPDATE

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("id"), inner, max_size=4),
    max_leaves=12,
)
_ITEM = st.fixed_dictionaries(
    {"id": st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True) | _JSON},
    optional={"entityType": st.just("CDokumente") | st.text(max_size=8), "name": _JSON},
)
_BODY = st.binary(max_size=200) | st.builds(
    lambda value: json.dumps(value).encode(), _JSON | _ITEM | st.lists(_ITEM, max_size=6)
)
_HEADER_VALUE = st.binary(max_size=200).map(lambda raw: bytes(byte for byte in raw if byte not in (10, 13)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(bodies=st.lists(_BODY, min_size=5, max_size=12))
def test_any_body_is_stored_or_refused(bodies: list[bytes], tmp_path: Path) -> None:
    """Any body from a known sender ends in 202 with its rows, 200 with none, or 400 with none."""
    bench = _bench(tmp_path)

    async def send(client: httpx.AsyncClient) -> None:
        for body in bodies:
            response = await client.post(UPDATE, content=body, headers=BY_SECRET)
            assert response.status_code in (200, 202, 400)
            event_id = response.json().get("event")
            assert (event_id is not None) == (response.status_code == 202)
            if event_id:
                assert bench.database.read(partial(events.get, event_row_id=event_id))

    bench.run(send)
    bench.database.close()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    values=st.lists(
        st.tuples(st.sampled_from(["signature", "x-signature", "x-webhook-secret"]), _HEADER_VALUE)
    )
)
def test_any_credentials_are_refused(values: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """No bytes in the headers let anybody in or bring the receiver down."""
    bench = _bench(tmp_path)
    headers = [(b"content-type", b"application/json"), *((name.encode(), value) for name, value in values)]
    assert bench.post(UPDATE, b'[{"id": "d1"}]', headers).status_code == 401
    assert bench.is_untouched()
    bench.database.close()


def _bench(folder: Path) -> Bench:
    clock = FakeClock()
    database = Database.open(migrated_url("sqlite", folder), clock=clock, encryption_key=ENCRYPTION_KEY)
    register(database, DOCUMENT_UPDATE)
    return Bench(database, clock)
