"""Parties in EspoCRM by our own field names, against the stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bitbylaw_pipeline.clients.espocrm_beteiligte import BeteiligteRecords, EspoBeteiligter, display_name
from bitbylaw_pipeline.clients.espocrm_refusals import FieldRefused
from bitbylaw_pipeline.domain.errors import Conflict, NotFound, OutcomeUnknown, Permanent
from bitbylaw_pipeline.sandbox.espocrm import create_app, seeding
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from bitbylaw_pipeline.settings import BeteiligteFieldNames, Settings
from tests.clients.sandboxes import espocrm_over

RECORDED = Path(__file__).parents[1] / "sandbox" / "espocrm" / "cases"
T = TypeVar("T")
Use = Callable[[BeteiligteRecords], Awaitable[T]]
ID = "6b02a0dd8999f3866"
OTHER = "6b02a0dd8999f3867"
LATER = "2099-01-01 00:00:00"
EARLIER = "2000-01-01 00:00:00"
PARTY: dict[str, Any] = {
    "id": ID,
    "name": "Müller, Jörg",
    "nachname": "Müller",
    "vorname": "Jörg",
    "geburtsdatum": "1970-01-31",
    "betnr": 1001,
    "rowId": "FBAB",
    "adresseStreet": "Kieselgrund 4",
    "adressePostalCode": "00120",
    "emailAddress": "joerg@example.org",
    "phoneNumber": "+49301234",
}
FIELDS = {
    "name": "Müller",
    "vorname": "Jörg",
    "anrede": None,
    "titel": None,
    "rechtsform": None,
    "geburtsdatum": "1970-01-31",
    "register_nummer": None,
    "register_gericht": None,
    "strasse": "Kieselgrund 4",
    "plz": "00120",
    "ort": None,
    "land": None,
    "phones": ["+49301234"],
    "emails": ["joerg@example.org"],
}


def firm(
    *parties: dict[str, Any], version: str = "9.2.7", model: str = "kanzlei", **more: Any
) -> EspoSandbox:
    """A stand-in with these parties, by default PARTY alone."""
    sandbox = create_app(version)
    records = {"CBeteiligte": list(parties) or [PARTY]}
    seeding.seed(sandbox.espo, {"reset": True, "model": model, "records": records, **more})
    return sandbox


def run(sandbox: EspoSandbox, use: Use[T], *, names: BeteiligteFieldNames | None = None, **given: Any) -> T:
    """What the records made of the stand-in; its ledger then holds only the calls after the metadata."""

    async def main() -> T:
        async with espocrm_over("asgi", sandbox, **given) as espocrm:
            fields = {"beteiligte_fields": names} if names else {}
            records = BeteiligteRecords(espocrm, Settings.load(_env_file=None, **fields))
            await espocrm.metadata("entityDefs.CBeteiligte")
            sandbox.ledger.clear()
            return await use(records)

    return asyncio.run(main())


def stored(sandbox: EspoSandbox, record_id: str = ID) -> dict[str, Any]:
    """The row as it stands in the stand-in."""
    return sandbox.espo.store.tables["CBeteiligte"].rows[record_id]


def methods(sandbox: EspoSandbox) -> list[str]:
    """The methods of the calls so far."""
    return [entry.method for entry in sandbox.ledger.entries]


def permanent_reason(sandbox: EspoSandbox, use: Use[Any], **given: Any) -> str:
    """The reason of the Permanent error, whose message names nobody."""
    with pytest.raises(Permanent) as caught:
        run(sandbox, use, **given)
    assert "Müller" not in str(caught.value)
    return caught.value.reason


def test_a_party_in_our_words() -> None:
    """Every mapped field is there, the empty ones as None; numbers and marks beside them."""
    party = run(firm(), lambda records: records.beteiligter(ID))
    assert party.fields == FIELDS
    assert (party.betnr, party.row_id, party.version, party.key) == (1001, "FBAB", None, None)
    assert party.modified_at is not None


def test_the_recorded_server_lacks_some_fields() -> None:
    """What it lacks is in no reading; its own five are, with phones and emails."""
    known = {name: value for name, value in PARTY.items() if not name.startswith("adresse")}
    sandbox = firm(known, model="recorded")

    async def use(records: BeteiligteRecords) -> tuple[frozenset[str], EspoBeteiligter]:
        return await records.mapped_fields(), await records.beteiligter(ID)

    mapped, party = run(sandbox, use)
    assert mapped == set(party.fields) == {"name", "vorname", "geburtsdatum", "phones", "emails"}


def test_a_hidden_field_is_absent_not_empty() -> None:
    """A field that our role may not read is no field of the reading."""
    reader = {"userName": "leser", "apiKey": "leser-key", "acl": {"CBeteiligte": {"read": "all"}}}
    reader["fieldAcl"] = {"CBeteiligte": {"vorname": {"read": "no", "edit": "no"}}}
    sandbox = firm(users=[reader])
    party = run(sandbox, lambda records: records.beteiligter(ID), key="leser-key")
    assert "vorname" not in party.fields
    listed = run(sandbox, lambda records: records.list_beteiligte(), key="leser-key")
    assert "vorname" not in listed[0].fields


def test_a_list_is_one_call_and_lacks_what_espocrm_lists_lack() -> None:
    """Parties in the order of ids, without phones and emails, and betnr 0 is none."""
    sandbox = firm(PARTY, {"id": OTHER, "name": "Groß", "nachname": "Groß", "betnr": 0})
    first, second = run(sandbox, lambda records: records.list_beteiligte())
    assert first.fields == {name: FIELDS[name] for name in FIELDS if name not in ("phones", "emails")}
    assert (second.id, second.betnr, second.fields["name"], second.fields["plz"]) == (
        OTHER,
        None,
        "Groß",
        None,
    )
    assert sandbox.ledger.total == 1


def test_every_page_is_listed() -> None:
    """450 parties come in three pages."""
    parties = [{"id": f"6b02a0dd{n:09d}", "name": f"P{n}", "nachname": f"P{n}"} for n in range(450)]
    sandbox = firm(*parties)
    listed = run(sandbox, lambda records: records.list_beteiligte())
    assert [item.fields["name"] for item in listed] == [f"P{n}" for n in range(450)]
    assert sandbox.ledger.total == 3


def test_a_whole_list_reads_by_itself_only_what_may_have_changed() -> None:
    """Phones and emails of a settled party come from the earlier reading; a changed party is read again."""
    sandbox = firm(PARTY, {"id": OTHER, "name": "Groß", "nachname": "Groß", "phoneNumber": "+49305678"})

    async def use(records: BeteiligteRecords) -> None:
        whole = {item.id: item for item in await records.list_beteiligte({})}
        assert whole[ID].fields == FIELDS
        assert sandbox.ledger.total == 3
        for settled_before, calls in ((LATER, 1), (EARLIER, 3)):
            sandbox.ledger.clear()
            again = await records.list_beteiligte(whole, settled_before)
            assert {item.id: item for item in again} == whole
            assert sandbox.ledger.total == calls
        sandbox.clock.advance(60)
        await records.change_beteiligter(OTHER, {"phones": ["+49305678", "+49309999"]}, {})
        sandbox.ledger.clear()
        again = await records.list_beteiligte(whole, LATER)
        assert {item.id: item.fields["phones"] for item in again} == {
            ID: ["+49301234"],
            OTHER: ["+49305678", "+49309999"],
        }
        assert sandbox.ledger.total == 2

    run(sandbox, use)


def test_a_party_deleted_under_the_list_is_left_out() -> None:
    """It stood in the page and is gone when it is read by itself."""
    sandbox = firm()
    gone = Fault("status", f"/api/v1/CBeteiligte/{ID}", status=404, headers={"X-Status-Reason": ""})
    sandbox.faults.add(gone)
    assert run(sandbox, lambda records: records.list_beteiligte({})) == []


@pytest.mark.parametrize("version", ["9.2.7", "10.0.0"])
def test_a_change_is_one_put_between_two_reads(version: str) -> None:
    """Only what differs is written, flags stay, and what is returned is what EspoCRM holds then."""
    sandbox = firm(version=version)
    flagged = {"phoneNumber": "+49301234", "type": "Fax", "primary": True, "optOut": True, "invalid": False}
    stored(sandbox)["phoneNumberData"] = [flagged]
    patch = {
        "vorname": "Jörg",
        "titel": " Dr. ",
        "phones": ["030 1234", "0171 5"],
        "emails": None,
        "ort": "",
    }

    async def use(records: BeteiligteRecords) -> EspoBeteiligter:
        return await records.change_beteiligter(ID, patch, FIELDS)

    # 0171 5 is shorter than any number that EspoCRM takes.
    with pytest.raises(FieldRefused):
        run(sandbox, use)
    patch["phones"] = ["030 1234", "0171 5678"]
    party = run(sandbox, use)
    assert party.fields == {**FIELDS, "titel": "Dr.", "phones": ["+49301234", "+491715678"], "emails": None}
    assert methods(sandbox) == ["GET", "PUT", "GET"]
    added = {
        "phoneNumber": "+491715678",
        "type": "Office",
        "primary": False,
        "optOut": False,
        "invalid": False,
    }
    assert stored(sandbox)["phoneNumberData"] == [flagged, added]


def test_nothing_is_written_where_nothing_differs() -> None:
    """One read, no PUT: with concurrency control on even equal values would come back through the feed."""
    sandbox = firm(entities={"CBeteiligte": {"optimisticConcurrencyControl": True}})
    party = run(
        sandbox, lambda records: records.change_beteiligter(ID, {**FIELDS, "phones": ["030 1234"]}, {})
    )
    assert (party.fields, party.version) == (FIELDS, 1)
    assert methods(sandbox) == ["GET"]


def test_a_party_that_moved_on_is_a_conflict() -> None:
    """The values that the change was planned on are no longer there: present values in our words, nothing written."""
    sandbox = firm()

    async def use(records: BeteiligteRecords) -> None:
        expected: dict[str, Any] = {"vorname": "Jürgen", "phones": ["+49309"], "name": "Müller"}
        await records.change_beteiligter(ID, {"titel": "Dr."}, expected)

    with pytest.raises(Conflict) as caught:
        run(sandbox, use)
    assert caught.value.current == {"vorname": "Jörg", "phones": ["+49301234"]}
    assert "Jörg" not in str(caught.value)
    assert methods(sandbox) == ["GET"]


def test_a_save_between_read_and_write_is_a_conflict() -> None:
    """With concurrency control the version goes along, and EspoCRM's 409 comes in our words."""
    sandbox = firm(entities={"CBeteiligte": {"optimisticConcurrencyControl": True}})
    body = {"values": {"titel": "Prof."}, "versionNumber": 5}
    sandbox.faults.add(
        Fault(
            "status",
            f"/api/v1/CBeteiligte/{ID}",
            method="PUT",
            times=1,
            status=409,
            headers={"X-Status-Reason": "modified"},
            body=body,
        )
    )

    async def use(records: BeteiligteRecords) -> EspoBeteiligter:
        with pytest.raises(Conflict) as caught:
            await records.change_beteiligter(ID, {"titel": "Dr."}, {})
        assert caught.value.current == {"titel": "Prof."}
        return await records.change_beteiligter(ID, {"titel": "Dr."}, {})

    assert run(sandbox, use).version == 2


def test_the_version_header_is_sent_where_there_is_a_version() -> None:
    """A version that is not the present one is refused by EspoCRM itself."""
    sandbox = firm(entities={"CBeteiligte": {"optimisticConcurrencyControl": True}})

    async def use(records: BeteiligteRecords) -> None:
        def saved_by_another(_: object, __: object) -> dict[str, Any]:
            stored(sandbox).update(titel="Prof.", versionNumber=7)
            return {}

        await records._records.change(ID, {"titel": "Dr."}, {}, also=saved_by_another)

    with pytest.raises(Conflict) as caught:
        run(sandbox, use)
    assert caught.value.current == {"titel": "Prof."}
    assert stored(sandbox)["titel"] == "Prof."


@pytest.mark.parametrize(
    ("shown", "becomes"), [("Müller, Jörg", "Groß, Jörg"), ("Müller (Berlin)", "Müller (Berlin)")]
)
def test_the_display_name_follows_unless_it_is_somebodys_own(shown: str, becomes: str) -> None:
    """A new surname shows in EspoCRM; a display name that a person or a formula made stays."""
    sandbox = firm({**PARTY, "name": shown})
    run(sandbox, lambda records: records.change_beteiligter(ID, {"name": "Groß"}, {"name": "Müller"}))
    assert (stored(sandbox)["nachname"], stored(sandbox)["name"]) == ("Groß", becomes)


def test_a_new_party_has_all_fields_and_the_key() -> None:
    """Read back it is what was given; the display name is made of the names; the key finds it, exactly."""
    sandbox = firm()
    fields = {**FIELDS, "titel": "Dr.", "phones": ["030 777777"], "emails": ["a@x.example", "b@x.example"]}

    async def use(records: BeteiligteRecords) -> tuple[EspoBeteiligter, str | None, str | None, str | None]:
        made = await records.create_beteiligter(fields, "beteiligte|right|7|g0")
        return (
            await records.beteiligter(made),
            await records.find_by_key("beteiligte|right|7|g0"),
            await records.find_by_key("BETEILIGTE|right|7|g0"),
            await records.find_by_key("beteiligte|right|8|g0"),
        )

    party, found, other_case, none = run(sandbox, use)
    assert party.fields == {**fields, "phones": ["+4930777777"]}
    assert (party.key, found, other_case, none) == ("beteiligte|right|7|g0", party.id, None, None)
    assert stored(sandbox, party.id)["name"] == "Müller, Jörg"


def test_without_a_key_field_a_party_is_made_but_never_found() -> None:
    """The recorded server has none: the key is left out, and looking for it asks nothing."""
    known = {name: value for name, value in PARTY.items() if not name.startswith("adresse")}
    sandbox = firm(known, model="recorded")

    async def use(records: BeteiligteRecords) -> EspoBeteiligter:
        made = await records.create_beteiligter({"name": "Neu", "titel": "Dr."}, "key-1")
        sandbox.ledger.clear()
        assert await records.find_by_key("key-1") is None
        assert sandbox.ledger.total == 0
        return await records.beteiligter(made)

    assert run(sandbox, use).fields["name"] == "Neu"


def test_a_create_with_a_lost_answer_is_unknown() -> None:
    """A 5xx to a POST may hide a record, a lost connection too: OutcomeUnknown, and the key tells which it was."""
    sandbox = firm()
    path = "/api/v1/CBeteiligte"
    sandbox.faults.add(Fault("status", path, method="POST", times=1, status=502))
    sandbox.faults.add(Fault("timeout_after_commit", path, method="POST", times=1))

    async def use(records: BeteiligteRecords) -> None:
        for landed in (False, True):
            with pytest.raises(OutcomeUnknown):
                await records.create_beteiligter({"name": "Neu"}, "key-1")
            assert (await records.find_by_key("key-1") is not None) == landed

    run(sandbox, use)


def test_a_duplicate_is_a_conflict_that_names_the_ids() -> None:
    """EspoCRM's duplicate check: the ids of what it found, no values, and nothing is forced."""
    sandbox = firm(entities={"CBeteiligte": {"duplicateCheckFieldList": ["nachname"]}})

    async def use(records: BeteiligteRecords) -> None:
        await records.create_beteiligter({"name": "müller"})

    with pytest.raises(Conflict) as caught:
        run(sandbox, use)
    assert caught.value.current == {"duplicates": [ID]}
    assert "Müller" not in str(caught.value)
    assert methods(sandbox) == ["POST"]


def test_the_number_at_advoware_is_noted_once() -> None:
    """Written where it differs, with the time of the sync; a second time nothing is sent."""
    sandbox = firm({**PARTY, "betnr": None, "rowId": None})

    async def use(records: BeteiligteRecords) -> None:
        await records.set_betnr(ID, 4711, "ROW", last_sync="2026-11-22 08:00:00", sync_status="clean")
        assert methods(sandbox) == ["GET", "PUT"]
        sandbox.ledger.clear()
        await records.set_betnr(ID, 4711, "ROW", last_sync="2026-11-22 09:00:00", sync_status="clean")
        assert methods(sandbox) == ["GET"]

    run(sandbox, use)
    row = stored(sandbox)
    assert (row["betnr"], row["rowId"], row["advowareLastSync"]) == (4711, "ROW", "2026-11-22 08:00:00")


def test_not_found_is_said_only_with_the_right_to_see() -> None:
    """Deleted and we read all: NotFound, also for a write; with a smaller right nobody can tell."""
    reader = {
        "userName": "leser",
        "apiKey": "leser-key",
        "acl": {"CBeteiligte": {"read": "team", "edit": "all"}},
    }
    sandbox = firm(users=[reader])
    stored(sandbox)["deleted"] = True

    async def change(records: BeteiligteRecords) -> None:
        await records.change_beteiligter(ID, {"titel": "Dr."}, {})

    for use in (lambda records: records.beteiligter(ID), change):
        with pytest.raises(NotFound):
            run(sandbox, use)
        assert permanent_reason(sandbox, use, key="leser-key") == "no_access"
    assert run(sandbox, lambda records: records.may_read_all())
    assert not run(sandbox, lambda records: records.may_read_all(), key="leser-key")


def test_gone_between_read_and_write_is_proven_too() -> None:
    """A 404 to the PUT goes through the same proof."""
    sandbox = firm()
    gone = Fault(
        "status", ".*", method="PUT", status=404, headers={"X-Status-Reason": f"Record {ID} not found."}
    )
    sandbox.faults.add(gone)
    with pytest.raises(NotFound):
        run(sandbox, lambda records: records.change_beteiligter(ID, {"titel": "Dr."}, {}))
    assert methods(sandbox) == ["GET", "PUT", "GET"]


def test_without_a_role_there_is_no_entity_type() -> None:
    """A key without rights gets no metadata: an error, not parties without fields."""
    sandbox = firm(users=[{"userName": "niemand", "apiKey": "niemand-key", "acl": {}}])
    assert permanent_reason(sandbox, lambda r: r.list_beteiligte(), key="niemand-key") == "no_entity_type"


def test_the_firms_own_field_names() -> None:
    """Settings rename a field; the default's is then not looked at."""
    names = BeteiligteFieldNames(titel="anrede", anrede="gibtEsNicht", phone_country="+43")
    sandbox = firm()

    async def use(records: BeteiligteRecords) -> EspoBeteiligter:
        return await records.change_beteiligter(ID, {"titel": "Mag.", "phones": ["01 234567"]}, {})

    fields = run(sandbox, use, names=names).fields
    assert "anrede" not in fields
    assert (fields["titel"], fields["phones"]) == ("Mag.", ["+431234567"])
    assert stored(sandbox)["anrede"] == "Mag."


@pytest.mark.parametrize(
    ("nachname", "vorname", "shown"),
    [
        ("Groß", " Anna ", "Groß, Anna"),
        ("Haus & Grund <alt> GmbH", None, "Haus & Grund  alt  GmbH"),
        (None, "", "Ohne Namen"),
        ("x" * 300, None, "x" * 255),
    ],
)
def test_a_display_name_is_one_that_espocrm_takes(
    nachname: str | None, vorname: str | None, shown: str
) -> None:
    """No refused characters, never empty, never too long."""
    assert display_name(nachname, vorname) == shown


def test_where_a_person_sees_the_party() -> None:
    """The link goes to EspoCRM's own page."""

    async def use(records: BeteiligteRecords) -> str:
        return records.url(ID)

    assert run(firm(), use) == f"http://espocrm/#CBeteiligte/view/{ID}"


def test_the_recorded_party_reads_as_it_was() -> None:
    """The answer recorded from a real server gives phones and emails."""
    case = json.loads((RECORDED / "noop_put_beteiligte.json").read_text(encoding="utf-8"))
    mapping = run(firm(), lambda records: records.mapping())
    read = mapping.read(case["response"]["body"])
    assert (read["phones"], read["emails"]) == (["+491701234567"], ["joerg@example.org"])
    assert (read["name"], read["geburtsdatum"]) == ("Müller", "1970-01-31")
