"""Whether EspoCRM and Advoware are in step, and whether each act between them led to what it must: pure comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bitbylaw_pipeline.demo.expectations import Verdict, verdict
from bitbylaw_pipeline.demo.picture import Picture
from bitbylaw_pipeline.demo.proxy_visit import TRICKS
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
from bitbylaw_pipeline.inbox.two_way_desk import PairCounts
from bitbylaw_pipeline.sandbox.samples.advoware import ONLY_IN_ESPOCRM, SECOND_NUMBER, TWICE_IN_ADVOWARE
from bitbylaw_pipeline.sandbox.samples.matters import person_betnr, person_konto, person_record_id

ADVOWARE = "advoware"
ARRIVES_WITHIN_SECONDS = 60.0
"""Some 2 s where nothing else is to do; here a whole hour's work comes at once."""
LOOK_ALIKES = {
    f"left:{person_record_id(TWICE_IN_ADVOWARE)}",
    f"right:{person_betnr(TWICE_IN_ADVOWARE)}",
    f"right:{SECOND_NUMBER}",
}


def check_in_step(two_way: TwoWayPicture) -> list[Verdict]:
    """What holds once the systems can reach each other: every party, account and Akte agrees, save what waits."""
    return [
        verdict(
            f"EspoCRM and Advoware agree on each of {two_way.links} linked parties", list(_parties(two_way))
        ),
        verdict("no party is without its counterpart, but those that look alike", list(_unlinked(two_way))),
        verdict("the parties' bank accounts are the same on both sides", list(_accounts(two_way))),
        verdict(
            f"each of {len(two_way.matters)} matters names the Akte with its number", list(_akten(two_way))
        ),
    ]


def check_first_pass(two_way: TwoWayPicture) -> list[Verdict]:
    """What the first comparison must have come to."""
    new = [two_way.in_espocrm.get(person_record_id(person)) for person in ONLY_IN_ESPOCRM]
    made = [party for party in new if party and party.betnr in two_way.in_advoware]
    from_advoware = [
        party for party in two_way.in_espocrm.values() if party.betnr and 21_000 <= party.betnr < 22_000
    ]
    held = {one.subject for one in two_way.hold_of("beteiligte", "ambiguous_match")}
    accounts = {konto.iban for person in ONLY_IN_ESPOCRM if (konto := person_konto(person)) is not None}
    arrived = {iban for party in made if party.betnr for iban in two_way.in_advoware[party.betnr].ibans}
    return [
        Verdict(
            len(made) == len(ONLY_IN_ESPOCRM),
            f"{len(made)} parties that only EspoCRM had are at Advoware, each once",
        ),
        Verdict(
            bool(accounts) and accounts == arrived, "an account that only EspoCRM had is at Advoware, too"
        ),
        Verdict(
            len(from_advoware) == 3, f"{len(from_advoware)} parties that only Advoware had are in EspoCRM"
        ),
        Verdict(
            held == LOOK_ALIKES,
            "the parties that look alike are linked with nobody: a person says which one is meant",
            ", ".join(sorted(held ^ LOOK_ALIKES)),
        ),
    ]


def check_waiting(picture: Picture) -> list[Verdict]:
    """What must be seen while the connector is offline: the edit waits, nothing is lost, nothing hammers."""
    two_way, key = picture.two_way, person_record_id(NEW_MAIL)
    there = two_way.in_advoware[person_betnr(NEW_MAIL)].emails
    waits = picture.queue.get("beteiligte")
    return [
        Verdict(
            ADVOWARE in two_way.paused
            and EMAIL.upper() in two_way.in_espocrm[key].emails
            and EMAIL.upper() not in there
            and waits is not None
            and waits.waiting + waits.delayed > 0,
            "while the connector is offline an edit waits, and Advoware is left alone",
            key,
        )
    ]


def check_changes(two_way: TwoWayPicture) -> list[Verdict]:
    """What the changes of the busy hour and of the time without connector have led to."""
    return [*_crossed(two_way), *_kept_back(two_way)]


def check_story_told(story: TwoWayStory) -> Iterator[Verdict]:
    """The proxy's answers, and the last pass."""
    yield verdict(f"each of {len(story.runs)} passes over both systems ended well", story.failed_runs)
    seconds = story.arrival_seconds
    yield Verdict(
        seconds is not None and seconds < ARRIVES_WITHIN_SECONDS,
        f"an edit in EspoCRM was at Advoware {seconds or 0:.1f} s later",
        f"more than {ARRIVES_WITHIN_SECONDS:.0f} s",
    )
    if story.visit is None:
        yield Verdict(False, "the proxy was visited", "never")
    else:
        yield Verdict(
            story.visit.read == 200 and story.visit.is_read_right and story.visit.without_key == 401,
            "the proxy passes a read on, with a key and not without",
            f"{story.visit.read}, without key {story.visit.without_key}",
        )
        yield Verdict(
            story.visit.write == 403,
            "the proxy refuses a write: it is read-only unless told otherwise",
            str(story.visit.write),
        )
        yield Verdict(
            all(400 <= status < 500 for status in story.visit.tricks) and not story.tricks_that_got_through,
            f"the proxy refuses each of {len(TRICKS)} tricks, and none of them reaches Advoware",
            f"{list(story.visit.tricks)}, {len(story.tricks_that_got_through or ())} got through",
        )
    quiet_writes = ["no such pass was made"] if story.quiet_writes is None else story.quiet_writes
    yield verdict("a pass over what is in step writes nothing, by the ledgers of all three", quiet_writes)


def is_settled_busy(two_way: TwoWayPicture) -> bool:
    """True once the busy hour's changes have arrived: the street at Advoware, the hold, the task."""
    return all(one.is_ok for one in [*_kept_back(two_way), *check_in_step(two_way)]) and has_moved(two_way)


def is_offline_noticed(picture: Picture) -> bool:
    """True once Advoware is left alone and the edit waits."""
    return all(one.is_ok for one in check_waiting(picture))


def _crossed(two_way: TwoWayPicture) -> Iterator[Verdict]:
    number = compact(MOBILE)
    both = _both(two_way, person_record_id(MOVED))
    yield Verdict(
        has_moved(two_way) and all(number in one.phones for one in both),
        "a street from EspoCRM and a number from Advoware, for the same party: both are on both sides",
        person_record_id(MOVED),
    )
    both = _both(two_way, person_record_id(NEW_MAIL))
    yield Verdict(
        bool(both) and all(one.emails == {EMAIL.upper()} for one in both),
        "the edit that waited for the connector has arrived by itself, in place of the older value",
        person_record_id(NEW_MAIL),
    )
    both = _both(two_way, person_record_id(NEW_TITLE))
    yield Verdict(
        bool(both) and all(TITLE in one.name for one in both),
        "what changed in Advoware meanwhile came with the next pass",
        person_record_id(NEW_TITLE),
    )


def _kept_back(two_way: TwoWayPicture) -> Iterator[Verdict]:
    key, betnr = person_record_id(NEW_ACCOUNT), person_betnr(NEW_ACCOUNT)
    waiting = two_way.hold_of("bankverbindungen", "approval")
    yield Verdict(
        len(waiting) == 1
        and IBAN in two_way.in_espocrm[key].ibans
        and IBAN not in two_way.in_advoware[betnr].ibans,
        "a changed IBAN does not go across: it waits for a person's approval (bitbylaw resolve)",
        key,
    )
    key, betnr = person_record_id(ABROAD), person_betnr(ABROAD)
    yield Verdict(
        two_way.tasks.get(key) == 1 and two_way.in_advoware[betnr].address[-1] != COUNTRY,
        "what Advoware cannot take, an address's country, is one task for a person in EspoCRM",
        f"{key}: {two_way.tasks.get(key, 0)} tasks",
    )


def has_moved(two_way: TwoWayPicture) -> bool:
    """True once the street from EspoCRM is on both sides."""
    both = _both(two_way, person_record_id(MOVED))
    return bool(both) and all(one.address[0] == NEW_STREET for one in both)


def _both(two_way: TwoWayPicture, record_id: str) -> Sequence[Party]:
    left = two_way.in_espocrm.get(record_id)
    right = two_way.in_advoware.get(left.betnr) if left and left.betnr else None
    return (left, right) if left and right else ()


def _parties(two_way: TwoWayPicture) -> Iterator[str]:
    linked = [one for one in two_way.in_espocrm.values() if _both(two_way, one.id)]
    if len(linked) != two_way.links:
        yield f"{two_way.links} links, and {len(linked)} parties name their counterpart"
    for party in linked:
        left, right = _both(two_way, party.id)
        length = 3 if party.id == person_record_id(ABROAD) else 4
        if (left.name, left.address[:length]) != (right.name, right.address[:length]):
            yield f"{left.id}: name or address differ"
        if (left.phones, left.emails) != (right.phones, right.emails):
            yield f"{left.id}: numbers or mail addresses differ"


def _unlinked(two_way: TwoWayPicture) -> Iterator[str]:
    known = {party.betnr for party in two_way.in_espocrm.values()}
    alone = {f"left:{one.id}" for one in two_way.in_espocrm.values() if one.betnr not in two_way.in_advoware}
    alone |= {f"right:{betnr}" for betnr in two_way.in_advoware if betnr not in known}
    yield from sorted(alone ^ LOOK_ALIKES)


def _accounts(two_way: TwoWayPicture) -> Iterator[str]:
    for party in two_way.in_espocrm.values():
        if both := _both(two_way, party.id):
            left, right = (one.ibans for one in both)
            if left != right and party.id != person_record_id(NEW_ACCOUNT):
                yield f"{party.id}: {len(left)} in EspoCRM, {len(right)} at Advoware"
    linked = sum(len(one.ibans) for one in two_way.in_espocrm.values() if _both(two_way, one.id))
    counted = two_way.counts.get("bankverbindungen", PairCounts()).active
    if counted != linked:
        yield f"{counted} links, {linked} accounts of linked parties"


def _akten(two_way: TwoWayPicture) -> Iterator[str]:
    for number, named in two_way.matters.items():
        if named != two_way.akten.get(number):
            yield f"{number}: named {named}, is {two_way.akten.get(number)}"
