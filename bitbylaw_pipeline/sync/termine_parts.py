"""Puts together what keeps appointments in step, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.clients.google import Google
from bitbylaw_pipeline.clients.google_connection import CalendarUser, GoogleConnection
from bitbylaw_pipeline.clients.token_memory import TokenMemory
from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync.call_count import count_call
from bitbylaw_pipeline.sync.termine_pairs import CalendarOf, TerminePairs, TermineRules


@dataclass(frozen=True, slots=True)
class CalendarParts:
    """What keeps Advoware's Termine and Google's calendars in step."""

    google: Google
    pairs: TerminePairs


def open_calendars(
    settings: Settings,
    database: Database,
    advoware: Advoware,
    transport: Any = None,
    memory: TokenMemory | None = None,
) -> CalendarParts:
    """The parts that keep appointments in step; `google` is the caller's to close. Raises SettingsError."""
    of = {
        kuerzel: CalendarOf(CalendarUser(kuerzel, one.user), one.calendar)
        for kuerzel, one in settings.calendars.items()
    }
    google = Google.open(
        GoogleConnection(
            service_account_file=settings.google_service_account_file,
            api_base_url=settings.google_api_base_url,
            token_url=settings.google_token_url,
            requests_per_minute_per_user=settings.google_requests_per_minute_per_user,
            requests_per_minute=settings.google_requests_per_minute,
            timeout=settings.google_timeout_seconds,
            max_concurrency=settings.google_max_concurrency,
        ),
        users=[one.user for one in of.values()],
        memory=None if memory is None else memory.google,
        transport=transport,
        on_call=count_call,
    )
    termine = Termine(
        advoware.connection,
        Surface(settings.advoware_termine_surface.value),
        keeps_fold=settings.advoware_termine_keep_fold,
    )
    rules = TermineRules(
        FristRule.parse(settings.termine_fristen),
        masks=settings.termine_masked,
        days_back=settings.termine_days_back,
        days_ahead=settings.termine_days_ahead,
    )
    return CalendarParts(google, TerminePairs(database, termine, google, of, rules))
