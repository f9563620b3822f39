"""The control routes that every stand-in serves: ledger, counts, faults, clock (see `control`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.clock import SandboxClock
from bitbylaw_pipeline.sandbox.faults import Fault, Faults
from bitbylaw_pipeline.sandbox.ledger import Ledger


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A control request: its query and its JSON body (None without one)."""

    query: dict[str, str]
    body: Any


ControlRoute = Callable[[ControlRequest], object]


class ControlRoutes:
    """Functions from a control request to the JSON to answer with; a ValueError in one means 400."""

    def __init__(self, clock: SandboxClock, ledger: Ledger, faults: Faults) -> None:
        self._clock = clock
        self._ledger = ledger
        self._faults = faults
        self.by_method_and_path: dict[tuple[str, str], ControlRoute] = {
            ("GET", "/sandbox/ledger"): self._get_ledger,
            ("DELETE", "/sandbox/ledger"): self._clear_ledger,
            ("GET", "/sandbox/counts"): self._get_counts,
            ("GET", "/sandbox/faults"): self._get_faults,
            ("POST", "/sandbox/faults"): self._set_faults,
            ("DELETE", "/sandbox/faults"): self._clear_faults,
            ("GET", "/sandbox/clock"): self._get_clock,
            ("POST", "/sandbox/clock"): self._set_clock,
        }

    def _get_ledger(self, request: ControlRequest) -> object:
        query = request.query
        chosen = self._ledger.select(
            int(query.get("since", 0)), query.get("method", ""), query.get("path", "")
        )
        return {"total": self._ledger.total, "entries": chosen}

    def _clear_ledger(self, _: ControlRequest) -> object:
        self._ledger.clear()
        return {"total": 0}

    def _get_counts(self, _: ControlRequest) -> object:
        return self._ledger.counts()

    def _get_faults(self, _: ControlRequest) -> object:
        return [fault.as_json() for fault in self._faults.rules]

    def _set_faults(self, request: ControlRequest) -> object:
        items = request.body if isinstance(request.body, list) else [request.body]
        parsed = [Fault.from_json(item) for item in items]
        return {"ids": [self._faults.add(fault).id for fault in parsed]}

    def _clear_faults(self, request: ControlRequest) -> object:
        wanted = request.query.get("id")
        return {"removed": self._faults.clear(None if wanted is None else int(wanted))}

    def _get_clock(self, _: ControlRequest) -> object:
        now = self._clock.now_datetime()
        return {"now": now.timestamp(), "iso": now.isoformat(), "pinned": self._clock.pinned}

    def _set_clock(self, request: ControlRequest) -> object:
        match request.body:
            case {"reset": True}:
                self._clock.reset()
            case {"advance": int() | float() as seconds}:
                self._clock.advance(float(seconds))
            case {"pin": None}:
                self._clock.pin(None)
            case {"pin": int() | float() as at}:
                self._clock.pin(float(at))
            case _:
                raise ValueError(
                    'Send {"advance": seconds}, {"pin": seconds UTC or null} or {"reset": true}.'
                )
        return self._get_clock(request)
