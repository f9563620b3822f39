"""The refusals that the vendor's own client knows by their texts (`facts/advoware.md` 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bitbylaw_pipeline.sandbox.advoware.exchange import Refusal
from bitbylaw_pipeline.sandbox.advoware.switches import Switches


class Why(StrEnum):
    """Why the gateway or the relay refuses; the value is the text, of which the fact sheet knows a part each."""

    OFFLINE = "Die Kanzlei ist nicht angemeldet."
    NOT_ENABLED = "Die Anwendung ist für diesen Mitarbeiter nicht freigeschaltet."
    NOT_REGISTERED = "Die Kanzlei ist nicht registriert."
    WRONG_PASSWORD = "Falscher Name oder falsches Kennwort."
    UNKNOWN_USER = "Benutzer / Kennwort ungültig."


_STATUS = {
    Why.OFFLINE: 503,
    Why.NOT_ENABLED: 403,
    Why.NOT_REGISTERED: 404,
    Why.WRONG_PASSWORD: 401,
    Why.UNKNOWN_USER: 401,
}


def refuse(switches: Switches, why: Why) -> Refusal:
    """The refusal with the status and form that the switches ask for."""
    payload: Any = {"Message": why.value} if switches.refusal_form == "json" else why.value
    return Refusal(switches.refusal_status or _STATUS[why], payload)


def check_reachable(switches: Switches, now: float) -> None:
    """Raise a Refusal while the connector is offline or the application is not enabled."""
    if switches.connector == "offline" or now < switches.offline_until:
        raise refuse(switches, Why.OFFLINE)
    if not switches.enabled:
        raise refuse(switches, Why.NOT_ENABLED)
