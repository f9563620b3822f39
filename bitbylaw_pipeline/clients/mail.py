"""Plain-text mail by SMTP (RFC 5321), with the standard library.

No error has the server's own text in it: mail servers quote addresses, and some of them the sender's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from bitbylaw_pipeline.domain.errors import AuthFailed, Permanent, SyncError, Transient, Unreachable

SYSTEM = "mail"
TIMEOUT_SECONDS = 10.0
"""For each step of the conversation."""
DEADLINE_SECONDS = 12.0
"""For all of it: a server that sends a byte every nine seconds keeps within every time-out and never ends."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail. `id` is made from the content, so that the same mail sent twice can be seen to be one."""

    id: str
    sent_at: datetime
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class MailServer:
    """How to reach the server; `security` is starttls, tls or none."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = None
    """None: the system's certificate authorities, or those of SSL_CERT_FILE."""


class Mail:
    """Sends to always the same people."""

    def __init__(
        self, server: MailServer, sender: str, to: Sequence[str], *, deadline: float = DEADLINE_SECONDS
    ) -> None:
        self._server = server
        self._sender = sender
        self._to = tuple(to)
        self._deadline = deadline

    async def send(self, letter: Letter) -> int:
        """Hands it to the server, and returns how many of the addresses that refused while others were taken.

        Raises AuthFailed for a refused login, Permanent for what somebody has to set right, Transient for all else, within
        `deadline` seconds (12).
        """
        conversation = _Conversation(self._server)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()

        def report(result: int | Exception) -> None:
            if done.done():
                return
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)

        def work() -> None:
            try:
                result: int | Exception = conversation.hand_over(self._message(letter), self._to)
            except SyncError as error:
                result = error
            except Exception as error:  # noqa: BLE001  # any other would end unseen in a thread of its own
                result = Transient(f"The mail could not be sent ({type(error).__name__}).", system=SYSTEM)
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                loop.call_soon_threadsafe(report, result)

        # A daemon, not the loop's own pool: asyncio.run waits for that one however long a name server takes.
        threading.Thread(target=work, name="mail", daemon=True).start()
        try:
            return await asyncio.wait_for(done, self._deadline)
        except TimeoutError:
            raise Unreachable(
                f"The mail server did not take the mail within {self._deadline:g} s.", system=SYSTEM
            ) from None
        finally:
            conversation.break_off()

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(letter.sent_at)
        message["Message-ID"] = f"<{letter.id}@{self._sender.rpartition('@')[2]}>"
        # RFC 3834: keeps absence notes from answering.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text, charset="utf-8")
        return message


class _Conversation:
    """One connection, which another thread may break off."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._connection: smtplib.SMTP | None = None
        self._is_over = False

    def hand_over(self, message: EmailMessage, to: Sequence[str]) -> int:
        """Connects, logs in, sends; raises domain errors."""
        server = self._server
        if server.user and server.security == "none" and not _is_loopback(server.host):
            raise Permanent(
                "SMTP_PASSWORD is not sent without encryption: set SMTP_SECURITY to starttls or tls.",
                system=SYSTEM,
                reason="unsafe",
            )
        if server.user and not (server.user + server.password).isascii():
            # smtplib ends in a UnicodeEncodeError, of which nobody would guess what it is about.
            raise Permanent(
                "SMTP_USER or SMTP_PASSWORD has other than ASCII characters, with which no login is possible: give the "
                "mailbox another password.",
                system=SYSTEM,
                reason="not_supported",
            )
        try:
            with contextlib.closing(self._connect()) as connection:
                if self._is_over:
                    # Given up during the greeting, when there was nothing yet that could be broken off.
                    raise smtplib.SMTPServerDisconnected  # its handler is right below
                if server.security == "starttls":
                    connection.starttls(context=server.context or ssl.create_default_context())
                if server.user:
                    connection.login(server.user, server.password)
                refused = connection.send_message(message, to_addrs=list(to))
                # It has been taken: whatever goes wrong with the good-bye must not send it again.
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    connection.quit()
                return len(refused)
        except (smtplib.SMTPException, OSError) as error:
            raise _translated(error, server) from None

    def break_off(self) -> None:
        """Ends the connection, if it is still there, so that the thread ends, too, and nothing is sent any more."""
        self._is_over = True
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            context = server.context or ssl.create_default_context()
            self._connection = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            self._connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
        return self._connection


def _translated(error: Exception, server: MailServer) -> SyncError:
    match error:
        case smtplib.SMTPAuthenticationError():
            return AuthFailed(
                f"The mail server refuses SMTP_USER or SMTP_PASSWORD ({error.smtp_code}).",
                system=SYSTEM,
                status=error.smtp_code,
            )
        # The bare class means that the server knows no way to log in that smtplib does.
        case smtplib.SMTPException() if type(error) in (smtplib.SMTPNotSupportedError, smtplib.SMTPException):
            return Permanent(
                "The mail server cannot do what is asked of it: STARTTLS (SMTP_SECURITY), a login (SMTP_USER), or "
                "addresses with other than ASCII letters.",
                system=SYSTEM,
                reason="not_supported",
            )
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            return _refused("the addresses of ALERT_EMAIL_TO", codes)
        case smtplib.SMTPSenderRefused():
            return _refused("ALERT_EMAIL_FROM as the sender", [error.smtp_code])
        case smtplib.SMTPResponseException():
            return _refused("the mail", [error.smtp_code])
        case ssl.SSLCertVerificationError():
            return Permanent(
                f"The mail server's certificate is not to be trusted for {server.host} (SMTP_HOST; error "
                f"{error.verify_code}).",
                system=SYSTEM,
                reason="certificate",
            )
        case ssl.SSLError():
            return Permanent(
                "The mail server does not speak TLS on this port: compare SMTP_SECURITY and SMTP_PORT.",
                system=SYSTEM,
                reason="no_tls",
            )
        case _:
            return Unreachable(
                f"The mail server cannot be reached or broke off ({type(error).__name__}).", system=SYSTEM
            )


def _refused(what: str, codes: Sequence[int]) -> SyncError:
    """4xx asks to try again later, 5xx does not (RFC 5321 4.2.1)."""
    listed = ", ".join(str(code) for code in codes)
    message = f"The mail server refuses {what} ({listed})."
    if all(400 <= code < 500 for code in codes):
        return Transient(message, system=SYSTEM, status=codes[0])
    return Permanent(message, system=SYSTEM, status=codes[0])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
