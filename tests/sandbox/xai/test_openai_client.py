"""An independent client of the Files API: the `openai` package over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from bitbylaw_pipeline.sandbox.serving import serving
from bitbylaw_pipeline.sandbox.xai import XaiSandbox, create_app


@pytest.fixture
def sandbox() -> XaiSandbox:
    """The stand-in itself."""
    return create_app()


@pytest.fixture
def client(sandbox: XaiSandbox) -> Iterator[openai.OpenAI]:
    """The openai client without retries, so that each error shows."""
    with (
        serving(sandbox) as (url,),
        openai.OpenAI(base_url=f"{url}/api/v1", api_key=sandbox.api_key, max_retries=0) as made,
    ):
        yield made


def test_create_retrieve_content_delete(client: openai.OpenAI) -> None:
    """A file made by the openai client is read, downloaded and deleted by it."""
    made = client.files.create(file=("Vollmacht.txt", b"Vollmacht", "text/plain"), purpose="assistants")
    assert (made.filename, made.bytes, made.object) == ("Vollmacht.txt", 9, "file")
    assert client.files.retrieve(made.id).created_at == made.created_at
    assert client.files.content(made.id).read() == b"Vollmacht"
    assert client.files.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_list_with_paging(client: openai.OpenAI) -> None:
    """Following the last id with `after`, as OpenAI's pages do, gives every file once."""
    made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="assistants").id for n in range(5)]
    seen: list[str] = []
    while True:
        after = seen[-1] if seen else openai.omit
        page = client.files.list(limit=2, order="asc", after=after).data
        seen += [item.id for item in page]
        if len(page) < 2:
            break
    assert seen == made


def test_large_upload_streams_through(client: openai.OpenAI, sandbox: XaiSandbox) -> None:
    """20 MB arrive whole."""
    data = b"0123456789abcdef" * 1_250_000
    made = client.files.create(file=("gross.txt", data), purpose="assistants")
    assert made.bytes == len(data)
    assert len(sandbox.store.files[made.id].sha256) == 64


def test_error_classes(client: openai.OpenAI, sandbox: XaiSandbox) -> None:
    """Each refusal is the error class that the openai client has for its status."""
    with pytest.raises(openai.BadRequestError) as wrong_key:
        client.with_options(api_key="other").files.list()
    assert str(wrong_key.value.body).startswith("Incorrect API key provided")
    sandbox.switches.update({"credits_exhausted": 429})
    with pytest.raises(openai.RateLimitError) as no_credits:
        client.files.create(file=("a.txt", b"x"), purpose="assistants")
    assert "credits" in str(no_credits.value.body)
    sandbox.switches.update({"credits_exhausted": "no", "api_key_state": "blocked"})
    with pytest.raises(openai.PermissionDeniedError):
        client.files.list()
    sandbox.switches.update({"api_key_state": "ok", "max_upload_bytes": 10})
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("a.txt", b"x" * 100_000), purpose="assistants")
    assert refused.value.status_code == 413
