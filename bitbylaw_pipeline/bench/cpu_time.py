"""CPU time of processes with everything they started, from /proc: robust on a busy machine, where wall time is not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One line of /proc/<pid>/stat: CPU seconds are its own and those of children that it has waited for."""

    pid: int
    parent: int
    cpu_seconds: float


def parse_stat(text: str) -> ProcessFacts:
    """The facts in the text of a stat file; the program's name in it may hold spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    # proc(5) counts from 1 with the state as field 3: parent is 4; utime, stime, cutime, cstime are 14 to 17.
    ticks = sum(int(value) for value in fields[11:15])
    return ProcessFacts(int(pid), int(fields[1]), ticks / _TICKS)


def all_processes() -> dict[int, ProcessFacts]:
    """Every process that can be read now."""
    found: dict[int, ProcessFacts] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            facts = parse_stat((entry / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[facts.pid] = facts
    return found


def tree_cpu_seconds(root: int, processes: Mapping[int, ProcessFacts]) -> float:
    """CPU seconds of a process and of all its living and waited-for descendants."""
    children: dict[int, list[int]] = {}
    for facts in processes.values():
        children.setdefault(facts.parent, []).append(facts.pid)
    total, open_pids = 0.0, [root]
    while open_pids:
        pid = open_pids.pop()
        if pid in processes:
            total += processes[pid].cpu_seconds
        open_pids += children.get(pid, [])
    return total


class CpuMeter:
    """Reads the CPU time of named process trees now; subtract two readings for what a stretch of work cost."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)

    def read(self) -> dict[str, float]:
        """CPU seconds so far, by name."""
        processes = all_processes()
        return {name: tree_cpu_seconds(pid, processes) for name, pid in self._pids.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings, by name."""
    return {name: after[name] - before.get(name, 0.0) for name in after}
