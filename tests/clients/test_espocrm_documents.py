"""Documents and owners between EspoCRM's fields and ours, against the stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.owner_links import Reading, find_owner_links
from bitbylaw_pipeline.domain.document import Document, DocumentFields, OwnerKey
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.settings import DEFAULT_OWNERS, DocumentFieldNames, OwnerType, Settings
from tests.clients.sandboxes import espocrm_over
from tests.clients.wire_server import CASES, Received, Reply, recorded, reply_json, wire_server

T = TypeVar("T")
DOCUMENT = "6b02a0dd1a3b9b634"
KLAGE = OwnerKey("CVmhRumungsklage", "6b02a0dd6bb97434d")
ACCOUNT = OwnerKey("Account", "6b02a0dd8999f3866")
ATTACHMENT = "6b02a1efbed120d8c"
EVERY_LINK = ["rumungsklages", "mietinkassos", "accounts", "beteiligtes"]
WANTED = DocumentFields(
    file_id="file_1",
    collections=("collection_1", "collection_2"),
    synced_hash="0" * 32,
    status="synced",
    md5="0" * 32,
    sha256="1" * 64,
)


def firm(link_multiple: list[str] | None = None, *, version: str = "9.2.7", **more: Any) -> EspoSandbox:
    """The firm's model: a document of a Räumungsklage and an Account, with link-multiple fields for these links."""
    sandbox = create_app(version)
    document = {"id": DOCUMENT, "name": "Klage Müller ./. Groß", "dokumentId": ATTACHMENT}
    seed = {
        "reset": True,
        "model": "kanzlei",
        "entities": {"CDokumente": {"linkMultipleFields": link_multiple or []}},
        "attachments": [
            {"id": ATTACHMENT, "name": "../Klage Müller.pdf", "type": "application/pdf", "size": 45}
        ],
        "records": {
            KLAGE.entity_type: [{"id": KLAGE.id, "name": "Räumungsklage Beispielstraße 5"}],
            ACCOUNT.entity_type: [{"id": ACCOUNT.id, "name": "Groß GmbH", "kiFreigabe": True}],
            "CDokumente": [{**document, "rumungsklagesIds": [KLAGE.id], "accountsIds": [ACCOUNT.id]}],
        },
        **more,
    }
    seeding.seed(sandbox.espo, seed)
    return sandbox


def run(
    sandbox: EspoSandbox,
    use: Callable[[DocumentRecords], Awaitable[T]],
    *,
    way: str = "asgi",
    fields: DocumentFieldNames | None = None,
    owners: tuple[OwnerType, ...] = DEFAULT_OWNERS,
    **given: Any,
) -> T:
    """What the records made of the stand-in; its ledger then holds only the calls after the metadata."""

    async def main() -> T:
        async with espocrm_over(way, sandbox, **given) as espocrm:
            records = DocumentRecords(espocrm, fields or DocumentFieldNames(), owners)
            await records.owner_links()
            sandbox.ledger.clear()
            return await use(records)

    return asyncio.run(main())


def permanent_reason(
    sandbox: EspoSandbox, use: Callable[[DocumentRecords], Awaitable[Any]], **given: Any
) -> str:
    """The reason of the Permanent error."""
    with pytest.raises(Permanent) as caught:
        run(sandbox, use, **given)
    assert "Müller" not in str(caught.value)
    return caught.value.reason


def load(records: DocumentRecords) -> Awaitable[Document]:
    """Reads the document."""
    return records.load_document(DOCUMENT)


@pytest.mark.parametrize("way", ["asgi", "http"])
@pytest.mark.parametrize(
    ("link_multiple", "calls"),
    [(EVERY_LINK, 1), (["rumungsklages", "beteiligtes"], 3), ([], 5)],
)
def test_the_owners_come_with_the_document_or_by_a_list_each(
    way: str, link_multiple: list[str], calls: int
) -> None:
    """With link-multiple fields one call tells all owners; each bare link costs one more; the result is the same."""
    sandbox = firm(link_multiple)
    document = run(sandbox, load, way=way)
    assert document.owners == {KLAGE, ACCOUNT}
    assert (document.id, document.attachment_id, document.status) == (DOCUMENT, ATTACHMENT, "neu")
    assert (document.file_id, document.collections, document.version) == (None, (), 1)
    assert document.file_name == "../Klage Müller.pdf"
    assert document.modified_at is not None
    assert sandbox.ledger.total == calls


@pytest.mark.parametrize("version", ["9.2.7", "9.3.10", "10.0.0"])
def test_a_write_is_one_put_of_what_differs(version: str) -> None:
    """All six fields the first time, one of them the second time, and no call at all where nothing differs."""
    sandbox = firm(EVERY_LINK, version=version)

    async def use(records: DocumentRecords) -> None:
        document = await records.load_document(DOCUMENT)
        written = await records.write_document(document, WANTED)
        assert written == await records.load_document(DOCUMENT)
        assert (written.version, written.owners) == (2, document.owners)
        assert records.differs(document, WANTED)
        assert not records.differs(written, WANTED)
        sandbox.ledger.clear()
        same = replace(WANTED, collections=("collection_2", " collection_1 "), md5=f" {WANTED.md5} ")
        assert await records.write_document(written, same) is written
        assert sandbox.ledger.total == 0
        changed = await records.write_document(written, replace(WANTED, file_id=""))
        assert (changed.file_id, changed.md5, changed.version) == (None, WANTED.md5, 3)

    run(sandbox, use)


def test_only_what_differs_is_sent_and_the_version_with_it() -> None:
    """The PUT's body holds the differing fields alone, and the version that was read goes in the header."""

    def recording(request: Received) -> Reply:
        if request.path.endswith("/Metadata"):
            return recorded("metadata_entitydefs")
        if request.path.endswith("/rumungsklages"):
            return reply_json({"total": 0, "list": []})
        return recorded("crud_get")

    async def main() -> list[Received]:
        async with wire_server(recording) as server:
            given = {"espocrm_api_base_url": server.url, "espocrm_api_key": "k", "_env_file": None}
            espocrm = EspoCrm.open(Settings.load(**given))
            records = DocumentRecords(espocrm, DocumentFieldNames(), DEFAULT_OWNERS)
            document = await load(records)
            wanted = DocumentFields(None, document.collections, None, "geändert", None, "1" * 64)
            await records.write_document(document, wanted)
            await records.write_document(replace(document, version=None, status="geändert"), wanted)
            await espocrm.aclose()
        return [request for request in server.requests if request.method == "PUT"]

    first, second = asyncio.run(main())
    assert first.json() == {"fileStatus": "geändert", "sha256": "1" * 64}
    assert first.headers["x-version-number"] == "1"
    assert second.json() == {"sha256": "1" * 64}
    assert "x-version-number" not in second.headers


def test_without_concurrency_control_there_is_no_version() -> None:
    """An entity type that counts no versions gives none, and a write goes through without."""
    sandbox = firm(
        EVERY_LINK,
        entities={"CDokumente": {"linkMultipleFields": EVERY_LINK, "optimisticConcurrencyControl": False}},
    )

    async def use(records: DocumentRecords) -> None:
        document = await records.load_document(DOCUMENT)
        assert document.version is None
        assert (await records.write_document(document, WANTED)).file_id == "file_1"

    run(sandbox, use)


def test_a_write_on_an_old_version_is_a_conflict() -> None:
    """Somebody saved the document since: Conflict with the current values, and nothing is written."""
    sandbox = firm(EVERY_LINK)

    async def use(records: DocumentRecords) -> None:
        document = await records.load_document(DOCUMENT)
        await records.espocrm.update("CDokumente", DOCUMENT, {"xaiId": "file_of_another"})
        with pytest.raises(Conflict) as caught:
            await records.write_document(document, WANTED)
        assert caught.value.current["xaiId"] == "file_of_another"
        assert caught.value.current["versionNumber"] == 2

    run(sandbox, use)


def test_a_status_that_is_no_option_is_named() -> None:
    """The firm's enum lacks the word: parked, with the word and the field in the message."""
    sandbox = firm(EVERY_LINK)

    async def use(records: DocumentRecords) -> None:
        await records.write_document(await load(records), replace(WANTED, status="erledigt"))

    with pytest.raises(Permanent) as caught:
        run(sandbox, use)
    assert caught.value.reason == "status_not_in_enum"
    assert "erledigt" in str(caught.value)
    assert "CDokumente.fileStatus" in str(caught.value)


def test_another_refused_field_keeps_its_own_reason() -> None:
    """A value too long for its field is not blamed on the status."""

    async def use(records: DocumentRecords) -> None:
        await records.write_document(await load(records), replace(WANTED, md5="0" * 33))

    assert permanent_reason(firm(EVERY_LINK), use) == "invalid"


def test_a_deleted_document_is_not_found() -> None:
    """Deleted by a person: NotFound, by which the flow goes on to unlink it."""

    async def use(records: DocumentRecords) -> None:
        await records.espocrm.delete("CDokumente", DOCUMENT)
        await records.load_document(DOCUMENT)

    with pytest.raises(NotFound):
        run(firm([]), use)


READER = {
    "userName": "leser",
    "apiKey": "leser-key",
    "acl": {name: {"read": "all"} for name in ("CDokumente", "CVmhRumungsklage", "Account")},
}


@pytest.mark.parametrize("field", ["dokument", "xaiId", "sha256", "fileStatus"])
def test_a_hidden_field_is_not_taken_for_an_empty_one(field: str) -> None:
    """A field that our role may not read is a mistake in the setup, not "no file" or "not synced"."""
    hidden = {**READER, "fieldAcl": {"CDokumente": {field: {"read": "no", "edit": "no"}}}}
    assert permanent_reason(firm(EVERY_LINK, users=[hidden]), load, key="leser-key") == "field_missing"


def test_hidden_owners_are_asked_for_or_refused_never_dropped() -> None:
    """Without a right to the link's field the owners do not silently become none: they are listed, or it is an error."""
    hidden = {**READER, "fieldAcl": {"CDokumente": {"rumungsklages": {"read": "no", "edit": "no"}}}}
    sandbox = firm(EVERY_LINK, users=[hidden])
    document = run(sandbox, load, key="leser-key", owners=(DEFAULT_OWNERS[0],))
    assert document.owners == {KLAGE}


def test_without_a_role_nothing_is_taken_for_no_owners() -> None:
    """A key without a role gets next to no metadata: an error, not documents without owners."""
    nobody = {"userName": "niemand", "apiKey": "niemand-key", "acl": {}}
    sandbox = firm(EVERY_LINK, users=[nobody])
    assert permanent_reason(sandbox, load, key="niemand-key") in ("no_entity_type", "no_access")


def test_a_missing_entity_type_is_a_mistake_in_the_settings() -> None:
    """A document type that the server does not have."""
    fields = DocumentFieldNames(entity_type="CUnbekannt")
    assert permanent_reason(firm([]), load, fields=fields) == "no_entity_type"


def test_a_field_that_the_server_lacks_is_named() -> None:
    """A field name of the settings that does not exist would be written for ever without effect."""
    fields = DocumentFieldNames(file_id="xaiFileId")
    with pytest.raises(Permanent, match="xaiFileId"):
        run(firm([]), load, fields=fields)


def test_a_checkbox_keeps_a_document_in_the_firm() -> None:
    """The field that excludes a document is read where it is set, and its absence is an error, not "not excluded"."""
    entities = {"CDokumente": {"fields": {"nurIntern": {"type": "bool"}}, "linkMultipleFields": EVERY_LINK}}
    sandbox = firm(entities=entities)
    fields = DocumentFieldNames(excluded="nurIntern")

    async def use(records: DocumentRecords) -> list[bool]:
        before = await records.load_document(DOCUMENT)
        await records.espocrm.update("CDokumente", DOCUMENT, {"nurIntern": True})
        return [before.is_excluded, (await records.load_document(DOCUMENT)).is_excluded]

    assert run(sandbox, use, fields=fields) == [False, True]
    assert permanent_reason(firm([]), load, fields=fields) == "field_missing"


def test_an_owner_with_collection_and_permission() -> None:
    """The owner's collection and permission are read; its collection is written once and not again."""
    sandbox = firm([])

    async def use(records: DocumentRecords) -> None:
        account, klage = await records.load_owner(ACCOUNT), await records.load_owner(KLAGE)
        assert (account.collection_id, account.is_permitted_by_field) == (None, True)
        assert not klage.is_permitted_by_field
        assert (account.version, klage.version) == (None, 1)
        sandbox.ledger.clear()
        written = await records.write_collection_id(klage, "collection_9")
        assert (written.collection_id, written.version) == ("collection_9", 2)
        assert await records.write_collection_id(written, "collection_9") is written
        assert sandbox.ledger.total == 1
        with pytest.raises(Conflict):
            await records.write_collection_id(klage, "collection_10")
        assert await records.load_owner(KLAGE) == written

    run(sandbox, use)


def test_the_permission_s_reference_and_date_come_along() -> None:
    """They go into the egress register as the ground."""
    sandbox = firm([])

    async def use(records: DocumentRecords) -> tuple[str | None, str | None]:
        values = {"kiFreigabeReferenz": " Mandatsvertrag 12 ", "kiFreigabeDatum": "2026-11-01"}
        await records.espocrm.update("Account", ACCOUNT.id, values)
        owner = await records.load_owner(ACCOUNT)
        return owner.permission_reference, owner.permission_date

    assert run(sandbox, use) == ("Mandatsvertrag 12", "2026-11-01")


def test_an_owner_s_documents() -> None:
    """All documents of an owner; NotFound where the owner is gone."""
    sandbox = firm([])
    assert run(sandbox, lambda records: records.documents_of(KLAGE)) == [DOCUMENT]
    with pytest.raises(NotFound):
        run(sandbox, lambda records: records.documents_of(replace(KLAGE, id="6b02affffffffffff")))
    with pytest.raises(NotFound):
        run(sandbox, lambda records: records.load_owner(replace(KLAGE, id="6b02affffffffffff")))


def test_an_entity_type_that_owns_nothing_is_refused() -> None:
    """Only types of the settings own collections."""
    key = OwnerKey("CBankverbindungen", "6b02a0dd8999f3867")
    assert permanent_reason(firm([]), lambda records: records.documents_of(key)) == "not_an_owner"


def test_the_recorded_server_has_one_owner_type_with_a_bare_link() -> None:
    """On the recorded server CDokumente leads to Räumungsklagen alone, without a link-multiple field."""
    case = json.loads((CASES / "metadata_entitydefs.json").read_text(encoding="utf-8"))
    definition = case["response"]["body"]
    links = find_owner_links(definition, DEFAULT_OWNERS)
    assert [(link.link, link.reading) for link in links] == [("rumungsklages", Reading.LIST)]
    field: dict[str, dict[str, Any]] = {"rumungsklages": {"type": "linkMultiple"}}
    (link,) = find_owner_links({**definition, "fields": field}, DEFAULT_OWNERS)
    assert link.reading is Reading.WITH_DOCUMENT
    field["rumungsklages"] |= {"noLoad": True}
    (link,) = find_owner_links({**definition, "fields": field}, DEFAULT_OWNERS)
    assert link.reading is Reading.LIST


def test_a_document_that_belongs_to_one_owner() -> None:
    """A link of the kind belongsTo gives the one owner with the document."""
    entities = {
        "CDokumente": {
            "fields": {"akte": {"type": "link"}},
            "links": {
                "akte": {"type": "belongsTo", "entity": "CVmhRumungsklage", "foreign": "akteDokumente"}
            },
        },
        "CVmhRumungsklage": {
            "links": {"akteDokumente": {"type": "hasMany", "entity": "CDokumente", "foreign": "akte"}},
        },
    }
    sandbox = firm(entities=entities)
    owners = (OwnerType(entity_type="CVmhRumungsklage", link="akteDokumente", word="raeumungsklage"),)

    async def use(records: DocumentRecords) -> None:
        assert (await records.load_document(DOCUMENT)).owners == frozenset()
        await records.espocrm.update("CDokumente", DOCUMENT, {"akteId": KLAGE.id})
        sandbox.ledger.clear()
        assert (await records.load_document(DOCUMENT)).owners == {KLAGE}
        assert sandbox.ledger.total == 1
        assert await records.documents_of(KLAGE) == [DOCUMENT]

    run(sandbox, use, owners=owners)


def test_where_a_person_sees_the_document() -> None:
    """The link goes to EspoCRM's own page."""

    async def use(records: DocumentRecords) -> str:
        return records.document_url(DOCUMENT)

    assert run(firm([]), use) == f"http://espocrm/#CDokumente/view/{DOCUMENT}"
