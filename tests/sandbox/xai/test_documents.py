"""Documents in collections of the stand-in: membership, fields, indexing."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

FAILED_TEXT = "File format not supported. The file does not contain readable text."
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def test_attached_document_shows_its_file_in_this_hosts_dialect(xai: Any) -> None:
    """Attaching answers {}; the document carries int64 as strings, the SHA-256 and its fields."""
    collection_id, file_id = xai.collection(field_definitions=[{"key": "sha256"}]), xai.upload(b"Klage")
    attached = xai.attach(collection_id, file_id, sha256="abc")
    assert (attached.status_code, attached.json()) == (200, {})
    assert xai.document(collection_id, file_id) == {
        "file_metadata": {
            "file_id": file_id,
            "name": "klage.txt",
            "size_bytes": "5",
            "content_type": "text/plain",
            "created_at": "2025-11-05T12:27:58.250000Z",
            "expires_at": None,
            "hash": hashlib.sha256(b"Klage").hexdigest(),
            "upload_status": "Complete",
            "processing_status": "Processing",
            "file_path": "",
        },
        "fields": {"sha256": "abc"},
        "status": "DOCUMENT_STATUS_PROCESSING",
        "error_message": "",
        "last_indexed_at": None,
        "chunk_count": 0,
        "chunks_processed_count": "0",
    }


def test_status_moves_by_the_sandbox_clock(xai: Any) -> None:
    """Stages follow each other by the clock; a stage of 0 seconds is skipped; PATCH starts anew."""
    collection_id, file_id = xai.collection(), xai.upload()
    xai.switch(stage_seconds={"PROCESSING": 2, "CHUNKED": 1, "EMBEDDING": 0, "WRITING": 1})
    xai.attach(collection_id, file_id)
    seen = []
    for seconds in (0, 2, 1, 1, 100):
        xai.advance(seconds)
        seen.append(xai.document(collection_id, file_id)["status"].removeprefix("DOCUMENT_STATUS_"))
    assert seen == ["PROCESSING", "CHUNKED", "WRITING", "PROCESSED", "PROCESSED"]
    done = xai.document(collection_id, file_id)
    assert done["file_metadata"]["processing_status"] == "Complete"
    assert done["chunks_processed_count"] == str(done["chunk_count"]) == "1"
    path = f"/v1/collections/{collection_id}/documents/{file_id}"
    assert xai.management.json("PATCH", path) == {}
    assert xai.document(collection_id, file_id)["status"] == "DOCUMENT_STATUS_PROCESSING"


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"Text", "text/plain", "PROCESSED"),
        ("Kündigung".encode(), "application/octet-stream", "PROCESSED"),
        (b"%PDF-1.7\nstream\nBT (Klage) Tj ET\nendstream", "application/pdf", "PROCESSED"),
        (b"%PDF-1.7\nstream\nq /Im0 Do Q\nendstream", "application/pdf", "FAILED"),
        (b"PK\x03\x04rest", DOCX, "PROCESSED"),
        (b"PK\x03\x04rest", "application/octet-stream", "FAILED"),
        (b"\xff\xfe\x00\x01", "text/plain", "FAILED"),
        (b"\x89PNG\r\n", "image/png", "FAILED"),
        (b"From: a@b.example", "message/rfc822", "FAILED"),
        (b"", "text/plain", "FAILED"),
    ],
)
def test_indexing_ends_failed_for_what_holds_no_text(
    xai: Any, data: bytes, content_type: str, status: str
) -> None:
    """Scans, images, unknown binaries and empty files end FAILED with the live text, text ends PROCESSED."""
    collection_id, file_id = xai.collection(), xai.upload(data, "a", content_type)
    xai.attach(collection_id, file_id)
    xai.advance(60)
    document = xai.document(collection_id, file_id)
    assert document["status"] == f"DOCUMENT_STATUS_{status}"
    assert document["error_message"] == ("" if status == "PROCESSED" else FAILED_TEXT)


def test_sniffing_loses_the_type_of_office_files(xai: Any) -> None:
    """Under `sniff` a DOCX is stored as octet-stream and fails; the one-shot route keeps its type."""
    xai.switch(upload_content_type="sniff")
    collection_id, file_id = xai.collection(), xai.upload(b"PK\x03\x04rest", "a.docx", DOCX)
    xai.attach(collection_id, file_id)
    xai.advance(60)
    document = xai.document(collection_id, file_id)
    assert document["file_metadata"]["content_type"] == "application/octet-stream"
    assert document["status"] == "DOCUMENT_STATUS_FAILED"
    made = xai.management.json(
        "POST",
        f"/v1/collections/{collection_id}/documents",
        data={"name": "a.docx", "content_type": DOCX},
        files={"data": ("a.docx", b"PK\x03\x04rest")},
    )
    assert made["file_metadata"]["content_type"] == DOCX
    xai.advance(60)
    second = xai.collection()
    assert xai.attach(second, made["file_metadata"]["file_id"]).status_code == 200


def test_one_shot_upload_answers_bad_input_with_a_plain_500(xai: Any) -> None:
    """Validation errors of the multipart route are 500 with gRPC's text, as seen live."""
    path = f"/v1/collections/{xai.collection()}/documents"
    refused = xai.management.call(
        "POST", path, data={"fields": '{"x": "1"}'}, files={"data": ("a.txt", b"x")}
    )
    assert refused.status_code == 500
    start = "gRPC UploadDocument failed: rpc error: code = InvalidArgument desc = Unknown field 'x'."
    assert refused.text.startswith(start)
    assert xai.management.call("POST", path, data={"name": "a"}).status_code == 500
    missing = xai.management.call("POST", "/v1/collections/none/documents", files={"data": ("a.txt", b"x")})
    assert "code = NotFound" in missing.text
    assert xai.files.json("GET", "/sandbox/state")["files"] == []
    xai.switch(one_shot_upload="gone")
    assert xai.management.call("POST", path, files={"data": ("a.txt", b"x")}).status_code == 501


def test_fields_are_checked_against_the_definitions(xai: Any) -> None:
    """Undeclared, missing and repeated values are refused with their codes; so are values that are not text."""
    definitions = [{"key": "id", "required": True}, {"key": "sha", "unique": True}]
    collection_id = xai.collection(field_definitions=definitions)
    first, second = xai.upload(), xai.upload()
    unknown = xai.attach(collection_id, first, id="1", keywords="x")
    text = "Unknown field 'keywords'. This field is not defined in the collection's field_definitions."
    assert (unknown.status_code, unknown.json()) == (400, {"code": 3, "message": text, "details": []})
    assert xai.attach(collection_id, first, sha="a").json()["code"] == 3
    assert xai.attach(collection_id, first).json()["code"] == 3
    assert xai.attach(collection_id, first, id="1", sha="a").status_code == 200
    assert xai.attach(collection_id, first, id="1", sha="a").status_code == 200
    repeated = xai.attach(collection_id, second, id="2", sha="a")
    assert (repeated.status_code, repeated.json()["code"]) == (409, 6)
    path = f"/v1/collections/{collection_id}/documents/{second}"
    assert xai.management.call("POST", path, json={"fields": {"id": 2}}).status_code == 400
    assert xai.management.call("POST", path, content=b"{").status_code == 400


def test_attaching_twice_replaces_fields_or_conflicts(xai: Any) -> None:
    """By switch a second attach is 200 with new fields, or 409 code 6 with the old ones."""
    collection_id, file_id = xai.collection(field_definitions=[{"key": "a"}]), xai.upload()
    xai.attach(collection_id, file_id, a="1")
    assert xai.attach(collection_id, file_id, a="2").status_code == 200
    assert xai.document(collection_id, file_id)["fields"] == {"a": "2"}
    xai.switch(re_add=409)
    refused = xai.attach(collection_id, file_id, a="3")
    assert (refused.status_code, refused.json()["code"]) == (409, 6)
    assert xai.document(collection_id, file_id)["fields"] == {"a": "2"}
    assert xai.members(collection_id) == ["klage.txt"]


def test_missing_files_and_collections_are_404(xai: Any) -> None:
    """Attach and read answer 404 code 5 for an unknown file, collection or membership."""
    collection_id, file_id = xai.collection(), xai.upload()
    assert xai.attach(collection_id, "file_none").json()["code"] == 5
    assert xai.attach("collection_none", file_id).status_code == 404
    for method in ("GET", "PATCH", "DELETE"):
        answer = xai.management.call(method, f"/v1/collections/{collection_id}/documents/{file_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, 5)
    xai.switch(remove_nonmember=200)
    assert xai.management.json("DELETE", f"/v1/collections/{collection_id}/documents/{file_id}") == {}


@pytest.mark.parametrize(("mode", "status"), [("keep", 200), ("drop", 404)])
def test_removal_from_the_last_collection_keeps_or_drops_the_file(xai: Any, mode: str, status: int) -> None:
    """The file always survives the first of two removals; the last one drops it only under the switch."""
    xai.switch(remove_last=mode)
    first, second, file_id = xai.collection(), xai.collection(), xai.upload()
    xai.attach(first, file_id)
    xai.attach(second, file_id)
    assert xai.management.json("DELETE", f"/v1/collections/{first}/documents/{file_id}") == {}
    assert xai.files.call("GET", f"/v1/files/{file_id}").status_code == 200
    assert xai.management.json("DELETE", f"/v1/collections/{second}/documents/{file_id}") == {}
    assert xai.files.call("GET", f"/v1/files/{file_id}").status_code == status
    assert xai.attach(first, file_id).status_code == status


def test_documents_are_filtered_sorted_and_paged(xai: Any) -> None:
    """Filters cover name, type, size, status and own fields; pages follow the last file's id."""
    collection_id = xai.collection(field_definitions=[{"key": "doc"}])
    for number, name in enumerate(("b.txt", "a.txt", "c.txt")):
        xai.attach(collection_id, xai.upload(b"x" * (number + 1), name), doc=f"d{number}")
    xai.advance(60)
    xai.attach(collection_id, xai.upload(b"\x00", "scan.png", "image/png"), doc="d3")
    assert xai.members(collection_id) == ["scan.png", "c.txt", "b.txt", "a.txt"]
    assert xai.members(collection_id, filter='fields.doc:"d1"') == ["a.txt"]
    assert xai.members(collection_id, filter="size_bytes:>1 AND content_type:text/plain") == [
        "c.txt",
        "a.txt",
    ]
    assert xai.members(collection_id, filter="status:DOCUMENT_STATUS_PROCESSED") == [
        "c.txt",
        "b.txt",
        "a.txt",
    ]
    assert xai.members(collection_id, filter="status:!DOCUMENT_STATUS_PROCESSED") == ["scan.png"]
    assert xai.members(collection_id, name="scan") == ["scan.png"]
    path = f"/v1/collections/{collection_id}/documents"
    by_size = {"sort_by": "DOCUMENTS_SORT_BY_SIZE", "order": "ORDERING_ASCENDING", "limit": 3}
    page = xai.management.json("GET", path, params=by_size)
    last = page["documents"][-1]["file_metadata"]["file_id"]
    assert page["pagination_token"] == last
    rest = xai.management.json("GET", path, params={**by_size, "pagination_token": last})
    assert len(rest["documents"]) == 1
    assert "pagination_token" not in rest
    for bad in ({"order": "asc"}, {"limit": "x"}, {"filter": "colour:red"}, {"pagination_token": "x"}):
        assert xai.management.call("GET", path, params=bad).status_code == 400


def test_batch_get_skips_unknown_ids(xai: Any) -> None:
    """Several documents in one call, in the order asked for."""
    collection_id, first, second = xai.collection(), xai.upload(), xai.upload(b"x", "b.txt")
    xai.attach(collection_id, first)
    xai.attach(collection_id, second)
    path = f"/v1/collections/{collection_id}/documents:batchGet"
    query = {"file_ids": [second, "file_none", first]}
    documents = xai.management.json("GET", path, params=query)["documents"]
    assert [item["file_metadata"]["file_id"] for item in documents] == [second, first]


def test_exhausted_credits_refuse_attaching(xai: Any) -> None:
    """Without credits attaching is 429 code 8."""
    collection_id, file_id = xai.collection(), xai.upload()
    xai.switch(credits_exhausted=429)
    refused = xai.attach(collection_id, file_id)
    assert (refused.status_code, refused.json()["code"]) == (429, 8)


def test_an_expired_file_leaves_its_collections(xai: Any) -> None:
    """When a file expires its documents are gone too."""
    made = xai.files.json(
        "POST", "/v1/files", data={"expires_after": "3600"}, files={"file": ("a.txt", b"x")}
    )
    collection_id = xai.collection()
    xai.attach(collection_id, made["id"])
    xai.advance(3601)
    path = f"/v1/collections/{collection_id}/documents/{made['id']}"
    assert xai.management.call("GET", path).status_code == 404
