"""The register of what left the firm: appended before each upload, never changed.

Each row's hash covers the row and the hash before it, so a changed, removed or inserted row breaks the chain. Ids
(the collection's in the column `collection_id`, too) and file hashes stand in it as HMACs under a random key per
matter: destroying that key makes the matter's rows unreadable for good (the client's right to erasure), and the chain
stays whole. A document has a key of its own beside it, without which nobody can say which rows are its: it can be
erased while its matter lives on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.json_rows import BIGINT, DOUBLE, TEXT, rows_parameter, texts_parameter, to_json
from bitbylaw_pipeline.inbox.prepared import Prepared
from bitbylaw_pipeline.inbox.schema import egress, egress_head, matter_key

CHAIN_START = "0" * 64
VERIFY_PAGE = 2_000
FIRST_POSSIBLE_SEQ = -(2**62)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class EgressEntry:
    """A file that is about to leave: `matter` is its owner's key, `ground` the judged permission's."""

    document_id: str
    matter: str
    sha256: str
    system: str
    collection_id: str
    ground: str


@dataclass(frozen=True, slots=True)
class EgressRow:
    """A row of the register; `at` is UTC epoch seconds. What `ground` says after a colon is an HMAC as well."""

    seq: int
    at: float
    document_hmac: str
    matter_hmac: str
    file_hmac: str
    system: str
    collection_id: str
    ground: str
    previous_hash: str
    row_hash: str


_FIELDS = tuple(EgressRow.__dataclass_fields__)
_rows = rows_parameter("rows", {**dict.fromkeys(_FIELDS, TEXT), "seq": BIGINT, "at": DOUBLE})
_digests = texts_parameter("digests")

_LOCK_HEAD = Prepared(
    select(egress_head.c.seq, egress_head.c.row_hash).where(egress_head.c.id == 1).with_for_update()
)
_HEAD = Prepared(select(egress_head.c.seq, egress_head.c.row_hash).where(egress_head.c.id == 1))
_APPEND = Prepared(insert(egress).from_select(list(_FIELDS), select(*(_rows.c[name] for name in _FIELDS))))
_MOVE_HEAD = Prepared(
    update(egress_head)
    .where(egress_head.c.id == 1)
    .values(seq=bindparam("to_seq", type_=BIGINT), row_hash=bindparam("to_hash", type_=TEXT))
)
_KEYS = Prepared(
    select(matter_key.c.matter_digest, matter_key.c.key).where(
        matter_key.c.matter_digest.in_(select(_digests.c.value))
    )
)
_new_keys = rows_parameter("new_keys", {"matter_digest": TEXT, "key": TEXT, "created_at": DOUBLE})
_KEY_FIELDS = ("matter_digest", "key", "created_at")
_ADD_KEYS = Prepared(
    insert(matter_key).from_select(list(_KEY_FIELDS), select(*(_new_keys.c[name] for name in _KEY_FIELDS)))
)
_DESTROY_KEY = Prepared(
    delete(matter_key).where(matter_key.c.matter_digest == bindparam("of_matter", type_=TEXT))
)
_PAGE = Prepared(
    select(egress)
    .where(egress.c.seq > bindparam("after", type_=BIGINT))
    .order_by(egress.c.seq)
    .limit(VERIFY_PAGE)
)
_OF_MATTER = Prepared(
    select(egress).where(egress.c.matter_hmac == bindparam("of_hmac", type_=TEXT)).order_by(egress.c.seq)
)
_LATEST = Prepared(
    select(egress)
    .where(egress.c.at >= bindparam("since", type_=DOUBLE))
    .order_by(egress.c.seq.desc())
    .limit(bindparam("at_most"))
)
_DOCUMENT = "document:"
"""What a document's key is filed under begins with it."""
_MATTER_KEYS = Prepared(select(matter_key.c.key).where(matter_key.c.matter_digest.not_like(f"{_DOCUMENT}%")))
_OF_DOCUMENTS = Prepared(
    select(egress).where(egress.c.document_hmac.in_(select(_digests.c.value))).order_by(egress.c.seq)
)


def append(connection: Connection, now: float, cipher: Cipher, entries: Sequence[EgressEntry]) -> list[int]:
    """Adds one row per entry at the end of the chain and returns their numbers; commit it before the upload.

    Raises CipherError without the encryption key.
    """
    if not entries:
        return []
    seq, previous = _LOCK_HEAD(connection, {}).one()
    keys = _keys_for(connection, now, cipher, entries)
    rows: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, seq + 1):
        row = _row(
            number,
            now,
            entry,
            keys[_digest(entry.matter)],
            keys[_digest_of_document(entry.document_id)],
            previous,
        )
        previous = row["row_hash"] = _hash(row)
        rows.append(row)
    _APPEND(connection, {"rows": to_json(rows)})
    _MOVE_HEAD(connection, {"to_seq": rows[-1]["seq"], "to_hash": previous})
    return [row["seq"] for row in rows]


def verify(connection: Connection, known: tuple[int, str] | None = None) -> int | None:
    """The number of the first row that is missing or does not fit the chain, None if all is whole.

    Finds what was changed, removed, inserted, or cut off the end. Somebody who rewrites every later row and the head
    as well is found by `known`, an earlier `head` that was kept elsewhere: the row of that number must still have that
    hash, and where it has not, it or one before it was rewritten.
    """
    seq, previous, after = 0, CHAIN_START, FIRST_POSSIBLE_SEQ
    while True:
        for row in rows_after(connection, after):
            if row.seq != seq + 1 or row.previous_hash != previous or row.row_hash != _hash(asdict(row)):
                return seq + 1
            seq, previous = row.seq, row.row_hash
            if known is not None and known[0] == seq and known[1] != row.row_hash:
                return seq
        end = _HEAD(connection, {}).one_or_none()
        if end is not None and end.seq > seq and after < seq:
            after = seq  # appended since the last page was read
            continue
        break
    if end is None or end.seq != seq:
        return min(seq, seq if end is None else int(end.seq)) + 1
    if end.row_hash != previous:
        return seq
    if known is not None and (known[0] > seq or (known[0] == 0 and known[1] != CHAIN_START)):
        return seq + 1
    return None


def rows_after(connection: Connection, seq: int = FIRST_POSSIBLE_SEQ) -> Iterator[EgressRow]:
    """Every row with a higher number, in order, page by page: memory does not grow with the register."""
    while rows := _PAGE(connection, {"after": seq}).all():
        for fields in rows:
            yield EgressRow(*fields)
        seq = rows[-1].seq


def latest(connection: Connection, since: float, limit: int) -> list[EgressRow]:
    """The last rows, at most so many, of those since a time (UTC epoch seconds); in their order."""
    found = [EgressRow(*fields) for fields in _LATEST(connection, {"since": since, "at_most": limit})]
    return found[::-1]


def head(connection: Connection) -> tuple[int, str]:
    """The last row's number and hash: who keeps a copy of them elsewhere can prove that nothing was rewritten."""
    end = _HEAD(connection, {}).one_or_none()
    # Nobody but a tamperer takes the row away; `verify` then says so.
    return (0, CHAIN_START) if end is None else (end.seq, end.row_hash)


def rows_of(
    connection: Connection, cipher: Cipher, matter: str, document_id: str | None = None
) -> list[EgressRow]:
    """A matter's rows, or one document's among them; empty once the matter's or the document's key is destroyed."""
    key = _key(connection, cipher, _digest(matter))
    if key is None:
        return []
    rows = [EgressRow(*fields) for fields in _OF_MATTER(connection, {"of_hmac": _hmac(key, matter)})]
    if document_id is None:
        return rows
    own = _key(connection, cipher, _digest_of_document(document_id))
    wanted = None if own is None else _hmac(_joined(key, own), document_id)
    return [row for row in rows if row.document_hmac == wanted]


def documents_of(
    connection: Connection, cipher: Cipher, matter: str, candidates: Iterable[str]
) -> frozenset[str]:
    """Those of the documents of which anything has left on account of the matter; none once its key is destroyed."""
    key = _key(connection, cipher, _digest(matter))
    if key is None:
        return frozenset()
    rows = _OF_MATTER(connection, {"of_hmac": _hmac(key, matter)})
    left = {EgressRow(*fields).document_hmac for fields in rows}
    by_digest = {_digest_of_document(one): one for one in candidates}
    own = _keys(connection, cipher, by_digest)
    return frozenset(
        by_digest[digest] for digest in own if _hmac(_joined(key, own[digest]), by_digest[digest]) in left
    )


def rows_of_document(connection: Connection, cipher: Cipher, document_id: str) -> list[EgressRow]:
    """A document's rows over all matters whose key there is; none once its own key is destroyed."""
    own = _key(connection, cipher, _digest_of_document(document_id))
    if own is None:
        return []
    keys = [bytes.fromhex(cipher.decrypt(key)) for key in _MATTER_KEYS(connection, {}).scalars()]
    digests = to_json(_hmac(_joined(key, own), document_id) for key in keys)
    return [EgressRow(*fields) for fields in _OF_DOCUMENTS(connection, {"digests": digests})]


def destroy_key(connection: Connection, matter: str) -> bool:
    """Erases the matter from the register; False if there was no key (any more)."""
    return _DESTROY_KEY(connection, {"of_matter": _digest(matter)}).rowcount == 1


def destroy_document_key(connection: Connection, document_id: str) -> bool:
    """Erases the document from the register, in every matter; False if there was no key (any more)."""
    return _DESTROY_KEY(connection, {"of_matter": _digest_of_document(document_id)}).rowcount == 1


def _key(connection: Connection, cipher: Cipher, digest: str) -> bytes | None:
    return _keys(connection, cipher, (digest,)).get(digest)


def _keys(connection: Connection, cipher: Cipher, digests: Iterable[str]) -> dict[str, bytes]:
    found = _KEYS(connection, {"digests": to_json(digests)})
    return {row.matter_digest: bytes.fromhex(cipher.decrypt(row.key)) for row in found}


def _keys_for(
    connection: Connection, now: float, cipher: Cipher, entries: Sequence[EgressEntry]
) -> dict[str, bytes]:
    """The keys of all matters and documents of the entries, those made and stored that are new."""
    wanted = {_digest(entry.matter) for entry in entries}
    wanted |= {_digest_of_document(entry.document_id) for entry in entries}
    keys = _keys(connection, cipher, sorted(wanted))
    new = {digest: secrets.token_bytes(32) for digest in sorted(wanted - keys.keys())}
    if new:
        rows = [(digest, cipher.encrypt(key.hex()), now) for digest, key in new.items()]
        _ADD_KEYS(connection, {"new_keys": to_json(dict(zip(_KEY_FIELDS, row, strict=True)) for row in rows)})
    return keys | new


def _row(
    seq: int, now: float, entry: EgressEntry, key: bytes, of_document: bytes, previous: str
) -> dict[str, Any]:
    joined = _joined(key, of_document)
    return {
        "seq": seq,
        "at": now,
        "document_hmac": _hmac(joined, entry.document_id),
        "matter_hmac": _hmac(key, entry.matter),
        "file_hmac": _hmac(joined, entry.sha256),
        "system": entry.system,
        "collection_id": _hmac(key, entry.collection_id),
        "ground": _ground(key, entry.ground),
        "previous_hash": previous,
    }


def _ground(key: bytes, ground: str) -> str:
    """The rule, and what it went by only to be recognised: a reference that names a person can be guessed."""
    rule, colon, digest = ground.partition(":")
    return f"{rule}:{_hmac(key, digest)[:16]}" if colon else rule


def _hash(row: Mapping[str, Any]) -> str:
    covered = {name: value for name, value in row.items() if name != "row_hash"}
    return hashlib.sha256(_canonical(covered).encode()).hexdigest()


def _hmac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _digest(matter: str) -> str:
    return hashlib.sha256(matter.encode()).hexdigest()


def _digest_of_document(document_id: str) -> str:
    return f"{_DOCUMENT}{_digest(document_id)}"


def _joined(key: bytes, of_document: bytes) -> bytes:
    """The key for what is the document's in the matter: useless without either."""
    return hmac.digest(key, of_document, hashlib.sha256)
