"""The webhooks registered in EspoCRM, each with the secret that its requests are signed with (encrypted)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, null, select, true, update
from sqlalchemy.dialects.postgresql import insert

from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import DOUBLE, TEXT
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import webhook


@dataclass(frozen=True, slots=True)
class Webhook:
    """A registered webhook without its secret."""

    webhook_id: str
    event: str
    url: str
    is_active: bool
    created_at: float
    replaced_at: float | None


_given = insert(webhook).values(
    webhook_id=bindparam("with_id", type_=TEXT),
    event=bindparam("with_event", type_=TEXT),
    url=bindparam("with_url", type_=TEXT),
    secret=bindparam("with_secret", type_=TEXT),
    is_active=true(),
    created_at=bindparam("at_now", type_=DOUBLE),
    replaced_at=null(),
)
_PUT = Prepared(
    _given.on_conflict_do_update(
        index_elements=[webhook.c.webhook_id],
        set_={name: _given.excluded[name] for name in ("event", "url", "secret", "is_active", "replaced_at")},
    )
)
_IS_THIS_ONE = webhook.c.webhook_id == bindparam("with_id", type_=TEXT)
_SECRET = Prepared(select(webhook.c.secret).where(_IS_THIS_ONE, webhook.c.is_active))
_RETIRE = Prepared(
    update(webhook)
    .where(_IS_THIS_ONE, webhook.c.is_active)
    .values(is_active=False, replaced_at=bindparam("at_now", type_=DOUBLE))
)
_REMOVE = Prepared(delete(webhook).where(_IS_THIS_ONE))
_LIST = Prepared(
    select(
        webhook.c.webhook_id,
        webhook.c.event,
        webhook.c.url,
        webhook.c.is_active,
        webhook.c.created_at,
        webhook.c.replaced_at,
    ).order_by(webhook.c.event, webhook.c.created_at, webhook.c.webhook_id)
)


def put(
    connection: Connection, now: float, cipher: Cipher, webhook_id: str, *, event: str, url: str, secret: str
) -> None:
    """Stores a webhook with its secret, or a new secret for it."""
    given = {
        "with_id": webhook_id,
        "with_event": event,
        "with_url": url,
        "with_secret": cipher.encrypt(secret),
        "at_now": now,
    }
    _PUT(connection, given)


def secret_by_id(connection: Connection, cipher: Cipher, webhook_id: str) -> str | None:
    """The secret of an active webhook, None for any other; raises CipherError under a wrong key."""
    encrypted: str | None = _SECRET(connection, {"with_id": webhook_id}).scalar_one_or_none()
    return None if encrypted is None else cipher.decrypt(encrypted)


def retire(connection: Connection, now: float, webhook_id: str) -> bool:
    """Stops accepting a webhook that was replaced by another; False if it was not active."""
    return _RETIRE(connection, {"with_id": webhook_id, "at_now": now}).rowcount == 1


def remove(connection: Connection, webhook_id: str) -> bool:
    """Forgets a webhook and its secret; False if it was not known."""
    return _REMOVE(connection, {"with_id": webhook_id}).rowcount == 1


def listing(connection: Connection) -> list[Webhook]:
    """Every webhook by event, without secrets."""
    return [Webhook(**{**row._asdict(), "is_active": bool(row.is_active)}) for row in _LIST(connection, {})]
