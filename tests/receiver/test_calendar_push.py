"""`POST /google/calendar/push`: whose messages count, and what they lead to."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.calendar_channels import PATH, token_of
from bitbylaw_pipeline.inbox.calendar_passes import STREAM, TOPIC
from bitbylaw_pipeline.inbox.cipher import Cipher
from tests.conftest import ENCRYPTION_KEY
from tests.receiver.calendar_office import CHANNEL, OFFICE, PERSONAL, message
from tests.receiver.conftest import Bench, writing_elsewhere

OTHER_KEY = "0123456789abcdef0123456789abcdef0123456789A="


def push(bench: Bench, headers: dict[str, str], **given: Any) -> httpx.Response:
    """A message at the receiver."""
    return bench.post(PATH, b"", headers, **(OFFICE | given))


@pytest.mark.parametrize("state", ["exists", "not_exists", "something-new"])
@pytest.mark.parametrize("kuerzel", ["AB", "MÜ"])
def test_a_message_asks_for_a_pass_of_that_employee(bench: Bench, kuerzel: str, state: str) -> None:
    """202 after the commit of one event and one want."""
    answer = push(bench, message(bench.database, kuerzel, state))
    assert answer.status_code == 202
    (event,) = bench.stored()
    assert answer.json() == {"accepted": 1, "event": event.id}
    assert (event.source, event.topic, event.entity_type, event.entity_id) == (
        "google",
        TOPIC,
        "Employee",
        kuerzel,
    )
    assert bench.wanted(STREAM, ["AB", "Cd", "MÜ"]) == [int(one == kuerzel) for one in ("AB", "Cd", "MÜ")]


def test_the_first_message_of_a_channel_asks_for_nothing(bench: Bench) -> None:
    """`sync` says that the channel works: 200, and nothing is stored."""
    assert push(bench, message(bench.database, state="sync")).status_code == 200
    assert bench.stored() == []
    assert bench.ready(STREAM) == 0


def test_many_messages_are_one_pass(bench: Bench) -> None:
    """However often and in whatever order they come, one row is ready."""
    for number in ("7", "4", "7"):
        assert push(bench, message(bench.database, x_goog_message_number=number)).status_code == 202
    assert bench.ready(STREAM) == 1


def test_a_delay_is_left_alone(bench: Bench) -> None:
    """Where Google asked us to wait, its own messages do not make us come sooner; they are noted all the same."""
    database = bench.database
    push(bench, message(database))
    (claim,) = database.run_sync(
        lambda c: work_queue.claim(c, bench.clock(), STREAM, limit=9, lease_seconds=60.0)
    )
    database.run_sync(
        lambda c: work_queue.retry(c, bench.clock(), claim, error="google: wait.", delay=3600.0, counts=False)
    )
    assert push(bench, message(database)).status_code == 202
    assert bench.ready(STREAM) == 0
    assert len(bench.stored()) == 2
    bench.clock.advance(3600.0)
    assert bench.ready(STREAM) == 1


FORGED: dict[str, dict[str, str]] = {
    "no token": {"x_goog_channel_token": ""},
    "no channel": {"x_goog_channel_id": ""},
    "another channel": {"x_goog_channel_id": "1f" * 16},
    "a long channel": {"x_goog_channel_id": "0f" * 40},
    "the name alone": {"x_goog_channel_token": "AB"},
    "no digest": {"x_goog_channel_token": "AB:"},
    "a made-up digest": {"x_goog_channel_token": "AB:" + "0" * 64},
    "in Latin-1": {"x_goog_channel_token": "M\xdc:" + "0" * 64},
    "another key's": {"x_goog_channel_token": token_of(Cipher(OTHER_KEY), "AB", CHANNEL)},
    "another employee's": {
        "x_goog_channel_token": "Cd:" + token_of(Cipher(ENCRYPTION_KEY), "AB", CHANNEL).partition(":")[2]
    },
    "in upper case": {
        "x_goog_channel_token": token_of(Cipher(ENCRYPTION_KEY), "AB", CHANNEL).upper(),
    },
    "of nobody here": {"x_goog_channel_token": token_of(Cipher(ENCRYPTION_KEY), "ZZ", CHANNEL)},
}


@pytest.mark.parametrize("state", ["exists", "sync"])
@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_a_forged_message_is_refused(bench: Bench, changes: dict[str, str], state: str) -> None:
    """404 with one sentence, the same for all; nothing is stored."""
    headers = message(bench.database, state=state, **changes)
    encoded: Any = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = push(bench, encoded)
    assert answer.status_code == 404
    assert answer.json()["error"] == "This is no message of a channel that is known here."
    assert bench.stored() == []
    assert bench.ready(STREAM) == 0


@pytest.mark.parametrize("name", ["x-goog-channel-token", "x-goog-channel-id"])
def test_a_header_that_is_there_twice_is_refused(bench: Bench, name: str) -> None:
    """Which of the two counts is anybody's guess."""
    headers = message(bench.database)
    # httpx takes pairs as well.
    twice: Any = [*headers.items(), (name, headers[name])]
    assert push(bench, twice).status_code == 404
    assert bench.stored() == []


@pytest.mark.parametrize("off", [{"google_push": False}, {"google_calendars": {}}])
def test_switched_off_there_is_no_such_address(bench: Bench, off: dict[str, Any]) -> None:
    """404 and nothing stored, for a message that is true as well."""
    assert push(bench, message(bench.database), **off).status_code == 404
    assert bench.stored() == []


def test_while_the_database_is_busy_google_is_told_to_come_again(bench: Bench) -> None:
    """503, which Google repeats; a forged message is told apart without the database all the same."""
    good, bad = message(bench.database), message(bench.database, x_goog_channel_token="AB:0")
    with writing_elsewhere(bench.database):
        assert push(bench, good, wait_seconds=0.2).status_code == 503
        assert push(bench, bad, wait_seconds=0.2).status_code == 404


def test_no_headers_value_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the event's id and the Kürzel; neither token nor channel nor any other value of a header."""
    headers = message(bench.database, state="exists")
    with caplog.at_level(logging.INFO):
        event_id = push(bench, headers).json()["event"]
        push(bench, headers | {"x-goog-channel-token": "AB:forged"})
    lines = " ".join(str(record.msg) for record in caplog.records)
    assert event_id in lines
    assert "wrong_token" in lines
    values = [value for name, value in headers.items() if name not in ("x-goog-message-number",)]
    for secret in (*PERSONAL, *values, "forged"):
        assert secret not in lines
