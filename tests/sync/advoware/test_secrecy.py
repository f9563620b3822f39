"""What leaves a system, and what is written down about it."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients import advoware_surface as surface
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.matters import person_betnr, person_konto, person_record_id
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS
from bitbylaw_pipeline.sandbox.samples.seed import seed_document
from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.contacts import phone
from tests.sync.advoware.wire import bodies
from tests.sync.advoware.world import ACCOUNT, PARTY, PREFIX, Firm, in_firm

TO_ESPOCRM = {
    PARTY: {
        "name", "nachname", "vorname", "anrede", "titel", "rechtsform", "geburtsdatum", "handelsregisterNummer",
        "registergericht", "adresseStreet", "adressePostalCode", "adresseCity", "adresseCountry", "phoneNumberData",
        "emailAddressData", "betnr", "bitbylawKey",
    },
    ACCOUNT: {"name", "iban", "bic", "kontoinhaber", "bankname", "advowareId", "beteiligteId", "bitbylawKey"},
    "Task": {"name", "status", "priority", "description", "parentType", "parentId"},
}  # fmt: skip
TO_ADVOWARE = {
    "Beteiligte": surface.PARTEI,
    "Adressen": surface.ADRESSE,
    "Kommunikation": surface.KOMMUNIKATION_ROW,
    "Bankverbindungen": surface.BANKVERBINDUNG,
}
LEFT_SECRET, RIGHT_SECRET = "NUR-IN-ESPOCRM", "NUR-IN-ADVOWARE"


async def busy_firm(firm: Firm, errors: list[str], outcomes: list[Any]) -> None:
    """The sample firm through everything: first match, edits, conflicts, refusals, outages, lost answers, tasks."""

    async def passes(times: int = 1) -> None:
        for _ in range(times):
            try:
                outcomes.extend(await firm.sweep())
            except SyncError as error:
                errors.append(repr(error))
        for person in PERSONS[:4]:
            try:
                outcomes.append(await firm.sync(person_record_id(person)))
            except SyncError as error:
                errors.append(repr(error))

    response = await firm.person.post("/sandbox/seed", json=seed_document())
    assert response.status_code == 200
    firm.advoware.seed(advoware_seed_document())
    for row in firm.advoware.state()["beteiligte"]:
        firm.edit_advoware(row["betNr"], zusatzFeld1=RIGHT_SECRET)
        for table in ("adressen", "kommunikation"):
            for n, _ in enumerate(row[table]):
                firm.edit_row(row["betNr"], table, n, bemerkung=RIGHT_SECRET)
    for record in await firm.parties():
        await firm.edit_party(record["id"], description=LEFT_SECRET)
    await passes(2)
    here, there = person_record_id(PERSONS[0]), person_betnr(PERSONS[0])
    await firm.edit_party(
        here, nachname=PERSONS[8].nachname, adresseCountry="AT", adresseStreet=PERSONS[5].strasse
    )
    firm.edit_advoware(there, name=PERSONS[9].nachname)
    firm.add_row(there, "kommunikation", tlf=PERSONS[7].telefon.replace("+49 ", "0"), kommKz=1)
    for account in await firm.accounts():
        await firm.espo("PUT", f"{ACCOUNT}/{account['id']}", {"kontoinhaber": PERSONS[3].name})
    second = person_betnr(PERSONS[2])
    firm.edit_advoware(second, vorname="x" * 300)
    firm.edit_row(second, "kommunikation", tlf="zuerst " + PERSONS[4].email, kommKz=4)
    await passes()
    for system, method, path in (
        ("advoware", "PUT", ".*"),
        ("espocrm", "PUT", "/api/v1/CBeteiligte/.*"),
        ("espocrm", "POST", ".*"),
    ):
        firm.spoil_next(system, method, path)
    await firm.edit_party(here, titel="Prof.", phoneNumberData=phone("+493023125777"))
    firm.edit_advoware(there, anrede="Firma")
    await passes()
    await firm.edit_party(person_record_id(PERSONS[1]), titel="Lic.")
    firm.edit_advoware(person_betnr(PERSONS[3]), titel="Lic.")
    body = f"Der Wert {PERSONS[1].nachname} ist nicht erlaubt"
    firm.fail("advoware", f"{PREFIX}.*", method="PUT", status=400, body={"Message": body})
    firm.fail(
        "espocrm",
        f"/api/v1/{PARTY}/.*",
        method="PUT",
        status=400,
        headers={"X-Status-Reason": PERSONS[0].nachname},
    )
    await passes(2)
    firm.mend()
    firm.advoware.switches.update({"connector": "offline"})
    await passes()
    firm.advoware.switches.update({"connector": "online"})
    await passes(2)


def secrets(firm: Firm) -> list[str]:
    """What must be found nowhere: each in the forms that it has on its way."""
    found = {
        firm.settings.advoware_password.get_secret_value(),
        firm.settings.advoware_api_key.get_secret_value(),
    }
    found |= {firm.settings.espocrm_api_key.get_secret_value(), LEFT_SECRET, RIGHT_SECRET}
    for person in PERSONS:
        found |= {person.nachname, person.strasse, person.email, person.telefon}
        compact = re.sub(r"\D", "", person.telefon)
        found |= {compact, "0" + compact[2:], "0" + person.telefon.removeprefix("+49 ")}
        if konto := person_konto(person):
            found |= {konto.iban, konto.iban[4:], " ".join(re.findall(".{1,4}", konto.iban))}
    found |= {json.dumps(text).strip('"') for text in set(found)} | {text.upper() for text in found}
    return sorted(found | {text.lower() for text in found})


def test_nothing_personal_is_written_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No log line, outcome, error text or column in clear holds a name, an address, a number, an IBAN or a key."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    async def story(firm: Firm) -> None:
        errors: list[str] = []
        outcomes: list[Any] = []
        await busy_firm(firm, errors, outcomes)
        holds = [repr(hold) for pair in Pair for hold in await firm.holds(pair)]
        assert len(errors) > 3
        assert len(holds) > 3
        assert len(await firm.conflicts()) > 0
        tokens = [json.dumps(call.body) for call in firm.calls if call.path.endswith("/Token")]
        assert tokens
        places = {
            "log": caplog.text,
            "error": "\n".join(errors),
            "outcome": "\n".join(map(repr, outcomes)),
            "hold": "\n".join(holds),
            "task": json.dumps(await firm.tasks(), ensure_ascii=False),
        }
        for file in firm.folder.glob("state.sqlite*"):
            places[file.name] = file.read_bytes().decode("utf-8", "replace")
        assert len(places) > 5
        assert "pair_passed" in places["log"]
        leaks = [(place, text) for place, shown in places.items() for text in secrets(firm) if text in shown]
        assert leaks == []

    in_firm(tmp_path, story)


def test_only_mapped_fields_leave_a_system(tmp_path: Path) -> None:
    """I17: every body is made of mapped fields; what the other system has beside them never comes across."""

    async def story(firm: Firm) -> None:
        await busy_firm(firm, [], [])
        to_espocrm, to_advoware = firm.writes("espocrm"), firm.writes("advoware")
        assert len(to_espocrm) > 10
        assert len(to_advoware) > 5
        for call, sent in zip(to_espocrm, bodies(to_espocrm), strict=True):
            assert set(sent) <= TO_ESPOCRM[call.path.split("/")[3]], call.path
        for call, sent in zip(to_advoware, bodies(to_advoware), strict=True):
            resource = TO_ADVOWARE[[part for part in call.path.split("/") if not part.isdigit()][-1]]
            if call.method == "POST":
                assert set(sent) <= {one.wire for one in resource.fields.values()}, call.path
        assert RIGHT_SECRET not in "".join(call.body for call in to_espocrm)
        assert LEFT_SECRET not in "".join(call.body for call in to_advoware)
        assert {row["zusatzFeld1"] for row in firm.advoware.state()["beteiligte"]} <= {RIGHT_SECRET, None}
        assert {one["description"] for one in await firm.parties()} <= {LEFT_SECRET, None}

    in_firm(tmp_path, story)
