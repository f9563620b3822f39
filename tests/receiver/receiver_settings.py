"""The settings that the tests' receivers have in common."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.settings import Settings
from tests.conftest import ENCRYPTION_KEY
from tests.receiver.deliveries import SHARED_SECRET

PATIENT_SECONDS = 30.0
"""How long the tests' receivers wait for the database: with the receiver's own second a disk that stalls for longer is a
503, which is right, and no failure of what a test is about."""


def receiver_settings(**given: Any) -> Settings:
    """The receiver's settings; nothing is read from a `.env`."""
    defaults = {"webhook_shared_secret": SHARED_SECRET, "state_encryption_key": ENCRYPTION_KEY}
    return Settings.load(_env_file=None, **(defaults | given))
