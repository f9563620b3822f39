"""Mail goes to a real server: open, with STARTTLS, in TLS, with a login; and every refusal says what to do."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.clients.mail import Letter, Mail, MailServer
from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, SyncError, Transient, Unreachable
from bitbylaw_pipeline.loopback import free_port
from tests.mail_server import dripping_server, mail_server, make_certificate

SENDER = "pipeline@kanzlei.example"
TO = ("office@kanzlei.example", "admin@kanzlei.example")
LETTER = Letter(
    "key-1", datetime(2026, 11, 20, 8, tzinfo=UTC), "bitbylaw: 1 new", "New:\n- Räumung steht.\n.\n.."
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost."""
    return make_certificate(tmp_path)


def post(
    port: int,
    *,
    security: str = "none",
    user: str = "",
    password: str = "",
    trusted: Path | None = None,
    host: str = "127.0.0.1",
    deadline: float = 30.0,
) -> int:
    """Sends the letter."""
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    server = MailServer(host, port, security, user, password, context)
    return asyncio.run(Mail(server, SENDER, TO, deadline=deadline).send(LETTER))


def test_mail_arrives_whole() -> None:
    """Plain UTF-8 text to all, with an id made from the content, marked as made by a program."""
    with mail_server() as box:
        assert post(box.port) == 0
    (mail,) = box.mails
    assert mail["From"] == SENDER
    assert mail["To"] == ", ".join(TO)
    assert mail["Subject"] == "bitbylaw: 1 new"
    assert mail["Message-ID"] == "<key-1@kanzlei.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Fri, 20 Nov 2026 08:00:00 +0000"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == LETTER.text + "\n"
    assert box.envelopes[0].rcpt_tos == list(TO)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted_with_a_login(certificate: Path, security: str) -> None:
    """Over a server that insists on both; the certificate is checked against the server's name."""
    with mail_server(security=security, certificate=certificate, login=("robot", "s3cret")) as box:
        assert (
            post(
                box.port,
                security=security,
                user="robot",
                password="s3cret",
                trusted=certificate,
                host="localhost",
            )
            == 0
        )
    assert len(box.mails) == 1
    assert box.logins == [("robot", "s3cret")]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_certificate_that_nobody_vouches_for_is_refused(certificate: Path, security: str) -> None:
    """No mail and no password goes to a server that may be another one."""
    with mail_server(security=security, certificate=certificate, login=("robot", "s3cret")) as box:
        with pytest.raises(Permanent, match="certificate is not to be trusted for localhost") as caught:
            post(box.port, security=security, user="robot", password="s3cret", host="localhost")
        assert caught.value.reason == "certificate"
    assert not box.mails
    assert not box.logins


def test_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """One that is trusted, for a server of another name, does not help."""
    other = make_certificate(tmp_path, host="mail.elsewhere.example")
    with (
        mail_server(security="starttls", certificate=other) as box,
        pytest.raises(Permanent, match="certificate"),
    ):
        post(box.port, security="starttls", trusted=other, host="localhost")
    assert not box.mails


def test_refused_login_says_which_settings(certificate: Path) -> None:
    """Neither the server's text nor the password is in the error."""
    given: dict[str, Any] = {"user": "robot", "password": "wr0ng", "host": "localhost"}
    with (
        mail_server(security="starttls", certificate=certificate, login=("robot", "s3cret")) as box,
        pytest.raises(AuthFailed) as caught,
    ):
        post(box.port, security="starttls", trusted=certificate, **given)
    assert str(caught.value) == "The mail server refuses SMTP_USER or SMTP_PASSWORD (535)."


@pytest.mark.parametrize("kind", ["no_starttls", "no_tls"])
def test_server_without_encryption_gets_no_mail(kind: str) -> None:
    """Whoever asks for STARTTLS or TLS never sends in the clear instead."""
    with mail_server() as box, pytest.raises(Permanent, match="SMTP_SECURITY"):
        post(box.port, security="starttls" if kind == "no_starttls" else "tls")
    assert not box.mails


def test_server_without_logins_is_told_so() -> None:
    """A login is asked for in the settings, and the server knows none."""
    with mail_server() as box, pytest.raises(Permanent, match="SMTP_USER"):
        post(box.port, user="robot", password="s3cret")
    assert not box.mails


def test_password_never_goes_in_the_clear_over_a_network() -> None:
    """Refused before anything is connected."""
    with pytest.raises(Permanent, match="SMTP_SECURITY"):
        post(25, user="robot", password="s3cret", host="192.0.2.1")


@pytest.mark.parametrize(("user", "password"), [("robot", "Geheimnis-ü"), ("röbot", "s3cret")])
def test_login_with_other_than_ascii_says_what_to_do(certificate: Path, user: str, password: str) -> None:
    """The standard library cannot send it; told as a passing fault, it would be tried for ever."""
    given: dict[str, Any] = {"security": "starttls", "trusted": certificate, "host": "localhost"}
    with (
        mail_server(security="starttls", certificate=certificate, login=(user, password)) as box,
        pytest.raises(Permanent, match="another password") as caught,
    ):
        post(box.port, user=user, password=password, **given)
    assert password not in str(caught.value)
    assert not box.mails


def test_one_refused_address_does_not_keep_the_others_from_it() -> None:
    """The rest get it, and how many did not is told."""
    with mail_server() as box:
        box.refuses[TO[0]] = "550 no such user office@kanzlei.example"
        assert post(box.port) == 1
    assert box.envelopes[0].rcpt_tos == [TO[1]]


@pytest.mark.parametrize(("answer", "kind"), [("550 5.1.1", Permanent), ("451 4.7.1", Transient)])
def test_refusals_are_told_without_the_servers_text(answer: str, kind: type[SyncError]) -> None:
    """4xx is tried again, 5xx needs a person; an address in the answer stays out of the error."""
    with mail_server() as box:
        box.refuses = {address: f"{answer} {address} has left" for address in TO}
        with pytest.raises(kind) as caught:
            post(box.port)
        assert str(caught.value) == f"The mail server refuses the addresses of ALERT_EMAIL_TO ({answer[:3]})."
        box.refuses = {}
        box.refuses_mail = f"{answer} {TO[0]} over quota"
        with pytest.raises(kind) as caught:
            post(box.port)
    assert str(caught.value) == f"The mail server refuses the mail ({answer[:3]})."


def test_nobody_there() -> None:
    """A closed port is a trouble of now."""
    with pytest.raises(Unreachable, match="cannot be reached"):
        post(free_port())


@pytest.mark.parametrize("greeting", [b"220-x\r\n", b"2"])
def test_server_that_never_comes_to_an_end_is_left(greeting: bytes) -> None:
    """However it keeps within each time-out, the deadline is kept and nothing is sent later."""
    with dripping_server(greeting=greeting) as port:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="did not take the mail within"):
            post(port, deadline=0.3)
        assert time.monotonic() - begun < 10
    for thread in threading.enumerate():
        if thread.name == "mail":
            thread.join(timeout=20)
            assert not thread.is_alive()
