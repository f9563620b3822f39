"""From what is wrong in the state to a person's mail and webhook: once, by each channel for itself, and nothing personal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from bitbylaw_pipeline.clients.mail import Mail, MailServer
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.inbox import alerts, outages, reconciliations, run_leases, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.outages import REFUSED
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.alert_channels import MailChannel, channels_of, why_incomplete
from bitbylaw_pipeline.sync.alerting import AlertingReport, tell_test, tell_troubles
from bitbylaw_pipeline.sync.troubles import FailedRuns
from tests.conftest import ENCRYPTION_KEY, FakeClock
from tests.mail_server import MailBox, dripping_server, mail_server
from tests.web_listener import Listener, web_listener

PERSON = "Annegret Musterfrau"
HOUR = 3600.0


@dataclass(slots=True)
class Firm:
    """A state, a mail server and a webhook listener."""

    database: Database
    clock: FakeClock
    box: MailBox
    listener: Listener

    def settings(self, **changed: Any) -> Settings:
        """Both channels set up."""
        given = {
            "alert_email_to": "office@kanzlei.example",
            "alert_email_from": "pipeline@kanzlei.example",
            "smtp_host": "127.0.0.1",
            "smtp_port": self.box.port,
            "smtp_security": "none",
            "alert_webhook_url": self.listener.url,
            "ui_public_url": "https://dagster.kanzlei.example",
            **changed,
        }
        return Settings.load(_env_file=None, **given)

    def tick(self, after: float = 60.0, failed: Sequence[FailedRuns] = (), **changed: Any) -> AlertingReport:
        """One look, so many seconds later."""
        self.clock.advance(after)
        settings = self.settings(**changed)
        return asyncio.run(tell_troubles(self.database, settings, channels_of(settings), failed))

    def park(self, *keys: str, reason: str = "too_large", stream: str = "documents") -> None:
        """Sets work aside, with a person's name in the error's text."""
        now = self.clock()
        self.database.run_sync(lambda c: work_queue.want(c, now, stream, keys))
        claims = self.database.run_sync(
            lambda c: work_queue.claim(c, now, stream, limit=1000, lease_seconds=60, keys=keys)
        )
        for claim in claims:
            error = f"Permanent: {PERSON}.pdf is too large"
            self.database.run_sync(
                partial(work_queue.park, now=now, claimed=claim, reason=reason, error=error)
            )

    def replay(self) -> None:
        """Sets all of it going again, and does it."""
        now = self.clock()
        self.database.run_sync(lambda c: work_queue.replay(c, now))
        claims = self.database.run_sync(
            lambda c: work_queue.claim(c, now, "documents", limit=1000, lease_seconds=60)
        )
        self.database.run_sync(lambda c: work_queue.complete(c, now, claims))

    def texts(self) -> list[str]:
        """The mails' texts."""
        return [mail.get_content() for mail in self.box.mails]


@pytest.fixture
def firm(database: Database, clock: FakeClock) -> Iterator[Firm]:
    """On both databases."""
    with mail_server() as box, web_listener() as listener:
        yield Firm(database, clock, box, listener)


def test_nothing_wrong_nothing_told(firm: Firm) -> None:
    """A quiet firm gets no mail."""
    assert firm.tick().says == "0 open. Nothing to tell."
    assert not firm.box.mails
    assert not firm.listener.bodies


def test_parked_work_is_one_trouble_by_reason_with_what_to_do(firm: Firm) -> None:
    """Twelve files that are too large are one line with ten ids, the command and the page; both channels get it."""
    firm.park(*(f"d{number:02}" for number in range(12)))
    firm.park("e1", reason="no_access")
    firm.tick()
    (mail,) = firm.box.mails
    assert mail["Subject"] == "bitbylaw: 2 new"
    (text,) = firm.texts()
    assert "12 of documents are set aside (too_large): d00, d01, " in text
    assert "d09 and 2 more." in text
    assert "bitbylaw inbox replay --stream documents --reason too_large" in text
    assert "https://dagster.kanzlei.example/assets/xai/collection_documents" in text
    (body,) = firm.listener.bodies
    assert [(one["state"], one["kind"], one["subject"], one["count"]) for one in body["alerts"]] == [
        ("new", "parked", "documents/no_access", 1),
        ("new", "parked", "documents/too_large", 12),
    ]
    assert body["text"].startswith("bitbylaw: 2 new\n")


def test_what_lasts_is_told_again_after_the_hours_set_and_its_end_once(firm: Firm) -> None:
    """One mail, silence, a reminder after ALERT_REPEAT_HOURS, one at the end."""
    firm.park("d1")
    firm.tick()
    for _ in range(5):
        firm.park("d2")
        assert firm.tick(HOUR, alert_repeat_hours=8).told == {}
    firm.tick(4 * HOUR, alert_repeat_hours=8)
    assert [mail["Subject"] for mail in firm.box.mails] == ["bitbylaw: 1 new", "bitbylaw: 1 not over yet"]
    firm.replay()
    firm.tick()
    firm.tick(900)
    assert firm.box.mails[-1]["Subject"] == "bitbylaw: 1 over"
    assert firm.tick(24 * HOUR).told == {}
    assert len(firm.box.mails) == len(firm.listener.bodies) == 3
    assert len(set(firm.listener.keys)) == 3


def test_no_error_text_and_no_foreign_reason_leaves_the_house(firm: Firm) -> None:
    """The name in the parked rows' errors, in a reconciliation's, in an outage's and in a reason is in no message, and not
    in the table either."""
    firm.park("d1")
    firm.park("d2", reason=f"because of {PERSON}")
    error = Unexpected(f"the list of {PERSON} is empty")
    firm.database.run_sync(lambda c: reconciliations.note_failed(c, firm.clock(), "documents", error))
    firm.database.run_sync(lambda c: outages.pause(c, firm.clock(), "espocrm", 9e9, f"fault of {PERSON}"))
    firm.tick(HOUR)
    sent = str(firm.texts()) + str(firm.listener.bodies) + str(firm.database.read(alerts.open_ones))
    assert "2 new" not in sent
    assert "Musterfrau" not in sent
    assert "documents are set aside (unknown)" in sent or "documents is set aside (unknown)" in sent
    assert "The reconciliation of documents failed (Unexpected)." in sent
    assert "espocrm has been down for 60 min" in sent


def test_system_is_told_once_it_is_long_down_and_a_refused_key_at_once(firm: Firm) -> None:
    """A short outage is nobody's trouble."""
    firm.database.run_sync(lambda c: outages.pause(c, firm.clock(), "espocrm", 9e9, "does not answer"))
    firm.database.run_sync(lambda c: outages.pause(c, firm.clock(), "xai-files", 9e9, REFUSED))
    firm.tick(20 * 60)
    firm.tick(15 * 60)
    kinds = [[(one["kind"], one["subject"]) for one in body["alerts"]] for body in firm.listener.bodies]
    assert kinds == [[("credential_rejected", "xai-files")], [("system_down", "espocrm")]]


def test_drift_is_told_with_what_became_of_it(firm: Firm) -> None:
    """Counts by class, what was wanted and what waits; a later one that finds nothing ends it."""
    now = firm.clock()

    def note(**counts: int) -> None:
        firm.database.run_sync(
            lambda c: reconciliations.note_ended(
                c, now, "documents", begun_at=now, listed={}, counts=counts, wanted=3, withheld=4
            )
        )

    note(missing=3, orphaned=4, stale_hash=0)
    firm.tick()
    assert (
        "The last reconciliation of documents found 7 differing (missing 3, orphaned 4); 3 put into the queue, "
        "4 waiting for an approval." in firm.texts()[0]
    )
    assert "approve-deletes" in firm.texts()[0]
    note(missing=0)
    firm.tick()
    firm.tick(900)
    assert firm.box.mails[-1]["Subject"] == "bitbylaw: 1 over"


def test_reconciliation_that_is_not_made_any_more_is_told(firm: Firm) -> None:
    """Somebody paused the schedule: two nights later it is told, and the next reconciliation ends it."""

    def note() -> None:
        now = firm.clock()
        firm.database.run_sync(
            lambda c: reconciliations.note_ended(
                c, now, "documents", begun_at=now, listed={}, counts={}, wanted=0, withheld=0
            )
        )

    note()
    firm.tick(49 * 3600)
    assert not firm.texts()
    firm.tick(3600)
    assert "The reconciliation of documents is overdue: not made for 2 d." in firm.texts()[0]
    note()
    firm.tick()
    firm.tick(900)
    assert firm.box.mails[-1]["Subject"] == "bitbylaw: 1 over"


def test_flow_with_work_and_without_success_is_told(firm: Firm) -> None:
    """After ALERT_FLOW_SILENT_MINUTES, and not for a quiet night."""
    firm.tick(9 * HOUR)
    firm.database.run_sync(lambda c: work_queue.want(c, firm.clock(), "documents", ["d1"]))
    firm.tick(59 * 60, alert_flow_silent_minutes=60)
    assert not firm.box.mails
    firm.tick(2 * 60, alert_flow_silent_minutes=60)
    assert "documents is silent." in firm.texts()[0]


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("2027-01-16T22:59", None),
        # The firm's day begins at 23:00 UTC of the day before.
        ("2027-01-16T23:01", "XAI_API_KEY ends in 14 days (2027-01-31)."),
        ("2027-01-30T22:59", "XAI_API_KEY ends in 1 day (2027-01-31)."),
        ("2027-01-31T12:00", "XAI_API_KEY ends today (2027-01-31)."),
        ("2027-01-31T23:01", "XAI_API_KEY ended (2027-01-31)."),
    ],
)
def test_credential_is_told_days_before_its_end(firm: Firm, at: str, says: str | None) -> None:
    """By the firm's calendar, not UTC's."""
    firm.clock.now = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    firm.tick(0, credentials_expire={"XAI_API_KEY": "2027-01-31", "ADVOWARE_API_KEY": "2029-01-01"})
    assert [body["alerts"][0]["says"] for body in firm.listener.bodies] == ([says] if says else [])


def test_failed_runs_are_told_with_their_page(firm: Firm) -> None:
    """One trouble for each job, linked to the newest run."""
    firm.tick(failed=[FailedRuns("documents", ["run-2", "run-1"])])
    (body,) = firm.listener.bodies
    assert body["alerts"][0]["says"] == "2 runs of documents failed: run-2, run-1."
    assert body["alerts"][0]["link"] == "https://dagster.kanzlei.example/runs/run-2"


def test_failing_channel_is_tried_again_and_the_other_is_not_told_twice(firm: Firm) -> None:
    """The webhook gets it once and at once; the mail comes when its server is back, with the same facts; the delays grow."""
    firm.park("d1")
    firm.box.refuses_mail = "451 later"
    report = firm.tick()
    assert report.told == {"webhook": "1 new"}
    assert report.failed == {"mail": "The mail server refuses the mail (451)."}
    waited = [firm.tick().failed for _ in range(10)]
    tried = [index for index, failed in enumerate(waited) if "refuses" in (failed or {})["mail"]]
    assert tried == [0, 2, 6]
    firm.box.refuses_mail = ""
    assert "tried again in" in str(firm.tick().failed)
    assert firm.tick(HOUR).told == {"mail": "1 new"}
    assert len(firm.box.mails) == len(firm.listener.bodies) == 1
    assert firm.tick(HOUR).says == "1 open. Nothing to tell."
    firm.listener.status = 500
    firm.park("e1", reason="no_access")
    assert firm.tick(HOUR).told == {"mail": "1 new"}
    assert firm.database.read(alerts.channels)["mail"].failures == 0


def test_failure_noted_by_a_clock_that_was_ahead_delays_nothing(firm: Firm) -> None:
    """The next try was set for tomorrow by a clock that was put right meanwhile: it is made now."""
    firm.park("a")
    firm.clock.advance(86_400)
    firm.listener.status = 500
    firm.tick()
    firm.listener.status = 200
    before = len(firm.listener.bodies)
    firm.tick(-86_400)
    assert len(firm.listener.bodies) == before + 1


def test_two_daemons_at_once_send_once(firm: Firm, database_url: str) -> None:
    """Each with a connection of its own: one tells, the other steps back or finds nothing left."""
    firm.park("d1")
    settings = firm.settings()
    start = threading.Barrier(2)
    reports: list[AlertingReport] = []

    def daemon() -> None:
        database = Database.open(database_url, clock=firm.clock, encryption_key=ENCRYPTION_KEY)
        start.wait(timeout=30)
        reports.append(asyncio.run(tell_troubles(database, settings, channels_of(settings))))
        database.close()

    threads = [threading.Thread(target=daemon) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(reports) == 2
    assert len(firm.box.mails) == len(firm.listener.bodies) == 1


def test_while_another_daemon_is_at_it_nobody_else_looks(firm: Firm) -> None:
    """A daemon that died at it holds the others up for two minutes, not for good."""
    firm.park("d1")
    firm.database.run_sync(lambda c: run_leases.take(c, firm.clock(), alerts.LEASE, 120))
    assert firm.tick().is_ours is False
    assert not firm.box.mails
    assert firm.tick().is_ours is True
    assert len(firm.box.mails) == 1


def test_server_that_hangs_holds_nobody_up(firm: Firm) -> None:
    """The webhook is told meanwhile, and the look comes to its end."""
    firm.park("d1")
    settings = firm.settings()
    with dripping_server() as port:
        hanging = Mail(MailServer("127.0.0.1", port, "none"), "a@b.example", ["c@d.example"], deadline=0.3)
        channels = {**channels_of(settings), "mail": MailChannel(hanging, "")}
        report = asyncio.run(tell_troubles(firm.database, settings, channels))
    assert report.told == {"webhook": "1 new"}
    assert report.failed == {"mail": "The mail server did not take the mail within 0.3 s."}


def test_without_a_channel_alerts_are_kept_all_the_same(firm: Firm) -> None:
    """They can be listed, and the first channel that is set up is told all that is still open."""
    firm.park("d1")
    firm.tick(alert_email_to="", alert_webhook_url="")
    assert len(firm.database.read(alerts.open_ones)) == 1
    assert firm.tick().told == {"mail": "1 new", "webhook": "1 new"}


def test_half_a_mail_setting_is_told(firm: Firm) -> None:
    """Which one is missing."""
    settings = firm.settings(alert_email_from="")
    assert "mail" not in channels_of(settings)
    assert why_incomplete(settings) == "ALERT_EMAIL_TO is set and ALERT_EMAIL_FROM is not: no mail is sent."
    assert why_incomplete(firm.settings()) is None


def test_test_message_goes_to_every_channel(firm: Firm) -> None:
    """And says of each what came of it."""
    firm.listener.status = 404
    results = asyncio.run(tell_test(channels_of(firm.settings()), firm.clock(), "key-1"))
    assert results == {"mail": None, "webhook": "ALERT_WEBHOOK_URL answers 404."}
    assert firm.box.mails[0]["Subject"] == "bitbylaw: test"
    assert "This is a test; nothing is wrong." in firm.texts()[0]
