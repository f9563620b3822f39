"""A real mail server on loopback that keeps what it takes."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(slots=True)
class MailBox:
    """What the server took, and how it behaves from now on."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    """Address -> the answer to it."""
    refuses_mail: str = ""
    """The answer to any mail."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Takes the address, or not."""
        del server, session, options
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Takes the mail, or not."""
        del server, session
        if self.refuses_mail:
            return self.refuses_mail
        raw = cast("bytes", envelope.content)
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(raw, policy=policy.default))
        return "250 OK"


@contextmanager
def mail_server(
    *, security: str = "none", certificate: Path | None = None, login: tuple[str, str] | None = None
) -> Iterator[MailBox]:
    """Serves until the block ends, in a thread of its own; `security` is starttls, tls or none."""
    box = MailBox()
    context = None
    if security != "none":
        assert certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        del server, session, envelope, mechanism
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        box.logins.append(given)
        return AuthResult(success=given == login, handled=False)

    def protocol() -> SMTP:
        return SMTP(
            box,
            hostname="mail.example",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            # Of TLS from the first byte it does not know, and takes the connection for an open one.
            auth_require_tls=security == "starttls",
            auth_required=login is not None and security == "starttls",
            auth_exclude_mechanism=["LOGIN", "PLAIN"] if login is None else None,
            authenticator=authenticate if login is not None else None,
            loop=asyncio.get_running_loop(),
        )

    with _in_a_thread(protocol, context if security == "tls" else None) as port:
        box.port = port
        yield box


@contextmanager
def dripping_server(*, greeting: bytes = b"220-x\r\n", seconds: float = 0.05) -> Iterator[int]:
    """A port where one line of a greeting that never ends comes every now and then."""

    class Dripping(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.drip()

        def drip(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(greeting)
                asyncio.get_running_loop().call_later(seconds, self.drip)

    with _in_a_thread(Dripping, None) as port:
        yield port


@contextmanager
def _in_a_thread(protocol: Any, context: ssl.SSLContext | None) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    transports: list[asyncio.Transport] = []

    def tracked() -> asyncio.BaseProtocol:
        made = cast("asyncio.Protocol", protocol())
        connected = made.connection_made

        def connection_made(transport: asyncio.BaseTransport) -> None:
            transports.append(cast("asyncio.Transport", transport))
            connected(transport)

        made.connection_made = connection_made  # type: ignore[method-assign]  # to close what is left open
        return made

    async def start() -> asyncio.Server:
        return await loop.create_server(tracked, "127.0.0.1", 0, ssl=context)

    async def stop() -> None:
        server.close()
        for transport in transports:
            transport.abort()
        await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def make_certificate(folder: Path, *, host: str = "localhost") -> Path:
    """A self-made certificate with its key for that name and 127.0.0.1, good as its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    today = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file
