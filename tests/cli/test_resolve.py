"""`bitbylaw resolve`: an answer is stored once it is the right kind, about the values that were seen, and confirmed."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import Connection

from bitbylaw_pipeline.cli.hold_words import name_of
from bitbylaw_pipeline.inbox import events, two_way_desk, work_queue
from bitbylaw_pipeline.inbox.two_way_desk import HoldView
from tests.cli.conftest import Desk
from tests.servers import RedisServer

NEW_IBAN = "DE89370400440532013000"


def is_wanted(desk: Desk, stream: str, key: str) -> bool:
    """True if a batch will look at the record."""
    row = desk.database.read(lambda c: work_queue.get(c, stream, key))
    return row is not None and row.wanted > row.done


def decision(desk: Desk, hold: HoldView) -> str | None:
    """What was answered."""

    def read(connection: Connection) -> list[HoldView]:
        return two_way_desk.list_holds(connection, hold.pair, desk.database.cipher)

    found = next((one for one in desk.database.read(read) if one.hold_id == hold.hold_id), None)
    return found.decision.take if found and found.decision else None


def change_account(desk: Desk) -> HoldView:
    """A linked account gets another IBAN in EspoCRM; the hold that comes of it."""
    account = next(
        row for row in desk.office.espocrm("GET", "CBankverbindungen?maxSize=50")["list"] if row["advowareId"]
    )
    desk.office.espocrm("PUT", f"CBankverbindungen/{account['id']}", {"iban": NEW_IBAN, "bic": "COBADEFFXXX"})
    desk.run("pass", "bankverbindungen")
    return desk.hold("approval:bic+iban")


def test_a_record_is_linked_by_its_id(desk: Desk) -> None:
    """The trial says so and changes nothing; the answer wants the record, says who asked, and the next pass links."""
    hold = next(
        one
        for one in desk.database.read(lambda c: two_way_desk.list_holds(c, "beteiligte"))
        if one.subject.startswith("left:")
    )
    key = hold.subject.removeprefix("left:")
    trial = desk.run("resolve", hold.hold_id, "--take", "link:20003", "--dry-run")
    assert f"link left {key} with right 20003" in trial.output
    assert decision(desk, hold) is None
    assert not is_wanted(desk, "beteiligte", key)
    given = desk.run("resolve", hold.hold_id, "--take", "link:20003")
    assert given.exit_code == 0, given.output
    assert is_wanted(desk, "beteiligte", key)
    came = desk.database.read(lambda c: events.listing(c, entity_id=key, source="cli"))
    assert [(one.topic, one.entity_type) for one in came] == [("beteiligte.resolve", "CBeteiligte")]
    assert "answered link:20003" in desk.run("holds").output
    done = desk.run("sync", "beteiligte", key, "--here")
    assert "advoware_id: 20003" in done.output


def test_a_record_without_counterpart_in_espocrm_waits_for_the_pass(desk: Desk) -> None:
    """There is no key to want; the sentence says when it is carried out, and the pass does it."""
    hold = desk.hold("ambiguous_match", "right:20903")
    given = desk.run("resolve", hold.hold_id, "--take", "create")
    assert given.exit_code == 0
    assert "bitbylaw pass beteiligte" in given.output
    desk.run("pass", "beteiligte")
    assert any(row["betnr"] == 20903 for row in desk.office.espocrm("GET", "CBeteiligte?maxSize=100")["list"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--take", "left"), 2, "say create or link:ID"),
        (("--take", "link:"), 2, "say create or link:ID"),
        (("--take", "nonsense"), 2, "say create or link:ID"),
        (("--take", "link:20000"), 1, "linked with another record already"),
        (("--acknowledge",), 2, "waits for an answer"),
        ((), 2, "Say either --take"),
        (("--take", "create", "--acknowledge"), 2, "Say either --take"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    desk: Desk, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """One sentence that says what fits; nothing is stored."""
    hold = desk.hold("ambiguous_match", "right:20003") if "link:20000" not in arguments else None
    name = hold.hold_id if hold else _left_hold(desk)
    result = desk.run("resolve", name, *arguments)
    assert result.exit_code == code, result.output
    assert says in result.stderr
    assert "answered" not in desk.run("holds").output


def _left_hold(desk: Desk) -> str:
    found = desk.database.read(lambda c: two_way_desk.list_holds(c, "beteiligte"))
    return next(one.hold_id for one in found if one.subject.startswith("left:"))


def test_an_unknown_hold_is_told(desk: Desk) -> None:
    """It may have ended by itself."""
    result = desk.run("resolve", "000000000000", "--take", "left")
    assert result.exit_code == 1
    assert "There is no hold 000000000000" in result.stderr


def test_a_trial_looks_at_the_party_where_advoware_lists_none(desk: Desk) -> None:
    """What the answer would do to a linked party is said, though no list shows that party."""
    record = desk.office.party(20004)
    desk.office.espocrm("PUT", f"CBeteiligte/{record}", {"nachname": "Erst"})
    desk.office.sandbox.advoware.edit({"table": "beteiligte", "id": 20004, "set": {"name": "Rechts"}})
    desk.run("pass", "beteiligte")
    desk.office.sandbox.advoware.switches.update({"lists_beteiligte": False})
    name = name_of(desk.hold("conflict:name+vorname"))
    trial = desk.run("resolve", name, "--take", "left", "--dry-run", ADVOWARE_LISTS_BETEILIGTE="false")
    assert trial.exit_code == 0, trial.output
    assert "update on the right: name" in trial.output


def test_an_answer_about_values_that_have_changed_is_refused(desk: Desk) -> None:
    """The name of a hold stands for what was seen: without that part, or with an older one, nothing is stored."""
    record = desk.office.party(20004)
    desk.office.espocrm("PUT", f"CBeteiligte/{record}", {"nachname": "Erst"})
    edit = {"table": "beteiligte", "id": 20004, "set": {"name": "Rechts"}}
    desk.office.sandbox.advoware.edit(edit)
    desk.run("pass", "beteiligte")
    seen = desk.hold("conflict:name+vorname")
    desk.office.espocrm("PUT", f"CBeteiligte/{record}", {"nachname": "Dann"})
    desk.run("pass", "beteiligte")
    stale = desk.run("resolve", name_of(seen), "--take", "left")
    assert stale.exit_code == 1
    assert "have changed since you looked" in stale.stderr
    bare = desk.run("resolve", seen.hold_id, "--take", "left")
    assert bare.exit_code == 2
    assert "as bitbylaw holds shows it" in bare.stderr
    now = desk.hold("conflict:name+vorname")
    assert now.hold_id == seen.hold_id
    assert decision(desk, now) is None
    assert desk.run("resolve", name_of(now), "--take", "left").exit_code == 0
    desk.run("pass", "beteiligte")
    party = next(row for row in desk.office.sandbox.advoware.state()["beteiligte"] if row["betNr"] == 20004)
    assert party["name"] == "Dann"


def test_a_bank_account_is_confirmed_by_typing_the_hold(desk: Desk) -> None:
    """What would be done stands above the question, by field names; only the hold's name goes on."""
    hold = change_account(desk)
    name = name_of(hold)
    refused = desk.typed("yes\n", "resolve", name, "--take", "left")
    assert refused.exit_code == 1
    assert "task:right:update:bic+iban" in refused.output
    assert NEW_IBAN not in refused.output
    assert decision(desk, hold) is None
    given = desk.typed(f"{name}\n", "resolve", name, "--take", "left")
    assert given.exit_code == 0, given.output
    assert decision(desk, hold) == "left"
    assert is_wanted(desk, "bankverbindungen", hold.subject.removeprefix("left:"))


def test_an_unattended_answer_about_an_account_needs_yes(desk: Desk) -> None:
    """Without anybody to type, nothing is stored; --yes stands for it."""
    hold = change_account(desk)
    assert desk.typed("", "resolve", name_of(hold), "--take", "right").exit_code == 1
    assert decision(desk, hold) is None
    assert desk.run("resolve", name_of(hold), "--take", "right", "--yes").exit_code == 0
    assert decision(desk, hold) == "right"
    desk.run("pass", "bankverbindungen")
    rows = desk.office.espocrm("GET", "CBankverbindungen?maxSize=50")["list"]
    assert NEW_IBAN not in {row["iban"] for row in rows}


def test_the_values_are_shown_on_request(desk: Desk) -> None:
    """Those of the fields in question, of both sides as they are now."""
    hold = change_account(desk)
    shown = desk.run("resolve", name_of(hold), "--take", "left", "--dry-run", "--values").output
    assert shown.index("personal data") < shown.index(NEW_IBAN)
    assert "kontoinhaber" not in shown
    assert decision(desk, hold) is None


def test_a_notice_is_acknowledged(desk: Desk) -> None:
    """It takes no answer; once read it is gone."""
    desk.office.espocrm("DELETE", f"CBeteiligte/{desk.office.party(20008)}")
    desk.run("pass", "beteiligte")
    notice = desk.hold("unlinked:left_deleted")
    assert "use --acknowledge" in desk.run("resolve", notice.hold_id, "--take", "left").stderr
    assert "would be removed" in desk.run("resolve", notice.hold_id, "--acknowledge", "--dry-run").output
    assert desk.run("resolve", notice.hold_id, "--acknowledge").exit_code == 0
    assert "0 notices" in desk.run("holds").output


def test_a_hold_that_only_the_world_can_end_takes_no_answer(desk: Desk) -> None:
    """The approved account becomes a task for a person; the sentence says what ends it."""
    hold = change_account(desk)
    desk.run("resolve", name_of(hold), "--take", "left", "--yes")
    desk.run("pass", "bankverbindungen")
    task = desk.hold("task:right:update:bic+iban")
    result = desk.run("resolve", name_of(task), "--take", "left")
    assert result.exit_code == 1
    assert "do it there by hand" in result.stderr


def test_a_waiting_batch_is_woken(desk: Desk) -> None:
    """With Redis the answer is carried out at once."""
    server = RedisServer()
    server.start()
    try:
        with redis.Redis(host=server.host, port=server.port) as client, client.pubsub() as heard:
            heard.psubscribe("*")
            assert heard.get_message(timeout=5) is not None  # the subscription's own
            with_redis = {"REDIS_HOST": server.host, "REDIS_PORT": str(server.port)}
            given = desk.run("resolve", _left_hold(desk), "--take", "link:20003", **with_redis)
            assert given.exit_code == 0, given.output
            message = heard.get_message(timeout=5)
    finally:
        server.stop()
    assert message is not None
    assert b"beteiligte" in message["channel"]
