"""doctor's checks of what is set about appointments, and of Advoware's Termine themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from unicodedata import normalize

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.advoware_termin_filter import FilterIgnored
from bitbylaw_pipeline.clients.advoware_termin_forms import Surface
from bitbylaw_pipeline.clients.advoware_termin_rows import same_kuerzel
from bitbylaw_pipeline.clients.advoware_termine import Termine
from bitbylaw_pipeline.domain.errors import Permanent, Unexpected
from bitbylaw_pipeline.domain.termin_kind import FristRule
from bitbylaw_pipeline.domain.termin_times import BERLIN
from bitbylaw_pipeline.settings import Settings

AREA = "Termine"


def check_rules(settings: Settings) -> Iterator[Finding]:
    """What the settings mean for the firm: Fristen, masking, and the two ways to be asked for a pass."""
    yield _fristen(settings)
    if settings.termine_masked:
        yield fine(AREA, "Google is told when an appointment is, and neither title nor notes nor place.")
    else:
        yield odd(
            AREA,
            "TERMINE_MASKED is false: titles, notes and places, and with them clients' names, go to Google.",
            "whether that may be is for the firm's partners to say (§ 43e BRAO); TERMINE_MASKED=true ends it.",
        )
    if not settings.api_keys:
        yield odd(
            AREA,
            "API_KEYS is empty: POST /advoware/calendar/sync answers everybody 401.",
            "set a key of 32 letters or more, if a program is to ask for passes.",
        )
    if settings.google_push and not settings.receiver_public_url.startswith("https://"):
        yield bad(
            AREA,
            "GOOGLE_PUSH is on, and RECEIVER_PUBLIC_URL does not begin with https://: Google reports to no such address.",
            "give the receiver an https address with a public certificate, or switch GOOGLE_PUSH off: polling does.",
        )


def _fristen(settings: Settings) -> Finding:
    rule = FristRule.parse(settings.termine_fristen)
    if rule.counts_all:
        says = "Every Termin counts as a Frist: what is changed or deleted in Google is put back, nothing goes back."
        if "termine_fristen" in settings.model_fields_set:
            return fine(AREA, f"{says} (TERMINE_FRISTEN=alle)")
        return odd(
            AREA,
            f"TERMINE_FRISTEN is not set. {says}",
            "say which Termine are court deadlines (docs/configuration.md), or set it to alle.",
        )
    if rule.pattern is None and rule.field is None:
        return odd(
            AREA,
            "TERMINE_FRISTEN is keine: whatever is changed or deleted in Google is changed or deleted in Advoware, court "
            "deadlines too.",
            "name what court deadlines are known by: text:REGEX or feld:NAME=VALUE.",
        )
    return fine(AREA, "Which Termine are court deadlines is set: those go to Google only.")


async def check_termine(settings: Settings, advoware: Advoware) -> AsyncIterator[Finding]:
    """Whether Advoware knows each Kürzel, and lists its Termine on the surface that is set. Nothing without calendars."""
    if not settings.calendars:
        return
    staff = {one.kuerzel: one.aktiv for one in await advoware.list_mitarbeiter()}
    known = {
        kuerzel: next((own for own in staff if same_kuerzel(own, kuerzel)), None)
        for kuerzel in settings.calendars
    }
    for finding in _staff(known, staff):
        yield finding
    asked = next((kuerzel for kuerzel, own in known.items() if own is not None), next(iter(known)))
    surface = settings.advoware_termine_surface.value
    today = datetime.now(BERLIN).date()
    try:
        await Termine(advoware.connection, Surface(surface)).list_for(asked, today, today)
    except FilterIgnored as error:
        yield bad(
            AREA,
            f"The {surface} surface does not list what it is asked for ({error.foreign} rows of other employees,"
            f" {error.outside} of other days, of {error.total}): nothing may be concluded from such a list, no pass runs.",
            f"set ADVOWARE_TERMINE_SURFACE={_other(surface)}; if that is the same, ask advoware GmbH for the parameters'"
            " names.",
        )
    except (Permanent, Unexpected) as error:
        yield bad(AREA, str(error), f"try ADVOWARE_TERMINE_SURFACE={_other(surface)}.")
    else:
        yield fine(AREA, f"Advoware lists Termine on the {surface} surface (today's of {asked}).")


def _staff(known: dict[str, str | None], staff: dict[str, bool | None]) -> Iterator[Finding]:
    unknown = sorted(kuerzel for kuerzel, own in known.items() if own is None)
    otherwise = sorted(
        f"{kuerzel} (there {own})"
        for kuerzel, own in known.items()
        # An umlaut's two spellings look the same to whoever is to correct them.
        if own is not None and normalize("NFC", own) != normalize("NFC", kuerzel)
    )
    gone = sorted(kuerzel for kuerzel, own in known.items() if own is not None and staff[own] is False)
    if unknown:
        yield bad(
            AREA,
            f"Advoware has no employee {', '.join(unknown)}.",
            "write the Kürzel in GOOGLE_CALENDARS as Advoware has it (Mitarbeiter).",
        )
    if otherwise:
        # What we write for them would go under a name that Advoware has otherwise.
        yield bad(
            AREA,
            f"Advoware spells otherwise: {', '.join(otherwise)}.",
            "write the Kürzel in GOOGLE_CALENDARS exactly as Advoware has it, capitals and small letters included.",
        )
    if gone:
        yield odd(
            AREA,
            f"{', '.join(gone)}: no longer active in Advoware.",
            "take whoever has left out of GOOGLE_CALENDARS.",
        )
    if not unknown and not otherwise:
        yield fine(AREA, f"Advoware knows every Kürzel that has a calendar ({len(known)}).")


def _other(surface: str) -> str:
    return next(one.value for one in Surface if one.value != surface)
