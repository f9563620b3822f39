"""Google's own client library against the stand-in over loopback HTTP."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.sandbox.google import GoogleSandbox
from bitbylaw_pipeline.sandbox.server import running_sandbox
from tests.sandbox.google.conftest import PM, SCOPE, timed

# The library has no types of its own.
google_auth_httplib2: Any = importlib.import_module("google_auth_httplib2")
httplib2: Any = importlib.import_module("httplib2")
service_account: Any = importlib.import_module("google.oauth2.service_account")
RefreshError: Any = importlib.import_module("google.auth.exceptions").RefreshError
build: Any = importlib.import_module("googleapiclient.discovery").build
HttpError: Any = importlib.import_module("googleapiclient.errors").HttpError


class Library:
    """The library's service object for one employee, and the stand-in that it talks to."""

    def __init__(self, sandbox: GoogleSandbox, settings: dict[str, str], user: str = PM) -> None:
        self.sandbox = sandbox
        key_file = settings["google_service_account_file"]
        credentials = service_account.Credentials.from_service_account_file(key_file, scopes=[SCOPE])
        self.credentials = credentials.with_subject(user)
        # Its own HTTP object, so that its connections can be closed.
        self.http = httplib2.Http(timeout=20)
        authorized = google_auth_httplib2.AuthorizedHttp(self.credentials, http=self.http)
        options = {"api_endpoint": f"{settings['google_api_base_url']}/"}
        self.api: Any = build(
            "calendar", "v3", http=authorized, static_discovery=True, client_options=options
        )

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


@pytest.fixture
def library() -> Iterator[Library]:
    """The library at work for PM."""
    with running_sandbox(google_seed={"users": [{"mail": PM}]}) as running:
        made = Library(running.google, dict(running.google_settings))
        yield made
        made.close()
    assert not Path(running.google_settings["google_service_account_file"]).exists()


def refused(request: Any) -> tuple[int, str]:
    """Status and reason of the error that the library raises."""
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, caught.value.error_details[0]["reason"]


def test_an_events_whole_life(library: Library) -> None:
    """Token, calendar, insert, get, patch, update, delete; 404, 409, 410 and 412 as the library sees them."""
    calendar = (
        library.api.calendars().insert(body={"summary": "Termine", "timeZone": "Europe/Berlin"}).execute()
    )
    where = {"calendarId": calendar["id"]}
    events = library.api.events()
    made = events.insert(**where, body=timed(id="abc00"), sendUpdates="none").execute()
    assert events.get(**where, eventId="abc00").execute() == made
    assert refused(events.insert(**where, body=timed(id="abc00"))) == (409, "duplicate")
    assert refused(events.get(**where, eventId="abc01")) == (404, "notFound")
    patched = events.patch(**where, eventId="abc00", body={"summary": "neu"}).execute()
    assert (patched["summary"], patched["start"]) == ("neu", made["start"])
    stale = events.update(**where, eventId="abc00", body=timed())
    stale.headers["If-Match"] = made["etag"]
    assert refused(stale) == (412, "conditionNotMet")
    fresh = events.update(**where, eventId="abc00", body=timed(begin="08:00"))
    fresh.headers["If-Match"] = patched["etag"]
    assert fresh.execute()["sequence"] == 1
    assert events.delete(**where, eventId="abc00").execute() == ""
    assert refused(events.delete(**where, eventId="abc00")) == (410, "deleted")
    assert refused(events.insert(**where, body=timed(id="abc00"))) == (409, "duplicate")
    assert events.get(**where, eventId="abc00").execute()["status"] == "cancelled"
    listed = library.api.calendarList().list().execute()["items"]
    assert [(item["id"], item.get("primary", False)) for item in listed] == [
        (PM, True),
        (calendar["id"], False),
    ]
    assert library.sandbox.state()["mails"] == []


def test_pages_and_sync_tokens(library: Library) -> None:
    """The library's own paging reads everything; the token answers with what changed since, or 410."""
    events = library.api.events()
    for number in range(7):
        events.insert(calendarId=PM, body=timed(id=f"abc{number:02d}"), sendUpdates="none").execute()
    request, seen, pages, token = events.list(calendarId=PM, maxResults=3), [], 0, None
    while request is not None:
        answer = request.execute()
        seen += [item["id"] for item in answer["items"]]
        pages, token = pages + 1, answer.get("nextSyncToken")
        request = events.list_next(request, answer)
    assert (pages, seen) == (3, [f"abc{number:02d}" for number in range(7)])
    events.delete(calendarId=PM, eventId="abc03", sendUpdates="none").execute()
    delta = events.list(calendarId=PM, maxResults=3, syncToken=token).execute()
    assert [(item["id"], item["status"]) for item in delta["items"]] == [("abc03", "cancelled")]
    library.sandbox.scripts.add({"kind": "sync_token_gone"})
    again = events.list(calendarId=PM, maxResults=3, syncToken=delta["nextSyncToken"])
    assert refused(again) == (410, "fullSyncRequired")


def test_series_and_their_occurrences(library: Library) -> None:
    """events.instances, and a patch of one occurrence."""
    events = library.api.events()
    events.insert(calendarId=PM, body=timed(id="abc00", recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"])).execute()
    items = events.instances(calendarId=PM, eventId="abc00").execute()["items"]
    assert [item["id"] for item in items] == [
        f"abc00_{day}" for day in ("20260320T080000Z", "20260327T080000Z", "20260403T070000Z")
    ]
    events.patch(calendarId=PM, eventId=items[1]["id"], body={"summary": "anders"}).execute()
    texts = [item["summary"] for item in events.instances(calendarId=PM, eventId="abc00").execute()["items"]]
    assert texts == ["Besprechung", "anders", "Besprechung"]


def test_a_missing_delegation_reaches_the_library(library: Library) -> None:
    """google-auth raises with Google's words."""
    library.sandbox.switches.update({"delegation": "missing"})
    with pytest.raises(RefreshError, match="unauthorized_client: Client is unauthorized"):
        library.api.calendars().get(calendarId="primary").execute()


def test_the_library_retries_what_google_means_it_to(library: Library) -> None:
    """503 and the two rate reasons are retried, a used-up quota is not."""
    get = library.api.calendars().get(calendarId="primary")
    get._sleep = _no_sleep
    for error in ("backendError", "userRateLimitExceeded", "rateLimitExceeded", "tooManyRequests"):
        library.sandbox.scripts.add({"kind": "error", "error": error})
        assert get.execute(num_retries=1)["id"] == PM
    library.sandbox.scripts.add({"kind": "error", "error": "quotaExceeded"})
    with pytest.raises(HttpError) as caught:
        get.execute(num_retries=1)
    assert caught.value.status_code == 403


def _no_sleep(seconds: float) -> None:
    """The library's waiting between two tries."""
    del seconds


def test_the_key_file_is_the_consoles(library: Library, tmp_path: Path) -> None:
    """It has the fields of a real one, and is for its owner only."""
    settings = library.sandbox.settings("http://127.0.0.1:1", tmp_path)
    path = Path(settings["google_service_account_file"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert (
        json.loads(path.read_text())["token_uri"]
        == settings["google_token_url"]
        == "http://127.0.0.1:1/token"
    )
