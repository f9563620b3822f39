"""The demo's judgement of EspoCRM and Advoware: a picture in which all is right, and one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.expectations import Verdict
from bitbylaw_pipeline.demo.ledgers import Ledgers
from bitbylaw_pipeline.demo.passes import DagsterPasses
from bitbylaw_pipeline.demo.proxy_visit import Visit
from bitbylaw_pipeline.demo.two_way_expectations import (
    LOOK_ALIKES,
    check_changes,
    check_first_pass,
    check_in_step,
    check_story_told,
    is_offline_noticed,
)
from bitbylaw_pipeline.demo.two_way_picture import Party, TwoWayPicture, compact
from bitbylaw_pipeline.demo.two_way_story import (
    ABROAD,
    COUNTRY,
    EMAIL,
    IBAN,
    MOBILE,
    MOVED,
    NEW_ACCOUNT,
    NEW_MAIL,
    NEW_STREET,
    NEW_TITLE,
    TITLE,
    TwoWayStory,
)
from bitbylaw_pipeline.inbox.two_way_desk import HoldView, PairCounts
from bitbylaw_pipeline.inbox.work_queue import StreamSummary
from bitbylaw_pipeline.sandbox.samples.advoware import ONLY_IN_ESPOCRM, SECOND_NUMBER, TWICE_IN_ADVOWARE
from bitbylaw_pipeline.sandbox.samples.matters import person_betnr, person_konto, person_record_id
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS, Person
from tests.demo.test_expectations import tidy as tidy_documents

FIRMS = (21_001, 21_002, 21_003)
NEW_NUMBERS = {person: 104_860 + number for number, person in enumerate(ONLY_IN_ESPOCRM)}


def party(person: Person, record_id: str, betnr: int | None) -> Party:
    """The person as both systems have them at the end of the day."""
    konto = person_konto(person)
    return Party(
        id=record_id,
        betnr=betnr,
        name=(person.nachname, person.vorname, TITLE if person is NEW_TITLE else ""),
        address=(NEW_STREET if person is MOVED else person.strasse, person.plz, person.ort, "DE"),
        phones=frozenset({compact(person.telefon)} | ({compact(MOBILE)} if person is MOVED else set())),
        emails=frozenset({EMAIL.upper() if person is NEW_MAIL else person.email.upper()}),
        ibans=frozenset({konto.iban} if konto else ()),
    )


def hold(pair: str, subject: str, why: str) -> HoldView:
    """Something that waits for a person."""
    return HoldView("1", pair, subject, why, None, None, None, False, "", 0.0, 0.0, None, None)


def tidy() -> TwoWayPicture:
    """The end of the day as it must be."""
    left: dict[str, Party] = {}
    right: dict[int, Party] = {}
    for person in PERSONS:
        betnr = NEW_NUMBERS.get(person) or person_betnr(person)
        key = person_record_id(person)
        left[key] = party(person, key, None if person is TWICE_IN_ADVOWARE else betnr)
        right[betnr] = party(person, str(betnr), betnr)
    right[SECOND_NUMBER] = replace(right[person_betnr(TWICE_IN_ADVOWARE)], betnr=SECOND_NUMBER)
    for betnr in FIRMS:
        left[f"firm{betnr}"] = Party(
            f"firm{betnr}", betnr, ("GmbH",), (), frozenset(), frozenset(), frozenset()
        )
        right[betnr] = left[f"firm{betnr}"]
    changed = person_record_id(NEW_ACCOUNT)
    left[changed] = replace(left[changed], ibans=frozenset({IBAN}))
    abroad = person_record_id(ABROAD)
    left[abroad] = replace(left[abroad], address=(*left[abroad].address[:3], COUNTRY))
    accounts = sum(len(one.ibans) for one in left.values())
    return TwoWayPicture(
        in_espocrm=left,
        in_advoware=right,
        akten={26_100: 40_100, 26_301: 40_301},
        matters={26_100: 40_100},
        tasks={abroad: 1},
        holds=(
            *(hold("beteiligte", subject, "ambiguous_match") for subject in sorted(LOOK_ALIKES)),
            hold("bankverbindungen", f"left:{changed}", "approval:bic+iban"),
            hold("beteiligte", f"left:{abroad}", "task:right:update:land"),
        ),
        counts={"beteiligte": PairCounts(active=18), "bankverbindungen": PairCounts(active=accounts)},
        paused=frozenset(),
    )


def judged(two_way: TwoWayPicture) -> list[Verdict]:
    """All verdicts."""
    return [*check_first_pass(two_way), *check_changes(two_way), *check_in_step(two_way)]


def in_espocrm(person: Person, **changed: Any) -> Callable[[TwoWayPicture], TwoWayPicture]:
    """The picture with a party that EspoCRM has otherwise."""
    key = person_record_id(person)

    def spoil(two_way: TwoWayPicture) -> TwoWayPicture:
        return replace(
            two_way, in_espocrm={**two_way.in_espocrm, key: replace(two_way.in_espocrm[key], **changed)}
        )

    return spoil


def in_advoware(person: Person, **changed: Any) -> Callable[[TwoWayPicture], TwoWayPicture]:
    """The picture with a party that Advoware has otherwise."""
    betnr = person_betnr(person)

    def spoil(two_way: TwoWayPicture) -> TwoWayPicture:
        return replace(
            two_way,
            in_advoware={**two_way.in_advoware, betnr: replace(two_way.in_advoware[betnr], **changed)},
        )

    return spoil


def without(mapping: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """The mapping less one key."""
    return {name: value for name, value in mapping.items() if name != key}


def test_a_tidy_picture_is_right() -> None:
    """Every expectation holds."""
    assert [one for one in judged(tidy()) if not one.is_ok] == []


def _without_new_account(two_way: TwoWayPicture) -> TwoWayPicture:
    betnr = NEW_NUMBERS[ONLY_IN_ESPOCRM[0]]
    party = replace(two_way.in_advoware[betnr], ibans=frozenset())
    return replace(two_way, in_advoware={**two_way.in_advoware, betnr: party})


WRONGS: dict[str, tuple[str, Callable[[TwoWayPicture], TwoWayPicture]]] = {
    "another name": ("agree on each", in_advoware(PERSONS[0], name=("X",))),
    "another town": ("agree on each", in_advoware(PERSONS[0], address=("X",))),
    "a number is missing": ("agree on each", in_advoware(PERSONS[0], phones=frozenset())),
    "no link": ("agree on each", lambda t: replace(t, counts={**t.counts, "beteiligte": PairCounts(active=17)})),
    "a party without counterpart": ("without its counterpart", in_espocrm(PERSONS[0], betnr=None)),
    "a look-alike is linked": (
        "without its counterpart", in_espocrm(TWICE_IN_ADVOWARE, betnr=person_betnr(TWICE_IN_ADVOWARE)),
    ),
    "a look-alike is not held": ("look alike are linked with nobody", lambda t: replace(t, holds=t.holds[1:])),
    "an account is missing": ("bank accounts", in_advoware(PERSONS[0], ibans=frozenset())),
    "an account is not linked": (
        "bank accounts", lambda t: replace(t, counts={**t.counts, "bankverbindungen": PairCounts(active=1)}),
    ),
    "a new party's account is missing": ("only EspoCRM had is at Advoware", _without_new_account),
    "no Akte": ("matters names the Akte", lambda t: replace(t, matters={26_100: None})),
    "another Akte": ("matters names the Akte", lambda t: replace(t, matters={26_100: 40_301})),
    "not made at Advoware": (
        "only EspoCRM had", lambda t: replace(t, in_advoware=without(t.in_advoware, 104_860)),
    ),
    "not made in EspoCRM": (
        "only Advoware had", lambda t: replace(t, in_espocrm=without(t.in_espocrm, "firm21002")),
    ),
    "the street was overwritten": ("for the same party", in_espocrm(MOVED, address=(MOVED.strasse,))),
    "the mobile number was lost": ("for the same party", in_advoware(MOVED, phones=frozenset())),
    "the edit of the outage was lost": ("waited for the connector", in_advoware(NEW_MAIL, emails=frozenset())),
    "the older address is still there": (
        "waited for the connector", in_advoware(NEW_MAIL, emails=frozenset({EMAIL.upper(), "X@Y"})),
    ),
    "the title did not come": ("changed in Advoware meanwhile", in_espocrm(NEW_TITLE, name=("X",))),
    "the IBAN went across": ("changed IBAN", in_advoware(NEW_ACCOUNT, ibans=frozenset({IBAN}))),
    "the IBAN was put back": ("changed IBAN", in_espocrm(NEW_ACCOUNT, ibans=frozenset())),
    "nobody is asked about the IBAN": ("changed IBAN", lambda t: replace(t, holds=t.holds[:3])),
    "no task": ("one task", lambda t: replace(t, tasks={})),
    "two tasks": ("one task", lambda t: replace(t, tasks={person_record_id(ABROAD): 2})),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONGS)
def test_each_thing_wrong_is_found(name: str) -> None:
    """Its own expectation fails."""
    about, spoil = WRONGS[name]
    failed = [one.says for one in judged(spoil(tidy())) if not one.is_ok]
    assert any(about in says for says in failed), failed


def told() -> TwoWayStory:
    """A story whose proxy, passes and last ledger are all as they must be."""
    visit = Visit(read=200, is_read_right=True, without_key=401, write=403, tricks=[400, 403])
    return TwoWayStory(
        Employee("http://127.0.0.1:1"),
        DagsterPasses("http://127.0.0.1:1"),
        Ledgers(()),
        "",
        lambda: None,
        runs=["a", "b"],
        visit=visit,
        tricks_that_got_through=[],
        quiet_writes=[],
        arrival_seconds=2.0,
    )


def test_a_story_told_well_is_right() -> None:
    """Every expectation holds."""
    assert [one for one in check_story_told(told()) if not one.is_ok] == []


@pytest.mark.parametrize(
    ("about", "spoiled"),
    [
        ("passes", {"failed_runs": ["b"]}),
        ("was at Advoware", {"arrival_seconds": None}),
        ("was at Advoware", {"arrival_seconds": 60.0}),
        ("passes a read on", {"visit": Visit(502, False, 401, 403, [400])}),
        ("passes a read on", {"visit": Visit(200, False, 401, 403, [400])}),
        ("passes a read on", {"visit": Visit(200, True, 200, 403, [400])}),
        ("refuses a write", {"visit": Visit(200, True, 401, 200, [400])}),
        ("tricks", {"visit": Visit(200, True, 401, 403, [400, 502])}),
        ("tricks", {"tricks_that_got_through": ["/relay/../Token"]}),
        ("writes nothing", {"quiet_writes": ["PUT /relay/api/v1/advonet/Beteiligte/{id}"]}),
    ],
)
def test_each_thing_told_wrong_is_found(about: str, spoiled: dict[str, Any]) -> None:
    """Its own expectation fails."""
    failed = [one.says for one in check_story_told(replace(told(), **spoiled)) if not one.is_ok]
    assert any(about in says for says in failed), failed


def test_an_offline_connector_counts_as_noticed_only_with_the_edit_waiting() -> None:
    """Advoware is left alone, the edit stands in EspoCRM and not at Advoware, and its work is still open."""
    after = tidy()
    betnr = person_betnr(NEW_MAIL)
    before = replace(after.in_advoware[betnr], emails=frozenset({"OLD@X"}))
    waiting = replace(after, in_advoware={**after.in_advoware, betnr: before}, paused=frozenset({"advoware"}))
    queue = {"beteiligte": StreamSummary(1, 0, 0, 0, None)}
    picture = replace(tidy_documents(), two_way=waiting, queue=queue)
    assert is_offline_noticed(picture)
    assert not is_offline_noticed(replace(picture, queue={}))
    assert not is_offline_noticed(replace(picture, two_way=replace(waiting, paused=frozenset())))
    assert not is_offline_noticed(replace(picture, two_way=replace(waiting, in_advoware=after.in_advoware)))
