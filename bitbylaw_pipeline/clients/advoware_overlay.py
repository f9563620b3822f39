"""A change as Advoware must have it: compared with what the caller planned against, and laid over the whole row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bitbylaw_pipeline.clients.advoware_parsing import normal
from bitbylaw_pipeline.clients.advoware_rows import Row, Value
from bitbylaw_pipeline.clients.advoware_surface import Resource
from bitbylaw_pipeline.domain.errors import Conflict


def not_taken(row: Row, patch: Mapping[str, Value]) -> tuple[str, ...]:
    """The fields of a patch that the row, read after the write, does not hold: Advoware has ignored or altered them."""
    return tuple(sorted(name for name, value in patch.items() if row.known.get(name) != normal(value)))


def check(present: Row, expected: Mapping[str, Value], resource: Resource) -> None:
    """Raises Conflict, with the present values, where one is not what the caller planned against."""
    different = [
        name
        for name, value in expected.items()
        if name in resource.fields and present.known.get(name) != normal(value)
    ]
    if different:
        raise Conflict(
            f"advoware has other values by now in {', '.join(sorted(different))}; nothing was written.",
            system="advoware",
            current={name: present.known.get(name) for name in expected},
        )


def differs(present: Row, patch: Mapping[str, Value]) -> bool:
    """Whether the patch would change anything."""
    return any(present.known.get(name) != normal(value) for name, value in patch.items())


def overlaid(present: Row, sent: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
    """The whole row for a PUT, with the members of `sent` in it."""
    # The whole row goes back: a member that a PUT leaves out is cleared, also one that we have never heard of.
    return {key: value for key, value in {**present.raw, **sent}.items() if key not in resource.never_sent}
