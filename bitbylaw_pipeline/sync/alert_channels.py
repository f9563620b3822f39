"""By which ways a person is told, as the settings have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from bitbylaw_pipeline.clients.alert_webhook import AlertWebhook
from bitbylaw_pipeline.clients.mail import Letter, Mail, MailServer
from bitbylaw_pipeline.domain.alert import Alert, Message
from bitbylaw_pipeline.settings import Settings

log = structlog.get_logger(__name__)

MAIL, WEBHOOK = "mail", "webhook"
HOW_TO_SET = "set ALERT_EMAIL_TO, ALERT_EMAIL_FROM and SMTP_HOST for mail, or ALERT_WEBHOOK_URL for a webhook"


class AlertChannel(Protocol):
    """A way to tell a person something."""

    async def tell(self, message: Message, now: float) -> int:
        """Returns how many of several receivers did not get it; raises domain errors if none did."""
        ...


@dataclass(frozen=True, slots=True)
class MailChannel:
    """By e-mail."""

    mail: Mail
    status_link: str

    async def tell(self, message: Message, now: float) -> int:
        """Counts in the subject, everything else in the text."""
        letter = Letter(
            message.key,
            datetime.fromtimestamp(now, UTC),
            f"bitbylaw: {message.summary}",
            _with_footer(message, self.status_link),
        )
        refused = await self.mail.send(letter)
        if refused:
            log.warning("alert_mail_refused_by_some", addresses=refused)
        return refused


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """By a POST of JSON."""

    webhook: AlertWebhook
    status_link: str

    async def tell(self, message: Message, now: float) -> int:
        """The text for a chat, and each alert as an object for a program."""
        del now
        text = f"bitbylaw: {message.summary}\n\n{_with_footer(message, self.status_link)}"
        await self.webhook.send(message.key, text, _as_json(message))
        return 0


def channels_of(settings: Settings) -> dict[str, AlertChannel]:
    """The channels that are set up, by name."""
    channels: dict[str, AlertChannel] = {}
    link = settings.ui_public_url
    if not missing_for_mail(settings):
        server = MailServer(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_security.value,
            settings.smtp_user,
            settings.smtp_password.get_secret_value(),
        )
        channels[MAIL] = MailChannel(Mail(server, settings.alert_email_from, settings.alert_email_to), link)
    if settings.alert_webhook_url:
        token = settings.alert_webhook_token.get_secret_value()
        channels[WEBHOOK] = WebhookChannel(AlertWebhook(settings.alert_webhook_url, token), link)
    return channels


def missing_for_mail(settings: Settings) -> list[str]:
    """Names of the settings without which no mail can be sent."""
    needed: Mapping[str, object] = {
        "ALERT_EMAIL_TO": settings.alert_email_to,
        "ALERT_EMAIL_FROM": settings.alert_email_from,
        "SMTP_HOST": settings.smtp_host,
    }
    return [name for name, value in needed.items() if not value]


def why_incomplete(settings: Settings) -> str | None:
    """What is missing where mail was begun to be set up, in a sentence; None where it is set up, or not wanted."""
    missing = missing_for_mail(settings)
    if settings.alert_email_to and missing:
        return f"ALERT_EMAIL_TO is set and {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not: no mail is sent."
    return None


def _with_footer(message: Message, link: str) -> str:
    return f"{message.text}\n\nMore: bitbylaw alerts, bitbylaw status, {link}\n".lstrip()


def _as_json(message: Message) -> Sequence[Mapping[str, Any]]:
    parts = (("new", message.new), ("lasting", message.lasting), ("ended", message.ended))
    return [{"state": state, **_facts(alert)} for state, alerts in parts for alert in alerts]


def _facts(alert: Alert) -> dict[str, Any]:
    trouble = alert.trouble
    return {
        "kind": trouble.kind.value,
        "subject": trouble.subject,
        "says": trouble.says,
        "advice": trouble.advice,
        "link": trouble.link,
        "count": trouble.size,
        "since": datetime.fromtimestamp(alert.first_at, UTC).isoformat(timespec="seconds"),
    }
