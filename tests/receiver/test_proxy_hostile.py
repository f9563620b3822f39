"""Nobody reaches another host, another path or another request through the proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.receiver.hostile_endpoints import hostile, spellings
from tests.receiver.proxies import BY_KEY, PARTY, ProxyBench
from webhook_sensor_app.proxy import PATH
from webhook_sensor_app.proxy_answer import is_content_type
from webhook_sensor_app.proxy_request import read_call, read_query
from webhook_sensor_app.proxy_routes import METHODS, AllowList
from webhook_sensor_app.refusal import Refusal

JSON = BY_KEY | {"content-type": "application/json"}


class Canary:
    """A listener that nobody has a reason to connect to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                connection.close()

    def close(self) -> None:
        """Stops listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def canary() -> Iterator[Canary]:
    """The listener."""
    listener = Canary()
    yield listener
    listener.close()


def test_the_canary_would_notice(canary: Canary) -> None:
    """A connection to the canary is counted."""
    with socket.create_connection(("127.0.0.1", canary.port)) as client:
        assert client.recv(1) == b""
    assert canary.connections == 1


@pytest.mark.parametrize("method", METHODS)
def test_hostile_endpoints_in_the_query(proxied: ProxyBench, canary: Canary, method: str) -> None:
    """Every value, in every spelling, is refused with a 4xx and a sentence; no request goes anywhere."""

    async def use(client: httpx.AsyncClient) -> None:
        for value in hostile(canary.port):
            for text in spellings(value):
                answer = await client.request(
                    method,
                    f"{PATH}?endpoint={text}",
                    headers=JSON,
                    content=None if method == "GET" else b'{"name": "x"}',
                )
                assert answer.status_code in (400, 403, 414), value
                assert answer.json()["error"].endswith(".")

    proxied.run(use)
    assert canary.connections == 0
    assert proxied.is_untouched()
    assert proxied.audit() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_hostile_endpoints_in_the_body(proxied: ProxyBench, canary: Canary, method: str) -> None:
    """The same beside the data, with values that are no text at all."""
    values: list[Any] = [*hostile(canary.port), None, 7, True, [], ["Beteiligte"], {"x": 1}, ""]

    async def use(client: httpx.AsyncClient) -> None:
        for value in values:
            body = json.dumps({"endpoint": value, "data": {"name": "x"}}).encode()
            answer = await client.request(method, PATH, headers=JSON, content=body)
            assert answer.status_code in (400, 403), value

    proxied.run(use)
    assert canary.connections == 0
    assert proxied.is_untouched()
    assert proxied.audit() == []


QUERIES = {
    "none": b"",
    "empty": b"endpoint=",
    "another name": b"Endpoint=Mitarbeiter",
    "an array": b"endpoint[]=Mitarbeiter",
    "twice": b"endpoint=Mitarbeiter&endpoint=Akten",
    "twice the same": b"endpoint=Mitarbeiter&endpoint=Mitarbeiter",
    "twice, spelled otherwise": b"endpoint=Mitarbeiter&%65ndpoint=Akten",
    "with a semicolon": b"endpoint=Mitarbeiter;x=1",
    "line ends in a value": b"endpoint=Mitarbeiter&x=%0d%0aHost:%20evil",
    "line ends in a name": b"endpoint=Mitarbeiter&%0d%0aHost=evil",
    "NUL in a value": b"endpoint=Mitarbeiter&x=%00",
    "not UTF-8": b"endpoint=Mitarbeiter&x=%ff",
    "overlong UTF-8": b"endpoint=Mitarbeiter&x=%c0%af",
    "half a surrogate pair": b"endpoint=Mitarbeiter&x=%ed%a0%80",
    "too many": b"endpoint=Mitarbeiter" + b"&x=1" * 60,
    "too long": b"endpoint=Mitarbeiter&x=" + b"1" * 9000,
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_that_could_be_read_in_two_ways_is_refused(proxied: ProxyBench, name: str) -> None:
    """4xx, and nothing is sent."""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        url = httpx.URL(f"http://receiver{PATH}").copy_with(query=QUERIES[name])
        return await client.get(url, headers=BY_KEY)

    assert proxied.run(use).status_code in (400, 414)
    assert proxied.is_untouched()


def test_raw_bytes_in_a_query_are_refused() -> None:
    """A query string is ASCII: what is not could be read in several ways."""
    with pytest.raises(Refusal):
        read_query(b"endpoint=Mitarbeiter&x=\xc3\xa4")


def test_parameters_stay_parameters(proxied: ProxyBench) -> None:
    """Signs that mean something in a URL arrive as what they were: parts of names and values."""
    values = {
        "a": "&b=c",
        "d": "#e",
        "f": "?g",
        "h": "../..",
        "i": "//evil",
        "j": "ä +%2e",
        "k;l": ";m",
        "": "=",
    }
    assert proxied.ask("GET", "Mitarbeiter", query=values).status_code == 200
    path, _, query = proxied.asked()[-1].partition("?")
    assert path == "GET Mitarbeiter"
    assert dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) == values


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.just("data"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    method=st.sampled_from(METHODS),
    query=st.binary(max_size=60) | st.binary(max_size=30).map(lambda text: b"endpoint=Beteiligte/7&" + text),
    body=st.binary(max_size=80)
    | st.builds(lambda value: json.dumps({"endpoint": "Beteiligte/7", "data": value}).encode(), _VALUES)
    | st.builds(lambda value: json.dumps(value).encode(), _VALUES),
)
def test_any_request_is_a_call_of_the_list_or_refused(method: str, query: bytes, body: bytes) -> None:
    """Whatever the bytes, the outcome is a 4xx or a call whose path the list spells, with a body that is JSON."""
    try:
        parameters, place = read_query(query)
        call = read_call(method, parameters, place, body, AllowList())
    except Refusal as refusal:
        status = refusal.status
    else:
        status = 200
        assert call.match.segments in (("Beteiligte",), ("Beteiligte", "7"))
        assert call.body is None or json.loads(call.body) is not ...
    assert status == 200 or 400 <= status < 500


BODIES: dict[str, bytes] = {
    "none": b"",
    "not JSON": b"name=x",
    "half": b'{"name": "x"',
    "two": b"{} {}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"name": "Räumung"}'.encode("latin-1"),
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NaN": b'{"n": NaN}',
    "Infinity": b'{"n": -Infinity}',
    "1e400": b'{"n": 1e400}',
    "half a surrogate pair": b'{"n": "\\ud800"}',
    "nested 100,000 deep": b'{"n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 digits": b'{"n": ' + b"9" * 100_000 + b"}",
    "one key twice": b'{"name": "x", "name": "y"}',
    "endpoint twice": b'{"endpoint": "Beteiligte/1", "endpoint": "Beteiligte/2", "data": {}}',
    "endpoint in both places": b'{"endpoint": "Beteiligte/1", "data": {}}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_could_be_read_in_two_ways_is_refused(proxied: ProxyBench, name: str) -> None:
    """400, and nothing is sent."""
    answer = proxied.ask("PUT", f"Beteiligte/{PARTY}", content=BODIES[name], headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert proxied.is_untouched()


@pytest.mark.parametrize(
    "body",
    [{"endpoint": f"Beteiligte/{PARTY}"}, {"endpoint": f"Beteiligte/{PARTY}", "data": None},
     {"endpoint": f"Beteiligte/{PARTY}", "data": {}, "method": "DELETE"}, {"data": {}}, [], "x", 7],
)  # fmt: skip
def test_data_is_all_that_may_stand_beside_endpoint(proxied: ProxyBench, body: Any) -> None:
    """Without data, or with anything further, a write is refused."""
    assert proxied.ask("PUT", json=body).status_code == 400
    assert proxied.is_untouched()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_of_another_kind_is_refused(proxied: ProxyBench, kind: str) -> None:
    """415 for what is not declared as JSON."""
    answer = proxied.ask("PUT", f"Beteiligte/{PARTY}", content=b"{}", headers=BY_KEY | {"content-type": kind})
    assert answer.status_code == 415
    assert proxied.is_untouched()


def test_a_get_has_no_body(proxied: ProxyBench) -> None:
    """A GET with a body is refused: some would read it, some not."""
    assert proxied.ask("GET", "Mitarbeiter", json={"endpoint": "Akten"}).status_code == 400
    assert proxied.is_untouched()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirects_are_not_followed(proxied: ProxyBench, canary: Canary, status: int) -> None:
    """502, and neither a request nor our token goes where Advoware's answer points."""
    proxied.say(status=status, headers={"location": f"http://127.0.0.1:{canary.port}/x"})
    answer = proxied.ask("GET", "Mitarbeiter")
    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert canary.connections == 0
    assert len(proxied.asked()) == 1


@pytest.mark.parametrize(
    "kind", ["text/plain\r\nx-evil: 1", 'text/html; charset="a"; x=<y>', "ä/b", "x" * 500, ""]
)
def test_a_strange_content_type_stays_here(kind: str) -> None:
    """What is not plainly a content type is left out of our answer."""
    assert not is_content_type(kind)
    assert is_content_type("application/json; charset=utf-8")
