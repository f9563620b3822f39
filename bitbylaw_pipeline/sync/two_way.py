"""The two-way engine's face: the Reconciler for a pair of systems, and a case of field dictionaries run through it."""

from __future__ import annotations

from bitbylaw_pipeline.sync.two_way_case import run_case
from bitbylaw_pipeline.sync.two_way_reconciler import Reconciler

__all__ = ["Reconciler", "run_case"]
