"""How the receiver remembers registered webhooks."""

from __future__ import annotations

import asyncio

from bitbylaw_pipeline.inbox import webhooks
from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import FakeClock
from tests.receiver.conftest import register
from tests.receiver.deliveries import DOCUMENT_CREATE, DOCUMENT_UPDATE
from webhook_sensor_app.registrations import KEEP_SECONDS, UNKNOWN_SECONDS, Registrations


def test_a_new_registration_counts_within_a_second(database: Database) -> None:
    """An id that is not known yet is looked for again, at most once a second."""
    monotonic = FakeClock(0.0)

    async def main() -> None:
        registrations = Registrations(database, monotonic)
        assert await registrations.find(DOCUMENT_UPDATE.webhook_id) is None
        await asyncio.to_thread(register, database, DOCUMENT_UPDATE)
        monotonic.advance(UNKNOWN_SECONDS / 2)
        assert await registrations.find(DOCUMENT_UPDATE.webhook_id) is None
        monotonic.advance(UNKNOWN_SECONDS)
        found = await registrations.find(DOCUMENT_UPDATE.webhook_id)
        assert found is not None
        assert found.secret == DOCUMENT_UPDATE.secret.encode()

    asyncio.run(main())


def test_a_removed_registration_is_forgotten_after_some_seconds(database: Database) -> None:
    """What is remembered is good for some seconds, and asked for anew after that."""
    monotonic = FakeClock(0.0)
    register(database, DOCUMENT_UPDATE, DOCUMENT_CREATE)

    async def main() -> None:
        registrations = Registrations(database, monotonic)
        assert await registrations.find(DOCUMENT_UPDATE.webhook_id)
        await database.run(lambda connection: webhooks.remove(connection, DOCUMENT_UPDATE.webhook_id))
        monotonic.advance(KEEP_SECONDS / 2)
        assert await registrations.find(DOCUMENT_UPDATE.webhook_id)
        monotonic.advance(KEEP_SECONDS)
        assert await registrations.find(DOCUMENT_UPDATE.webhook_id) is None
        assert await registrations.find(DOCUMENT_CREATE.webhook_id)

    asyncio.run(main())


def test_secrets_do_not_show(database: Database) -> None:
    """A registration's text (in a traceback, say) does not hold its secret."""
    register(database, DOCUMENT_UPDATE)

    async def main() -> str:
        return repr(await Registrations(database).find(DOCUMENT_UPDATE.webhook_id))

    assert DOCUMENT_UPDATE.secret not in asyncio.run(main())
