"""Claims by many at once on a real PostgreSQL: threads, processes, and transactions that stay open."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from sqlalchemy import create_engine

from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import migrated_url

STREAM = "documents"

WORKER = """
import sys
from bitbylaw_pipeline.inbox import work_queue
from bitbylaw_pipeline.inbox.database import Database

database = Database.open(sys.argv[1])
while claims := database.run_sync(
    lambda c: work_queue.claim(c, database.now(c), "documents", limit=7, lease_seconds=60)
):
    for claimed in claims:
        print(claimed.key)
    database.run_sync(lambda c: work_queue.complete(c, database.now(c), claims))
database.close()
"""


def test_processes_share_the_work_without_overlap(database_url: str) -> None:
    """Three processes claim 400 rows: every row is claimed by exactly one of them, and all are done."""
    database = Database.open(database_url)
    keys = [f"k{number:03}" for number in range(400)]
    database.run_sync(lambda c: work_queue.want(c, database.now(c), STREAM, keys))
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, database_url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    claimed = [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(claimed) == keys
    assert database.run_sync(lambda c: work_queue.summary(c, database.now(c))) == {}
    database.close()


def test_open_transactions_pass_over_each_others_rows(tmp_path: Path) -> None:
    """Claims in transactions that are open at the same time neither overlap nor wait for one another."""
    database = Database.open(migrated_url("postgresql", tmp_path))
    keys = [f"k{number}" for number in range(30)]
    database.run_sync(lambda c: work_queue.want(c, 0.0, STREAM, keys))
    # Not through Database: its writers' lock would put them one after the other.
    engine = create_engine(database.engine.url)
    everyone_claimed = threading.Barrier(4)
    taken: list[list[str]] = []

    def claim_and_stay() -> None:
        with engine.begin() as connection:
            claims = work_queue.claim(connection, 1.0, STREAM, limit=10, lease_seconds=60)
            everyone_claimed.wait(30)
            taken.append([claimed.key for claimed in claims])

    threads = [threading.Thread(target=claim_and_stay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # How the thirty fall to the four is PostgreSQL's: two that pass over the same rows at once share them.
    assert max(map(len, taken)) <= 10
    assert sorted(key for keys_of_one in taken for key in keys_of_one) == sorted(keys)
    engine.dispose()
    database.close()
