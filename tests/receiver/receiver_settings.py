"""The settings that the tests' receivers have in common."""

from __future__ import annotations

from typing import Any

from bitbylaw_pipeline.settings import Settings
from tests.conftest import ENCRYPTION_KEY
from tests.receiver.deliveries import SHARED_SECRET


def receiver_settings(**given: Any) -> Settings:
    """The receiver's settings; nothing is read from a `.env`."""
    defaults = {"webhook_shared_secret": SHARED_SECRET, "state_encryption_key": ENCRYPTION_KEY}
    return Settings.load(_env_file=None, **(defaults | given))
