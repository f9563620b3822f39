"""What an employee's appointments are called where the state names a pair of systems."""

from __future__ import annotations

PAIR_PREFIX = "termin_gcal:"
"""Before the Kürzel."""
