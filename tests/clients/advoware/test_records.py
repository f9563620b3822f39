"""Parties, what hangs on them, matters and employees: read, created and changed at the stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_overlay import not_taken
from bitbylaw_pipeline.clients.advoware_rows import Value
from bitbylaw_pipeline.domain.errors import (
    Conflict,
    NotFound,
    OutcomeUnknown,
    Permanent,
    Transient,
    Unexpected,
    Unreachable,
)
from bitbylaw_pipeline.sandbox.advoware.app import AdvowareSandbox
from bitbylaw_pipeline.sandbox.faults import Fault
from tests.clients.advoware.office import COMPANY, NATURAL, ask, calls, sandbox, settings_for

PARTY = f"/relay/api/v1/advonet/Beteiligte/{NATURAL}"


def party(app: AdvowareSandbox, betnr: int = NATURAL) -> dict[str, Any]:
    """The party as Advoware has it."""
    found: dict[str, Any] = next(row for row in app.state()["beteiligte"] if row["betNr"] == betnr)
    return found


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_all_parties_come_in_one_call(way: str) -> None:
    """With what hangs on them."""
    app = sandbox()
    found = ask(app, lambda client: client.list_beteiligte(), way=way)
    first, second = found
    assert (first.betnr, first.name, first.vorname, first.geburtsdatum) == (
        NATURAL,
        "Anders",
        "Käthe",
        "1980-05-17",
    )
    assert (second.betnr, second.rechtsform, second.register_nummer) == (COMPANY, "GmbH", "HRB 1")
    assert first.row_id
    assert first.changed_at == pytest.approx(1_780_000_000.123, abs=0.01)
    assert [item.plz for item in first.adressen or ()] == ["01234"]
    assert [(item.tlf, item.is_mail) for item in first.kommunikation or ()] == [
        ("030 1", False),
        ("k@example.org", True),
    ]
    assert [item.iban for item in first.bankverbindungen or ()] == ["DE02120300000000202051"]
    assert second.adressen == ()
    assert len(calls(app, "GET", "Beteiligte")) == 1


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_server_without_a_list_says_which_setting_to_change(is_listed: bool) -> None:
    """Whether it is set so or found out: never an empty list."""
    app = sandbox(lists_beteiligte=False)
    with pytest.raises(Permanent, match="ADVOWARE_LISTS_BETEILIGTE=false") as caught:
        ask(app, lambda client: client.list_beteiligte(), advoware_lists_beteiligte=is_listed)
    assert caught.value.reason == "no_list"
    assert len(calls(app, "GET", "Beteiligte")) == int(is_listed)


@pytest.mark.parametrize(
    "switches", [{}, {"wraps_in_list": True}, {"embeds": False}, {"empty_text": "empty"}]
)
def test_one_party_is_whole_whatever_form_it_comes_in(switches: dict[str, Any]) -> None:
    """Rows that are not embedded are read at their own paths."""
    app = sandbox(**switches)
    found = ask(app, lambda client: client.beteiligter(NATURAL))
    assert (found.name, found.titel) == ("Anders", None)
    assert [item.id for item in found.adressen or ()] == [1]
    assert [item.id for item in found.kommunikation or ()] == [2, 3]
    assert [item.id for item in found.bankverbindungen or ()] == [4]
    assert found.known["titel"] is None


@pytest.mark.parametrize("is_empty", [True, False])
def test_an_unknown_party_is_not_found(is_empty: bool) -> None:
    """Whether Advoware answers 404 or 200 with nothing."""
    app = sandbox(unknown_answers_empty=is_empty)
    with pytest.raises(NotFound):
        ask(app, lambda client: client.beteiligter(1))


READS: dict[str, Callable[[Advoware], Awaitable[object]]] = {
    "party": lambda client: client.beteiligter(NATURAL),
    "parties": lambda client: client.list_beteiligte(),
    "numbers": lambda client: client.kommunikation(NATURAL),
    "matter": lambda client: client.akte(7),
    "matters": lambda client: client.list_akten(),
    "employees": lambda client: client.list_mitarbeiter(),
    "probe": lambda client: client.probe(),
}


@pytest.mark.parametrize("name", sorted(READS))
def test_a_wrong_prefix_is_not_taken_for_a_missing_record(name: str) -> None:
    """Each of its 404s would look like a deletion: the first is checked with a read that must succeed."""
    with pytest.raises(Unexpected, match="ADVOWARE_PATH_PREFIX"):
        ask(sandbox(), READS[name], advoware_path_prefix="api/v1/")


def test_a_prefix_may_be_another_one() -> None:
    """It is a setting."""
    app = sandbox(path_prefix="api/v1/")
    assert (
        ask(app, lambda client: client.beteiligter(NATURAL), advoware_path_prefix="/api/v1").betnr == NATURAL
    )


@pytest.mark.parametrize("form", ["number", "object", "list"])
def test_a_new_party_gives_its_number(form: str) -> None:
    """In whatever form the answer holds it."""
    app = sandbox(post_answers=form)
    fields = {"name": "Neu", "geburtsdatum": "1990-01-02", "titel": None, "register_gericht": "Aldorf"}
    betnr = ask(app, lambda client: client.create_beteiligter(fields))
    found = party(app, betnr)
    assert (found["name"], found["geburtsdatum"][:10], found["registergericht"]) == (
        "Neu",
        "1990-01-02",
        "Aldorf",
    )


@pytest.mark.parametrize("kind", ["timeout_after_commit", "close", "cut_body", "html", "status"])
def test_a_create_with_an_unclear_outcome_says_so(kind: str) -> None:
    """Whether it landed is for its journal to find out."""
    app = sandbox()
    app.faults.add(Fault(kind, r"/relay/.*/Beteiligte", "POST", status=200 if kind == "html" else 500))
    with pytest.raises(OutcomeUnknown):
        ask(app, lambda client: client.create_beteiligter({"name": "Neu"}), way="http")


def test_a_refused_create_is_permanent() -> None:
    """A party without a name is refused; nothing is unclear about that."""
    with pytest.raises(Permanent) as caught:
        ask(sandbox(), lambda client: client.create_beteiligter({"vorname": "Neu"}))
    assert "Neu" not in str(caught.value)


@pytest.mark.parametrize("way", ["asgi", "http"])
def test_a_change_leaves_everything_else_as_it_is(way: str) -> None:
    """A PUT replaces the row: what we do not know and what others changed since goes back as it stands."""
    app = sandbox()
    before = party(app)
    app.edit({"table": "beteiligte", "id": NATURAL, "set": {"titel": "Dr."}})
    patch, expected = {"name": "Neu", "geburtsdatum": None}, {"name": "Anders"}
    found = ask(app, lambda client: client.change_beteiligter(NATURAL, patch, expected), way=way)
    after = party(app)
    assert (found.name, found.geburtsdatum, found.titel, found.vorname) == ("Neu", None, "Dr.", "Käthe")
    assert after["zusatzFeld1"] == "kept"
    assert after["geburtsdatum"] == "0001-01-01T00:00:00Z"
    assert found.row_id == after["rowId"] != before["rowId"]
    assert {key: after[key] for key in ("adressen", "kommunikation", "bankverbindungen")} == {
        key: before[key] for key in ("adressen", "kommunikation", "bankverbindungen")
    }
    assert [call.split()[0] for call in calls(app, path="Beteiligte")] == ["GET", "PUT", "GET"]


def test_a_change_against_old_values_is_a_conflict() -> None:
    """It carries the present values, and nothing is written."""
    app = sandbox()
    patch, expected = {"name": "Neu"}, {"name": "Alt", "vorname": "Käthe", "titel": ""}
    with pytest.raises(Conflict) as caught:
        ask(app, lambda client: client.change_beteiligter(NATURAL, patch, expected))
    assert caught.value.current == {"name": "Anders", "vorname": "Käthe", "titel": None}
    assert "Anders" not in str(caught.value)
    assert calls(app, "PUT") == []


def test_a_change_that_is_there_already_writes_nothing() -> None:
    """Each PUT gives the row a new rowId, which others would take for a change."""
    app = sandbox()
    patch = {"name": "Anders", "titel": "", "geburtsdatum": "1980-05-17"}
    ask(app, lambda client: client.change_beteiligter(NATURAL, patch, {}))
    assert calls(app, "PUT") == []


def test_what_advoware_made_of_a_change_is_seen() -> None:
    """The answer is a new read, and tells which fields are not as they were sent."""
    app = sandbox(truncate_at=5)
    patch = {"name": "Langname", "titel": "Dr."}
    found = ask(app, lambda client: client.change_beteiligter(NATURAL, patch, {}))
    assert found.name == "Langn"
    assert not_taken(found, patch) == ("name",)


def test_an_unknown_field_is_refused_before_anything_is_asked() -> None:
    """A field that Advoware has no name for."""
    app = sandbox()
    with pytest.raises(Permanent, match="phones"):
        ask(app, lambda client: client.change_beteiligter(NATURAL, {"phones": "1"}, {}))
    assert calls(app) == []


def test_an_address_is_created_with_everything_and_changed_in_part() -> None:
    """POST sets all fields; PUT four of them, and the others are refused rather than lost."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        fields: dict[str, Value] = {"strasse": "Weg 2", "plz": "00001", "ort": "Neudorf", "land": "AT", "bemerkung": "bbl:1",
                  "standard_anschrift": True, "gueltig_bis": "2030-12-31"}  # fmt: skip
        made = await client.create_adresse(NATURAL, fields)
        assert {name: made.known[name] for name in fields} == fields
        patch, expected = {"strasse": "Weg 3"}, {"strasse": "Weg 2", "ort": "Neudorf"}
        changed = await client.change_adresse(NATURAL, made.id, patch, expected)
        assert (changed.strasse, changed.ort, changed.land, changed.bemerkung) == (
            "Weg 3",
            "Neudorf",
            "AT",
            "bbl:1",
        )
        assert changed.row_id != made.row_id
        with pytest.raises(Conflict):
            await client.change_adresse(NATURAL, made.id, {"strasse": "Weg 4"}, expected)
        with pytest.raises(Permanent, match="land"):
            await client.change_adresse(NATURAL, made.id, {"land": "DE"}, {})
        with pytest.raises(NotFound):
            await client.change_adresse(NATURAL, 999, patch, {})

    ask(app, main)
    assert len(party(app)["adressen"]) == 2


def test_numbers_are_created_changed_and_emptied() -> None:
    """An emptied row stays as an empty slot; its remark and code are kept."""
    app = sandbox()

    async def main(client: Advoware) -> None:
        made = await client.create_kommunikation(NATURAL, "n@example.org", "mail", "privat")
        assert (made.tlf, made.komm_kz, made.bemerkung, made.is_mail) == ("n@example.org", 4, "privat", True)
        changed = await client.change_kommunikation(
            NATURAL, made.id, "m@example.org", expected_tlf="n@example.org"
        )
        assert (changed.tlf, changed.komm_kz, changed.bemerkung) == ("m@example.org", 4, "privat")
        with pytest.raises(Conflict):
            await client.change_kommunikation(NATURAL, made.id, "x@example.org", expected_tlf="n@example.org")
        assert (await client.change_kommunikation(NATURAL, made.id, "")).tlf is None
        with pytest.raises(Permanent):
            await client.create_kommunikation(NATURAL, "1", "telex")

    ask(app, main)


def test_an_account_is_created() -> None:
    """And read back as Advoware has it."""
    app = sandbox(iban_blanks=True)
    fields = {"iban": "DE89370400440532013000", "bankname": "Bank", "kontoinhaber": "Anders"}
    found = ask(app, lambda client: client.create_bankverbindung(COMPANY, fields))
    assert (found.iban, found.bankname, found.bic) == ("DE89 3704 0044 0532 0130 00", "Bank", None)


Create = Callable[[Advoware], Awaitable[object]]
CREATES: dict[str, Create] = {
    "Adressen": lambda client: client.create_adresse(NATURAL, {"ort": "A"}),
    "Kommunikation": lambda client: client.create_kommunikation(NATURAL, "1", "phone"),
    "Bankverbindungen": lambda client: client.create_bankverbindung(NATURAL, {"iban": "A"}),
}


@pytest.mark.parametrize("name", sorted(CREATES))
def test_a_row_that_cannot_be_shown_after_its_create_is_no_failed_create(name: str) -> None:
    """It is there: an error that only says "later" would have it created twice."""
    app = sandbox()
    app.faults.add(Fault("status", f"/relay/.*/{name}", "GET", status=503))
    with pytest.raises(OutcomeUnknown):
        ask(app, CREATES[name])
    assert len(calls(app, "POST", name)) == 1


def test_matters_and_employees_are_read() -> None:
    """Lists, one by its id, and an unknown one."""
    app = sandbox(wraps_in_list=True)

    async def main(client: Advoware) -> None:
        (akte,) = await client.list_akten()
        assert (akte.id, akte.aktennummer, akte.az, akte.beteiligte) == (7, 123, "123/26", (NATURAL,))
        assert (await client.akte(7)).aktennummer == 123
        with pytest.raises(NotFound):
            await client.akte(8)
        found = await client.list_mitarbeiter()
        assert [(person.kuerzel, person.aktiv) for person in found] == [("PM", True), ("ÄÖ", False)]

    ask(app, main)


@pytest.mark.parametrize("body", [[{"betNr": 5}], {"betNr": 5}, {"name": "x"}, "text"])
def test_another_record_is_never_taken_for_the_one_that_was_asked_for(body: Any) -> None:
    """A filter that Advoware ignored brings back something else."""
    app = sandbox()
    app.faults.add(Fault("status", PARTY, status=200, body=body))
    with pytest.raises(Unexpected):
        ask(app, lambda client: client.beteiligter(NATURAL))


def test_the_probe_is_one_cheap_call() -> None:
    """It succeeds where Advoware answers us, and raises what is the case where not."""
    app = sandbox()
    ask(app, lambda client: client.probe())
    assert len(calls(app, path="/relay/")) == 1
    app.switches.update({"offline_until": app.clock.now() + 7200})
    with pytest.raises(Unreachable):
        ask(app, lambda client: client.probe())
    app.clock.advance(7201)
    ask(app, lambda client: client.probe())


def test_at_most_so_many_calls_at_once_as_set() -> None:
    """Advoware documents no limit, so ours is small."""
    counted = Counted(sandbox())

    async def main() -> None:
        transport = httpx.ASGITransport(counted)
        settings = settings_for(counted.app, "http://advoware", advoware_max_concurrency=2)
        client = Advoware.open(settings, transport=transport, clock=counted.app.clock.now)
        await client.probe()
        await asyncio.gather(*(client.beteiligter(NATURAL) for _ in range(8)))
        await client.aclose()

    asyncio.run(main())
    assert counted.peak == 2


class Counted:
    """The stand-in, and the most requests that it held at once."""

    def __init__(self, app: AdvowareSandbox) -> None:
        self.app = app
        self.peak = self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Holds the request a little, so that all who may come at once are there together."""
        self._now += 1
        self.peak = max(self.peak, self._now)
        await asyncio.sleep(0.02)
        await self.app(scope, receive, send)
        self._now -= 1


def test_a_system_in_trouble_is_a_matter_of_time() -> None:
    """5xx on a read."""
    app = sandbox()
    app.faults.add(Fault("status", PARTY, status=502))
    with pytest.raises(Transient):
        ask(app, lambda client: client.beteiligter(NATURAL))
