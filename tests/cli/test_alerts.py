"""`bitbylaw alerts`: what is open and who was told; and whether the channels work."""

from __future__ import annotations

from bitbylaw_pipeline.domain.alert import Alert, Told, Trouble, TroubleKind
from bitbylaw_pipeline.inbox import alerts
from bitbylaw_pipeline.inbox.alerts import Channel
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Terminal
from tests.mail_server import mail_server
from tests.web_listener import web_listener

MAIL = {
    "ALERT_EMAIL_TO": "a@b.example,c@d.example",
    "ALERT_EMAIL_FROM": "p@b.example",
    "SMTP_HOST": "127.0.0.1",
}


def test_it_lists_what_is_open(with_state: tuple[Terminal, Database]) -> None:
    """What it is, since when, who was told, what to do; and how a channel fares."""
    terminal, database = with_state
    now = database.read(database.now)
    parked = Trouble(
        TroubleKind.PARKED,
        "documents/too_large",
        "2 of [documents] set aside: d1, d2.",
        "replay",
        "http://ui/x",
    )
    down = Trouble(TroubleKind.SYSTEM_DOWN, "espocrm", "espocrm has been down for 40 min", "wait")
    rows = [
        Alert(parked, now - 7200, now, None, {"mail": Told(now - 7000, 2)}),
        Alert(down, now - 60, now),
        Alert(Trouble(TroubleKind.DRIFT, "documents", "gone", ""), 1.0, 2.0, 3.0),
    ]
    database.run_sync(lambda c: alerts.put(c, rows))
    failing = Channel(now, 4, now + 500, "Unreachable")
    database.run_sync(lambda c: alerts.note_channel(c, now, "mail", failing))
    result = terminal.run("alerts", **MAIL)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "parked documents/too_large" in lines
    assert "  2 of [documents] set aside: d1, d2." in lines
    assert "2 h" in result.output
    assert "nobody yet" in result.output
    assert "http://ui/x" in result.output
    assert "gone" not in result.output
    assert "2 open" in lines
    assert "mail: failed 4 times (Unreachable)" in lines


def test_without_channels_it_says_how_to_set_them(with_state: tuple[Terminal, Database]) -> None:
    """In the list, and as an error of the test."""
    terminal, _ = with_state
    assert "Nobody is told: set ALERT_EMAIL_TO" in terminal.run("alerts").output
    result = terminal.run("alerts", "--test")
    assert result.exit_code == 1
    assert "Nobody is told: set ALERT_EMAIL_TO" in result.stderr
    half = terminal.run("alerts", "--test", ALERT_EMAIL_TO="a@b.example")
    assert half.exit_code == 1
    assert "ALERT_EMAIL_FROM and SMTP_HOST are not" in half.stderr


def test_a_test_message_goes_by_every_channel(bare: Terminal) -> None:
    """It needs no state; what came of each is said, and one that fails makes the exit code 1."""
    with mail_server() as box, web_listener() as listener:
        given = {
            **MAIL,
            "SMTP_PORT": str(box.port),
            "SMTP_SECURITY": "none",
            "ALERT_WEBHOOK_URL": listener.url,
        }
        result = bare.run("alerts", "--test", **given)
        assert result.exit_code == 0
        assert result.output.splitlines() == ["mail: sent", "webhook: sent"]
        box.refuses["c@d.example"] = "550 unknown"
        listener.status = 401
        result = bare.run("alerts", "--test", **given)
    assert result.exit_code == 1
    assert "mail: 1 of the addresses were refused." in result.output
    assert "webhook: ALERT_WEBHOOK_URL answers 401: see ALERT_WEBHOOK_TOKEN." in result.output
    assert len(box.mails) == 2
    assert len(listener.bodies) == 1
