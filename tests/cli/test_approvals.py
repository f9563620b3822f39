"""`bitbylaw approve-deletes` and `release`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Link, LinkState
from bitbylaw_pipeline.inbox import two_way_holds, two_way_links, work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.cli.conftest import Terminal

LINK = Link("left:6aab4db2f85d656da", "6aab4db2f85d656da", "20003", base_left={"name": "A"})


@pytest.fixture
def terminal(with_state: tuple[Terminal, Database]) -> Terminal:
    """A link in quarantine after five failures."""
    terminal, database = with_state
    quarantined = replace(LINK, state=LinkState.QUARANTINED, fail_count=5)
    database.run_sync(
        lambda c: two_way_links.put(
            c, database.now(c), "beteiligte", two_way_links.rows_of([quarantined], database.cipher)
        )
    )
    return terminal


def test_deletes_are_approved_up_to_a_number(
    terminal: Terminal, with_state: tuple[Terminal, Database]
) -> None:
    """The ceiling of one side of one pair is stored for the next pass; no single record is wanted past it."""
    result = terminal.run("approve-deletes", "beteiligte", "right", "7")
    assert result.exit_code == 0, result.output
    assert "up to 7 records in Advoware" in result.output
    database = with_state[1]
    assert database.read(lambda c: two_way_holds.approved(c, "beteiligte", "delete")) == {Side.RIGHT: 7}
    assert database.read(lambda c: two_way_holds.approved(c, "bankverbindungen", "delete")) == {}
    assert database.read(lambda c: work_queue.summary(c, database.now(c))) == {}


def test_updates_are_approved_apart_from_deletes(
    terminal: Terminal, with_state: tuple[Terminal, Database]
) -> None:
    """After a mass change a person lets so many updates of one side through; deletes stay guarded."""
    result = terminal.run("approve-updates", "beteiligte", "left", "1700")
    assert result.exit_code == 0, result.output
    assert "may update up to 1700 records in EspoCRM" in result.output
    database = with_state[1]
    assert database.read(lambda c: two_way_holds.approved(c, "beteiligte", "update")) == {Side.LEFT: 1700}
    assert database.read(lambda c: two_way_holds.approved(c, "beteiligte", "delete")) == {}


@pytest.mark.parametrize(
    "arguments", [("beteiligte", "middle", "3"), ("nobody", "left", "3"), ("beteiligte", "left", "0"),
                  ("beteiligte", "left", "many"), ("beteiligte", "left")]
)  # fmt: skip
def test_a_senseless_approval_is_bad_usage(
    terminal: Terminal, with_state: tuple[Terminal, Database], arguments: tuple[str, ...]
) -> None:
    """Exit code 2, and nothing is approved."""
    assert terminal.run("approve-deletes", *arguments).exit_code == 2
    assert with_state[1].read(lambda c: two_way_holds.approved(c, "beteiligte", "delete")) == {}


def test_a_link_is_let_out_of_quarantine(terminal: Terminal, with_state: tuple[Terminal, Database]) -> None:
    """Listed first, then released: active again, without failures, and wanted at once."""
    assert LINK.link_id in terminal.run("release", "beteiligte").output
    result = terminal.run("release", "beteiligte", LINK.link_id)
    assert result.exit_code == 0, result.output
    database = with_state[1]
    (link,) = database.read(lambda c: two_way_links.load(c, database.cipher, "beteiligte"))
    assert (link.state, link.fail_count) == (LinkState.ACTIVE, 0)
    row = database.read(lambda c: work_queue.get(c, "beteiligte", "6aab4db2f85d656da"))
    assert row is not None
    assert "0 in quarantine" in terminal.run("release", "beteiligte").output


def test_a_link_is_ended_and_taken_up_again(
    terminal: Terminal, with_state: tuple[Terminal, Database]
) -> None:
    """Ended by a person, it is left alone; taken up again it is looked at at once; forgotten, it is gone."""
    database = with_state[1]

    def links() -> list[tuple[str, bool]]:
        found = database.read(lambda c: two_way_links.load(c, database.cipher, "beteiligte"))
        return [(one.state.value, one.is_unlinked) for one in found]

    arguments = ("beteiligte", LINK.link_id)
    assert terminal.run("relink", *arguments).exit_code == 1
    assert terminal.run("unlink", *arguments).exit_code == 0
    assert links() == [("tombstone", True)]
    again = terminal.run("unlink", *arguments)
    assert again.exit_code == 1
    assert "has ended already" in " ".join(again.stderr.split())
    assert terminal.run("relink", *arguments).exit_code == 0
    assert links() == [("tombstone", False)]
    assert database.read(lambda c: work_queue.get(c, "beteiligte", "6aab4db2f85d656da")) is not None
    assert "that was ended" in " ".join(terminal.run("relink", *arguments, "--forget").stderr.split())


def test_a_forgotten_link_is_gone(terminal: Terminal, with_state: tuple[Terminal, Database]) -> None:
    """Its records are free to be matched anew."""
    database = with_state[1]
    assert terminal.run("unlink", "beteiligte", LINK.link_id).exit_code == 0
    result = terminal.run("relink", "beteiligte", LINK.link_id, "--forget")
    assert result.exit_code == 0, result.output
    assert "forgotten" in result.output
    assert database.read(lambda c: two_way_links.load(c, database.cipher, "beteiligte")) == []


def test_a_link_that_is_not_in_quarantine_is_told(terminal: Terminal) -> None:
    """One sentence, exit code 1; an unknown one likewise."""
    for pair, link in (("beteiligte", "left:nobody"), ("bankverbindungen", LINK.link_id)):
        result = terminal.run("release", pair, link)
        assert result.exit_code == 1
        assert "in quarantine" in result.stderr
