"""What `up` decides before it starts a program."""

from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from bitbylaw_pipeline.cli.services import Services
from bitbylaw_pipeline.settings import Settings


def services(folder: Path, **given: str) -> Services:
    """The programs of a pipeline whose history is in the folder."""
    return Services(Settings.load(_env_file=None, dagster_home=folder, **given), 3000, folder)


def test_start_is_the_first_until_dagster_has_its_tables(folder: Path) -> None:
    """An empty DAGSTER_HOME is a first start; once an instance was opened in it, it is none."""
    assert services(folder).is_first_start()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        assert instance.get_runs_count() == 0
        assert instance.all_instigator_state() == []
    assert not services(folder).is_first_start()


def test_start_on_postgresql_needs_no_order(folder: Path) -> None:
    """With PostgreSQL Dagster makes its tables in turn, so that no start waits."""
    url = "postgresql://dagster@localhost/dagster"
    assert not services(folder, dagster_postgres_url=url).is_first_start()
