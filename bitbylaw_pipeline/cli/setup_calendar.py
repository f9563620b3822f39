"""`bitbylaw setup-calendar`: makes the one calendar that is for an employee's Termine alone."""

from __future__ import annotations

import asyncio
import json

import click

from bitbylaw_pipeline.calendar_settings import CalendarSetting, check_kuerzel, check_user
from bitbylaw_pipeline.cli.google_access import connection_of
from bitbylaw_pipeline.cli.pair_names import named_kuerzel
from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.cli.screen import screen
from bitbylaw_pipeline.cli.state import load_settings
from bitbylaw_pipeline.clients.google_connection import CalendarUser, Scope
from bitbylaw_pipeline.domain.errors import OutcomeUnknown, ScopeLimited
from bitbylaw_pipeline.settings import Settings

ZONE = "Europe/Berlin"


@click.command("setup-calendar")
@click.argument("kuerzel", metavar="KÜRZEL")
@click.option("--user", required=True, metavar="ADDRESS", help="The employee's Google account.")
@click.option("--title", default="Advoware-Termine", show_default=True, help="What the calendar is called.")
@click.option(
    "--apply", "is_applied", is_flag=True, help="Make the calendar; without it only the plan is printed."
)
def setup_calendar(kuerzel: str, user: str, title: str, is_applied: bool) -> None:
    """Make a calendar for the Termine of KÜRZEL in the employee's Google account, and print its entry for
    GOOGLE_CALENDARS, with the calendar's id and the address.

    Google allows about 25 new calendars in a short time, and deleting one gives nothing back: run it for one employee
    after the other, never in a loop. Needs the scope calendar.app.created; of the settings
    GOOGLE_SERVICE_ACCOUNT_FILE alone.
    """
    settings = load_settings()
    _check(settings, kuerzel, user)
    calendar_id = asyncio.run(_make(settings, kuerzel, user, title, is_applied=is_applied))
    if calendar_id is None:
        screen().print(
            f'Google lets us make a calendar for {kuerzel}: "{title}", {ZONE}, in the account that was named.',
            markup=False,
        )
        screen().print("Nothing has been made; do it with --apply, once.")
        return
    given = CalendarSetting(user=user, calendar=calendar_id)
    entry = json.dumps({kuerzel: given.model_dump()}, ensure_ascii=False)
    screen().print(f"The calendar of {kuerzel} is made. Its entry for {_where(settings)}:", markup=False)
    # Not through the screen, which folds long lines.
    click.echo(entry)


def _check(settings: Settings, kuerzel: str, user: str) -> None:
    try:
        check_kuerzel(kuerzel)
        check_user(kuerzel, user)
    except ValueError as error:
        raise NotUsable(f"{error}.") from None
    if named_kuerzel(settings, kuerzel) in settings.calendars:
        raise NotUsable(
            f"{kuerzel} has a calendar in {_where(settings)} already: take the entry out first, if it is lost for good."
        )


def _where(settings: Settings) -> str:
    return "GOOGLE_CALENDARS_FILE" if settings.google_calendars_file else "GOOGLE_CALENDARS"


async def _make(settings: Settings, kuerzel: str, user: str, title: str, *, is_applied: bool) -> str | None:
    """The new calendar's id; None where none was to be made. Raises Problem, SettingsError and the client's errors."""
    from bitbylaw_pipeline.clients.google import Google  # noqa: PLC0415  # takes 0.3 s, which --help need not spend

    employee = CalendarUser(kuerzel, user)
    google = Google.open(connection_of(settings), users=[employee])
    try:
        await google.check(employee, Scope.SETUP)
        if not is_applied:
            return None
        made = await google.setup(employee).create_calendar(title, time_zone=ZONE)
    except ScopeLimited as error:
        raise Problem(
            f"{error} No calendar was made for {kuerzel}: wait for some hours, each try prolongs it."
        ) from None
    except OutcomeUnknown as error:
        raise Problem(
            f'{error} A calendar may have been made for {kuerzel}: look for "{title}" in the account\'s list of calendars'
            " first. If it is there, its id stands in its settings (Integrate calendar); run this again only if it is not."
        ) from None
    finally:
        await google.aclose()
    return made.id
