"""Which partitions stand red in the UI because a run of their own failed.

A pass that finds nothing to do materializes nothing, so a partition that once turned red would stay so for ever after
its entity recovered by itself. Whoever turns one red leaves a mark, and the next pass that finds both sides in step
materializes the partition and takes the mark away. Marks live in Dagster's own storage, with what they describe.
"""

from collections.abc import Collection, Iterable

import dagster as dg

_PREFIX = "bitbylaw/red"
_CHUNK = 500
"""SQLite takes no more than a thousand names in one query on older builds."""


def mark_red(instance: dg.DagsterInstance, stream: str, keys: Collection[str]) -> None:
    """Remembers that these partitions are red, or are about to be."""
    _set(instance, stream, keys, "red")


def clear_red(instance: dg.DagsterInstance, stream: str, keys: Collection[str]) -> None:
    """Forgets the marks: each of these partitions has a materialization now."""
    _set(instance, stream, keys, "")


def red_among(instance: dg.DagsterInstance, stream: str, keys: Iterable[str]) -> frozenset[str]:
    """Those of the keys that carry a mark."""
    wanted = list(dict.fromkeys(keys))
    red: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = instance.daemon_cursor_storage.get_cursor_values({_name(stream, key) for key in chunk})
        red.update(key for key in chunk if marks.get(_name(stream, key)))
    return frozenset(red)


def _set(instance: dg.DagsterInstance, stream: str, keys: Collection[str], mark: str) -> None:
    # One by one: of several of which one is known already, Dagster's SQLite storage only updates, and the new ones are lost.
    for key in keys:
        instance.daemon_cursor_storage.set_cursor_values({_name(stream, key): mark})


def _name(stream: str, key: str) -> str:
    return f"{_PREFIX}/{stream}/{key}"
