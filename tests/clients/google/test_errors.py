"""What each of Google's refusals means, row by row of the table (`facts/two_way_sync.md` 2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bitbylaw_pipeline.clients.answer import Call, Refusal, usual_error
from bitbylaw_pipeline.clients.google_errors import (
    AlreadyExists,
    Deleted,
    EventForbidden,
    SyncTokenExpired,
    TokenRejected,
    judge,
)
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    ScopeLimited,
    ScopeRefused,
    SyncError,
    Transient,
    Unexpected,
)
from bitbylaw_pipeline.sync.two_way_link_work import NOT_EXECUTED
from tests.clients.google.office import says_nothing

READ, WRITE, LIST, INSERT = "get_event", "patch_event", "list_events", "insert_event"


def answer(
    operation: str, status: int, reason: str | None, *, location: str = "", detail: str = "", **headers: str
) -> SyncError:
    """What becomes of that answer; `reason` None is a body that is not Google's."""
    body = b"<html>Mustermann</html>"
    if reason is not None:
        row = {"domain": "global", "reason": reason, "message": "Mustermann", "location": location}
        error: dict[str, Any] = {"code": status, "message": "Mustermann", "errors": [row]}
        if detail:
            error["details"] = [{"reason": detail}]
        body = json.dumps({"error": error}).encode()
    writes = operation not in (READ, LIST, "get_calendar")
    call = Call("google", operation, "AB/abcde" if operation != LIST else "AB", writes)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    given = Refusal(call, status, names, body, 0.0)
    return judge(given) or usual_error(given)


@pytest.mark.parametrize(
    ("operation", "status", "reason", "kind"),
    [
        (WRITE, 400, "timeRangeEmpty", Permanent),
        (INSERT, 400, "invalid", Permanent),
        (READ, 400, "required", Permanent),
        (WRITE, 400, "parseError", Permanent),
        (READ, 401, "authError", TokenRejected),
        (WRITE, 401, "authError", TokenRejected),
        (LIST, 401, None, TokenRejected),
        (LIST, 403, "userRateLimitExceeded", ScopeLimited),
        (WRITE, 403, "rateLimitExceeded", ScopeLimited),
        (INSERT, 403, "quotaExceeded", ScopeLimited),
        (LIST, 403, "dailyLimitExceeded", RateLimited),
        (WRITE, 403, "forbiddenForNonOrganizer", Permanent),
        (WRITE, 403, "insufficientPermissions", Permanent),
        (WRITE, 403, "somethingNew", EventForbidden),
        (LIST, 403, "forbidden", ScopeRefused),
        (WRITE, 403, "forbidden", EventForbidden),
        (INSERT, 403, "requiredAccessLevel", ScopeRefused),
        (LIST, 403, "notACalendarUser", ScopeRefused),
        (LIST, 403, "somethingNew", ScopeRefused),
        ("get_calendar", 403, "insufficientPermissions", ScopeRefused),
        (LIST, 403, "accessNotConfigured", AuthFailed),
        (READ, 404, "notFound", NotFound),
        (WRITE, 404, "notFound", NotFound),
        (LIST, 404, "notFound", ScopeRefused),
        (INSERT, 404, "notFound", ScopeRefused),
        (INSERT, 409, "duplicate", AlreadyExists),
        (WRITE, 409, "conflict", Transient),
        (WRITE, 409, "somethingNew", Conflict),
        (LIST, 410, "fullSyncRequired", SyncTokenExpired),
        (LIST, 410, "updatedMinTooLongAgo", SyncTokenExpired),
        (LIST, 410, "somethingNew", SyncTokenExpired),
        ("delete_event", 410, "deleted", Deleted),
        (WRITE, 410, "deleted", Deleted),
        (READ, 410, "somethingNew", Unexpected),
        ("delete_event", 410, "somethingNew", OutcomeUnknown),
        (WRITE, 412, "conditionNotMet", Conflict),
        (LIST, 429, "rateLimitExceeded", ScopeLimited),
        (WRITE, 429, None, ScopeLimited),
        (READ, 500, "backendError", Transient),
        (LIST, 503, None, Transient),
        (INSERT, 500, "backendError", OutcomeUnknown),
        (WRITE, 503, "backendError", OutcomeUnknown),
        ("delete_event", 502, None, OutcomeUnknown),
        (READ, 404, None, Unexpected),
        (LIST, 403, None, Unexpected),
        (LIST, 302, None, Unexpected),
        (WRITE, 404, None, OutcomeUnknown),
        (LIST, 418, "teapot", Permanent),
    ],
)
def test_each_row_of_the_table(
    operation: str, status: int, reason: str | None, kind: type[SyncError]
) -> None:
    """The class that the queue and the engine decide by; the Kürzel is in it, Google's own text is not."""
    error = answer(operation, status, reason)
    assert type(error) is kind
    assert error.status == status
    assert "AB" in str(error)
    assert says_nothing(error)


def test_a_refused_request_is_named_by_googles_word() -> None:
    """The queue's list shows "refused", the message which rule it was."""
    error = answer(WRITE, 400, "timeRangeEmpty")
    assert isinstance(error, Permanent)
    assert error.reason == "refused"
    assert "timeRangeEmpty" in str(error)
    assert "AB/abcde" in str(error)


def test_a_reason_that_is_no_word_is_not_repeated() -> None:
    """A name in the reason's place goes nowhere."""
    assert says_nothing(answer(WRITE, 400, "Frau Mustermann, Berlin"))
    assert "no reason given" in str(answer(WRITE, 400, "Frau Mustermann, Berlin"))


@pytest.mark.parametrize(
    ("reason", "seconds", "headers"),
    [
        ("userRateLimitExceeded", None, {}),
        ("userRateLimitExceeded", 17.0, {"retry_after": "17"}),
        ("quotaExceeded", 4 * 3600.0, {}),
        ("quotaExceeded", 17.0, {"retry_after": "17"}),
        ("dailyLimitExceeded", 3600.0, {}),
    ],
)
def test_how_long_to_wait(reason: str, seconds: float | None, headers: dict[str, str]) -> None:
    """Google's own wish wins; a burst is left to the queue, an exceeded usage limit lasts for hours."""
    error = answer(LIST, 403, reason, **headers)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_is_the_employees_own(status: int) -> None:
    """Its system is theirs alone, so that a pause by the system's name holds up nobody else."""
    for operation in (LIST, WRITE):
        assert answer(operation, status, "rateLimitExceeded").system == "google:AB"
    assert answer(LIST, 403, "quotaExceeded").system == "google:AB"
    assert answer(LIST, 403, "dailyLimitExceeded").system == "google"


@pytest.mark.parametrize(
    "given",
    [
        {"detail": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"},
        {"www_authenticate": 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'},
    ],
)
def test_a_missing_scope_is_everybodys(given: dict[str, Any]) -> None:
    """It has the same reason as a missing right, and differs by what stands beside it."""
    error = answer(LIST, 403, "insufficientPermissions", **given)
    assert type(error) is AuthFailed
    assert "scope" in str(error)


@pytest.mark.parametrize(
    ("location", "kind"),
    [("syncToken", SyncTokenExpired), ("pageToken", Unexpected), ("timeMin", Permanent)],
)
def test_a_token_that_google_does_not_read_is_no_fault_of_the_request(
    location: str, kind: type[SyncError]
) -> None:
    """400 for a sync token leads to a full list; for a page token the list is begun again."""
    assert type(answer(LIST, 400, "invalid", location=location)) is kind


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "authError"),
        (403, "userRateLimitExceeded"),
        (403, "quotaExceeded"),
        (403, "forbidden"),
        (403, "forbiddenForNonOrganizer"),
        (400, "invalid"),
        (429, "rateLimitExceeded"),
    ],
)
def test_what_was_certainly_not_written_is_known_as_such(status: int, reason: str) -> None:
    """The engine keeps no intent open for a write that Google refused."""
    assert isinstance(answer(WRITE, status, reason), NOT_EXECUTED)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"error": null}', b'{"error": "x"}', b"{" * 2000, b"\xff"],
)
def test_a_404_that_is_not_googles_is_no_missing_event(body: bytes) -> None:
    """A proxy's answer must never look like a deletion."""
    for operation, kind in ((READ, Unexpected), (WRITE, OutcomeUnknown)):
        given = Refusal(Call("google", operation, "AB/x", kind is OutcomeUnknown), 404, {}, body, 0.0)
        assert type(judge(given)) is kind


@pytest.mark.parametrize(
    "error",
    [
        {},
        {"errors": None},
        {"errors": "x"},
        {"errors": [None, 1, "x"]},
        {"errors": [{"reason": 7}]},
        {"details": {"reason": "x"}},
    ],
)
def test_an_error_without_a_reason_still_counts_by_its_status(error: dict[str, Any]) -> None:
    """Nothing in a strange body makes the judge fail."""
    body = json.dumps({"error": error}).encode()
    expected = {400: Permanent, 403: ScopeRefused, 404: ScopeRefused, 409: Conflict, 412: Conflict}
    for status, kind in expected.items():
        given = Refusal(Call("google", LIST, "AB"), status, {}, body, 0.0)
        assert type(judge(given) or usual_error(given)) is kind
