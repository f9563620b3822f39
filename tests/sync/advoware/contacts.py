"""EspoCRM's lists of numbers and mail addresses."""

from __future__ import annotations

from typing import Any


def phone(*numbers: str) -> list[dict[str, Any]]:
    """EspoCRM's list of numbers, the first one primary."""
    return [{"phoneNumber": one, "primary": n == 0, "type": "Office"} for n, one in enumerate(numbers)]


def mail(*addresses: str) -> list[dict[str, Any]]:
    """EspoCRM's list of mail addresses, the first one primary."""
    return [{"emailAddress": one, "primary": n == 0} for n, one in enumerate(addresses)]
