"""The Files API of the stand-in."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest


def listing(xai: Any, **query: Any) -> Any:
    """A page of the file list."""
    return xai.files.json("GET", "/v1/files", params=query)


def names(xai: Any, **query: Any) -> list[str]:
    """File names of one page."""
    return [item["filename"] for item in listing(xai, **query)["data"]]


def test_uploaded_file_is_shown_with_integers_and_without_purpose(xai: Any) -> None:
    """An upload answers with the File object in this host's dialect, the same that a read shows."""
    form = {"purpose": "assistants"}
    made = xai.files.json(
        "POST",
        "/v1/files",
        data=form,
        files={"file": ("Klageschrift Müller.pdf", b"%PDF-1.7", "application/pdf")},
    )
    assert made["id"].startswith("file_")
    assert {key: made[key] for key in made if key != "id"} == {
        "object": "file",
        "bytes": 8,
        "created_at": 1762345678,
        "expires_at": None,
        "filename": "Klageschrift Müller.pdf",
        "purpose": "",
    }
    assert xai.files.json("GET", f"/v1/files/{made['id']}") == made


def test_same_bytes_twice_make_two_files(xai: Any) -> None:
    """Uploads are never merged."""
    assert xai.upload() != xai.upload()
    assert len(listing(xai)["data"]) == 2


def test_content_comes_back_as_uploaded_until_the_file_is_deleted(xai: Any) -> None:
    """Content is a byte stream; after a delete the file, its content and a second delete are 404."""
    data = bytes(range(256)) * 400
    file_id = xai.upload(data, "a.bin", "application/octet-stream")
    content = xai.files.call("GET", f"/v1/files/{file_id}/content")
    assert content.content == data
    assert content.headers["content-type"] == "application/octet-stream"
    assert xai.files.json("DELETE", f"/v1/files/{file_id}") == {
        "id": file_id,
        "object": "file",
        "deleted": True,
    }
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        gone = xai.files.call(method, f"/v1/files/{file_id}{path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "Some requested entity was not found")


def test_large_file_keeps_its_hash_but_not_its_bytes(xai: Any) -> None:
    """Above `keep_bytes` only size and SHA-256 are kept; the content route says so."""
    data = b"Akte " * 300_000
    file_id = xai.upload(data)
    kept = xai.files.json("GET", "/sandbox/state")["files"][0]
    assert (kept["size"], kept["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert xai.files.call("GET", f"/v1/files/{file_id}/content").status_code == 500
    xai.switch(keep_bytes=None)
    assert xai.files.call("GET", f"/v1/files/{xai.upload(data)}/content").content == data


def test_file_over_the_limit_is_413(xai: Any) -> None:
    """One byte over the limit is refused and nothing is stored."""
    xai.switch(max_upload_bytes=1000)
    xai.upload(b"x" * 1000)
    refused = xai.files.call("POST", "/v1/files", files={"file": ("a.txt", b"x" * 1001)})
    assert refused.status_code == 413
    assert len(listing(xai)["data"]) == 1


@pytest.mark.parametrize(
    "disposition",
    [
        'filename="a;b.txt"',
        'filename="a\x01b.txt"',
        f'filename="{"x" * 256}"',
        'filename="a\u2028.txt"',
        'filename=""',
    ],
)
def test_file_names_that_xai_refuses(xai: Any, disposition: str) -> None:
    """Semicolons, control characters, line separators, more than 255 characters and no name are 400."""
    body = f'--b\r\nContent-Disposition: form-data; name="file"; {disposition}\r\n\r\nx\r\n--b--\r\n'.encode()
    headers = {**xai.files.headers, "Content-Type": "multipart/form-data; boundary=b"}
    refused = xai.files.call("POST", "/v1/files", content=body, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["code"] == "Client specified an invalid argument"


def test_uploads_that_are_no_form_or_have_no_file_are_400(xai: Any) -> None:
    """JSON, a broken form and a form without the part `file` are refused."""
    broken = {**xai.files.headers, "Content-Type": "multipart/form-data; boundary=b"}
    for request in (
        {"json": {"file": "x"}},
        {"files": {"data": ("a.txt", b"x")}},
        {"content": b"no form", "headers": broken},
    ):
        assert xai.files.call("POST", "/v1/files", **request).status_code == 400


def test_zero_byte_upload_is_a_switch(xai: Any) -> None:
    """An empty file is stored by default and refused under the switch."""
    xai.upload(b"")
    xai.switch(zero_byte_upload="400")
    assert xai.files.call("POST", "/v1/files", files={"file": ("a.txt", b"")}).status_code == 400


def test_file_expires_by_the_sandbox_clock(xai: Any) -> None:
    """`expires_after` in its bounds makes the file vanish; outside them, or behind the file, it is 400."""
    made = xai.files.json(
        "POST", "/v1/files", data={"expires_after": "3600"}, files={"file": ("a.txt", b"x")}
    )
    assert made["expires_at"] == made["created_at"] + 3600
    xai.advance(3601)
    assert xai.files.call("GET", f"/v1/files/{made['id']}").status_code == 404
    assert listing(xai)["data"] == []
    anchored = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "7200"}
    assert xai.files.json("POST", "/v1/files", data=anchored, files={"file": ("a.txt", b"x")})["expires_at"]
    for seconds in ("3599", "2592001", "soon"):
        form = {"expires_after": seconds}
        assert xai.files.call("POST", "/v1/files", data=form, files={"file": ("a", b"x")}).status_code == 400
    late = [("file", ("a.txt", b"x"))] + [(key, (None, value)) for key, value in anchored.items()]
    assert xai.files.call("POST", "/v1/files", files=late).status_code == 400


def test_list_pages_to_the_end_in_the_asked_order(xai: Any) -> None:
    """Following the token gives each file once; the last page is short and carries a token all the same."""
    for number in range(7):
        xai.upload(b"x" * number, f"{number}.txt")
        xai.advance(1)
    seen: list[str] = []
    token = ""
    while True:
        page = listing(xai, limit=3, order="asc", sort_by="created_at", pagination_token=token)
        seen += [item["filename"] for item in page["data"]]
        token = page["pagination_token"]
        if len(page["data"]) < 3:
            break
    assert seen == [f"{number}.txt" for number in range(7)]
    assert names(xai, limit=2) == ["6.txt", "5.txt"]
    assert names(xai, limit=2, order="asc", sort_by="size", after=token) == []
    xai.switch(files_end_token="absent", files_default_order="asc")
    assert "pagination_token" not in listing(xai)
    assert names(xai, limit=1) == ["0.txt"]


def test_limit_is_clamped_and_checked(xai: Any) -> None:
    """Limits of 0 and above 100 mean 100; other text, orders and tokens are 400."""
    for number in range(101):
        xai.upload(b"x", f"{number}.txt")
    assert len(names(xai, limit=1000)) == len(names(xai, limit=0)) == len(names(xai)) == 100
    for bad in (
        {"limit": "ten"},
        {"order": "up"},
        {"sort_by": "colour"},
        {"after": "file_x"},
        {"filter": "name"},
    ):
        assert xai.files.call("GET", "/v1/files", params=bad).status_code == 400


def test_a_token_of_a_deleted_file_still_pages_on(xai: Any) -> None:
    """Deleting while paging neither repeats nor skips a file."""
    ids = [xai.upload(b"x", f"{number}.txt") for number in range(4)]
    page = listing(xai, limit=2, order="asc")
    xai.files.json("DELETE", f"/v1/files/{ids[1]}")
    assert names(xai, limit=2, order="asc", pagination_token=page["pagination_token"]) == ["2.txt", "3.txt"]


def test_stuck_token_repeats_the_first_page(xai: Any) -> None:
    """Under `stuck_token` the list ignores its token, as was seen live."""
    for number in range(3):
        xai.upload(b"x", f"{number}.txt")
    xai.switch(stuck_token=True)
    first = listing(xai, limit=2, order="asc")
    assert listing(xai, limit=2, order="asc", pagination_token=first["pagination_token"]) == first


def test_name_filter_is_fuzzy_and_others_are_exact(xai: Any) -> None:
    """`name:` finds more than the exact name; id, size and time compare as they are."""
    first = xai.upload(b"x", "6f1a-klage.txt")
    xai.advance(10)
    xai.upload(b"xyz", "Entwurf 6F1A Klage.txt")
    assert len(names(xai, filter='name:"6f1a-klage"')) == 2
    assert names(xai, filter=f'file_id = "{first}"') == ["6f1a-klage.txt"]
    assert names(xai, filter="size_bytes > 1") == ["Entwurf 6F1A Klage.txt"]
    assert names(xai, filter='created_at > "2025-11-05T12:28:00Z"') == ["Entwurf 6F1A Klage.txt"]
    assert names(xai, filter='NOT name:"entwurf" AND content_type:text') == ["6f1a-klage.txt"]


def test_list_lag_hides_new_files_from_lists_only(xai: Any) -> None:
    """A new file is readable by id at once and listed after the lag."""
    xai.switch(list_lag=5)
    file_id = xai.upload()
    assert names(xai) == []
    assert xai.files.call("GET", f"/v1/files/{file_id}").status_code == 200
    xai.advance(5)
    assert names(xai) == ["klage.txt"]


def test_keys_are_refused_in_this_hosts_shape(xai: Any) -> None:
    """No key is 401, a wrong one 400, a blocked one 403, each as code and error text."""
    anonymous = xai.files.call("GET", "/v1/files", headers={})
    assert anonymous.status_code == 401
    wrong = xai.files.call("GET", "/v1/files", headers={"Authorization": "Bearer wrong-key"})
    assert wrong.status_code == 400
    assert wrong.json()["code"] == "Client specified an invalid argument"
    assert wrong.json()["error"].startswith("Incorrect API key provided")
    assert "wrong-key" not in wrong.text
    other_host = xai.files.call("GET", "/v1/files", headers=xai.management.headers)
    assert other_host.status_code == 400
    assert xai.files.json("GET", "/v1/api-key")["api_key_blocked"] is False
    xai.switch(api_key_state="blocked")
    blocked = xai.files.call("GET", "/v1/files")
    assert blocked.status_code == 403
    assert set(blocked.json()) == {"code", "error"}
    assert xai.files.json("GET", "/v1/api-key")["api_key_blocked"] is True


def test_exhausted_credits_refuse_uploads_with_the_rate_limits_status(xai: Any) -> None:
    """Without credits an upload is 429 with its own text and no Retry-After; reading goes on."""
    xai.switch(credits_exhausted="429")
    refused = xai.files.call("POST", "/v1/files", files={"file": ("a.txt", b"x")})
    assert refused.status_code == 429
    assert refused.json()["code"] == "Some resource has been exhausted"
    assert "credits" in refused.json()["error"]
    assert names(xai) == []
    xai.switch(credits_exhausted="403")
    assert xai.files.call("POST", "/v1/files", files={"file": ("a.txt", b"x")}).status_code == 403


def test_unknown_paths_and_methods(xai: Any) -> None:
    """A path that is not there is 404, a method that is not there 405."""
    assert xai.files.call("GET", "/v1/collections").status_code == 404
    assert xai.files.call("PUT", f"/v1/files/{xai.upload()}").status_code == 405


@pytest.mark.parametrize(
    ("mode", "status", "left"),
    [("cascade", 200, []), ("500", 500, ["klage.txt"]), ("dangling", 200, ["klage.txt"])],
)
def test_deleting_a_file_that_is_in_a_collection(xai: Any, mode: str, status: int, left: list[str]) -> None:
    """By switch the document goes too, the delete fails, or the document dangles without its file."""
    xai.switch(delete_in_use=mode)
    file_id, collection_id = xai.upload(), xai.collection()
    xai.attach(collection_id, file_id)
    assert xai.files.call("DELETE", f"/v1/files/{file_id}").status_code == status
    assert xai.members(collection_id) == left
    gone = xai.files.call("GET", f"/v1/files/{file_id}").status_code
    assert gone == (200 if mode == "500" else 404)
    if mode == "dangling":
        assert xai.attach(xai.collection(), file_id).status_code == 404


def test_search_finds_indexed_text(xai: Any) -> None:
    """A word of a text file is found once the document is indexed."""
    file_id, collection_id = xai.upload(b"Die Wohnung wird geraeumt."), xai.collection()
    xai.attach(collection_id, file_id)
    body = {"query": "Wohnung", "source": {"collection_ids": [collection_id]}}
    assert xai.files.json("POST", "/v1/documents/search", json=body) == {"matches": []}
    xai.advance(60)
    found = xai.files.json("POST", "/v1/documents/search", json=body)["matches"]
    assert [(match["file_id"], match["collection_ids"]) for match in found] == [(file_id, [collection_id])]
    assert xai.files.call("POST", "/v1/documents/search", json={"query": "x"}).status_code == 400
