"""The migrations make what the schema says, whoever runs them and however often."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from bitbylaw_pipeline.inbox import egress, migrate
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.inbox.schema import metadata
from tests.servers import postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    return postgres_url() if request.param == "postgresql" else f"sqlite:///{tmp_path / 'state.sqlite'}"


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def partial_indexes(connection: Connection) -> dict[str, str]:
    listing = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'"
        if connection.dialect.name == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '%WHERE%' AND schemaname = 'public'"
    )
    rows = connection.exec_driver_sql(
        listing.replace("%", "%%") if connection.dialect.name != "sqlite" else listing
    )
    return {name: " ".join(sql.split("WHERE")[1].replace('"', "").split()) for name, sql in rows}


def test_migrations_make_the_schema(empty_url: str) -> None:
    """What the migrations make and what the schema declares do not differ, down to the partial indexes."""
    database = Database.open(empty_url, migrate=True)
    assert database.run_sync(differences) == []
    migrated = database.run_sync(partial_indexes)

    def make_anew(connection: Connection) -> dict[str, str]:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return partial_indexes(connection)

    declared = database.run_sync(make_anew)
    strip = str.maketrans("", "", "()")
    assert {name: sql.translate(strip).replace("work.", "") for name, sql in migrated.items()} == {
        name: sql.translate(strip).replace("work.", "") for name, sql in declared.items()
    }
    assert set(migrated) == {
        "ix_work_open",
        "ix_work_parked",
        "ix_intent_unsettled",
        "ux_sync_link_left",
        "ux_sync_link_right",
        "ux_sync_conflict_open",
    }
    database.close()


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    """A database that is up to date stays as it is, with its contents."""
    database = Database.open(empty_url, encryption_key="", migrate=True)
    before = database.run_sync(egress.head)
    migrate.upgrade(database)
    assert database.run_sync(egress.head) == before == (0, egress.CHAIN_START)
    database.close()


def test_migrations_can_be_undone(empty_url: str) -> None:
    """Downgrading removes every table of ours, and upgrading makes them again."""
    database = Database.open(empty_url, migrate=True)
    database.run_sync(lambda c: command.downgrade(migrate.configuration(c), "base"))
    assert database.run_sync(lambda c: inspect(c).get_table_names()) == ["alembic_version"]
    migrate.upgrade(database)
    assert database.run_sync(differences) == []
    database.close()


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    """Three processes opening an empty database at the same moment all succeed."""
    program = (
        "import sys; from bitbylaw_pipeline.inbox.database import Database; "
        "Database.open(sys.argv[1], migrate=True, wait_seconds=60.0).close()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=150)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    database = Database.open(empty_url)
    assert database.run_sync(differences) == []
    database.close()
