"""Counts the calls to outside systems made on behalf of one entity, across all clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_calls: ContextVar[list[int] | None] = ContextVar("calls", default=None)


def count_call(*_: object) -> None:
    """The clients' hook: one more call for whatever entity this task is at work on."""
    counter = _calls.get()
    if counter is not None:
        counter[0] += 1


@contextmanager
def counting() -> Iterator[list[int]]:
    """A counter (a list of one number) that every call made within the block adds to."""
    counter = [0]
    token = _calls.set(counter)
    try:
        yield counter
    finally:
        _calls.reset(token)
