"""The EspoCRM client against answers recorded from real servers, replayed over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_refusals import Duplicate, FieldRefused
from bitbylaw_pipeline.clients.http import Downloaded
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    SyncError,
    Transient,
    Unexpected,
)
from bitbylaw_pipeline.settings import Settings
from tests.clients.wire_server import Received, Reply, recorded, reply_json, wire_server

DOCUMENT = "6b02a0dd1a3b9b634"
KLAGE = "6b02a0dd6bb97434d"
ATTACHMENT = "6b02a1efbed120d8c"
API_KEY = "aaaabbbbccccddddeeeeffff00001111"
PERSONS = ("Müller", "Jörg", "Mustermann", "joerg@example.org", "+49170", "1970-01-31")

Use = Callable[[EspoCrm], Awaitable[Any]]


def with_replies(use: Use, *replies: Reply) -> tuple[Any, list[Received]]:
    """What the client made of the replies, and what it had sent."""

    async def main() -> tuple[Any, list[Received]]:
        async with wire_server(list(replies)) as server:
            espocrm = EspoCrm.open(
                Settings.load(espocrm_api_base_url=server.url, espocrm_api_key=API_KEY, _env_file=None)
            )
            try:
                return await use(espocrm), server.requests
            finally:
                await espocrm.aclose()

    return asyncio.run(main())


def error_of(use: Use, reply: Reply) -> SyncError:
    """The error that the client makes of the reply."""
    with pytest.raises(SyncError) as caught:
        with_replies(use, reply)
    return caught.value


def get_document(espocrm: EspoCrm) -> Awaitable[Any]:
    """Reads the recorded document."""
    return espocrm.get("CDokumente", DOCUMENT)


def put_document(espocrm: EspoCrm) -> Awaitable[Any]:
    """Writes to the recorded document."""
    return espocrm.update("CDokumente", DOCUMENT, {"fileStatus": "x"}, version=10)


def create(espocrm: EspoCrm) -> Awaitable[Any]:
    """Creates a Beteiligter."""
    return espocrm.create("CBeteiligte", {"name": "Müller zwei"})


def test_a_record_is_read_with_the_key_in_its_header() -> None:
    """GET gives the whole record; the key goes in X-Api-Key, below /api/v1 also where the setting leaves that out."""
    record, sent = with_replies(get_document, recorded("crud_get"))
    assert record["xaiCollections"] == ["collection_1", "collection_2"]
    assert sent[0].path == f"/api/v1/CDokumente/{DOCUMENT}"
    assert sent[0].headers["x-api-key"] == API_KEY


def test_an_update_sends_the_version_only_if_there_is_one() -> None:
    """X-Version-Number goes with the version that was read, and stays away otherwise."""
    record, sent = with_replies(put_document, recorded("occ_ok"))
    assert record["xaiId"] == "file_v1"
    assert sent[0].headers["x-version-number"] == "10"
    assert sent[0].json() == {"fileStatus": "x"}
    _, sent = with_replies(lambda e: e.update("CDokumente", DOCUMENT, {}), recorded("occ_ok"))
    assert "x-version-number" not in sent[0].headers


def test_a_newer_version_is_a_conflict_with_its_values() -> None:
    """409 `modified` carries the current values of the fields that we sent, and the current version."""
    error = error_of(put_document, recorded("occ_conflict"))
    assert isinstance(error, Conflict)
    assert error.current == {"xaiId": "file_v1", "versionNumber": 11}


def test_unlink_sends_a_json_body_with_delete() -> None:
    """The id stands in the body of the DELETE: in the query EspoCRM would do nothing."""
    _, sent = with_replies(
        lambda e: e.unlink("CVmhRumungsklage", KLAGE, "dokumentes", DOCUMENT), recorded("unlink_delete_id")
    )
    assert (sent[0].method, sent[0].target) == (
        "DELETE",
        f"/api/v1/CVmhRumungsklage/{KLAGE}/dokumentes",
    )
    assert sent[0].json() == {"id": DOCUMENT}
    assert sent[0].headers["content-type"] == "application/json"


def test_an_unlink_that_did_nothing_is_no_success() -> None:
    """The literal false (here: of an id in the query) is an error, not an unlink."""
    error = error_of(
        lambda e: e.unlink("CVmhRumungsklage", KLAGE, "dokumentes", DOCUMENT), recorded("unlink_query_id")
    )
    assert type(error) is Unexpected


def test_linking_takes_several_ids_and_none() -> None:
    """Ids go in one call; without any there is no call."""
    _, sent = with_replies(
        lambda e: e.link("CVmhRumungsklage", KLAGE, "dokumentes", ["a1", "b2"]), recorded("link_post_ids")
    )
    assert sent[0].json() == {"ids": ["a1", "b2"]}
    _, sent = with_replies(
        lambda e: e.link("CVmhRumungsklage", KLAGE, "dokumentes", []), recorded("link_post_ids")
    )
    assert sent == []


def test_a_file_is_downloaded_whole() -> None:
    """The recorded PDF comes byte by byte, with its type."""
    pieces: list[bytes] = []
    loaded, sent = with_replies(
        lambda e: e.download(ATTACHMENT, pieces.append, max_bytes=1000), recorded("attachment_download")
    )
    assert loaded == Downloaded(45, "application/pdf")
    assert b"".join(pieces).startswith(b"%PDF-1.4")
    assert sent[0].path == f"/api/v1/Attachment/file/{ATTACHMENT}"
    assert sent[0].headers["accept-encoding"] == "identity"


def test_a_file_s_facts_are_read() -> None:
    """Name, type and size as EspoCRM has them; the name shows in no repr."""
    facts, _ = with_replies(lambda e: e.attachment(ATTACHMENT), recorded("attachment_get"))
    assert (facts.name, facts.content_type, facts.size) == ("Klage Müller.pdf", "application/pdf", 45)
    assert "Müller" not in repr(facts)


def test_an_upload_is_a_data_url_for_the_field() -> None:
    """What the server was once sent is what we send."""
    content = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
    attachment_id, sent = with_replies(
        lambda e: e.upload_attachment(
            "Klage Müller.pdf",
            content,
            content_type="application/pdf",
            entity_type="CDokumente",
            file_field="dokument",
        ),
        recorded("attachment_upload"),
    )
    assert attachment_id == ATTACHMENT
    assert sent[0].json() == {
        "name": "Klage Müller.pdf",
        "type": "application/pdf",
        "role": "Attachment",
        "relatedType": "CDokumente",
        "field": "dokument",
        "file": "data:application/pdf;base64,JVBERi0xLjQKMSAwIG9iajw8Pj5lbmRvYmoKdHJhaWxlcjw8Pj4KJSVFT0YK",
    }


def test_the_user_behind_the_key_and_its_rights() -> None:
    """App/user says who we are and what the role allows."""
    user, _ = with_replies(lambda e: e.app_user(), recorded("app_user_excerpt"))
    assert user.id == "6b02a015841cd014d"
    assert user.may("edit", "CDokumente")
    assert not user.may("read", "Account")


def test_webhooks_are_listed_registered_switched_and_removed() -> None:
    """Registration answers 201; the secret is kept out of every repr."""
    row = next(iter(with_replies(lambda e: e.list_webhooks(), recorded("webhook_list"))[0]))
    assert (row.event, row.is_active, row.secret_key) == (
        "CDokumente.create",
        True,
        "9789bd4e7f1b9b07b8038019c5c24086",
    )
    assert row.secret_key not in repr(row)
    made, sent = with_replies(
        lambda e: e.create_webhook("CDokumente.create", "http://127.0.0.1:8099/x"),
        recorded("webhook_register"),
    )
    assert made.event == "CDokumente.create"
    assert sent[0].json() == {
        "event": "CDokumente.create",
        "url": "http://127.0.0.1:8099/x",
        "skipOwn": False,
    }
    off, _ = with_replies(
        lambda e: e.update_webhook("6b02a8587c3ec379f", {"isActive": False}), recorded("webhook_deactivate")
    )
    assert not off.is_active
    with_replies(lambda e: e.delete_webhook("6b02a8587c3ec379f"), recorded("webhook_delete"))
    with_replies(lambda e: e.delete_webhook("6b02a8587c3ec379f"), recorded("delete_again"))


REFUSALS: list[tuple[str, Use, type[SyncError], str | None]] = [
    ("crud_get_not_found", get_document, NotFound, None),
    ("delete_again", lambda e: e.delete("CDokumente", DOCUMENT), NotFound, None),
    ("delete_get_as_admin", lambda e: e.get("CDokumente", "6b02a33e528657d96"), NotFound, None),
    ("link_list_not_found", lambda e: e.list_linked("CDokumente", DOCUMENT, "rumungsklages"), NotFound, None),
    ("link_bad_id", lambda e: e.link("CVmhRumungsklage", KLAGE, "dokumentes", ["x"]), NotFound, None),
    (
        "attachment_download_404",
        lambda e: e.download(ATTACHMENT, len, max_bytes=10),
        NotFound,
        None,
    ),
    ("crud_get_unknown_entity", lambda e: e.get("CNoSuchEntity", DOCUMENT), Permanent, "no_entity_type"),
    (
        "link_list_bad_link",
        lambda e: e.list_linked("CDokumente", DOCUMENT, "gibtsNicht"),
        Permanent,
        "no_link",
    ),
    ("unknown_route", get_document, Unexpected, None),
    ("auth_none", get_document, AuthFailed, None),
    ("auth_norole_forbidden", lambda e: e.list_page("CDokumente"), Permanent, "no_access"),
    (
        "attachment_download_norole",
        lambda e: e.download(ATTACHMENT, len, max_bytes=10),
        Permanent,
        "no_access",
    ),
    ("restore_api_user", get_document, Permanent, "forbidden"),
    ("err_link_not_found", put_document, Permanent, "related_missing"),
    ("list_maxsize_201", lambda e: e.list_page("CDokumente", max_size=201), Permanent, "page_too_large"),
    ("list_bad_where_attr", lambda e: e.list_page("CDokumente"), Permanent, "bad_search"),
    ("list_bad_searchParams", lambda e: e.list_page("CDokumente"), Permanent, "bad_search"),
    ("list_uri_too_long", lambda e: e.list_page("CDokumente"), Permanent, "too_long"),
    ("err_validation_enum_null", put_document, FieldRefused, "invalid"),
    ("err_validation_maxlength", put_document, FieldRefused, "invalid"),
    ("err_phone", put_document, FieldRefused, "invalid"),
    ("dup_conflict", create, Duplicate, "duplicate"),
    ("maintenance_mode", get_document, Transient, None),
    ("maintenance_mode", create, Transient, None),
    ("db_down_post", create, OutcomeUnknown, None),
    ("db_down_post", put_document, Transient, None),
    ("err_bad_json", put_document, Transient, None),
    (
        "v9_3_10_webhook_register_internal_host_refused",
        lambda e: e.create_webhook("CDokumente.create", "http://127.0.0.1/x"),
        FieldRefused,
        "invalid",
    ),
    (
        "webhook_register_bad_event",
        lambda e: e.create_webhook("X.y", "http://host.example/x"),
        Permanent,
        "forbidden",
    ),
    ("attachment_no_related", create, Permanent, "invalid"),
    ("attachment_bad_field", create, Permanent, "forbidden"),
]


@pytest.mark.parametrize(("name", "use", "kind", "reason"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_recorded_refusals(name: str, use: Use, kind: type[SyncError], reason: str | None) -> None:
    """Each recorded refusal has its class and reason, and its message repeats nobody's name or data."""
    error = error_of(use, recorded(name))
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert not any(person in str(error) for person in PERSONS)


def test_a_refused_field_is_named_with_its_rule() -> None:
    """The message says which field broke which rule."""
    error = error_of(put_document, recorded("err_validation_enum_null"))
    assert isinstance(error, FieldRefused)
    assert (error.field, error.rule) == ("fileStatus", "valid")
    assert "CDokumente.fileStatus" in str(error)


def test_a_403_of_nobody_is_the_lock_after_wrong_logins() -> None:
    """403 without reason and body: our address is locked out for a minute, the key is fine."""
    error = error_of(get_document, Reply(403, b"", {"Content-Type": "text/html"}))
    assert type(error) is Transient
    assert error.retry_after == 60.0


def test_a_proxy_s_refusals_are_not_espocrm_s() -> None:
    """A proxy's 404 is no missing record (it would unlink everything), its 403 stops us instead of parking records."""
    page = b"<html>nginx</html>"
    assert type(error_of(get_document, Reply(404, page))) is Unexpected
    assert type(error_of(get_document, Reply(403, page))) is AuthFailed


def test_texts_that_a_formula_put_into_a_reason_are_not_repeated() -> None:
    """A reason of unknown form may hold a name: the message does without it."""
    for status in (400, 403, 404, 409, 500):
        reply = Reply(status, b"Mustermann", {"X-Status-Reason": "Frau Mustermann hat schon eine Akte."})
        assert "Mustermann" not in str(error_of(get_document, reply))


def test_another_record_than_asked_for_is_unexpected() -> None:
    """An answer about a different record is not taken for ours."""
    assert type(error_of(get_document, recorded("crud_get_klage"))) is Unexpected


@pytest.mark.parametrize(
    ("entity_type", "record_id"),
    [
        ("CDokumente", "../Admin"),
        ("CDokumente", "a/b"),
        ("CDokumente", ""),
        ("CDokumente", "a?b"),
        ("CDokumente", "%2e%2e"),
        ("C/Dokumente", "a"),
        ("", "a"),
        ("CDokumente", "a\r\nX-Evil: 1"),
    ],
)
def test_ids_that_are_none_never_reach_the_server(entity_type: str, record_id: str) -> None:
    """What a webhook brought and cannot be an id ends here, without being repeated."""

    async def use(espocrm: EspoCrm) -> None:
        with pytest.raises(Permanent) as caught:
            await espocrm.get(entity_type, record_id)
        assert caught.value.reason == "bad_name"
        with pytest.raises(Permanent):
            await espocrm.download(record_id + "/", len, max_bytes=1)
        with pytest.raises(Permanent):
            await espocrm.metadata("entityDefs/../x")

    _, sent = with_replies(use, reply_json({}))
    assert sent == []


def test_the_link_for_a_person_leads_to_the_web_interface() -> None:
    """The record's page in EspoCRM, without /api/v1."""

    async def use(espocrm: EspoCrm) -> str:
        return espocrm.record_url("CDokumente", DOCUMENT)

    url, _ = with_replies(use, reply_json({}))
    assert url.endswith(f"/#CDokumente/view/{DOCUMENT}")
    assert "/api" not in url
