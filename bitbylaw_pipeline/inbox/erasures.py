"""Proofs of erasures: that one was carried out, when, and what was looked at afterwards. No id of what was erased.

The subject stands in a proof as a digest under our own key: whoever is asked whether something was erased can answer for
an id that they are given, and for no other.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.schema import erasure


@dataclass(frozen=True, slots=True)
class Proof:
    """An erasure; `at` is UTC epoch seconds, `document` what was counted and checked."""

    id: str
    at: float
    kind: str
    subject_digest: str
    document: Mapping[str, Any]


def digest_of(cipher: Cipher, kind: str, subject: str) -> str:
    """What stands for the subject in a proof."""
    return cipher.digest("erasure", f"{kind}:{subject}")


def add(
    connection: Connection,
    now: float,
    cipher: Cipher,
    kind: str,
    subject: str,
    document: Mapping[str, Any],
) -> Proof:
    """Stores a proof; the document is counts and names of checks."""
    proof = Proof(uuid.uuid4().hex, now, kind, digest_of(cipher, kind, subject), document)
    connection.execute(
        insert(erasure).values(
            id=proof.id,
            at=now,
            kind=kind,
            subject_digest=proof.subject_digest,
            proof=json.dumps(document, sort_keys=True),
        )
    )
    return proof


def load(connection: Connection, *, subject_digest: str | None = None) -> list[Proof]:
    """All proofs, or those of one subject, oldest first."""
    statement = select(erasure).order_by(erasure.c.at, erasure.c.id)
    if subject_digest is not None:
        statement = statement.where(erasure.c.subject_digest == subject_digest)
    return [_read(row) for row in connection.execute(statement)]


def _read(row: Row[Any]) -> Proof:
    return Proof(row.id, row.at, row.kind, row.subject_digest, json.loads(row.proof))
