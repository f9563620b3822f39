"""The count of what remains at xAI agrees with the list, whatever the state looks like."""

from __future__ import annotations

import itertools
import random

import pytest
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.collection_state import CollectionState
from bitbylaw_pipeline.domain.document_plan import EXCLUDED
from bitbylaw_pipeline.domain.document_state import DocumentState, DoomedFile
from bitbylaw_pipeline.inbox import collection_states, document_states, intents, remaining, remaining_count
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import OwnerType, Settings


def key_of(number: int) -> str:
    """Of the types one may be configured no more; the other one's name begins as its does."""
    return f"{('Account', 'AccountX')[number % 2]}:{number}"


def owner(number: int, chance: random.Random) -> CollectionState:
    """An owner with or without collection, permission and a deletion."""
    return CollectionState(
        owner_key=key_of(number),
        collection_id=chance.choice([None, f"collection_{number}"]),
        is_permitted=chance.random() < 0.7,
        permission_ground=chance.choice(["field:1", "collection", "field"]),
        updated_at=1.0,
        deleted_at=chance.choice([None, None, 5.0]),
    )


def document(number: int, chance: random.Random) -> DocumentState:
    """A document with any of what counts; of the owners 8 and 9 nothing is known."""
    return DocumentState(
        f"document{number}",
        updated_at=1.0,
        status=chance.choice(["clean", "clean", EXCLUDED]),
        file_id=chance.choice([None, f"file_{number}"]),
        owners=tuple(key_of(one) for one in sorted(chance.sample(range(10), chance.randrange(4)))),
        doomed=chance.choice([(), (), (DoomedFile(f"file_old_{number}"),)]),
        deleted_at=chance.choice([None, None, None, 7.0]),
    )


def types(*names: str) -> tuple[OwnerType, ...]:
    """COLLECTION_OWNERS with them."""
    return tuple(OwnerType(entity_type=name, link="cDokumentes", word=name.lower()) for name in names)


@pytest.mark.parametrize("names", [("Account", "AccountX"), ("Account",), ("AccountX",), ("Lead",)])
@pytest.mark.parametrize("rule", ["off", "collection", "field"])
def test_the_count_is_that_of_the_list(database: Database, rule: str, names: tuple[str, ...]) -> None:
    """For every kind of owner and document, under each rule, of types configured or not, also where uploads broke off."""
    settings = Settings.load(_env_file=None, xai_egress=rule, collection_owners=types(*names))
    for seed, well, known in itertools.product(range(3), (False, True), (8, 10)):
        chance = random.Random(seed)
        owners = [owner(number, chance) for number in range(known)]
        if well:
            owners = [
                CollectionState(one.owner_key, one.collection_id, True, "field:1", 1.0) for one in owners
            ]

        def fill(conn: Connection, owners: list[CollectionState] = owners, seed: int = seed) -> None:
            made = random.Random(seed + 100)
            for one in owners:
                collection_states.put(conn, one)
            document_states.put_many(conn, [document(number, made) for number in range(60)])
            intents.open_intent(conn, 1.0, kind=remaining.UPLOAD, subject=f"document{seed}", token="token")

        database.run_sync(fill)
        listed = database.read(lambda conn: remaining.load(conn, settings))
        assert database.read(lambda conn: remaining_count.count(conn, settings)) == len(listed)
        assert listed
        forbidden = [one for one in listed if one.why in remaining.FORBIDDEN]
        told = database.read(lambda conn: remaining_count.count_forbidden(conn, settings))
        assert told == len(forbidden)


def test_nothing_remains_of_nothing(database: Database) -> None:
    """An empty state has nothing to count."""
    settings = Settings.load(_env_file=None, xai_egress="field")
    assert database.read(lambda conn: remaining_count.count(conn, settings)) == 0
    assert database.read(lambda conn: remaining_count.count_forbidden(conn, settings)) == 0
