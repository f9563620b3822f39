"""Dagster forgets a subject: no table, file or byte of its history names it, and its neighbours stay as they were."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster._core.storage.event_log.schema import AssetEventTagsTable
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.erasure import Mention, Partition, crossed_out, patterns
from bitbylaw_pipeline.orchestration.history_erasure import (
    RunUnderWay,
    _events,
    _output_folder,
    _shards,
    _stores,
    count_history,
    erase_history,
)
from bitbylaw_pipeline.orchestration.history_files import compact, cross_out_files
from bitbylaw_pipeline.orchestration.red_partitions import mark_red, red_among
from tests.orchestration.toy import FILES, TOYS
from tests.orchestration.workbench import Workbench, workbench

GONE, STAYS, FAILED = "ok-64f0c1d2e3b4a5968", "ok-64f0c1d2e3b4a5777", "bad-64f0c1d2e3b4a5111"
SUBJECT = Mention((Partition(GONE), Partition(FAILED)), (GONE, FAILED, f"file-{GONE}"))
CHECK = dg.AssetCheckKey(FILES, "drift")


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench whose Dagster is on SQLite, then on PostgreSQL."""
    with workbench(tmp_path, dagster=request.param) as made:
        yield made


def live(bench: Workbench) -> None:
    """Some days of a firm: batches, runs of single partitions, a check, ticks, marks and output that name the subject."""
    bench.want(GONE, STAYS)
    bench.run_batch()
    bench.run_partition(STAYS)
    bench.run_partition(FAILED)
    bench.run_range([GONE, STAYS])
    bench.run_partition(GONE)
    for key in (FAILED, STAYS):
        mark_red(bench.instance, TOYS.name, [key])
    sample: dict[str, dg.MetadataValue[Any] | str] = {
        "sample": dg.MetadataValue.json([GONE, STAYS]),
        "text": f"{GONE} and {STAYS} differ",
    }
    bench.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(FILES, "drift", passed=False, metadata=sample)
    )
    bench.instance.create_tick(
        TickData(
            "origin",
            "sensor",
            InstigatorType.SENSOR,
            TickStatus.SKIPPED,
            1_700_000_000.0,
            skip_reason=f"waits for {GONE}",
            cursor=json.dumps({GONE: 1, STAYS: 2}),
            selector_id="selector",
        )
    )
    folder = _output_folder(bench.instance)
    assert folder is not None
    for run in ("run-a", "run-b"):
        (folder / run).mkdir(parents=True, exist_ok=True)
    (folder / "run-a" / "step.out").write_text(f"synced {STAYS}\n")
    (folder / "run-b" / "step.err").write_text(f"synced {GONE} and {STAYS}\n")


def rows(bench: Workbench) -> dict[tuple[str, str, Any], tuple[Any, ...]]:
    """Every row of Dagster's tables, also of SQLite's files for single runs: (store, table, id) -> values."""
    found: dict[tuple[str, str, Any], tuple[Any, ...]] = {}
    stores = [(str(at), metadata, connect) for at, (metadata, connect) in enumerate(_stores(bench.instance))]
    if (folder := _shards(bench.instance)) is not None:
        events, metadata = _events(bench.instance), _stores(bench.instance)[0][0]
        for file in sorted(folder.glob("*.db")):
            run = file.name.removesuffix(".db")
            stores += [] if run == "index" else [(run, metadata, partial(events.run_connection, run))]
    for store, metadata, connect in stores:
        with connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
            for table in metadata.sorted_tables:
                if table.name in there:
                    for row in connection.execute(sa.select(table)):
                        found[store, table.name, row.id] = tuple(row)
    return found


def names(values: tuple[Any, ...]) -> bool:
    """Whether a row names the subject."""
    return any(one in str(value) for value in values for one in (GONE, FAILED))


def test_no_row_and_no_byte_names_the_subject_afterwards(bench: Workbench, tmp_path: Path) -> None:
    """Every table of all three stores is read, and on SQLite every byte below DAGSTER_HOME, logs of the database too."""
    live(bench)
    assert len([1 for values in rows(bench).values() if names(values)]) > 20
    before = count_history(bench.instance, SUBJECT)
    assert before.runs == 2
    assert before.files >= 1
    erased = erase_history(bench.instance, SUBJECT)
    assert erased.runs == 2
    assert erased.is_compact
    assert [key for key, values in rows(bench).items() if names(values)] == []
    assert count_history(bench.instance, SUBJECT).total == 0
    assert erase_history(bench.instance, SUBJECT).total == 0
    for file in (tmp_path / "dagster").rglob("*"):
        if file.is_file():
            text = file.read_bytes()
            assert GONE.encode() not in text, file
            assert FAILED.encode() not in text, file


def test_neighbours_stay_byte_for_byte(bench: Workbench) -> None:
    """Rows that never named the subject are the same; what named both still names the neighbour, in the same length."""
    live(bench)
    before = rows(bench)
    tag = "dagster/partition"
    own = [run.run_id for run in bench.instance.get_runs() if run.tags.get(tag) in (GONE, FAILED)]
    assert len(own) == 2
    erase_history(bench.instance, SUBJECT)
    after = rows(bench)
    strangers = {
        key: values
        for key, values in before.items()
        if not names(values) and not any(run in (key[0], *map(str, values)) for run in own)
    }
    assert {key: after.get(key) for key in strangers} == strangers
    assert bench.materialized() == {STAYS}
    assert bench.status(STAYS) == "MATERIALIZED"
    assert red_among(bench.instance, TOYS.name, [STAYS, FAILED]) == {STAYS}
    assert bench.instance.get_dynamic_partitions(TOYS.name) == [STAYS]
    check = bench.instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert check.event is not None
    assert f"{'x' * len(GONE)} and {STAYS} differ" in str(check.event)
    ticks = bench.instance.get_ticks("origin", "selector")
    assert json.loads(ticks[0].cursor or "") == {"x" * len(GONE): 1, STAYS: 2}
    folder = _output_folder(bench.instance)
    assert folder is not None
    assert (folder / "run-a" / "step.out").read_text() == f"synced {STAYS}\n"
    assert (folder / "run-b" / "step.err").read_text() == f"synced {'x' * len(GONE)} and {STAYS}\n"


def test_latest_materialization_of_an_asset_is_the_one_before(bench: Workbench) -> None:
    """The asset's page shows the neighbour's materialization as the latest, and a later one takes its place."""
    live(bench)
    latest = bench.instance.get_latest_materialization_event(FILES)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.partition == GONE
    erase_history(bench.instance, SUBJECT)
    former = bench.instance.get_latest_materialization_event(FILES)
    assert former is not None
    assert former.asset_materialization is not None
    assert former.asset_materialization.partition == STAYS
    bench.want("ok-later-record-1")
    bench.run_batch()
    assert bench.materialized() == {STAYS, "ok-later-record-1"}


def test_an_asset_whose_only_materialization_goes_has_none(bench: Workbench) -> None:
    """With the last partition the asset is as if it had never been materialized."""
    bench.want(GONE)
    bench.run_batch()
    erase_history(bench.instance, SUBJECT)
    assert bench.instance.get_latest_materialization_event(FILES) is None
    assert bench.materialized() == set()


def test_tags_of_deleted_events_go_with_them(bench: Workbench) -> None:
    """An event's tags are rows of their own; those of a neighbour stay."""
    for key in (GONE, STAYS):
        bench.instance.report_runless_asset_event(dg.AssetMaterialization(FILES, partition=key))
    with _events(bench.instance).index_connection() as connection:
        event_ids = dict(connection.execute(sa.text("SELECT partition, id FROM event_logs")).tuples().all())
        tag = {"asset_key": FILES.to_string(), "key": "matter", "value": "tagged"}
        connection.execute(
            AssetEventTagsTable.insert(), [{**tag, "event_id": one} for one in event_ids.values()]
        )
    erase_history(bench.instance, SUBJECT)
    left = [values[1] for (_, name, _), values in rows(bench).items() if name == "asset_event_tags"]
    assert left == [event_ids[STAYS]]


def test_what_was_deleted_long_before_is_gone_from_the_files_too(tmp_path: Path) -> None:
    """SQLite leaves what was deleted in its free pages; after an erasure no byte of it is left."""
    with workbench(tmp_path) as bench:
        live(bench)
        folder = _shards(bench.instance)
        assert folder is not None
        databases = [folder / "index.db", folder / ".db", folder.parent / "runs.db"]
        for file in databases:
            with closing(sqlite3.connect(file, isolation_level=None)) as careless:
                careless.execute("PRAGMA secure_delete = OFF")
                careless.execute("CREATE TABLE note (text TEXT)")
                careless.executemany("INSERT INTO note VALUES (?)", [(f"once {GONE}" * 30,)] * 200)
                careless.execute("DROP TABLE note")
                careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert f"once {GONE}".encode() in file.read_bytes()
        assert erase_history(bench.instance, SUBJECT).is_compact
        for file in databases:
            assert GONE.encode() not in file.read_bytes()


def test_nothing_is_touched_while_a_run_of_the_partition_goes_on(bench: Workbench) -> None:
    """One sentence says which run; all rows are as they were."""
    live(bench)
    run = bench.instance.get_runs(limit=1)[0]
    bench.instance.add_run(run._replace(run_id="goes-on", status=dg.DagsterRunStatus.STARTED))
    before = rows(bench)
    with pytest.raises(RunUnderWay, match="goes-on"):
        erase_history(bench.instance, SUBJECT)
    assert rows(bench) == before


def test_a_number_is_a_partition_of_its_own_stream_alone(bench: Workbench) -> None:
    """An Akte's number as the partition of another asset, and as any other number, stays."""
    bench.instance.add_dynamic_partitions("akten", ["4711"])
    bench.instance.add_dynamic_partitions("others", ["4711"])
    akten = dg.AssetKey(["advoware", "akten"])
    for asset in (akten, FILES):
        materialized = dg.AssetMaterialization(asset, partition="4711", metadata={"bytes": 4711})
        bench.instance.report_runless_asset_event(materialized)
    subject = Mention((Partition("4711", "akten", ("advoware/akten",)),), ("right:4711",))
    erase_history(bench.instance, subject)
    assert bench.instance.get_dynamic_partitions("akten") == []
    assert bench.instance.get_dynamic_partitions("others") == ["4711"]
    assert set(bench.instance.get_materialized_partitions(akten)) == set()
    assert bench.materialized() == {"4711"}
    assert "4711" in str(bench.instance.get_latest_materialization_event(FILES))


def test_a_reader_who_stays_is_told_of(tmp_path: Path) -> None:
    """While somebody reads SQLite's log it cannot be emptied: that is said, and the next run does it."""
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE note (text TEXT)")
        writer.execute("INSERT INTO note VALUES (?)", (GONE,))
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM note").fetchall()
            writer.execute("DELETE FROM note")
            assert not compact(file, wait_seconds=0.1)
        assert compact(file)
    assert GONE.encode() not in file.read_bytes()


def test_ids_are_crossed_out_in_their_own_length() -> None:
    """A number goes only behind its word, and a longer number that begins like it stays."""
    subject = Mention((), ("64f0c1d2e3b4a5968", "right:104860", "Beteiligte/104860"))
    text = 'right:104860 right:1048601 {"bytes": 104860} Beteiligte/104860/Adressen 64f0c1d2e3b4a5968!'
    expected = 'right:xxxxxx right:1048601 {"bytes": 104860} Beteiligte/xxxxxx/Adressen xxxxxxxxxxxxxxxxx!'
    assert crossed_out(text, subject.patterns()) == expected


@given(
    st.sets(st.text("ab_-", min_size=8, max_size=12), min_size=1, max_size=60), st.text("ab_-", max_size=40)
)
def test_every_id_is_found_and_nothing_else(ids: set[str], text: str) -> None:
    """What many ids have in common is written once in the pattern; it finds what looking for each of them would find."""
    found_by = patterns(ids)
    assert any(re.search(pattern, text) for pattern in found_by) == any(one in text for one in ids)
    for one in ids:
        assert crossed_out(f"#{one}#", found_by) == f"#{'x' * len(one)}#"


def test_an_id_across_two_pieces_of_a_large_file_is_crossed_out(tmp_path: Path) -> None:
    """Captured output of megabytes is read in pieces; the id on their border is found, and the file keeps its length."""
    file = tmp_path / "large.out"
    file.write_bytes(b"-" * ((1 << 20) - 5) + b" " + GONE.encode() + b" " + b"+" * 100)
    before = file.stat().st_size
    assert cross_out_files(tmp_path, SUBJECT) == 1
    assert GONE.encode() not in file.read_bytes()
    assert file.stat().st_size == before
    assert cross_out_files(tmp_path, SUBJECT) == 0


def test_odd_characters_are_refused() -> None:
    """What could be read as a pattern never becomes one."""
    with pytest.raises(ValueError, match="An id is letters"):
        Mention.parse('{"partitions": [], "ids": [".*"]}')


def test_as_a_program_it_takes_the_subject_from_standard_input(tmp_path: Path) -> None:
    """It works on the Dagster of DAGSTER_HOME and prints what is there as one line of JSON."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("documents", [GONE, STAYS])
    document = Mention((Partition(GONE),), (GONE,)).to_json()
    for expected, *arguments in ((1, "--count"), (0,), (0, "--count")):
        done = subprocess.run(
            [sys.executable, "-m", "bitbylaw_pipeline.orchestration.history_erasure", *arguments],
            input=document,
            env={"DAGSTER_HOME": str(home), "PATH": "/usr/bin:/bin", "DAGSTER_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == expected
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions("documents") == [STAYS]
