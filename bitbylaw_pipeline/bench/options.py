"""The sizes of a run; the defaults keep the whole benchmark below fifteen minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass

MATTERS = 10
WARM_UP_DOCUMENTS = 48
AIM_LATENCY_MS = 5.0
"""The latency of each call under which the aim of the burst is judged (`facts/performance.md` 4)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; durations in seconds."""

    documents: int = 300
    repetitions: int = 3
    latency_ms: tuple[float, ...] = (AIM_LATENCY_MS, 0.0)
    trickle_seconds: float = 60.0
    trickle_rate: float = 2.0
    cold_tries: int = 3
    load_seconds: float = 5.0
    open_loop_rate: float = 100.0
    open_loop_seconds: float = 15.0
    call_documents: int = 3
    parties: int = 5000
    employees: int = 30
    appointments: int = 400
    reconciled_documents: int = 20_000
    """At the end; the growth is that from a tenth of them."""
    polls: bool = True
    """Whether a change that the poll has to find is waited for, too: minutes."""


def latency_label(milliseconds: float) -> str:
    """How a latency is named in a table."""
    return f"{milliseconds:g} ms a call" if milliseconds else "no latency"
