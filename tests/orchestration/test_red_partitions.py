"""Marks of red partitions, in Dagster's own storage."""

import dagster as dg

from bitbylaw_pipeline.orchestration.red_partitions import clear_red, mark_red, red_among


def test_a_mark_beside_one_that_is_there_already_is_kept() -> None:
    """Several keys at once, one of them marked before: all of them are red, and cleared together they are not."""
    with dg.DagsterInstance.ephemeral() as instance:
        mark_red(instance, "documents", ["a"])
        mark_red(instance, "documents", ["a", "b", "c"])
        assert red_among(instance, "documents", ["a", "b", "c", "d"]) == {"a", "b", "c"}
        clear_red(instance, "documents", ["a", "b", "d"])
        assert red_among(instance, "documents", ["a", "b", "c", "d"]) == {"c"}
