"""I21: what an adapter says that a calendar keeps is what it keeps, and nothing else moves; over HTTP."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.domain.errors import Conflict, NotFound
from bitbylaw_pipeline.domain.event_text import plain_text
from bitbylaw_pipeline.domain.termin_kind import MASKED, TITLES, TerminKind
from bitbylaw_pipeline.domain.termin_times import all_day, from_berlin, timed
from bitbylaw_pipeline.domain.two_way_link import Record, Settled
from bitbylaw_pipeline.sync.termine_advoware import AdvowareTermineSide
from bitbylaw_pipeline.sync.termine_google import GoogleTermineSide
from bitbylaw_pipeline.sync.termine_policy import FIELDS, TEXTS, WHEN, termine_policy
from bitbylaw_pipeline.sync.two_way_adapter import Taken
from tests.sync.termine.office import Office, calendar_of, in_office

LAWS = settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes, each example is an office
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count()
POLICY = termine_policy(masks=False)
OWN = {"sb": "SK", "nr": 7, "erinnerung": 15, "optionalAttendees": "XY", "privat": 0}
BESIDE = {"colorId": "7", "transparency": "transparent", "reminders": {"useDefault": False, "overrides": []}}

_letters = st.sampled_from("aäöüßÄéO Zz-.'&/0123456789,;:()\u00a0")
LINE = st.text(_letters, max_size=30) | st.none() | st.just("x" * 900) | st.just("a < b > c & d")
MARKUP = st.sampled_from(
    [
        "<p>Vollmacht</p><p>mit&nbsp;bringen</p>",
        "eins<br>zwei",
        "&lt;b&gt; &amp; co",
        "a\r\nb\rc\n\n d ",
        "L" * 5000,
    ]
)
LINES = st.lists(st.text(_letters, max_size=12), max_size=4).map("\r\n".join) | st.none() | MARKUP
_NIGHTS = [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
_begins = st.integers(0, 330 * 24 * 60).map(lambda n: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=n))
_begins |= st.builds(
    lambda night, minutes: night + timedelta(minutes=minutes),
    st.sampled_from(_NIGHTS),
    st.integers(-120, 300),
)
TIMED = st.builds(
    lambda begin, minutes: timed(begin, begin + timedelta(minutes=minutes)), _begins, st.integers(1, 4000)
)
WHOLE = st.builds(
    lambda day, more: all_day(day, day + timedelta(days=more)),
    st.dates(date(2026, 3, 1), date(2027, 2, 1)),
    st.integers(0, 20),
)
FIELDS_OF = st.builds(
    lambda times, text, notiz, ort: {
        "text": text, "notiz": notiz, "ort": ort, "start": times.start, "end": times.end,
        "ganztags": times.is_all_day, "serie": None, "art": TerminKind.TERMIN.value,
    },
    TIMED | WHOLE, LINE, LINES, LINE,
)  # fmt: skip
"""An appointment as the other calendar may hand it over."""
PATCHES = st.sets(st.sampled_from(["text", "notiz", "ort", "when"]), min_size=1)


@contextlib.asynccontextmanager
async def _unlocked(fr_nr: int) -> AsyncIterator[bool]:
    assert fr_nr > 0
    yield True


def advoware_side(office: Office) -> AdvowareTermineSide:
    """AB's Termine."""
    rules = office.pairs.rules
    window = rules.window(office.clock())
    return AdvowareTermineSide(office.pairs.termine, "AB", window, rules.fristen, _unlocked)


def google_side(office: Office) -> GoogleTermineSide:
    """AB's calendar."""
    calendar = office.pairs.google.calendar(office.pairs.calendars["AB"].user, calendar_of("AB"))
    pairs = office.pairs
    return GoogleTermineSide(calendar, pairs.mirror("AB"), pairs.pair("AB"), masks=pairs.rules.masks)


def handed_over(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As the engine hands it to Advoware: Google's side has read the notes as plain text, and trimmed the rest."""
    texts = {name: (fields[name] or "").strip() or None for name in ("text", "ort")}
    return {**fields, **texts, "notiz": plain_text(fields["notiz"])}


def chosen(fields: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The patch of these units."""
    when = {name: fields[name] for name in ("start", "end", "ganztags")} if "when" in names else {}
    return {**{name: fields[name] for name in TEXTS if name in names}, **when}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields in which they differ, as far as the policy can tell values apart."""
    return {
        name: (found.get(name), value)
        for name, value in wanted.items()
        if POLICY.field(name).canonical(found.get(name)) != POLICY.field(name).canonical(value)
    }


def put_all(side: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the side says that it keeps of them; put(put(x)) is put(x)."""
    kept = {name: side.put(name, value) for name, value in fields.items()}
    assert {name: side.put(name, value) for name, value in kept.items()} == kept
    return kept


async def assert_seen(side: Any, record: Record) -> None:
    """Read by itself and in the list it is the same."""
    assert await side.get(record.id) == record
    seen = await side.observe({record.id: Settled(None, record.fields)})
    assert seen.complete
    assert seen.items[record.id].fields == record.fields


async def assert_refused(side: Any, stale: Record, patch: Mapping[str, Any], present: Record) -> None:
    """Planned against what stands there no longer, nothing is written."""
    with pytest.raises(Conflict):
        await side.update(stale, patch, "n9")
    with pytest.raises(Conflict):
        await side.delete(stale)
    assert await side.get(present.id) == present


async def assert_gone(side: Any, record: Record) -> None:
    """Deleted it is not there; deleting it once more is no fault but NotFound."""
    await side.delete(record)
    assert await side.get(record.id) is None
    assert record.id not in (await side.observe({record.id: Settled(None, record.fields)})).items
    with contextlib.suppress(NotFound):
        await side.delete(record)


ORIGIN = Record(id="501", fields={})


def surfaces() -> pytest.MarkDecorator:
    """Both of Advoware's."""
    return pytest.mark.parametrize("surface", list(Surface))


@surfaces()
@LAWS
@given(given_=st.lists(st.tuples(FIELDS_OF, FIELDS_OF, PATCHES), min_size=2, max_size=3))
def test_advoware_keeps_what_put_says(tmp_path: Path, surface: Surface, given_: list[Any]) -> None:
    """read(write(x)) is put(x); get and the list show it; nothing else moves; stale is refused; deleted is gone."""

    async def story(office: Office) -> None:
        side = advoware_side(office)
        for fields, later, names in given_:
            first = handed_over(fields)
            kept = put_all(side, first)
            made = await side.create("right:e1:g0", {name: kept[name] for name in first}, "n1", ORIGIN)
            assert isinstance(made, Record)
            assert differences(made.fields, kept) == {}
            await assert_seen(side, made)
            number = int(made.id)
            assert office.at_advoware(number)["anwalt"] == "AB"
            office.edit_termin(number, **OWN)
            fresh = await side.get(made.id)
            assert fresh is not None
            patch = put_all(side, chosen(handed_over(later), names))
            after = await side.update(fresh, patch, "n2")
            assert differences(after.fields, {**kept, **patch}) == {}
            await assert_seen(side, after)
            assert {name: office.at_advoware(number)[name] for name in OWN} == OWN
            office.edit_termin(number, text="Von Hand", uhrzeitVon="07:07:00")
            by_hand = await side.get(made.id)
            assert by_hand is not None
            await assert_refused(side, after, {"text": "Zu spät"}, by_hand)
            await assert_gone(side, by_hand)

    in_office(tmp_path / str(_fresh(tmp_path)), story, surface=surface)


@pytest.mark.parametrize(
    ("masks", "form"), [(False, "as_written"), (False, "html"), (False, "crlf"), (True, "html")]
)
@LAWS
@given(given_=st.lists(st.tuples(FIELDS_OF, FIELDS_OF, PATCHES), min_size=2, max_size=3))
def test_google_keeps_what_put_says(tmp_path: Path, masks: bool, form: str, given_: list[Any]) -> None:
    """read(write(x)) is put(x), with masks and without; one key makes one event; nothing else moves; stale is refused."""

    async def story(office: Office) -> None:
        office.google.switches.update({"description_form": form})
        side = google_side(office)
        for number, (fields, later, names) in enumerate(given_):
            key = f"left:{number}:g0"
            kept = put_all(side, fields)
            made = await side.create(key, kept, "n1", ORIGIN)
            assert isinstance(made, Record)
            assert differences(made.fields, kept) == {}
            assert (made.claim, made.partner, made.nonce) == (key, "501", "n1")
            await assert_seen(side, made)
            again = await side.create(key, put_all(side, later), "n2", ORIGIN)
            assert again == Taken(made.id, is_alive=True) == await side.find_by_key(key)
            office.edit_google(
                "edit", {"id": made.id}, set={**BESIDE, "extendedProperties": {"private": {"x": "y"}}}
            )
            fresh = await side.get(made.id)
            assert fresh is not None
            patch = put_all(side, chosen(later, names))
            after = await side.update(fresh, patch, "n3")
            assert differences(after.fields, {**kept, **patch}) == {}
            assert (after.claim, after.partner, after.nonce) == (key, "501", "n3")
            await assert_seen(side, after)
            (event,) = [one for one in office.events() if one["id"] == made.id]
            assert {name: event.get(name) for name in BESIDE} == BESIDE
            assert event["extendedProperties"]["private"]["x"] == "y"
            office.edit_google("edit", event, set={"summary": "Von Hand"})
            by_hand = await side.get(made.id)
            assert by_hand is not None
            await assert_refused(side, after, put_all(side, {"text": "Zu spät"}), by_hand)
            await assert_gone(side, by_hand)
            assert await side.create(key, kept, "n4", ORIGIN) == Taken(made.id, is_alive=False)
        assert office.google.state()["mails"] == []

    in_office(tmp_path / str(_fresh(tmp_path)), story, masks=masks)


KINDS = [
    (TerminKind.FRIST, None, "Frist Berufung"),
    (TerminKind.SERIE, "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260629T073000Z", "Jour fixe"),
    (TerminKind.SERIE, "RRULE:FREQ=MONTHLY;INTERVAL=2", "Quartal"),
]


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize(("kind", "rule", "title"), KINDS)
def test_google_keeps_fristen_and_series(
    tmp_path: Path, masks: bool, kind: TerminKind, rule: str | None, title: str
) -> None:
    """Kind and rule come back as they were sent, in both halves of the year; a series can become an ordinary one."""

    async def story(office: Office) -> None:
        side = google_side(office)
        for day in (date(2026, 3, 16), date(2026, 7, 13)):
            begin = from_berlin(day, datetime.min.time().replace(hour=9, minute=30))
            times = timed(begin, begin + timedelta(hours=1))
            fields = {
                "text": title, "notiz": "x", "ort": None, "start": times.start, "end": times.end, "ganztags": False,
                "serie": rule, "art": kind.value,
            }  # fmt: skip
            kept = put_all(side, fields)
            made = await side.create(f"left:{day}:g0", kept, "n1", ORIGIN)
            assert isinstance(made, Record)
            assert made.fields == kept
            await assert_seen(side, made)
            shown = next(one for one in office.events() if one["id"] == made.id)
            assert shown["summary"] == (TITLES[kind] if masks else title)
            plain = {"serie": None, "art": TerminKind.TERMIN.value}
            if masks:
                assert made.fields["text"] == MASKED
            after = await side.update(made, plain, "n2")
            assert after.fields == {**kept, **plain}
            await assert_seen(side, after)
            await assert_gone(side, after)

    in_office(tmp_path, story, masks=masks)


@surfaces()
def test_advoware_shows_fristen_and_series_as_what_they_are(tmp_path: Path, surface: Surface) -> None:
    """Kind and rule are read alike on both surfaces, from the list and by number."""

    async def story(office: Office) -> None:
        side = advoware_side(office)
        office.termin(501, text="Frist Berufung")
        office.termin(502, "2026-03-16", dauertermin=1, turnus=1, turnusArt=2, datumBis="2026-06-29")
        office.termin(503, "2026-03-16", dauertermin=1, turnus=2, turnusArt=1, datumBis="2037-12-31")
        seen = (await side.observe({})).items
        assert {key: (one.fields["art"], one.fields["serie"]) for key, one in seen.items()} == {
            "501": ("frist", None),
            "502": ("serie", "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20260629T073000Z"),
            "503": ("serie", "RRULE:FREQ=DAILY;INTERVAL=2"),
        }
        for record in seen.values():
            assert set(record.fields) == set(FIELDS)
            await assert_seen(side, record)

    in_office(tmp_path, story, surface=surface)


def test_the_side_itself_masks_whatever_it_is_given(tmp_path: Path) -> None:
    """Where somebody forgot to ask what Google would keep, it is told no more for that: in a new event and in a patch."""

    async def story(office: Office) -> None:
        office.termin(501, text="Käthe", notiz="Müßig", ort="Rosenstraße")
        side, record = google_side(office), await advoware_side(office).get("501")
        assert record is not None
        made = await side.create("left:501:g0", record.fields, "n1", record)
        assert isinstance(made, Record)
        await side.update(made, {name: record.fields[name] for name in TEXTS}, "n2")
        event = office.event_of(501)
        assert [event.get(name) for name in ("summary", "description", "location")] == ["Termin", None, None]

    in_office(tmp_path, story, masks=True)


@surfaces()
def test_what_advoware_makes_up_is_not_in_the_list(tmp_path: Path, surface: Surface) -> None:
    """G32: a negative number is neither shown nor withheld: nothing can be planned for it."""

    async def story(office: Office) -> None:
        office.termin(501, vortermin=15, hinfahrt=30, rueckfahrt=30)
        office.termin(-77, text="Urlaub")
        seen = await advoware_side(office).observe({})
        assert (set(seen.items), dict(seen.withheld)) == ({"501"}, {})

    in_office(tmp_path, story, surface=surface)


@surfaces()
def test_what_is_made_private_meanwhile_is_neither_changed_nor_deleted(
    tmp_path: Path, surface: Surface
) -> None:
    """G33: between plan and write its owner has made it private: refused, and it stays as it is."""

    async def story(office: Office) -> None:
        side = advoware_side(office)
        office.termin(501)
        planned = await side.get("501")
        assert planned is not None
        office.edit_termin(501, privat=1)
        row = office.at_advoware(501)
        with pytest.raises(Conflict):
            await side.update(planned, {"ort": "Saal 3"}, "n1")
        with pytest.raises(Conflict):
            await side.delete(planned)
        assert office.at_advoware(501) == row

    in_office(tmp_path, story, surface=surface)


@surfaces()
def test_a_termin_that_is_no_longer_ours_is_gone_for_us_alone(tmp_path: Path, surface: Surface) -> None:
    """Its employee was taken off it: not there for us, refused, and untouched for the others."""

    async def story(office: Office) -> None:
        side = advoware_side(office)
        office.termin(501, anwalt="AB,CD")
        planned = await side.get("501")
        assert planned is not None
        office.edit_termin(501, anwalt="CD")
        row = office.at_advoware(501)
        assert await side.get("501") is None
        with pytest.raises(NotFound):
            await side.delete(planned)
        assert office.at_advoware(501) == row

    in_office(tmp_path, story, surface=surface)


def test_the_times_are_one_unit(tmp_path: Path) -> None:
    """A patch of the end alone carries the begin along, on both sides."""

    async def story(office: Office) -> None:
        office.termin(501)
        left, right = advoware_side(office), google_side(office)
        before = await left.get("501")
        assert before is not None
        patch = {"end": "2026-03-20T11:00:00Z"}
        after = await left.update(before, patch, "n1")
        made = await right.create("left:501:g0", put_all(right, before.fields), "n1", before)
        assert isinstance(made, Record)
        moved = await right.update(made, patch, "n2")
        for one in (after, moved):
            assert {name: one.fields[name] for name in WHEN} == {
                "start": "2026-03-20T08:30:00Z",
                "end": "2026-03-20T11:00:00Z",
                "ganztags": False,
                "serie": None,
            }

    in_office(tmp_path, story)


def _fresh(folder: Path) -> int:
    number = next(_numbers)
    (folder / str(number)).mkdir()
    return number
