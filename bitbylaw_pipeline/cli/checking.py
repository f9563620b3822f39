"""Running checks so that one that crashes is a finding and not a traceback."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable

from bitbylaw_pipeline.cli.findings import Finding, bad, fine, odd
from bitbylaw_pipeline.domain.errors import AuthFailed, SyncError, Transient
from bitbylaw_pipeline.inbox.cipher import CipherError
from bitbylaw_pipeline.inbox.failures import DatabaseUnavailable
from bitbylaw_pipeline.settings import SettingsError

Check = Callable[[], AsyncIterator[Finding]]


def clock_difference(before: float, at: float, after: float) -> float:
    """Seconds by which a server's `Date` header `at` is off, of an answer asked for at `before` that came at `after`."""
    return max(before - at - 1.0, at - after, 0.0)  # the header has whole seconds


def clock_finding(area: str, whose: str, off: float | None, *, longest: float, matters: str) -> Finding:
    """Judges by how many seconds a system's clock is `off` (None: its answers do not say); above `longest` it is odd.

    `matters` is what a wrong clock costs there.
    """
    if off is None:
        return odd(area, f"{whose} answers carry no Date header.", "compare the clocks by hand.")
    if off <= longest:
        return fine(area, f"{whose} clock agrees with ours.")
    return odd(
        area, f"{whose} clock and ours differ by {off:.0f} s: {matters}.", "synchronise this machine by NTP."
    )


async def attempt(area: str, name: str, check: Check) -> AsyncIterator[Finding]:
    """The check's findings; whatever it raises becomes the last of them. Each call in it has a limit of its own."""
    try:
        async for finding in check():
            yield finding
    except AuthFailed as error:
        yield bad(area, str(error), "put a key that is valid, with all its rights, into .env.")
    except Transient as error:
        yield bad(
            area, str(error), "check the address in .env, the network between us, and whether it is up."
        )
    except (SettingsError, CipherError, DatabaseUnavailable, SyncError) as error:
        yield bad(area, str(error), f"nothing more is known of the {name} until then.")
    except Exception as fault:  # noqa: BLE001  # a person asked what is wrong: this is
        frame = traceback.extract_tb(fault.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        yield bad(
            area, f"The check of the {name} failed: {type(fault).__name__} at {place}.", "please report it."
        )
