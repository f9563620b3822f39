"""One stand-in for all tests of Termine, and desks at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.advoware_termine.desk import Hall, OpenDesk, open_hall


@pytest.fixture(scope="session")
def hall() -> Iterator[Hall]:
    """The stand-in on its port."""
    with open_hall() as found:
        yield found


@pytest.fixture
def desk(hall: Hall) -> OpenDesk:
    """Opens a desk: `with desk(row, ..., switch=value) as office`."""
    return hall.desk
