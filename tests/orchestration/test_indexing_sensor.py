"""Documents whose indexing is due to be looked at go back into the queue, unless something else is under way for them."""

from functools import partial

from bitbylaw_pipeline.domain.document_state import DocumentState, IndexStatus
from bitbylaw_pipeline.inbox import document_states, work_queue
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.orchestration.indexing_sensor import want_due

STREAM = "documents"


def put_due(database: Database, *ids: str) -> None:
    """Documents that xAI was still reading when they were last looked at."""

    for document_id in ids:
        state = DocumentState(document_id, 1.0, index_status=IndexStatus.PENDING, index_check_at=1.0)
        database.run_sync(partial(document_states.put, state=state))


def test_due_documents_are_wanted_behind_events(database: Database) -> None:
    """A due document is wanted once, with low priority, and not again while it waits."""
    put_due(database, "d1")
    assert database.run_sync(lambda conn: want_due(conn, database.now(conn), STREAM)) == 1
    assert database.run_sync(lambda conn: want_due(conn, database.now(conn), STREAM)) == 0
    row = database.read(lambda conn: work_queue.get(conn, STREAM, "d1"))
    assert row is not None
    assert (row.wanted, row.priority) == (1, work_queue.SWEEP_PRIORITY)


def test_parked_document_stays_parked(database: Database) -> None:
    """A parked document is left alone: a want would lift it back into the queue every two minutes."""
    put_due(database, "d1")
    database.run_sync(lambda conn: work_queue.want(conn, database.now(conn), STREAM, ["d1"]))
    (claim,) = database.run_sync(
        lambda conn: work_queue.claim(conn, database.now(conn), STREAM, limit=1, lease_seconds=9)
    )
    database.run_sync(lambda conn: work_queue.park(conn, database.now(conn), claim, "refused", "no"))
    assert database.run_sync(lambda conn: want_due(conn, database.now(conn), STREAM)) == 0
    row = database.read(lambda conn: work_queue.get(conn, STREAM, "d1"))
    assert row is not None
    assert row.parked_at is not None
