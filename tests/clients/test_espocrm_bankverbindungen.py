"""Bank accounts in EspoCRM by our own field names, against the stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.espocrm_bankverbindungen import BankRecord, BankverbindungRecords
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, OutcomeUnknown, Permanent
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import Settings
from tests.clients.sandboxes import espocrm_over

T = TypeVar("T")
PARTY = "6b02a0dd8999f3866"
ID = "6b02a0ddb2af09f34"
IBAN = "DE02120300000000202051"
BLANKS = "DE02 1203 0000 0000 2020 51"
FIELDS = {"iban": BLANKS, "bic": "BYLADEM1001", "kontoinhaber": "Jörg Müller", "bankname": None}


def firm(model: str = "kanzlei", **more: Any) -> EspoSandbox:
    """A party with one account, its IBAN written with blanks."""
    account = {"id": ID, "name": "Konto 1", "iban": BLANKS, "bic": "BYLADEM1001", "beteiligteId": PARTY}
    if model == "kanzlei":
        account["kontoinhaber"] = "Jörg Müller"
    records = {"CBeteiligte": [{"id": PARTY, "name": "Müller, Jörg"}], "CBankverbindungen": [account]}
    sandbox = create_app()
    seeding.seed(sandbox.espo, {"reset": True, "model": model, "records": records, **more})
    return sandbox


def run(sandbox: EspoSandbox, use: Callable[[BankverbindungRecords], Awaitable[T]], **given: Any) -> T:
    """What the records made of the stand-in; its ledger then holds only the calls after the metadata."""

    async def main() -> T:
        async with espocrm_over("asgi", sandbox, **given) as espocrm:
            records = BankverbindungRecords(espocrm, Settings.load(_env_file=None))
            await espocrm.metadata("entityDefs.CBankverbindungen")
            sandbox.ledger.clear()
            return await use(records)

    return asyncio.run(main())


def methods(sandbox: EspoSandbox) -> list[str]:
    """The methods of the calls so far."""
    return [entry.method for entry in sandbox.ledger.entries]


def test_an_account_in_our_words() -> None:
    """A single read and a list row give the same, with the party that it belongs to; a list is one call."""
    sandbox = firm()
    one = run(sandbox, lambda records: records.bankverbindung(ID))
    assert one.fields == FIELDS
    assert (one.beteiligte_id, one.advoware_id, one.version) == (PARTY, None, None)
    assert run(sandbox, lambda records: records.list_bankverbindungen()) == [one]
    assert methods(sandbox) == ["GET"]


def test_the_recorded_server_has_iban_and_bic_alone() -> None:
    """The other two are in no reading and are left out of a new record."""
    sandbox = firm("recorded")

    async def use(records: BankverbindungRecords) -> tuple[frozenset[str], BankRecord]:
        made = await records.create_bankverbindung(PARTY, {**FIELDS, "iban": IBAN}, "key-1")
        return await records.mapped_fields(), await records.bankverbindung(made)

    mapped, made = run(sandbox, use)
    assert mapped == set(made.fields) == {"iban", "bic"}
    assert made.beteiligte_id == PARTY


def test_the_same_iban_with_and_without_blanks_is_not_written() -> None:
    """Blanks and case mean nothing; another holder is one PUT of that field, and the IBAN keeps its spelling."""
    sandbox = firm()

    async def use(records: BankverbindungRecords) -> BankRecord:
        same = {"iban": IBAN.lower(), "bic": "BYLADEM1001 "}
        await records.change_bankverbindung(ID, same, {"iban": IBAN})
        assert methods(sandbox) == ["GET"]
        sandbox.ledger.clear()
        return await records.change_bankverbindung(ID, {**same, "kontoinhaber": "Groß GmbH"}, FIELDS)

    changed = run(sandbox, use)
    assert changed.fields == {**FIELDS, "kontoinhaber": "Groß GmbH"}
    assert methods(sandbox) == ["GET", "PUT", "GET"]


def test_an_account_that_moved_on_is_a_conflict() -> None:
    """Another IBAN stands there than the change was planned on; it is not overwritten, and no message repeats it."""
    sandbox = firm()

    async def use(records: BankverbindungRecords) -> None:
        await records.change_bankverbindung(ID, {"iban": "DE99"}, {"iban": "DE11", "bic": "BYLADEM1001"})

    with pytest.raises(Conflict) as caught:
        run(sandbox, use)
    assert caught.value.current == {"iban": BLANKS}
    assert "2020" not in str(caught.value)
    assert methods(sandbox) == ["GET"]


def test_a_new_account_belongs_to_its_party() -> None:
    """Read back it is what was given, under a name made of bank and last digits, and found by its key."""
    sandbox = firm()
    fields = {**FIELDS, "iban": IBAN, "bankname": "Probebank"}

    async def use(records: BankverbindungRecords) -> BankRecord:
        made = await records.create_bankverbindung(PARTY, fields, "bank|right|7|g0")
        assert await records.find_by_key("bank|right|7|g0") == made
        await records.set_advoware_id(made, 77)
        sandbox.ledger.clear()
        await records.set_advoware_id(made, 77)
        assert methods(sandbox) == ["GET"]
        return await records.bankverbindung(made)

    made = run(sandbox, use)
    assert made.fields == fields
    assert (made.beteiligte_id, made.advoware_id, made.key) == (PARTY, 77, "bank|right|7|g0")
    assert sandbox.espo.store.tables["CBankverbindungen"].rows[made.id]["name"] == "Probebank 2051"


def test_an_account_of_no_party_is_refused() -> None:
    """The party is gone: parked, nothing is created."""

    async def use(records: BankverbindungRecords) -> None:
        await records.create_bankverbindung("6b02a0dd00000000", {"iban": IBAN})

    with pytest.raises(Permanent) as caught:
        run(firm(), use)
    assert caught.value.reason == "related_missing"


def test_a_create_with_a_lost_answer_is_unknown() -> None:
    """A 5xx to a POST may hide a record."""
    sandbox = firm()
    sandbox.faults.add(Fault("status", "/api/v1/CBankverbindungen", method="POST", status=500))
    with pytest.raises(OutcomeUnknown):
        run(sandbox, lambda records: records.create_bankverbindung(PARTY, {"iban": IBAN}, "key-1"))


def test_a_duplicate_is_a_conflict_that_names_the_ids() -> None:
    """EspoCRM's duplicate check on the BIC finds the account that is there."""
    sandbox = firm(entities={"CBankverbindungen": {"duplicateCheckFieldList": ["bic"]}})
    with pytest.raises(Conflict) as caught:
        run(
            sandbox,
            lambda records: records.create_bankverbindung(PARTY, {"iban": "DE1", "bic": "BYLADEM1001"}),
        )
    assert caught.value.current == {"duplicates": [ID]}


def test_not_found_is_said_only_with_the_right_to_see() -> None:
    """Deleted and we read all: NotFound; with a smaller right nobody can tell."""
    acl = {"CBankverbindungen": {"read": "own"}}
    sandbox = firm(users=[{"userName": "leser", "apiKey": "leser-key", "acl": acl}])
    sandbox.espo.store.tables["CBankverbindungen"].rows[ID]["deleted"] = True
    with pytest.raises(NotFound):
        run(sandbox, lambda records: records.bankverbindung(ID))
    with pytest.raises(Permanent) as caught:
        run(sandbox, lambda records: records.bankverbindung(ID), key="leser-key")
    assert caught.value.reason == "no_access"
    assert not run(sandbox, lambda records: records.may_read_all(), key="leser-key")
