"""I21: what an adapter says that a system keeps is what it keeps, and nothing else moves."""

from __future__ import annotations

import copy
import itertools
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.two_way_link import Record
from bitbylaw_pipeline.sync.beteiligte_advoware import AdvowareBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_espocrm import EspoBeteiligteSide
from bitbylaw_pipeline.sync.beteiligte_policy import BETEILIGTE
from tests.sync.advoware.contacts import phone
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import Firm, in_firm

LAWS = settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count()

_letters = st.sampled_from("aäöüßÄéO Zz-.'&/0123456789\u0308")
TEXT = st.text(_letters, max_size=30) | st.none()
NAME = TEXT.filter(lambda text: bool(text and text.strip()))
NUMBER = st.builds(
    "{}{} {}".format,
    st.sampled_from(["+49 ", "+49 (0)", "0", "0049", "+43 "]),
    st.integers(30, 179),
    st.integers(1_000, 9_999_999),
)
WORDS = st.sampled_from(["siehe Akte", "030 123456 (privat)", "nur abends", "", "  ", "0171/39 20 001 mobil"])
MAIL = st.builds(
    "{}@{}.example".format, st.sampled_from(["a", "A", "Müller".lower()[0], "b.c"]), st.just("probe")
)
DAY = st.dates(date(1900, 1, 1), date(2020, 12, 31)).map(str) | st.none()
TEXTS = (
    "vorname",
    "anrede",
    "titel",
    "rechtsform",
    "register_nummer",
    "register_gericht",
    "strasse",
    "plz",
    "ort",
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(TEXTS, TEXT),
    "name": NAME,
    "geburtsdatum": DAY,
    "phones": st.lists(NUMBER | WORDS, max_size=4) | st.none(),
    "emails": st.lists(MAIL | st.just("kein@"), max_size=3) | st.none(),
}
PATCH = st.fixed_dictionaries({}, optional=VALUES)


def same(name: str, one: Any, other: Any) -> bool:
    policy = BETEILIGTE.field(name)
    return bool(policy.canonical(one) == policy.canonical(other))


def assert_kept(side: Any, before: Record, after: Record, patch: Mapping[str, Any]) -> None:
    """The patch stands there as `put` said, and every other field as before."""
    for name, value in after.fields.items():
        wanted = side.put(name, patch[name]) if name in patch else before.fields[name]
        assert same(name, value, wanted), name


@LAWS
@given(value=PATCH)
def test_what_is_kept_is_kept_the_second_time(tmp_path: Path, value: dict[str, Any]) -> None:
    """put(put(x)) is put(x), on both sides, and each value equals itself in any Unicode form."""

    async def story(firm: Firm) -> None:
        pairs = firm.parts.pairs
        left = await EspoBeteiligteSide.open(pairs.beteiligte_records, firm.clock)
        right = AdvowareBeteiligteSide(pairs.advoware, pairs.party_list())
        for side in (left, right):
            for name, one in value.items():
                kept = side.put(name, one)
                assert side.put(name, kept) == kept
                if isinstance(one, str):
                    assert same(name, unicodedata.normalize("NFD", one), one)

    in_firm(tmp_path / str(next(_numbers)), story)


@LAWS
@given(patches=st.lists(PATCH, min_size=1, max_size=3))
def test_espocrm_keeps_what_put_says(tmp_path: Path, patches: list[dict[str, Any]]) -> None:
    """read(write(x)) is put(x); nothing but the patch moves, not even a flag of a number that stays."""

    async def story(firm: Firm) -> None:
        numbers = [*phone("+493023125001"), {"phoneNumber": "+493023125002", "type": "Fax", "optOut": True}]
        key, _ = await linked_person(firm, phoneNumberData=numbers, description="bleibt")
        side = await EspoBeteiligteSide.open(firm.parts.pairs.beteiligte_records, firm.clock)
        kept = [("+493023125001", "Office", False), ("+493023125002", "Fax", True)]
        for patch in patches:
            before = await side.get(key)
            assert before is not None
            sent = {name: side.put(name, value) for name, value in patch.items()}
            after = await side.update(before, sent, "nonce")
            assert_kept(side, before, after, patch)
            assert await side.get(key) == after
            shown = await firm.party(key)
            assert shown["description"] == "bleibt"
            if "phones" not in patch:
                flags = [(one["phoneNumber"], one["type"], one["optOut"]) for one in shown["phoneNumberData"]]
                assert flags == kept
            kept = [(one["phoneNumber"], one["type"], one["optOut"]) for one in shown["phoneNumberData"]]

    in_firm(tmp_path / str(next(_numbers)), story)


def _untouched(party: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The party without what the patch may change."""
    kept = copy.deepcopy(party)
    wire = {"register_nummer": "handelsRegisterNummer", "register_gericht": "registergericht"}
    own = {wire.get(name, name) for name in patch}
    for name in own & kept.keys():
        del kept[name]
    if own - {"strasse", "plz", "ort", "phones", "emails"}:
        kept.pop("rowId"), kept.pop("geaendertAm")
    if {"strasse", "plz", "ort"} & set(patch):
        for name in ("strasse", "plz", "ort", "rowId"):
            kept["adressen"][1].pop(name)
    rows = [one for one in kept["kommunikation"] if one["bemerkung"] == "Freitext"]
    return {**kept, "kommunikation": rows if {"phones", "emails"} & set(patch) else kept["kommunikation"]}


@LAWS
@given(patches=st.lists(PATCH, min_size=1, max_size=3))
def test_advoware_keeps_what_put_says(tmp_path: Path, patches: list[dict[str, Any]]) -> None:
    """read(write(x)) is put(x); other addresses, free text, accounts and unknown fields stay byte for byte."""

    async def story(firm: Firm) -> None:
        place = {
            "strasse": "Weg 1",
            "plz": "00123",
            "ort": "Ort",
            "land": "DE",
            "anschrift": "Weg 1\r\n00123 Ort",
        }
        betnr = firm.in_advoware(
            "Probe", "Paul", geburtsdatum="1980-01-02", zusatzFeld1="Kartei 7", zusatzFeld2="x",
            adressen=[{**place, "strasse": "Alt 9", "bemerkung": "alt"}, {**place, "standardAnschrift": True}],
            kommunikation=[
                {"tlf": "030 1234567", "kommKz": 1, "bemerkung": "Büro"}, {"tlf": "", "kommKz": 3},
                {"tlf": "siehe Akte", "kommKz": 1, "bemerkung": "Freitext"},
                {"tlf": "p@probe.example", "kommKz": 4},
            ],
            bankverbindungen=[{"iban": "DE38 0012 0100 0007 3002 74", "bankName": "Probebank"}],
        )  # fmt: skip
        pairs = firm.parts.pairs
        side = AdvowareBeteiligteSide(pairs.advoware, pairs.party_list())
        for patch in patches:
            before, stood = await side.get(str(betnr)), copy.deepcopy(firm.at_advoware(betnr))
            assert before is not None
            written = len(firm.writes())
            after = await side.update(
                before, {name: side.put(name, value) for name, value in patch.items()}, "n"
            )
            assert_kept(side, before, after, patch)
            assert (await side.get(str(betnr))) == after
            assert _untouched(firm.at_advoware(betnr), patch) == _untouched(stood, patch)
            assert len(firm.rows(betnr, "adressen")) == 2
            assert patch or len(firm.writes()) == written

    in_firm(tmp_path / str(next(_numbers)), story)


@LAWS
@given(fields=PATCH, name=NAME)
def test_a_new_record_holds_what_it_was_made_with(tmp_path: Path, fields: dict[str, Any], name: str) -> None:
    """A create in EspoCRM with any values reads back as put(x), and a second one under the key finds the first."""

    async def story(firm: Firm) -> None:
        side = await EspoBeteiligteSide.open(firm.parts.pairs.beteiligte_records, firm.clock)
        values = {one: side.put(one, value) for one, value in {**fields, "name": name}.items()}
        origin = Record("20000", {})
        made = await side.create("right:20000:g0", values, "nonce", origin)
        assert isinstance(made, Record)
        assert all(same(one, made.fields[one], value) for one, value in values.items())
        again = await side.create("right:20000:g0", values, "nonce", origin)
        assert again.id == made.id
        assert len(await firm.parties()) == 1

    in_firm(tmp_path / str(next(_numbers)), story)
