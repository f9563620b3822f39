"""Collections on the management host of the stand-in."""

from __future__ import annotations

import re
from typing import Any

import pytest


def found(xai: Any, **query: Any) -> list[str]:
    """Names of one page of collections."""
    answer = xai.management.json("GET", "/v1/collections", params=query)
    return [item["collection_name"] for item in answer["collections"]]


def test_created_collection_has_no_metadata(xai: Any) -> None:
    """Unknown keys such as metadata are dropped without a word, and the time stamp has microseconds."""
    body = {
        "collection_name": "Akte 12/24",
        "metadata": {"espocrm_entity_id": "1"},
        "collection_description": "d",
    }
    made = xai.management.json("POST", "/v1/collections", json=body)
    assert re.fullmatch(r"collection_[0-9a-f-]{36}", made.pop("collection_id"))
    assert made == {
        "collection_name": "Akte 12/24",
        "created_at": "2025-11-05T12:27:58.250000Z",
        "index_configuration": {"model_name": "grok-embedding-small"},
        "chunk_configuration": {
            "tokens_configuration": {
                "max_chunk_size_tokens": 1024,
                "chunk_overlap_tokens": 200,
                "encoding_name": "o200k_base",
            },
            "strip_whitespace": True,
            "inject_name_into_chunks": False,
        },
        "documents_count": 0,
        "collection_description": "d",
    }


def test_unknown_keys_are_rejected_under_the_switch(xai: Any) -> None:
    """With `unknown_keys: rejected` metadata is a 400; camelCase is known either way."""
    xai.switch(unknown_keys="rejected")
    body = {"collection_name": "a", "metadata": {}}
    refused = xai.management.call("POST", "/v1/collections", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, 3)
    made = xai.management.json("POST", "/v1/collections", json={"collectionName": "b"})
    assert made["collection_name"] == "b"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"collection_name": ""}', b"[]", b"{", b'{"collection_name": 5}']
)
def test_collection_without_a_name_is_400(xai: Any, body: bytes) -> None:
    """A missing name and a body that is no object are invalid arguments."""
    refused = xai.management.call("POST", "/v1/collections", content=body)
    assert refused.status_code == 400
    assert set(refused.json()) == {"code", "message", "details"}


def test_names_may_repeat_and_match_partially(xai: Any) -> None:
    """Two POSTs make two collections, and even `=` finds names that only contain the value."""
    xai.collection("espocrm:Account:64f")
    xai.collection("espocrm:Account:64f")
    xai.collection("espocrm:Account:64f1 Muster GmbH")
    xai.collection("espocrm:CMietinkasso:1")
    for expression in ('collection_name:"espocrm:Account:64f"', 'collection_name = "espocrm:Account:64f"'):
        assert len(found(xai, filter=expression)) == 3
    for bad in ('collection_description:"x"', "collection_name", 'collection_name:"x'):
        refused = xai.management.call("GET", "/v1/collections", params={"filter": bad})
        assert (refused.status_code, refused.json()["code"]) == (400, 3)


def test_list_sorts_and_pages(xai: Any) -> None:
    """Names descend by default, age can be asked for, and the last page carries no token."""
    for name in ("b", "c", "a"):
        xai.collection(name)
        xai.advance(1)
    assert found(xai) == ["c", "b", "a"]
    by_age = {"sort_by": "COLLECTIONS_SORT_BY_AGE", "order": "ORDERING_ASCENDING", "limit": 2}
    page = xai.management.json("GET", "/v1/collections", params=by_age)
    assert [item["collection_name"] for item in page["collections"]] == ["b", "c"]
    rest = xai.management.json(
        "GET", "/v1/collections", params={**by_age, "pagination_token": page["pagination_token"]}
    )
    assert [item["collection_name"] for item in rest["collections"]] == ["a"]
    assert "pagination_token" not in rest
    assert rest["collections"][0]["total_file_size"] == "0"
    full = xai.management.json("GET", "/v1/collections", params={**by_age, "limit": 3})
    assert len(full["collections"]) == 3
    assert "pagination_token" not in full
    for bad in ({"order": "asc"}, {"sort_by": "name"}, {"pagination_token": "x"}, {"limit": "x"}):
        assert xai.management.call("GET", "/v1/collections", params=bad).status_code == 400


def test_list_lag_hides_new_collections_from_lists_only(xai: Any) -> None:
    """A new collection is readable by id at once and found after the lag."""
    xai.switch(list_lag=5)
    collection_id = xai.collection("Akte")
    assert found(xai, filter='collection_name:"Akte"') == []
    assert xai.management.call("GET", f"/v1/collections/{collection_id}").status_code == 200
    xai.advance(6)
    assert found(xai, filter='collection_name:"Akte"') == ["Akte"]


def test_put_changes_names_and_field_definitions(xai: Any) -> None:
    """PUT renames; fields can be added and deleted with their values, but not added as required."""
    collection_id = xai.collection("alt", field_definitions=[{"key": "a"}, {"key": "b"}])
    file_id = xai.upload()
    xai.attach(collection_id, file_id, a="1", b="2")
    update = {
        "collectionName": "neu",
        "fieldDefinitionUpdates": [
            {"fieldDefinition": {"key": "a"}, "operation": "FIELD_DEFINITION_DELETE"},
            {"fieldDefinition": {"key": "c"}, "operation": "FIELD_DEFINITION_ADD"},
        ],
    }
    changed = xai.management.json("PUT", f"/v1/collections/{collection_id}", json=update)
    assert changed["collection_name"] == "neu"
    assert [item["key"] for item in changed["field_definitions"]] == ["b", "c"]
    assert xai.document(collection_id, file_id)["fields"] == {"b": "2"}
    required = {
        "field_definition_updates": [
            {"field_definition": {"key": "d", "required": True}, "operation": "FIELD_DEFINITION_ADD"}
        ]
    }
    assert xai.management.call("PUT", f"/v1/collections/{collection_id}", json=required).status_code == 400


def test_delete_leaves_the_files(xai: Any) -> None:
    """A deleted collection is 404 afterwards, its files stay."""
    collection_id, file_id = xai.collection(), xai.upload()
    xai.attach(collection_id, file_id)
    assert xai.management.json("DELETE", f"/v1/collections/{collection_id}") == {}
    for method in ("GET", "PUT", "DELETE"):
        gone = xai.management.call(method, f"/v1/collections/{collection_id}")
        assert (gone.status_code, gone.json()["code"]) == (404, 5)
    assert xai.files.call("GET", f"/v1/files/{file_id}").status_code == 200


def test_keys_and_rights_are_refused_in_this_hosts_shape(xai: Any) -> None:
    """No or a wrong key is 401 code 16, a missing right 403 code 7, and the validation route shows the rights."""
    for headers in ({}, {"Authorization": "Basic x"}, xai.files.headers):
        refused = xai.management.call("GET", "/v1/collections", headers=headers)
        assert (refused.status_code, refused.json()["code"], refused.json()["details"]) == (401, 16, [])
    xai.switch(denied_endpoints=["CreateCollection"])
    refused = xai.management.call("POST", "/v1/collections", json={"collection_name": "a"})
    assert (refused.status_code, refused.json()["code"]) == (403, 7)
    assert found(xai) == []
    record = xai.management.json("GET", "/auth/management-keys/validation")
    assert "team-token:endpoint:AddFileToCollection" in record["acls"]
    assert "team-token:endpoint:CreateCollection" not in record["acls"]
    xai.switch(management_key_state="no_permission")
    assert xai.management.call("GET", "/v1/collections").status_code == 403


def test_unknown_paths_and_methods_are_in_this_hosts_shape(xai: Any) -> None:
    """Unknown paths are 404 code 5, unknown methods code 12."""
    assert xai.management.call("GET", "/v1/files").json()["code"] == 5
    assert xai.management.call("PATCH", "/v1/collections").json()["code"] == 12


def test_switches_reset_and_state_work_on_both_hosts(xai: Any) -> None:
    """Bad switches change nothing; a reset empties everything and restores the first switches."""
    for bad in ({"re_add": 500}, {"colour": 1}, {"re_add": 409, "list_lag": "x"}):
        refused = xai.management.call("POST", "/sandbox/switches", json=bad)
        assert refused.status_code == 400
    assert xai.files.json("GET", "/sandbox/switches")["re_add"] == 200
    xai.switch(re_add=409)
    xai.attach(xai.collection(), xai.upload())
    state = xai.management.json("GET", "/sandbox/state")
    assert state["files"][0]["collections"] == [state["collections"][0]["id"]]
    assert state["collections"][0]["members"][0]["status"] == "PROCESSING"
    xai.management.json("POST", "/sandbox/reset")
    assert xai.files.json("GET", "/sandbox/state") == {"files": [], "collections": []}
    assert xai.files.json("GET", "/sandbox/switches")["re_add"] == 200
    assert xai.files.json("GET", "/sandbox/counts") == {}


def test_both_hosts_share_one_port_below_prefixes(xai: Any) -> None:
    """The combined app serves both hosts and one ledger, whose paths carry no prefix."""
    combined = type(xai.files)(xai.sandbox, xai.sandbox.api_key)
    made = combined.json("POST", "/api/v1/files", files={"file": ("a.txt", b"x")})
    listed = combined.json("GET", "/management/v1/collections", headers=xai.management.headers)
    assert listed == {"collections": []}
    assert combined.json("GET", "/sandbox/state")["files"][0]["id"] == made["id"]
    assert combined.json("GET", "/sandbox/counts") == {"GET /v1/collections": 1, "POST /v1/files": 1}


SEED: dict[str, Any] = {
    "collections": [{"id": "collection_a", "name": "Akte"}],
    "files": [
        {
            "id": "file_1", "name": "klage.txt", "size": 5, "sha256": "ab" * 32, "content_type": "text/plain",
            "collections": {"collection_a": {"espocrm_document_id": "d1"}},
        }
    ],
}  # fmt: skip


def test_seeded_files_are_there_and_indexed(xai: Any) -> None:
    """What is put there at once is listed like what came by upload, under the ids that were given."""
    assert xai.files.json("POST", "/sandbox/seed", json=SEED) == {"collections": 1, "files": 1}
    assert xai.members("collection_a") == ["klage.txt"]
    document = xai.document("collection_a", "file_1")
    assert document["status"] == "DOCUMENT_STATUS_PROCESSED"
    assert document["fields"] == {"espocrm_document_id": "d1"}
    assert [file["id"] for file in xai.files.json("GET", "/v1/files")["data"]] == ["file_1"]


@pytest.mark.parametrize(
    "seed",
    [
        [],
        {"members": []},
        {"collections": [{"id": "a"}]},
        {"files": [{**SEED["files"][0], "collections": {"unknown": {}}}]},
    ],
)
def test_a_mistake_in_a_seed_is_said(xai: Any, seed: Any) -> None:
    """One sentence, as for every control route."""
    answer = xai.files.call("POST", "/sandbox/seed", json=seed)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
