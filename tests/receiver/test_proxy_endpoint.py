"""Which texts are an endpoint, and which calls are on the list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.settings import Settings, SettingsError
from tests.receiver.hostile_endpoints import hostile
from webhook_sensor_app.proxy_endpoint import read_endpoint
from webhook_sensor_app.proxy_routes import METHODS, AllowList, Match
from webhook_sensor_app.refusal import Refusal

HOSTILE = hostile(8081)


def _found(changes: list[str], method: str, text: str) -> Match | None:
    try:
        return AllowList(changes).match(method, read_endpoint(text))
    except Refusal:
        return None


def test_there_are_enough_hostile_values() -> None:
    """The matrix has the size that it promises, without repetitions."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 120


@pytest.mark.parametrize("method", METHODS)
def test_no_hostile_value_becomes_a_call(method: str) -> None:
    """Each is refused with a 4xx and one sentence that repeats nothing of it."""
    sentences = set()
    for value in HOSTILE:
        with pytest.raises(Refusal) as refused:
            AllowList().match(method, read_endpoint(value))
        assert refused.value.status in (400, 403), value
        sentences.add(refused.value.sentence)
    assert len(sentences) == 2
    assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize("value", [None, "", 7, 1.5, True, ["Beteiligte"], {"a": 1}])
def test_what_is_no_text_is_no_endpoint(value: object) -> None:
    """A missing endpoint and JSON of another type are refused with 400."""
    with pytest.raises(Refusal) as refused:
        read_endpoint(value)
    assert refused.value.status == 400


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9_/.%@:-]{0,30}", fullmatch=True))
def test_whatever_passes_is_made_of_words_of_ours(text: str) -> None:
    """A call's path consists of the list's words and of numbers above 0, whatever the text was."""
    found = _found([], "GET", text)
    if found is None:
        return
    words = {
        "Beteiligte",
        "Adressen",
        "Kommunikation",
        "Bankverbindungen",
        "Akten",
        "Mitarbeiter",
        "Termine",
        "TermineActiveSync",
    }
    for segment in found.segments:
        assert segment in words or int(segment) > 0


@pytest.mark.parametrize(
    ("method", "text", "segments", "record"),
    [
        ("GET", "Beteiligte", ("Beteiligte",), None),
        ("PUT", "Beteiligte/104860", ("Beteiligte", "104860"), "104860"),
        ("PUT", "Beteiligte/104860/Adressen/7", ("Beteiligte", "104860", "Adressen", "7"), "104860/7"),
        ("GET", "Akten/12", ("Akten", "12"), "12"),
        ("GET", "employees", ("Mitarbeiter",), None),
        ("GET", "Mitarbeiter", ("Mitarbeiter",), None),
    ],
)
def test_calls_on_the_list(method: str, text: str, segments: tuple[str, ...], record: str | None) -> None:
    """What the list names is let through, its ids in their places; the seed's name stands for Mitarbeiter."""
    found = AllowList().match(method, read_endpoint(text))
    assert (found.segments, found.record) == (segments, record)
    assert not any(character.isdigit() for character in found.pattern)


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("DELETE", "Beteiligte/1"), ("DELETE", "Beteiligte/1/Adressen/2"), ("POST", "Beteiligte/1/Bankverbindungen"),
        ("PUT", "Beteiligte"), ("POST", "Akten"), ("PUT", "Akten/1"), ("POST", "employees"), ("DELETE", "Mitarbeiter"),
    ],
)  # fmt: skip
def test_another_method_is_named(method: str, text: str) -> None:
    """A path on the list with a method that is not: 405, and the methods that are."""
    with pytest.raises(Refusal) as refused:
        AllowList().match(method, read_endpoint(text))
    assert refused.value.status == 405
    assert "GET" in refused.value.headers["allow"] or "PUT" in refused.value.headers["allow"]
    assert method not in refused.value.headers["allow"]


def test_the_list_can_be_extended_and_narrowed() -> None:
    """Additions, removals, and a list of one's own."""
    added = _found(["+GET Rechnungen/{id}"], "GET", "Rechnungen/5")
    assert added is not None
    assert added.segments == ("Rechnungen", "5")
    assert _found(["+GET Rechnungen/{id}"], "GET", "Rechnungen") is None
    assert _found(["-GET Beteiligte"], "GET", "Beteiligte") is None
    assert _found(["-GET Beteiligte"], "POST", "Beteiligte")
    assert _found(["-*", "+GET Akten"], "GET", "Akten")
    assert _found(["-*", "+GET Akten"], "GET", "Beteiligte") is None


def test_a_removal_that_removes_nothing_is_a_mistake() -> None:
    """A misspelt removal would leave open what was meant to be closed: one sentence at the start."""
    with pytest.raises(SettingsError, match="ADVOWARE_PROXY_ROUTES removes DELETE Beteiligte"):
        AllowList(["-DELETE Beteiligte"])


@pytest.mark.parametrize(
    "change", ["GET Akten", "+Akten", "+PATCH Akten", "+GET ../x", "+GET /Akten", "+GET Akten/", "+GET http://x", "-**", "+GET Akten?x=1", "+GET {x}"]
)  # fmt: skip
def test_a_senseless_change_of_the_list_is_refused(change: str) -> None:
    """What is no change of the list ends in a sentence that names the setting."""
    with pytest.raises(SettingsError, match="ADVOWARE_PROXY_ROUTES"):
        Settings.load(_env_file=None, advoware_proxy_routes=change)


def test_settings_are_written_with_commas() -> None:
    """Keys and changes of the list come as one line each."""
    settings = Settings.load(
        _env_file=None, proxy_api_keys=" first-key, second-key ,", advoware_proxy_routes="-*, +GET Akten/{id}"
    )
    assert [key.get_secret_value() for key in settings.proxy_api_keys] == ["first-key", "second-key"]
    assert settings.advoware_proxy_routes == ("-*", "+GET Akten/{id}")
    assert "first-key" not in repr(settings)


@pytest.mark.parametrize("keys", ["two words", "schlüssel", "a\nb"])
def test_a_key_that_could_not_be_sent_is_refused(keys: str) -> None:
    """A key with blanks or umlauts could never arrive in a header: one sentence without the key."""
    with pytest.raises(SettingsError, match="PROXY_API_KEYS") as refused:
        Settings.load(_env_file=None, proxy_api_keys=keys)
    assert keys not in str(refused.value)
