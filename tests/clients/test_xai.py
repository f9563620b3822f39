"""The xAI client against the stand-in of both hosts, in process and over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.clients.xai_wire import IndexStatus, SpooledUpload
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    SyncError,
    Transient,
    Unexpected,
)
from bitbylaw_pipeline.domain.file_name import safe_upload_name
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.sandbox.xai import XaiSandbox, create_app
from bitbylaw_pipeline.settings import UploadRoute
from tests.clients.sandboxes import xai_over

FIELDS = {"espocrm_document_id": "The document in EspoCRM"}
TOKEN = "bb-64f0c1d2e3b4a5968-0a1b2c3d4e5f"
T = TypeVar("T")
Use = Callable[[Xai], Awaitable[T]]


def run(sandbox: XaiSandbox, use: Use[T], way: str = "asgi") -> T:
    """What the client made of the stand-in."""

    async def main() -> T:
        async with xai_over(way, sandbox) as xai:
            return await use(xai)

    return asyncio.run(main())


def error_of(sandbox: XaiSandbox, use: Use[Any], way: str = "asgi") -> SyncError:
    """The error that the client makes of the stand-in's answer."""
    with pytest.raises(SyncError) as caught:
        run(sandbox, use, way)
    return caught.value


async def flat(pages: AsyncIterator[list[T]]) -> list[T]:
    """All items of all pages."""
    return [item async for page in pages for item in page]


@pytest.fixture
def spooled(tmp_path: Path) -> SpooledUpload:
    """A small text file on disk, with a name of ours."""
    path = tmp_path / "spool-1"
    path.write_bytes("Räumungsklage gegen Mustermann".encode())
    name = safe_upload_name(TOKEN, 'Müller ./. "Groß";\r\n.txt')
    return SpooledUpload(path, path.stat().st_size, "text/plain", name)


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_a_document_s_whole_way(way: str, spooled: SpooledUpload) -> None:
    """Collection, upload, attach (twice), indexing, detach (twice), delete (twice): each does what it says."""
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        collection = await xai.create_collection("espocrm:Account:64f0", "{}", FIELDS)
        assert collection.field_keys == {"espocrm_document_id"}
        stored = await xai.upload(spooled, UploadRoute.FILES)
        assert (stored.size, stored.collection_id) == (spooled.size, None)
        for _ in range(2):
            await xai.attach(
                collection.collection_id, stored.file_id, {"espocrm_document_id": "64f0c1d2e3b4a5968"}
            )
        member = await xai.member(collection.collection_id, stored.file_id)
        assert member is not None
        assert member.status is IndexStatus.PENDING
        assert member.sha256 == hashlib.sha256(spooled.path.read_bytes()).hexdigest()
        assert member.fields == {"espocrm_document_id": "64f0c1d2e3b4a5968"}
        assert (member.name, member.size) == (spooled.name, spooled.size)
        sandbox.clock.advance(60)
        member = await xai.member(collection.collection_id, stored.file_id)
        assert member is not None
        assert (member.status, member.problem) == (IndexStatus.PROCESSED, None)
        assert [row.file_id for row in await flat(xai.members(collection.collection_id))] == [stored.file_id]
        for _ in range(2):
            await xai.detach(collection.collection_id, stored.file_id)
        assert await xai.member(collection.collection_id, stored.file_id) is None
        assert (await xai.file(stored.file_id)).size == spooled.size
        for _ in range(2):
            await xai.delete_file(stored.file_id)
        with pytest.raises(NotFound):
            await xai.file(stored.file_id)
        with pytest.raises(NotFound):
            await xai.attach(collection.collection_id, stored.file_id, {})
        for _ in range(2):
            await xai.delete_collection(collection.collection_id)
        with pytest.raises(NotFound):
            await xai.collection(collection.collection_id)

    run(sandbox, use, way)


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_the_upload_on_the_management_host_stores_into_the_collection(
    way: str, spooled: SpooledUpload
) -> None:
    """One call: file, content type, fields and membership; the name arrives unharmed in both hosts' lists."""
    sandbox = create_app({"upload_content_type": "sniff"})

    async def use(xai: Xai) -> None:
        collection = await xai.create_collection("espocrm:Account:64f0", "", FIELDS)
        upload = SpooledUpload(spooled.path, spooled.size, "application/msword", spooled.name)
        stored = await xai.upload(
            upload, UploadRoute.MANAGEMENT, collection.collection_id, {"espocrm_document_id": "ä1"}
        )
        member = await xai.member(collection.collection_id, stored.file_id)
        assert member is not None
        assert (member.content_type, member.name) == ("application/msword", spooled.name)
        assert member.fields == {"espocrm_document_id": "ä1"}
        assert stored.sha256 == hashlib.sha256(spooled.path.read_bytes()).hexdigest()
        with pytest.raises(NotFound):
            await xai.upload(upload, UploadRoute.MANAGEMENT, "collection_gone")

    run(sandbox, use, way)


def test_the_upload_on_the_management_host_needs_a_collection(spooled: SpooledUpload) -> None:
    """Without a collection there is nowhere to store: a clear error and no call."""
    sandbox = create_app()
    error = error_of(sandbox, lambda xai: xai.upload(spooled, UploadRoute.MANAGEMENT))
    assert isinstance(error, Permanent)
    assert sandbox.ledger.total == 0


def test_an_upload_is_found_by_its_token(spooled: SpooledUpload) -> None:
    """After an unclear outcome the file is found by the token in its name, and nothing that merely resembles it."""
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        for name in (spooled.name, TOKEN[:-1] + "0~x.txt", "Mustermann.txt", spooled.name):
            sandbox.clock.advance(1)
            await xai.upload(SpooledUpload(spooled.path, spooled.size, "text/plain", name), UploadRoute.FILES)
        found = await xai.find_files(TOKEN)
        assert [row.name for row in found] == [spooled.name, spooled.name]
        assert (found[0].created_at or 0) < (found[1].created_at or 0)
        assert await xai.find_files("bb-nothing-of-this-kind") == []

    run(sandbox, use)


@pytest.mark.parametrize("kind", ["close", "timeout_after_commit"])
def test_an_upload_without_an_answer_has_an_unknown_outcome(kind: str, spooled: SpooledUpload) -> None:
    """Whether the file is there now the client cannot know, and says so."""
    sandbox = create_app()
    sandbox.faults.add(Fault(kind, "/v1/files", method="POST", times=1))
    error = error_of(sandbox, lambda xai: xai.upload(spooled, UploadRoute.FILES), "http")
    assert type(error) is OutcomeUnknown
    assert len(sandbox.store.files) == (1 if kind == "timeout_after_commit" else 0)


def fill(sandbox: XaiSandbox, spooled: SpooledUpload, count: int) -> None:
    """Stores so many files."""

    async def use(xai: Xai) -> None:
        for _ in range(count):
            await xai.upload(spooled, UploadRoute.FILES)

    run(sandbox, use)


@pytest.mark.parametrize("end_token", ["always", "absent"])
@pytest.mark.parametrize("count", [0, 3, 100, 205])
def test_all_files_are_listed_once(count: int, end_token: str, spooled: SpooledUpload) -> None:
    """Every page to the end, by whichever sign the end shows, each file once."""
    sandbox = create_app({"files_end_token": end_token})
    fill(sandbox, spooled, count)
    listed = run(sandbox, lambda xai: flat(xai.list_files()))
    assert len(listed) == len({row.file_id for row in listed}) == count


def test_a_list_that_does_not_advance_is_an_error(spooled: SpooledUpload) -> None:
    """Where xAI ignores its token, the first page is not taken for the whole list, nor asked for for ever."""
    sandbox = create_app({"stuck_token": True})
    fill(sandbox, spooled, 101)
    before = sandbox.ledger.total
    assert type(error_of(sandbox, lambda xai: flat(xai.list_files()))) is Unexpected
    assert sandbox.ledger.total - before == 2


def test_a_short_page_that_comes_again_was_the_last(spooled: SpooledUpload) -> None:
    """A stuck token does no harm where everything fits on one page."""
    sandbox = create_app({"stuck_token": True})
    fill(sandbox, spooled, 3)
    assert len(run(sandbox, lambda xai: flat(xai.list_files()))) == 3
    assert len(run(sandbox, lambda xai: xai.find_files(TOKEN))) == 3


def test_collections_are_found_by_their_exact_name_oldest_first() -> None:
    """xAI's filter takes parts of names and names may be double: exact ones count, the oldest leads."""
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        ids = []
        for name in ("espocrm:Account:64f0", "espocrm:Account:64f01", "espocrm:Account:64f0", "Account"):
            sandbox.clock.advance(1)
            ids.append((await xai.create_collection(name, "", {})).collection_id)
        found = await xai.find_collections("espocrm:Account:64f0")
        assert [row.collection_id for row in found] == [ids[0], ids[2]]
        assert await xai.find_collections("espocrm:Account:99") == []
        assert len(await flat(xai.list_collections())) == 4

    run(sandbox, use)


def test_all_members_and_collections_over_several_pages(spooled: SpooledUpload) -> None:
    """More than a page of collections, and more than a page of files in one of them."""
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        made = [await xai.create_collection(f"c{number}", "", {}) for number in range(103)]
        first = made[0].collection_id
        for _ in range(102):
            await xai.attach(first, (await xai.upload(spooled, UploadRoute.FILES)).file_id, {})
        assert len(await flat(xai.list_collections())) == 103
        members = await flat(xai.members(first))
        assert len({row.file_id for row in members}) == 102

    run(sandbox, use)


def test_a_second_attach_answered_409_is_fine(spooled: SpooledUpload) -> None:
    """Whichever way xAI answers to "is already in", it is in."""
    sandbox = create_app({"re_add": 409})

    async def use(xai: Xai) -> None:
        collection = await xai.create_collection("c", "", {})
        stored = await xai.upload(spooled, UploadRoute.FILES)
        for _ in range(2):
            await xai.attach(collection.collection_id, stored.file_id, {})

    run(sandbox, use)


def test_a_failed_indexing_says_why_in_our_words(tmp_path: Path) -> None:
    """FAILED comes with a sentence of ours; xAI's own text, which may quote a name, stays out."""
    path = tmp_path / "scan"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4)
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        collection = await xai.create_collection("c", "", {})
        upload = SpooledUpload(path, path.stat().st_size, "application/octet-stream", f"{TOKEN}~Müller")
        stored = await xai.upload(upload, UploadRoute.FILES)
        await xai.attach(collection.collection_id, stored.file_id, {})
        sandbox.clock.advance(60)
        member = await xai.member(collection.collection_id, stored.file_id)
        assert member is not None
        assert member.status is IndexStatus.FAILED
        assert member.problem is not None
        assert "readable text" in member.problem
        assert "Müller" not in repr(member)

    run(sandbox, use)


def test_an_undefined_field_is_named(spooled: SpooledUpload) -> None:
    """A field that the collection does not define is refused for good, and the message says which."""
    sandbox = create_app()

    async def use(xai: Xai) -> None:
        collection = await xai.create_collection("c", "", {})
        stored = await xai.upload(spooled, UploadRoute.FILES)
        await xai.attach(collection.collection_id, stored.file_id, {"keywords": "Mustermann"})

    error = error_of(sandbox, use)
    assert isinstance(error, Permanent)
    assert error.reason == "unknown_field"
    assert "keywords" in str(error)
    assert "Mustermann" not in str(error)


def attach(xai: Xai) -> Awaitable[Any]:
    """Some call to the management host."""
    return xai.attach("collection_1", "file_1", {})


def read(xai: Xai) -> Awaitable[Any]:
    """Some call to the files host."""
    return xai.file("file_1")


KEY_TROUBLE: list[tuple[dict[str, Any], Use[Any], type[SyncError]]] = [
    ({"api_key_state": "invalid"}, read, AuthFailed),
    ({"management_key_state": "invalid"}, attach, AuthFailed),
    ({"management_key_state": "no_permission"}, attach, AuthFailed),
    ({"denied_endpoints": ["AddFileToCollection"]}, attach, AuthFailed),
    ({}, read, NotFound),
    ({}, attach, NotFound),
]


@pytest.mark.parametrize(("switches", "use", "kind"), KEY_TROUBLE)
def test_a_refused_key_is_told_from_a_missing_file(
    switches: dict[str, Any], use: Use[Any], kind: type[SyncError]
) -> None:
    """Key and rights stop everything (also where the files host says 400); a missing file is just missing."""
    assert type(error_of(create_app(switches), use)) is kind


@pytest.mark.parametrize("status", [403, 429])
def test_exhausted_credits_are_no_rate_limit(status: int, spooled: SpooledUpload) -> None:
    """Waiting brings no credits: a person has to act."""
    sandbox = create_app({"credits_exhausted": status})
    error = error_of(sandbox, lambda xai: xai.upload(spooled, UploadRoute.FILES))
    assert type(error) is AuthFailed
    assert "credits" in str(error)


FAULTS: list[tuple[Fault, Use[Any], type[SyncError]]] = [
    (Fault("status", ".*", status=429, headers={"Retry-After": "7"}), read, RateLimited),
    (
        Fault("status", ".*", status=429, body={"error": "Some resource has been exhausted"}),
        attach,
        RateLimited,
    ),
    (Fault("status", ".*", status=500, body="cf-ipcity"), attach, Transient),
    (Fault("status", ".*", status=500, body="rpc error: code = InvalidArgument desc = x"), attach, Permanent),
    (Fault("status", ".*", status=501, body={"code": 12}), attach, Permanent),
    (Fault("status", ".*", status=503), read, Transient),
    (Fault("html", ".*", status=200), read, Unexpected),
    (Fault("html", ".*", status=404), read, Unexpected),
    (Fault("html", ".*", status=403), attach, AuthFailed),
    (Fault("status", ".*", status=200, body=[]), read, Unexpected),
    (Fault("status", ".*", status=200, body={}), read, Unexpected),
]


@pytest.mark.parametrize(("fault", "use", "kind"), FAULTS)
def test_faults_of_the_hosts_have_their_class(fault: Fault, use: Use[Any], kind: type[SyncError]) -> None:
    """Trouble at either host becomes the class by which the queue decides."""
    sandbox = create_app()
    sandbox.faults.add(fault)
    error = error_of(sandbox, use)
    assert type(error) is kind
    if isinstance(error, RateLimited) and fault.headers:
        assert error.retry_after == 7.0


@pytest.mark.parametrize(
    ("body", "size"), [({"id": "file_1", "bytes": 3}, 30), ({"bytes": 30}, 30), ({"id": ""}, 30), ("{", 30)]
)
def test_an_upload_s_answer_must_fit(body: Any, size: int, tmp_path: Path) -> None:
    """No id, another size, half a JSON: the file may be there, so the outcome is unknown."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * size)
    sandbox = create_app()
    sandbox.faults.add(Fault("status", "/v1/files", status=200, body=body))
    upload = SpooledUpload(path, size, "text/plain", f"{TOKEN}~x.txt")
    assert type(error_of(sandbox, lambda xai: xai.upload(upload, UploadRoute.FILES))) is OutcomeUnknown


@pytest.mark.parametrize("value", ["", "../files", "file 1", "file_1/content", "file_1?x=1", "ü", "x" * 300])
def test_what_cannot_be_an_id_is_not_there(value: str) -> None:
    """An id that a person typed into EspoCRM is simply not found, and never becomes part of an address."""
    sandbox = create_app()
    for use in (
        lambda xai: xai.file(value),
        lambda xai: xai.attach("collection_1", value, {}),
        lambda xai: xai.attach(value, "file_1", {}),
        lambda xai: xai.collection(value),
        lambda xai: flat(xai.members(value)),
    ):
        assert type(error_of(sandbox, use)) is NotFound
    assert sandbox.ledger.total == 0


def test_both_keys_are_checked() -> None:
    """Good keys of one team have no problems; a blocked one is named, a refused one raises with its host."""
    for way in ("asgi", "http"):
        report = run(create_app(), lambda xai: xai.check_keys(), way)
        assert report.problems == ()
        assert report.files_team == report.management_team
    blocked = run(create_app({"api_key_state": "team_blocked"}), lambda xai: xai.check_keys())
    assert any("blocked" in problem for problem in blocked.problems)
    error = error_of(create_app({"management_key_state": "invalid"}), lambda xai: xai.check_keys())
    assert (type(error), error.system) == (AuthFailed, "xai-management")


def test_a_name_that_could_end_a_header_is_refused(spooled: SpooledUpload) -> None:
    """A name that was not made by `safe_upload_name` ends in an error that does not repeat it."""
    sandbox = create_app()
    for name in ('x"; y="Mustermann', "x\r\nMustermann: 1", "Mustermann\ud800", ""):
        upload = SpooledUpload(spooled.path, spooled.size, "text/plain", name)

        async def use(xai: Xai, upload: SpooledUpload = upload) -> None:
            await xai.upload(upload, UploadRoute.FILES)

        error = error_of(sandbox, use)
        assert isinstance(error, Permanent)
        assert "Mustermann" not in str(error)
    assert sandbox.ledger.total == 0
