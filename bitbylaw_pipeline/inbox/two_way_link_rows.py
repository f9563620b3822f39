"""A link of the two-way sync as a row: ids and versions in clear, all field values encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.domain.two_way_link import Advance, Intent, Link, LinkState, PastWrite, Write
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.sealed_fields import seal, unseal


def to_row(link: Link, cipher: Cipher) -> dict[str, Any]:
    """The link's columns except `pair` and the times, for `json_rows.to_json`."""
    return {
        "link_id": link.link_id,
        "left_id": link.left_id,
        "right_id": link.right_id,
        "state": link.state.value,
        "gen": link.gen,
        "base_left": seal(cipher, dict(link.base_left)),
        "base_right": seal(cipher, dict(link.base_right)),
        "ver_left": link.ver_left,
        "ver_right": link.ver_right,
        "intent": None if link.intent is None else seal(cipher, _intent_document(link.intent)),
        "is_unlinked": link.is_unlinked,
        "archive": seal(cipher, dict(link.archive)),
        "memory": seal(cipher, _memory_document(link)),
        "lease_until": link.lease_until,
        "row_rev": link.row_rev,
        "fail_count": link.fail_count,
    }


def to_link(row: Row[Any], cipher: Cipher) -> Link:
    """The link in a row of `sync_link`. Raises CipherError under another key than it was written with."""
    memory = unseal(cipher, row.memory)
    return Link(
        link_id=row.link_id,
        left_id=row.left_id,
        right_id=row.right_id,
        state=LinkState(row.state),
        gen=row.gen,
        base_left=unseal(cipher, row.base_left),
        base_right=unseal(cipher, row.base_right),
        ver_left=row.ver_left,
        ver_right=row.ver_right,
        intent=None if row.intent is None else _intent(unseal(cipher, row.intent)),
        is_unlinked=bool(row.is_unlinked),
        archive=unseal(cipher, row.archive),
        refusals=memory.get("refusals", {}),
        recent=tuple(PastWrite(*past) for past in memory.get("recent", ())),
        lease_until=row.lease_until,
        row_rev=row.row_rev,
        fail_count=row.fail_count,
    )


def _memory_document(link: Link) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if link.refusals:
        document["refusals"] = dict(link.refusals)
    if link.recent:
        document["recent"] = [(past.at, past.target, past.digest) for past in link.recent]
    return document


def _intent_document(intent: Intent) -> dict[str, Any]:
    return {
        "op": intent.op,
        "nonce": intent.nonce,
        "side": intent.side,
        "key": intent.key,
        "payload": dict(intent.payload),
        "source": dict(intent.source),
        "seen": intent.seen,
        "writes": {
            side.value: {
                "patch": dict(write.patch),
                "version": write.version,
                "nonce": write.nonce,
                "is_done": write.is_done,
            }
            for side, write in intent.writes.items()
        },
        "advances": [
            {
                "unit": advance.unit,
                "left": dict(advance.left),
                "right": dict(advance.right),
                "writes": [side.value for side in advance.writes],
            }
            for advance in intent.advances
        ],
    }


def _intent(document: Mapping[str, Any]) -> Intent:
    return Intent(
        **{
            **document,
            "side": None if document["side"] is None else Side(document["side"]),
            "writes": {Side(side): Write(**write) for side, write in document["writes"].items()},
            "advances": tuple(
                Advance(**{**advance, "writes": tuple(map(Side, advance["writes"]))})
                for advance in document["advances"]
            ),
        }
    )
