"""Matters in EspoCRM as Advoware's Akten see them, against the stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

import pytest

from bitbylaw_pipeline.clients.espocrm_akten import MatterRecords
from bitbylaw_pipeline.domain.akte_match import Matter
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, Permanent, Transient, Unexpected
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from tests.clients.sandboxes import espocrm_over

T = TypeVar("T")
KLAGE, INKASSO = "CVmhRumungsklage", "CMietinkasso"
ID = "6b02a0dd8999f3866"
KEY = OwnerKey(KLAGE, ID)
FULL: dict[str, Any] = {
    "id": ID,
    "name": "Müller",
    "aktennummer": 26001,
    "aktenzeichen": "1/26",
    "xaiCollectionId": "c1",
}
PLANNED = Matter(KEY, 26001, None, "c1", "1/26")


def firm(*klagen: dict[str, Any], model: str = "kanzlei", **more: Any) -> EspoSandbox:
    """A stand-in with these Räumungsklagen, by default FULL alone."""
    sandbox = create_app()
    records = {KLAGE: list(klagen) or [FULL], **more.pop("records", {})}
    seeding.seed(sandbox.espo, {"reset": True, "model": model, "records": records, **more})
    return sandbox


def run(
    sandbox: EspoSandbox,
    use: Callable[[MatterRecords], Awaitable[T]],
    *,
    matters: list[dict[str, Any]] | None = None,
    key: str = "sandbox-espocrm-key",
) -> T:
    """What the records made of the stand-in."""

    async def main() -> T:
        given = {"akten_matters": matters} if matters else {}
        async with espocrm_over("asgi", sandbox, key=key) as espocrm:
            return await use(MatterRecords(espocrm, Settings.load(_env_file=None, **given)))

    return asyncio.run(main())


async def list_all(records: MatterRecords) -> list[Matter]:
    return await records.list_matters(await records.types())


def puts(sandbox: EspoSandbox) -> list[Any]:
    return [entry for entry in sandbox.ledger.entries if entry.method == "PUT"]


def stored(sandbox: EspoSandbox) -> dict[str, Any]:
    return sandbox.espo.store.tables[KLAGE].rows[ID]


def with_role(acl: Any, **more: Any) -> dict[str, Any]:
    return {"users": [{"userName": "bote", "apiKey": "bote-key", "acl": acl, **more}]}


def test_matters_of_every_type_that_the_server_has() -> None:
    """Number, named Akte, collection and Aktenzeichen; what the server lacks (CAdvowareAkten) is left out."""
    other = {"id": "m1", "name": "x", "aktennummer": 0, "advowareAkteId": 40002}
    found = run(firm(records={INKASSO: [other]}), list_all)
    assert found == [PLANNED, Matter(OwnerKey(INKASSO, "m1"), None, 40002)]


def test_only_the_needed_fields_are_asked_for_and_pages_go_by_key() -> None:
    """A list asks for five attributes; more matters than a page holds come in the order of ids, each once."""
    klagen = [{"id": f"k{number:04}", "name": "x", "aktennummer": number + 1} for number in range(450)]
    sandbox = firm(*klagen)
    found = run(sandbox, list_all)
    assert [one.key.id for one in found if one.key.entity_type == KLAGE] == [one["id"] for one in klagen]
    lists = [entry for entry in sandbox.ledger.entries if entry.path.endswith(f"/{KLAGE}")]
    searches = [json.loads(parse_qs(entry.query)["searchParams"][0]) for entry in lists]
    assert len(searches) == 3
    assert all(search["offset"] == 0 for search in searches)
    assert set(searches[0]["select"]) == {
        "id",
        "aktennummer",
        "advowareAkteId",
        "aktenzeichen",
        "xaiCollectionId",
    }


def test_a_type_without_a_number_field_shows_what_its_matters_name() -> None:
    """On the recorded server there is no aktennummer: no number is made of the Aktenzeichen."""
    known = {name: value for name, value in FULL.items() if name != "aktennummer"} | {"advowareAkteId": 40001}
    found = run(firm(known, model="recorded"), list_all)
    assert found == [Matter(KEY, None, 40001, "c1", "1/26")]


def test_a_number_in_a_text_field_is_a_number_if_it_is_nothing_else() -> None:
    """Zeros and blanks around it mean nothing; `123/26` is no number, and both readings agree."""
    texts = {"nummer": {"type": "varchar"}}
    klagen = [{"id": f"k{at}", "name": "x", "nummer": text} for at, text in enumerate(("0077", "123/26", ""))]
    sandbox = firm(*klagen, entities={KLAGE: {"fields": texts}})
    types = [{"entity_type": KLAGE, "number_field": "nummer"}]
    assert [one.aktennummer for one in run(sandbox, list_all, matters=types)] == [77, None, None]

    async def of_akte(records: MatterRecords) -> list[Matter]:
        return await records.matters_of(await records.types(), 5, 77)

    assert [one.key.id for one in run(sandbox, of_akte, matters=types)] == ["k0"]


def test_the_matters_of_one_akte() -> None:
    """Those that name it and those that carry its number, one list call a type."""
    named = {"id": "k2", "name": "x", "advowareAkteId": 40001}
    sandbox = firm(FULL, named, {"id": "k3", "name": "x", "aktennummer": 5, "advowareAkteId": 6})

    async def use(records: MatterRecords) -> list[Matter]:
        types = await records.types()
        sandbox.ledger.clear()
        return await records.matters_of(types, 40001, 26001)

    assert {one.key.id for one in run(sandbox, use)} == {ID, "k2"}
    assert len(sandbox.ledger.entries) == 2


def test_rows_that_were_not_asked_for_are_no_answer() -> None:
    """A server that ignores the filter and gives every matter is not believed."""
    sandbox = firm()
    row = {"id": "k9", "aktennummer": 1, "advowareAkteId": 2, "aktenzeichen": "", "xaiCollectionId": None}
    body = {"total": -2, "list": [row]}
    sandbox.faults.add(Fault("status", f"/api/v1/{KLAGE}", method="GET", status=200, body=body))

    async def use(records: MatterRecords) -> list[Matter]:
        return await records.matters_of(await records.types(), 40001, 26001)

    with pytest.raises(Unexpected):
        run(sandbox, use)


def test_the_id_is_written_once_with_the_version_and_read_again() -> None:
    """One PUT of that field alone, against the version that was read; a second call writes nothing."""
    sandbox = firm()
    written = run(sandbox, lambda records: records.write_akte_id(PLANNED, 40001))
    assert written.akte_id == stored(sandbox)["advowareAkteId"] == 40001
    (put,) = puts(sandbox)
    assert [entry.method for entry in sandbox.ledger.entries][-3:] == ["GET", "PUT", "GET"]
    assert put.path.endswith(f"/{KLAGE}/{ID}")
    assert run(sandbox, lambda records: records.write_akte_id(PLANNED, 40001)) == written
    assert len(puts(sandbox)) == 1
    assert stored(sandbox)["aktennummer"] == 26001


@pytest.mark.parametrize("present", [{"advowareAkteId": 9}, {"aktennummer": 26002}, {"aktennummer": None}])
def test_what_stands_there_is_never_overwritten(present: dict[str, Any]) -> None:
    """A matter that names another Akte, or carries another number by now, is left as it is."""
    sandbox = firm({**FULL, **present})
    with pytest.raises(Conflict):
        run(sandbox, lambda records: records.write_akte_id(PLANNED, 40001))
    assert puts(sandbox) == []


def test_a_save_in_between_is_noticed() -> None:
    """The version header makes EspoCRM refuse the write if a person saved the matter since it was read."""
    sandbox = firm()
    answer = Fault(
        "status", f"/api/v1/{KLAGE}/{ID}", method="PUT", status=409, body={}, headers={"X-Status-Reason": "modified"}
    )  # fmt: skip
    sandbox.faults.add(answer)
    with pytest.raises(Conflict):
        run(sandbox, lambda records: records.write_akte_id(PLANNED, 40001))


def test_an_id_that_was_not_kept_is_an_error() -> None:
    """EspoCRM drops a value in silence where the role may not edit the field."""
    acl = {KLAGE: {"read": "all", "edit": "all"}, INKASSO: {"read": "all"}}
    role = with_role(acl, fieldAcl={KLAGE: {"advowareAkteId": {"read": "yes", "edit": "no"}}})
    with pytest.raises((Transient, Permanent)):
        run(firm(**role), lambda records: records.write_akte_id(PLANNED, 40001), key="bote-key")


def test_a_hidden_field_is_not_an_empty_one() -> None:
    """A number that the role hides stops the list with the field's name."""
    acl = {KLAGE: {"read": "all", "edit": "all"}}
    role = with_role(acl, fieldAcl={KLAGE: {"advowareAkteId": {"read": "no", "edit": "no"}}})
    with pytest.raises(Permanent) as caught:
        run(firm(**role), list_all, key="bote-key")
    assert caught.value.reason == "field_missing"
    assert "advowareAkteId" in str(caught.value)


@pytest.mark.parametrize(
    ("acl", "reason"),
    [({KLAGE: {"read": "own"}}, "no_access"), ({"CDokumente": {"read": "all"}}, "no_entity_type")],
)
def test_a_part_of_the_matters_is_not_enough(acl: Any, reason: str) -> None:
    """With a part only a second matter of the same number might be hidden; with none there is nothing to link."""
    with pytest.raises(Permanent) as caught:
        run(firm(**with_role(acl)), list_all, key="bote-key")
    assert caught.value.reason == reason


def test_a_read_only_field_takes_no_id() -> None:
    """Such a type's matters are read, and nothing is to be written to them."""
    fields = {"advowareAkteId": {"type": "int", "readOnly": True}}
    (found,) = run(firm(entities={KLAGE: {"fields": fields}}), list_all)
    assert not found.takes_id
    sandbox = firm(entities={KLAGE: {"fields": fields}})
    with pytest.raises(Permanent) as caught:
        run(sandbox, lambda records: records.write_akte_id(PLANNED, 40001))
    assert caught.value.reason == "field_missing"
    assert puts(sandbox) == []


def test_a_deleted_matter_is_not_found() -> None:
    """Reading one that a person deleted says so; a type of no settings is refused."""
    sandbox = firm()
    with pytest.raises(NotFound):
        run(sandbox, lambda records: records.matter(OwnerKey(KLAGE, "6b02a0dd8999f3869")))
    with pytest.raises(Permanent):
        run(sandbox, lambda records: records.matter(OwnerKey("Account", ID)))
    assert run(sandbox, lambda records: records.matter(KEY)) == PLANNED
