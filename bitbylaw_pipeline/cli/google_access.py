"""How a command reaches Google: the client's connection from the settings."""

from __future__ import annotations

from bitbylaw_pipeline.clients.google_connection import GoogleConnection
from bitbylaw_pipeline.settings import Settings


def connection_of(settings: Settings) -> GoogleConnection:
    """The settings' part that the client needs; works without Advoware and without any calendar."""
    return GoogleConnection(
        service_account_file=settings.google_service_account_file,
        api_base_url=settings.google_api_base_url,
        token_url=settings.google_token_url,
        requests_per_minute_per_user=settings.google_requests_per_minute_per_user,
        requests_per_minute=settings.google_requests_per_minute,
        timeout=settings.google_timeout_seconds,
        max_concurrency=settings.google_max_concurrency,
    )
