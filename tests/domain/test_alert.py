"""When a person is told, and when not again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.alert import (
    ENDED_AFTER_SECONDS,
    GAP_SECONDS,
    Alert,
    Message,
    Trouble,
    TroubleKind,
    follow,
    ids_in_words,
    note_told,
    plan_message,
)

DAY = 86_400.0
MAIL = "mail"


def trouble(subject: str = "documents/too_large", size: int = 1) -> Trouble:
    """Something parked."""
    return Trouble(TroubleKind.PARKED, subject, f"{size} of {subject}", "look", "http://ui/", size)


@dataclass
class Desk:
    """Alerts through time, with one channel that never fails unless told to."""

    now: float = 1_000_000.0
    alerts: list[Alert] = field(default_factory=list)
    since: float = 0.0

    def look(self, *troubles: Trouble, after: float = 60.0, works: bool = True) -> Message | None:
        """One tick so many seconds later; returns what the channel was told."""
        self.now += after
        ended = [alert for alert in self.alerts if alert.ended_at is not None]
        going = [alert for alert in self.alerts if alert.ended_at is None]
        followed = follow(troubles, going, self.now)
        names = {alert.name for alert in followed}
        self.alerts = [*followed, *(alert for alert in ended if alert.name not in names)]
        message = plan_message(self.alerts, MAIL, self.now, DAY, self.since)
        if message is None or not works:
            return None
        said = {alert.name for alert in message.alerts}
        self.alerts = [
            note_told(alert, MAIL, self.now) if alert.name in said else alert for alert in self.alerts
        ]
        return message


def subjects(alerts: Sequence[Alert]) -> list[str]:
    """What they are about."""
    return [alert.trouble.subject for alert in alerts]


def test_a_clock_that_was_ahead_and_was_put_right_keeps_nothing_back() -> None:
    """What was told in what is the future now silences no further trouble, and what is over ends."""
    desk = Desk()
    assert desk.look(trouble()) is not None
    found = desk.look(trouble(), trouble("run"), after=-DAY)
    assert found is not None
    assert subjects(found.new) == ["run"]
    desk = Desk()
    assert desk.look(trouble()) is not None
    desk.look(after=-DAY)
    assert [alert.ended_at for alert in desk.alerts] == [desk.now]


def test_it_is_told_once_and_again_after_a_day() -> None:
    """New at the first look, silence while it lasts, told again after the time set, with the figures of then."""
    desk = Desk()
    first = desk.look(trouble(size=3))
    assert first is not None
    assert (subjects(first.new), first.lasting, first.ended) == (["documents/too_large"], [], [])
    assert all(desk.look(trouble(size=4)) is None for _ in range(30))
    again = desk.look(trouble(size=5), after=DAY)
    assert again is not None
    assert (again.new, subjects(again.lasting)) == ([], ["documents/too_large"])
    assert "5 of documents/too_large" in again.text
    assert again.key != first.key
    assert desk.look(trouble(size=5)) is None


def test_only_tenfold_growth_is_news() -> None:
    """Nine more of the same are not; ten times as many are, once."""
    desk = Desk()
    desk.look(trouble(size=2))
    assert desk.look(trouble(size=19), after=1000) is None
    grown = desk.look(trouble(size=20), after=1000)
    assert grown is not None
    assert subjects(grown.new) == ["documents/too_large"]
    assert desk.look(trouble(size=25), after=1000) is None


def test_another_reason_is_news() -> None:
    """A second reason is told by itself, without the first one."""
    desk = Desk()
    desk.look(trouble())
    message = desk.look(trouble(), trouble("documents/no_access"), after=GAP_SECONDS)
    assert message is not None
    assert subjects(message.alerts) == ["documents/no_access"]


def test_its_end_is_told_once() -> None:
    """After it has been away for a quarter of an hour; and a return after that is new."""
    desk = Desk()
    desk.look(trouble())
    assert desk.look() is None
    ended = desk.look(after=ENDED_AFTER_SECONDS)
    assert ended is not None
    assert (ended.new, subjects(ended.ended)) == ([], ["documents/too_large"])
    assert "look" not in ended.text, "there is nothing left to do about it"
    assert desk.look(after=DAY) is None
    back = desk.look(trouble(), after=DAY)
    assert back is not None
    assert subjects(back.new) == ["documents/too_large"]


def test_flapping_is_told_once() -> None:
    """What comes and goes within a quarter of an hour is one trouble: neither its ends nor its returns are told."""
    desk = Desk()
    assert desk.look(trouble()) is not None
    for _ in range(10):
        assert desk.look(after=400) is None
        assert desk.look(trouble(), after=400) is None


def test_what_comes_and_goes_while_the_channel_fails_is_told_as_over() -> None:
    """Nothing is swallowed; a channel that was set up later is not told of what was before it."""
    desk = Desk()
    desk.look(trouble(), works=False)
    desk.look(after=ENDED_AFTER_SECONDS, works=False)
    message = desk.look()
    assert message is not None
    assert subjects(message.ended) == ["documents/too_large"]
    later = Desk()
    later.look(trouble(), works=False)
    later.look(after=ENDED_AFTER_SECONDS, works=False)
    later.since = later.now + 1
    assert later.look() is None


def test_failing_channel_is_told_the_same_under_the_same_key() -> None:
    """A receiver that got it all the same can see that it is one and the same message."""
    alerts = follow([trouble()], [], 1000.0)
    planned = [plan_message(alerts, MAIL, now, DAY, 0.0) for now in (1000.0, 2000.0)]
    assert planned[0] is not None
    assert planned[1] is not None
    assert planned[0].key == planned[1].key
    other = plan_message(alerts, "webhook", 1000.0, DAY, 0.0)
    assert other is not None
    assert other.key != planned[0].key


def test_one_outage_is_not_a_message_a_minute() -> None:
    """What shows within five minutes of a message waits for the next one, and comes together."""
    desk = Desk()
    desk.look(trouble("a"))
    assert desk.look(trouble("a"), trouble("b")) is None
    assert desk.look(trouble("a"), trouble("b"), trouble("c")) is None
    message = desk.look(trouble("a"), trouble("b"), trouble("c"), after=GAP_SECONDS)
    assert message is not None
    assert subjects(message.new) == ["b", "c"]


def test_reminders_come_together() -> None:
    """Two that began hours apart are told again in one message, and stay together."""
    desk = Desk()
    desk.look(trouble("a"))
    desk.look(trouble("a"), trouble("b"), after=DAY / 3)
    message = desk.look(trouble("a"), trouble("b"), after=DAY * 2 / 3)
    assert message is not None
    assert subjects(message.lasting) == ["a", "b"]
    assert desk.look(trouble("a"), trouble("b"), after=DAY / 2) is None


def test_long_lists_are_cut_and_counted() -> None:
    """Ten ids, twenty lines; the rest as a number."""
    assert ids_in_words([f"d{number}" for number in range(10)], 1234).endswith("d9 and 1224 more")
    assert ids_in_words(["a", "b"]) == "a, b"
    message = Desk().look(*(trouble(f"stream/{number:02}") for number in range(25)))
    assert message is not None
    assert message.summary == "25 new"
    assert "and 5 more" in message.text
    assert message.text.count("- 1 of stream/") == 20


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.floats(60, 3600), st.booleans()), max_size=40))
def test_nothing_is_lost_and_nothing_told_twice(story: list[tuple[set[str], float, bool]]) -> None:
    """Whatever comes and goes and however the channel fails: each is told as new a second time only after it was away
    for a quarter of an hour, and working looks at the end leave nothing untold."""
    desk = Desk()
    seen: dict[str, float] = {}
    was_away: set[str] = set()
    told: set[str] = set()
    quiet: tuple[set[str], float, bool] = (set(), 2 * ENDED_AFTER_SECONDS, True)
    for there, after, works in [*story, quiet, quiet]:
        message = desk.look(*(trouble(name) for name in sorted(there)), after=after, works=works)
        was_away |= {name for name, at in seen.items() if desk.now - at >= ENDED_AFTER_SECONDS}
        seen |= dict.fromkeys(there, desk.now)
        new = set(subjects(message.new)) if message else set()
        assert not (new & told) - was_away
        told |= new
        was_away -= new
    assert {alert.trouble.subject for alert in desk.alerts} == set(seen)
    assert all(MAIL in alert.told and alert.ended_at is not None for alert in desk.alerts)
