"""`bitbylaw`: the commands for a person at a terminal.

Each command's module is imported when it is called: `bitbylaw status` must not pay for the clients of a demo.
Exit codes: 0 all is well, 1 something is wrong, 2 the command or a setting is not usable.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, cast

import click

from bitbylaw_pipeline.cli.problems import NotUsable, Problem
from bitbylaw_pipeline.domain.errors import SyncError
from bitbylaw_pipeline.inbox.cipher import CipherError
from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable
from bitbylaw_pipeline.settings import SettingsError

_COMMANDS = {
    "up": ("up:up", "Start receiver, Dagster and its UI for the systems named in .env."),
    "demo": ("demo:demo", "Show everything on the built-in sandbox, with live progress."),
    "status": ("status:status", "Show what is waiting, who is at work, and what may leave the firm."),
    "inbox": ("inbox:inbox", "Look at what came in and what is parked, and set it going again."),
    "sync": ("sync:sync", "Sync one document, owner, party, account, Akte or employee's Termine now."),
    "pass": ("pair_pass:run_pass", "Compare all parties, accounts, Akten and Termine with Advoware's, now."),
    "plan": ("pair_pass:plan", "Show what such a pass would do; nothing is done."),
    "audit": (
        "audit:audit",
        "Look for doubles, orphans and differences among appointments, and repair them.",
    ),
    "reconcile": ("reconcile:reconcile", "Compare the systems with each other now, and repair what differs."),
    "holds": ("holds:holds", "List what waits for a person's answer between two systems."),
    "conflicts": ("conflicts:conflicts", "List what was changed on both sides."),
    "resolve": ("resolve:resolve", "Answer a hold, or acknowledge a notice."),
    "approve-deletes": ("approvals:approve_deletes", "Allow the next pass a number of deletes."),
    "approve-updates": ("approvals:approve_updates", "Allow the next pass a number of updates."),
    "release": ("approvals:release", "Let a link out of quarantine."),
    "unlink": ("approvals:unlink", "End a link between two records; both stay."),
    "relink": ("approvals:relink", "Take up a link again that has ended."),
    "egress": ("egress:egress", "The register of what has left the firm, and the kill switch."),
    "erase": ("erase:erase", "Erase a document, matter or party from every system but the firm's own."),
    "alerts": ("alerts:alerts", "List what is wrong and who was told; try whether telling works."),
    "doctor": ("doctor:doctor", "Check every system, key, right, field and webhook; say what to do."),
    "setup-calendar": ("setup_calendar:setup_calendar", "Make the calendar for one employee's Termine."),
    "setup-espocrm": ("setup_espocrm:setup_espocrm", "Register the webhooks in EspoCRM; name what it lacks."),
}


class Commands(click.Group):
    """The commands, imported when needed; what they raise becomes one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a person meets them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return cast(
            "click.Command", getattr(importlib.import_module(f"bitbylaw_pipeline.cli.{module}"), name)
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line a command, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; raises Problem or what click itself raises, and nothing else."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except (SettingsError, CipherError) as error:
            raise NotUsable(str(error)) from error
        except (SyncError, DatabaseUnavailable) as error:
            raise Problem(str(error)) from error
        except Exception as fault:
            frame = traceback.extract_tb(fault.__traceback__)[-1]
            place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            sentence = f"{type(fault).__name__} at {place}: a fault of this program, please report it."
            raise Problem(sentence) from fault


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Keeps the firm's systems in step: EspoCRM's documents at xAI, its parties and accounts at Advoware,
    and Advoware's Termine in Google's calendars.

    Settings come from the environment and from .env in the working folder (see .env.example).
    """


def main() -> None:
    """The program's entry point."""
    sys.exit(cli(prog_name="bitbylaw"))
