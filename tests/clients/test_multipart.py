"""The hand-written multipart body: its bytes, its length, and that no name breaks out of its header."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
from pathlib import Path

import pytest

from bitbylaw_pipeline.clients.http import System
from bitbylaw_pipeline.clients.multipart import CHUNK_BYTES, FilePart, Multipart
from bitbylaw_pipeline.domain.errors import OutcomeUnknown, Permanent
from bitbylaw_pipeline.domain.file_name import content_type_for, safe_upload_name
from tests.clients.wire_server import Received, Reply, reply_json, wire_server
from tests.domain.test_file_name import HOSTILE, TOKEN


def file_of(folder: Path, size: int) -> Path:
    """A file with so many bytes that are not all alike."""
    path = folder / "spool"
    path.write_bytes((bytes(range(256)) * (size // 256 + 1))[:size])
    return path


async def joined(body: Multipart) -> bytes:
    """The whole body."""
    return b"".join([piece async for piece in body])


@pytest.mark.parametrize(
    "size", [0, 1, 31, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7]
)
def test_the_body_is_as_long_as_it_says(size: int, tmp_path: Path) -> None:
    """Small or in chunks: the announced length is the length, fields come first, the file is in it unharmed."""
    path = file_of(tmp_path, size)
    part = FilePart("file", path, size, "ä b.pdf", "application/pdf")
    body = Multipart([("purpose", "assistants"), ("note", "zwei\r\nZeilen ü")], part, boundary="b")
    content = asyncio.run(joined(body))
    assert len(content) == body.size == int(body.headers["Content-Length"])
    assert content == (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nzwei\r\nZeilen \xc3\xbc\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xa4 b.pdf"\r\n'
        b"Content-Type: application/pdf\r\n\r\n" + path.read_bytes() + b"\r\n--b--\r\n"
    )


def test_boundaries_differ() -> None:
    """Each body has a boundary of its own that no file can foresee."""
    part = FilePart("file", Path("x"), 0, "x", "text/plain")
    made = {Multipart([], part).headers["Content-Type"] for _ in range(100)}
    assert len(made) == 100


def upload(path: Path, file_name: str, content_type: str, replies: list[Reply]) -> Received:
    """Sends the file over HTTP and gives back what arrived."""

    part = FilePart("file", path, path.stat().st_size, file_name, content_type)
    body = Multipart([("purpose", "assistants")], part)

    async def main() -> Received:
        async with wire_server(replies) as server, System("test", server.url, {}) as system:
            await system.call(
                "POST",
                "/files",
                stream=body,
                stream_bytes=body.size,
                headers=body.headers,
                operation="upload",
                creates=True,
            )
            return server.requests[0]

    return asyncio.run(main())


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_injects_anything_into_the_header(name: str, tmp_path: Path) -> None:
    """On the wire each hostile name stands whole and alone in its header; another parser reads back just that."""
    path = file_of(tmp_path, 100)
    safe = safe_upload_name(TOKEN, name)
    kind = content_type_for(safe, "text/plain\r\nX-Evil: 1")
    received = upload(path, safe, kind, [reply_json({})])
    boundary = received.headers["content-type"].partition("boundary=")[2].encode()
    assert received.body.count(b"--" + boundary) == 3
    head = received.body.split(b"--" + boundary)[2].partition(b"\r\n\r\n")[0]
    assert head.split(b"\r\n") == [
        b"",
        b'Content-Disposition: form-data; name="file"; filename="' + safe.encode() + b'"',
        b"Content-Type: " + kind.encode(),
    ]
    as_mail = b"Content-Type: " + received.headers["content-type"].encode() + b"\r\n\r\n" + received.body
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(as_mail)
    parts = list(message.iter_parts())
    assert [part.get_param("name", header="Content-Disposition") for part in parts] == ["purpose", "file"]
    assert all(set(part.keys()) <= {"Content-Disposition", "Content-Type"} for part in parts)


@pytest.mark.parametrize(
    "value",
    ["", 'x"', "x\\", "x\r", "x\n", "x\0", "x\x7f", "x\u0085", "x\u2028", "x\u2029", "x\ud800"],
)
@pytest.mark.parametrize("place", ["field", "file_name", "content_type"])
def test_what_could_end_a_header_is_refused(value: str, place: str) -> None:
    """The body itself lets nothing through that `safe_upload_name` would have taken out."""
    parts = {"field": "file", "file_name": "x.pdf", "content_type": "text/plain", place: value}
    with pytest.raises(ValueError):  # noqa: PT011 - a codec's own ValueError is as good
        Multipart([], FilePart(path=Path("x"), size=0, **parts))


def test_a_large_upload_arrives_with_its_length(tmp_path: Path) -> None:
    """A file of several chunks goes with Content-Length, not chunked: some servers refuse a body without it."""
    path = file_of(tmp_path, 5 * CHUNK_BYTES + 3)
    received = upload(path, "x.pdf", "application/pdf", [reply_json({})])
    assert "transfer-encoding" not in received.headers
    assert int(received.headers["content-length"]) == len(received.body)
    assert path.read_bytes() in received.body


def test_a_refusal_in_the_middle_of_an_upload_is_heard(tmp_path: Path) -> None:
    """A server that answers 413 and stops reading is understood at once, not taken for a lost connection."""
    path = file_of(tmp_path, 8_000_000)

    async def main() -> None:
        gone = asyncio.Event()

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await gone.wait()
            writer.close()

        running = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1000)
        url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        body = Multipart([], FilePart("file", path, 8_000_000, "x.pdf", "application/pdf"))
        async with System("test", url, {}, timeout=20.0) as system:
            try:
                await system.call(
                    "POST", "/", stream=body, headers=body.headers, operation="upload", creates=True
                )
            finally:
                gone.set()
                running.close()
                await asyncio.sleep(0)

    with pytest.raises(Permanent) as caught:
        asyncio.run(main())
    assert caught.value.reason == "too_large"


def test_a_spooled_file_that_shrank_is_no_upload(tmp_path: Path) -> None:
    """Fewer bytes than announced: the server keeps waiting, and the call ends as unknown, not as stored."""
    path = file_of(tmp_path, 300_000)

    async def main() -> None:
        body = Multipart([], FilePart("file", path, 400_000, "x.pdf", "application/pdf"))
        async with wire_server([reply_json({})]) as server:
            system = System("test", server.url, {}, timeout=2.0)
            try:
                await system.call(
                    "POST", "/", stream=body, headers=body.headers, operation="upload", creates=True
                )
            finally:
                await system.aclose()

    with pytest.raises(OutcomeUnknown):
        asyncio.run(main())
