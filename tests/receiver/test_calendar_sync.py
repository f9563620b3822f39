"""`/advoware/calendar/sync`: who may ask, what is stored, what is answered."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from bitbylaw_pipeline.domain.errors import Permanent, Transient
from bitbylaw_pipeline.inbox import calendar_passes, events, outages, retention, work_queue
from bitbylaw_pipeline.inbox.calendar_passes import STREAM, TOPIC
from bitbylaw_pipeline.inbox.work_queue import Claim
from tests.receiver.calendar_office import API_KEY, BY_API_KEY, CALENDARS, OFFICE, OTHER_API_KEY, PERSONAL
from tests.receiver.conftest import Bench, writing_elsewhere
from tests.receiver.deliveries import JSON, SHARED_SECRET
from webhook_sensor_app.api_keys import fingerprint
from webhook_sensor_app.calendar_sync import MAX_BODY_BYTES, PATH

ALL = list(CALENDARS)


def ask(
    bench: Bench, body: Any = None, headers: dict[str, str] | None = None, **given: Any
) -> httpx.Response:
    """A request for passes: a body in bytes as it is, None for none, anything else as JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kind = JSON if content is not None else {}
    return bench.post(
        PATH, content, {**kind, **(BY_API_KEY if headers is None else headers)}, **(OFFICE | given)
    )


def tell(bench: Bench, reference: str, headers: dict[str, str] = BY_API_KEY, **given: Any) -> httpx.Response:
    """What became of a request."""
    answer: httpx.Response = bench.run(
        lambda client: client.get(f"{PATH}/{reference}", headers=headers), **(OFFICE | given)
    )
    return answer


def told(bench: Bench, reference: str, kuerzel: str = "AB") -> tuple[str, dict[str, Any]]:
    """The whole's status and one employee's part."""
    answer = tell(bench, reference)
    assert answer.status_code == 200
    return answer.json()["status"], answer.json()["employees"][kuerzel]


def claimed(bench: Bench) -> list[Claim]:
    """Everything that is ready, leased for a minute."""
    return bench.database.run_sync(
        lambda c: work_queue.claim(c, bench.database.now(c), STREAM, limit=9, lease_seconds=60.0)
    )


def passed(bench: Bench, claim: Claim, begun_at: float, counts: dict[str, int]) -> None:
    """A claimed pass came to its end."""
    database = bench.database
    database.run_sync(lambda c: calendar_passes.note_passed(c, database.now(c), claim.key, begun_at, counts))
    database.run_sync(lambda c: work_queue.complete(c, database.now(c), [claim]))


def failed(bench: Bench, claim: Claim, begun_at: float, *, parks: bool) -> None:
    """A claimed pass failed."""
    database = bench.database
    error = Permanent("google: why.", system="google") if parks else Transient("advoware: why.")
    database.run_sync(lambda c: calendar_passes.note_failed(c, database.now(c), claim.key, begun_at, error))
    if parks:
        database.run_sync(lambda c: work_queue.park(c, database.now(c), claim, "refused", str(error)))
    else:
        database.run_sync(lambda c: work_queue.retry(c, database.now(c), claim, error=str(error), delay=30.0))


@pytest.mark.parametrize(
    ("body", "employees"),
    [
        (None, ALL),
        ({}, ALL),
        ({"kuerzel": "AB"}, ["AB"]),
        ({"kuerzel": "ab"}, ["AB"]),
        ({"kuerzel": "mü"}, ["MÜ"]),
        ({"kuerzel": ["CD", "AB", "cd"]}, ["Cd", "AB"]),
    ],
)
def test_what_was_asked_for_is_stored_before_the_answer(
    bench: Bench, body: Any, employees: list[str]
) -> None:
    """202 with a reference, which is the stored events' id; each employee is wanted once and soon, no other is."""
    answer = ask(bench, body)
    assert answer.status_code == 202
    reference = answer.json()["reference"]
    where = f"{PATH}/{reference}"
    assert answer.json() == {"reference": reference, "kuerzel": employees, "status_url": where}
    assert answer.headers["location"] == where
    rows = bench.database.read(lambda c: events.of_request(c, reference))
    assert [(row.source, row.topic, row.entity_type, row.entity_id, row.action) for row in rows] == [
        ("api", TOPIC, "Employee", kuerzel, "sync") for kuerzel in employees
    ]
    assert len(bench.stored()) == len(employees)
    assert bench.wanted(STREAM, ALL) == [int(kuerzel in employees) for kuerzel in ALL]
    row = bench.database.read(lambda c: work_queue.get(c, STREAM, employees[0]))
    assert row is not None
    assert row.priority == work_queue.EVENT_PRIORITY


def test_an_empty_object_may_come_with_any_spaces(bench: Bench) -> None:
    """`{}` names nobody, which is all, however it is written."""
    assert ask(bench, b" {\n} ").json()["kuerzel"] == ALL


KEYS: dict[str, dict[str, str]] = {
    "none": {},
    "wrong": {"x-api-key": "x" * len(API_KEY)},
    "the webhooks' secret": {"x-webhook-secret": SHARED_SECRET},
    "the proxy's key": {"x-api-key": "the-proxys-key"},
    "both ways": {"x-api-key": API_KEY, "authorization": f"Bearer {API_KEY}"},
    "as Basic": {"authorization": f"Basic {API_KEY}"},
}


@pytest.mark.parametrize("headers", KEYS.values(), ids=KEYS)
def test_whoever_has_no_key_learns_nothing_else(bench: Bench, headers: dict[str, str]) -> None:
    """401 for both addresses, whatever else is wrong with the request; nothing is stored."""
    given = {"proxy_api_keys": "the-proxys-key"}
    for answer in (
        ask(bench, b"no json", headers, **given),
        ask(bench, None, headers, google_calendars={}, **given),
        tell(bench, "0" * 32, headers, **given),
    ):
        assert answer.status_code == 401
        assert "API_KEYS" in answer.json()["error"]
        assert "PROXY" not in answer.json()["error"]
        assert answer.headers["www-authenticate"] == "Bearer"
    assert bench.is_untouched()
    assert bench.ready(STREAM) == 0


def test_without_configured_keys_nobody_gets_in(bench: Bench) -> None:
    """API_KEYS is empty: every key is refused, the proxy's too."""
    given = {"api_keys": "", "proxy_api_keys": API_KEY}
    assert ask(bench, None, BY_API_KEY, **given).status_code == 401
    assert ask(bench, None, {"x-api-key": ""}, **given).status_code == 401


def test_either_key_in_either_header_is_good(bench: Bench) -> None:
    """Both keys of the setting, as X-Api-Key or as a bearer's."""
    for headers in ({"x-api-key": OTHER_API_KEY}, {"authorization": f"Bearer {API_KEY}"}):
        assert ask(bench, None, headers).status_code == 202


BAD: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"kuerzel=AB", 400),
    "not UTF-8": (b'{"kuerzel": "\xff"}', 400),
    "a list": (b'["AB"]', 400),
    "null": (b"null", 400),
    "a misspelt name": (b'{"Kuerzel": "AB"}', 400),
    "more names": (b'{"kuerzel": "AB", "from": 1}', 400),
    "named twice": (b'{"kuerzel": "AB", "kuerzel": "Cd"}', 400),
    "nobody": (b'{"kuerzel": []}', 400),
    "null for a name": (b'{"kuerzel": null}', 400),
    "a number": (b'{"kuerzel": ["AB", 7]}', 400),
    "a huge number": (b'{"kuerzel": ' + b"1" * 9000 + b"}", 400),
    "deep": (b"[" * 30_000, 400),
    "too long": (b'{"kuerzel": "' + b"A" * MAX_BODY_BYTES + b'"}', 413),
    "unknown": (b'{"kuerzel": ["AB", "XY"]}', 404),
    "an empty name": (b'{"kuerzel": ""}', 404),
    "a space": (b'{"kuerzel": "AB "}', 404),
    "half a pair": (b'{"kuerzel": "\\ud800"}', 404),
}


@pytest.mark.parametrize(("body", "status"), BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_and_stores_nothing(bench: Bench, body: bytes, status: int) -> None:
    """One sentence says what to send instead; nothing is stored, not even for those that are known."""
    answer = ask(bench, body)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert bench.stored() == []
    assert bench.ready(STREAM) == 0


def test_a_body_must_be_declared_as_json(bench: Bench) -> None:
    """415 for another type, as for webhooks."""
    answer = ask(bench, b'{"kuerzel": "AB"}', {**BY_API_KEY, "content-type": "text/plain"})
    assert answer.status_code == 415
    assert bench.stored() == []


def test_an_unknown_kuerzel_is_told_how_to_configure(bench: Bench) -> None:
    """404 names the setting; the Kürzel is repeated where it is a plain short word, and nothing else ever is."""
    assert ask(bench, {"kuerzel": "XY"}).json()["error"] == (
        "XY has no calendar: name user and calendar in GOOGLE_CALENDARS and restart the receiver."
    )
    for name in ("A" * 21, "a\nb", "<b>", "Erika Mustermann"):
        sentence = ask(bench, {"kuerzel": name}).json()["error"]
        assert sentence.startswith("This Kürzel has no calendar")
        assert name not in sentence


@pytest.mark.parametrize("missing", [{"google_calendars": {}}, {"advoware_api_key": ""}])
def test_without_calendars_there_is_nothing_to_ask_for(bench: Bench, missing: dict[str, Any]) -> None:
    """409 for both addresses: it is the settings' state that has to change first."""
    for answer in (ask(bench, None, **missing), tell(bench, "0" * 32, **missing)):
        assert answer.status_code == 409
        assert "GOOGLE_CALENDARS" in answer.json()["error"]
    assert bench.is_untouched()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_named(bench: Bench, method: str) -> None:
    """405 with those that the address takes."""
    answer = bench.run(lambda client: client.request(method, PATH, headers=BY_API_KEY), **OFFICE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_while_the_database_is_busy_the_caller_is_told_to_come_again(bench: Bench) -> None:
    """503 for both addresses, and nothing acknowledged."""
    with writing_elsewhere(bench.database):
        assert ask(bench, wait_seconds=0.2).status_code == 503
        assert tell(bench, "0" * 32, wait_seconds=0.2).status_code == 503


def test_log_lines_have_ids_and_no_secrets(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Reference, employees and the key's fingerprint; neither keys nor addresses nor what a stranger wrote."""
    with caplog.at_level(logging.INFO):
        reference = ask(bench, {"kuerzel": "AB"}).json()["reference"]
        ask(bench, {"kuerzel": "Qwertz"})
        tell(bench, reference)
        tell(bench, "a-strangers-text")
    lines = [str(record.msg) for record in caplog.records]
    accepted = next(line for line in lines if "event=accepted" in line or "'accepted'" in line)
    assert reference in accepted
    assert fingerprint(API_KEY) in accepted
    assert "AB" in accepted
    everything = " ".join(lines)
    assert "unknown_kuerzel" in everything
    for secret in (*PERSONAL, "Qwertz", "a-strangers-text"):
        assert secret not in everything


# -- what became of a request


@pytest.mark.parametrize("reference", ["0" * 32, "x", "0" * 31 + "A", "0" * 33, "..x", "%00"])
def test_an_unknown_reference_is_404(bench: Bench, reference: str) -> None:
    """One sentence that says that old ones are no longer known."""
    ask(bench)
    answer = tell(bench, reference)
    assert answer.status_code == 404
    assert "no longer known" in answer.json()["error"]


@pytest.mark.parametrize(("source", "topic"), [("webhook", "vmh.document.update"), ("google", TOPIC)])
def test_only_such_requests_have_a_reference(bench: Bench, source: str, topic: str) -> None:
    """A webhook's event is none, whatever its id."""
    item = [("Employee", "AB", "update")]
    bench.database.run_sync(lambda c: events.record(c, bench.clock(), source, topic, item, "", "a" * 32))
    assert tell(bench, "a" * 32).status_code == 404


def test_an_old_reference_is_no_longer_known(bench: Bench) -> None:
    """The inbox's retention takes it away."""
    reference = ask(bench).json()["reference"]
    bench.clock.advance(31 * 86_400.0)
    retention.delete_older(bench.database, 30, tombstone_days=90, audit_days=90)
    assert tell(bench, reference).status_code == 404


def test_a_request_goes_from_waiting_over_running_to_done(bench: Bench) -> None:
    """What is told follows queue and passes; the counts are those of the pass that began after the request."""
    bench.clock.now = 1_790_000_000.25
    reference = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    answer = tell(bench, reference)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "reference": reference,
        "requested_at": "2026-09-21T14:13:20.250Z",
        "status": "waiting",
        "employees": {"AB": {"status": "waiting", "finished_at": None, "counts": {}, "why": None}},
    }
    (claim,) = claimed(bench)
    assert told(bench, reference)[1]["status"] == "running"
    begun_at = bench.clock.advance(1.0)
    bench.clock.advance(2.0)
    passed(bench, claim, begun_at, {"writes": 3})
    assert told(bench, reference) == (
        "done",
        {"status": "done", "finished_at": "2026-09-21T14:13:23.250Z", "counts": {"writes": 3}, "why": None},
    )
    bench.clock.advance(900.0)
    bench.database.run_sync(lambda c: work_queue.want(c, bench.clock(), STREAM, ["AB"]))
    failed(bench, claimed(bench)[0], bench.clock(), parks=True)
    assert told(bench, reference)[0] == "done"


def test_a_pass_that_began_before_the_request_is_no_answer(bench: Bench) -> None:
    """It leaves the row open, and the next one answers both who asked meanwhile."""
    first = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    (claim,) = claimed(bench)
    begun_at = bench.clock.advance(1.0)
    bench.clock.advance(1.0)
    late = [ask(bench, {"kuerzel": "AB"}).json()["reference"] for _ in range(3)]
    passed(bench, claim, begun_at, {"writes": 1})
    assert told(bench, first)[0] == "done"
    assert {told(bench, one)[0] for one in late} == {"waiting"}
    (again,) = claimed(bench)
    passed(bench, again, bench.clock.advance(1.0), {"writes": 0})
    assert {told(bench, one)[0] for one in late} == {"done"}
    assert claimed(bench) == []


def test_a_failed_pass_is_retried_and_then_set_aside(bench: Bench) -> None:
    """retrying while the queue tries again, failed once it is set aside; why says so, without a name."""
    reference = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    failed(bench, claimed(bench)[0], bench.clock(), parks=False)
    assert told(bench, reference) == (
        "retrying",
        {"status": "retrying", "finished_at": None, "counts": {}, "why": "advoware: why."},
    )
    begun_at = bench.clock.advance(60.0)
    failed(bench, claimed(bench)[0], begun_at, parks=True)
    status, part = told(bench, reference)
    assert (status, part["status"], part["why"]) == ("failed", "failed", "google: why.")
    assert part["finished_at"] is not None
    bench.clock.advance(1.0)
    again = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    assert told(bench, again)[0] == "waiting"
    assert told(bench, reference)[0] == "retrying"


def test_a_pass_that_ended_without_a_note_is_a_failure_too(bench: Bench) -> None:
    """What is set aside before a pass begins (a Kürzel that is no longer configured) tells the queue's own words."""
    reference = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    (claim,) = claimed(bench)
    bench.database.run_sync(
        lambda c: work_queue.park(c, bench.clock(), claim, "unknown_kuerzel", "AB has no calendar.")
    )
    status, part = told(bench, reference)
    assert (status, part["why"]) == ("failed", "AB has no calendar.")


def test_what_holds_everybody_up_is_told_to_who_waits(bench: Bench) -> None:
    """While Google refuses our key nothing is tried, and `why` says what is waited for."""
    reference = ask(bench, {"kuerzel": "AB"}).json()["reference"]
    (claim,) = claimed(bench)
    bench.database.run_sync(
        lambda c: work_queue.retry(
            c, bench.clock(), claim, error="The key file is none.", delay=60.0, counts=False
        )
    )
    bench.database.run_sync(lambda c: outages.pause(c, bench.clock(), "google", 60.0, "refuses our key"))
    assert told(bench, reference)[1] == {
        "status": "waiting",
        "finished_at": None,
        "counts": {},
        "why": "The key file is none.",
    }


def test_the_whole_is_told_from_its_parts(bench: Bench) -> None:
    """failed before all, then retrying, then running (or partly done), and done only when all are."""
    reference = ask(bench).json()["reference"]
    first, second, third = claimed(bench)
    assert told(bench, reference)[0] == "running"
    begun_at = bench.clock.advance(1.0)
    bench.clock.advance(60.0)
    passed(bench, first, begun_at, {})
    assert told(bench, reference)[0] == "running"
    failed(bench, second, begun_at, parks=False)
    assert told(bench, reference)[0] == "retrying"
    failed(bench, third, begun_at, parks=True)
    assert told(bench, reference)[0] == "failed"
    for claim in (second, third):
        passed(bench, claim, begun_at, {})
    assert told(bench, reference)[0] == "done"
