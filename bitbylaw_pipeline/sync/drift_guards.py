"""Lists that cannot be believed: empty, or much shorter than the last time. Nothing is taken for gone because of one."""

from __future__ import annotations

from collections.abc import Mapping

from bitbylaw_pipeline.domain.errors import Unexpected

FEW = 10
"""A list of fewer than that may lose most of it in a day."""
SHARE = 0.5


def refuse_shrunken(
    flow: str, listed: Mapping[str, int], former: Mapping[str, int], *, accepts_smaller: bool
) -> None:
    """Raises Unexpected for a list that has lost half of what it had, or all of it; lengths by the list's name.

    `accepts_smaller`: a person has said that they really are that much shorter.
    """
    if accepts_smaller:
        return
    for name, count in listed.items():
        before = former.get(name, 0)
        is_emptied = count == 0 and before > 1  # one may well have been the last
        if is_emptied or (before >= FEW and count < before * SHARE):
            raise Unexpected(
                f"{name} has {count} entries, {before} before: nothing of {flow} is judged by it. Look at our user's "
                f"rights there; if it really is that short: bitbylaw reconcile --flow {flow} --accept-smaller.",
                system="pipeline",
            )
