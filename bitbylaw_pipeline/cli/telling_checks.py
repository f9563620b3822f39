"""doctor's checks of how a person is told: credentials that end, mail server, alert webhook, status page."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import date
from urllib.parse import urlsplit

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.settings import Settings, SmtpSecurity
from bitbylaw_pipeline.sync.alert_channels import HOW_TO_SET, why_incomplete

CONNECT_SECONDS = 5.0


async def check_credentials(settings: Settings, today: date) -> AsyncIterator[Finding]:
    """The days on which credentials end, as CREDENTIALS_EXPIRE has them: no system tells them."""
    names = {name.upper() for name in Settings.model_fields}
    for name, day in sorted(settings.credentials_expire.items(), key=lambda one: one[1]):
        left = (day - today).days
        if name not in names:
            yield odd(
                "secrets", f"CREDENTIALS_EXPIRE names {name}, which is no setting.", "correct its name."
            )
        elif left < 0:
            yield bad("secrets", f"{name} ended on {day}.", f"make a new one, put it into .env, {_NEW_DAY}")
        elif left <= settings.credentials_warn_days:
            yield odd(
                "secrets",
                f"{name} ends on {day}, in {left} days.",
                f"make a new one before that day, {_NEW_DAY}",
            )
        else:
            yield fine("secrets", f"{name} ends on {day}.")


_NEW_DAY = "and write its day into CREDENTIALS_EXPIRE."


async def check_alerts(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the mail server and the webhook for alerts can be reached; nothing is sent."""
    incomplete = why_incomplete(settings)
    if incomplete is not None:
        yield bad("alerts", incomplete, "set what is missing (docs/configuration.md).")
    elif settings.alert_email_to:
        yield await _mail_server(settings)
    if settings.alert_webhook_url:
        yield await _webhook(settings.alert_webhook_url)
    if not settings.alert_email_to and not settings.alert_webhook_url:
        yield odd("alerts", "Nobody is told of trouble: there is no channel for alerts.", f"{HOW_TO_SET}.")


async def _mail_server(settings: Settings) -> Finding:
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    advice = "check SMTP_HOST, SMTP_PORT and SMTP_SECURITY, and the network between us."
    if not (settings.smtp_user + settings.smtp_password.get_secret_value()).isascii():
        says = "SMTP_USER or SMTP_PASSWORD has other than ASCII characters, with which no login is possible."
        return bad("alerts", says, "give the mailbox another password.")
    try:
        greeting = await _greeting(settings)
    except (OSError, TimeoutError) as error:
        return bad("alerts", f"The mail server {where} cannot be reached ({type(error).__name__}).", advice)
    if not greeting.startswith(b"220"):
        return bad("alerts", f"{where} does not greet as a mail server does.", advice)
    if settings.smtp_password.get_secret_value() and settings.smtp_security is SmtpSecurity.NONE:
        return odd(
            "alerts",
            f"The mail server {where} answers, but SMTP_SECURITY is none: the password would be read on the way.",
            "set SMTP_SECURITY to starttls or tls.",
        )
    return fine("alerts", f"The mail server {where} answers.")


async def _greeting(settings: Settings) -> bytes:
    context = ssl.create_default_context() if settings.smtp_security is SmtpSecurity.TLS else None
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(settings.smtp_host, settings.smtp_port, ssl=context)
        try:
            line = await reader.readline()
            writer.write(b"QUIT\r\n")
            await writer.drain()
        finally:
            await _close(writer)
    return line


async def _webhook(url: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
            await _close(writer)
    except (OSError, TimeoutError) as error:
        # Not the whole address: many a chat's webhook carries its secret in the path.
        return bad(
            "alerts",
            f"The webhook for alerts at {parts.hostname}:{port} cannot be reached ({type(error).__name__}).",
            "check ALERT_WEBHOOK_URL and the network between us.",
        )
    return fine("alerts", f"The webhook for alerts at {parts.hostname}:{port} can be reached.")


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def check_status_page(settings: Settings) -> AsyncIterator[Finding]:
    """Who gets to see the status page."""
    if settings.status_password.get_secret_value():
        yield fine("status", "The status page asks for STATUS_PASSWORD.")
    elif settings.api_keys:
        yield odd(
            "status",
            "STATUS_PASSWORD is not set: programs with one of API_KEYS see the status page, and no person.",
            "set STATUS_PASSWORD for a browser.",
        )
    else:
        yield odd("status", "Nobody gets into the status page.", "set STATUS_PASSWORD.")
