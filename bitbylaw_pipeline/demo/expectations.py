"""Whether everything is where it belongs: pure comparisons, each told as one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bitbylaw_pipeline.demo.picture import CrmDocument, Picture, StoredFile
from bitbylaw_pipeline.demo.story import Roles
from bitbylaw_pipeline.domain.document_state import IndexStatus

PROCESSED, FAILED = "PROCESSED", "FAILED"
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, and whether it holds; `detail` names ids where it does not."""

    is_ok: bool
    says: str
    detail: str = ""


def check_agreement(picture: Picture) -> list[Verdict]:
    """What holds whatever has happened: the three sides agree on every document and every owner, nothing is open."""
    return [
        *check_documents(picture),
        verdict("nothing is open: no event to be delivered, nothing waiting", list(_open_work(picture))),
        verdict(
            "every webhook was accepted", [f"{picture.failed_hooks} failed"] if picture.failed_hooks else []
        ),
        verdict(
            "the egress register's chain is whole",
            [] if picture.broken_egress_row is None else [f"broken at row {picture.broken_egress_row}"],
        ),
    ]


def check_documents(picture: Picture) -> list[Verdict]:
    """What holds of documents and owners, also while something else is open."""
    troubles = [trouble for one in picture.documents.values() for trouble in document_troubles(picture, one)]
    return [
        verdict(f"EspoCRM, xAI and our state agree on each of {len(picture.documents)} documents", troubles),
        verdict(
            f"each of {sum(one.is_permitted for one in picture.owners.values())} permitted owners has exactly one "
            "collection, all others have none",
            list(_owner_troubles(picture)),
        ),
        verdict("no file is at xAI that no document accounts for", list(_stray_files(picture))),
    ]


def check_story(before: Picture, after: Picture, roles: Roles) -> list[Verdict]:
    """What each act must have led to; `before` was taken after the first load."""
    return [*_check_changes(before, after, roles), *_check_refusals(after, roles)]


def required_collections(picture: Picture, document: CrmDocument) -> frozenset[str]:
    """The collections that the document must be in, by EspoCRM's word alone."""
    if document.id in picture.parked:
        return frozenset()
    owners = [picture.owners[key] for key in document.owners]
    return frozenset(one.collection_id or f"missing:{one.key}" for one in owners if one.is_permitted)


def document_troubles(picture: Picture, document: CrmDocument) -> Iterator[str]:
    """What does not agree about one document, by id."""
    required = required_collections(picture, document)
    files, state = picture.files_of(document.id), picture.states.get(document.id)
    linked = frozenset(collection for one in files for collection in one.statuses)
    if linked != required:
        yield f"{document.id}: in {len(linked)} collections at xAI, {len(required)} required"
    if document.collections != required:
        yield f"{document.id}: EspoCRM names {len(document.collections)} collections, {len(required)} required"
    if not required:
        return
    current = [one for one in files if one.sha256 == document.content_sha256]
    if len(files) != 1 or not current:
        yield f"{document.id}: {len(files)} files at xAI, {len(current)} of them with the present contents"
        return
    if (
        document.file_id != current[0].id
        or document.status != "synced"
        or document.md5 != document.synced_hash
    ):
        yield f"{document.id}: EspoCRM does not say that it is synced as {current[0].id}"
    if document.sha256 != document.content_sha256:
        yield f"{document.id}: EspoCRM has another hash"
    if (
        state is None
        or state.file_id != current[0].id
        or frozenset(state.collections) != required
        or state.doomed
    ):
        yield f"{document.id}: our state differs"


def _owner_troubles(picture: Picture) -> Iterator[str]:
    by_name: dict[str, list[str]] = {}
    for collection_id, name in picture.collections.items():
        by_name.setdefault(name, []).append(collection_id)
    for owner in picture.owners.values():
        found = by_name.get(f"espocrm:{owner.key}", [])
        if owner.is_permitted and (len(found) != 1 or owner.collection_id != found[0]):
            yield f"{owner.key}: {len(found)} collections, EspoCRM names {owner.collection_id}"
        if not owner.is_permitted and found:
            yield f"{owner.key}: {len(found)} collections without permission"


def _stray_files(picture: Picture) -> Iterator[str]:
    for one in picture.files.values():
        document_id = one.name.rpartition("-")[0] if one.name.count("-") else one.name
        state = next((state for key, state in picture.states.items() if one.name.startswith(f"{key}-")), None)
        if state is None or state.file_id != one.id:
            yield f"{one.id} of {document_id}"


def _open_work(picture: Picture) -> Iterator[str]:
    if picture.undelivered_webhooks:
        yield f"{picture.undelivered_webhooks} webhook events"
    for name, one in picture.queue.items():
        if one.waiting or one.leased or one.delayed:
            yield f"{name}: {one.waiting} waiting, {one.leased} in work, {one.delayed} delayed"


def _check_changes(before: Picture, after: Picture, roles: Roles) -> Iterator[Verdict]:
    ids = roles.documents

    def file_before(role: str) -> str | None:
        return before.states[ids[role]].file_id

    def now(role: str) -> StoredFile | None:
        files = after.files_of(ids[role])
        return files[0] if len(files) == 1 else None

    def is_in(role: str, count: int) -> bool:
        found = now(role)
        return found is not None and len(found.statuses) == count

    for role in ("new_pdf", "new_docx"):
        yield Verdict(
            is_in(role, 1), f"{role[4:]}: the new document is in its matter's collection", ids[role]
        )
    yield Verdict(is_in("new_txt", 2), "the new note is one file, in the collections of client and matter")
    for role, says in (("edited", "the edited document"), ("twice", "the document saved twice")):
        found = now(role)
        wanted = after.documents[ids[role]].content_sha256
        ok = found is not None and found.id != file_before(role) and found.sha256 == wanted
        yield Verdict(ok, f"{says} is there in its newest version alone; the older file is gone", ids[role])
    for role, says in (("same_bytes", "the same bytes once more"), ("renamed", "another title")):
        found = now(role)
        ok = found is not None and found.id == file_before(role)
        yield Verdict(ok, f"{says}: no upload, the file is the one from before", ids[role])
    found = now("linked")
    yield Verdict(
        is_in("linked", 2) and found is not None and found.id == file_before("linked"),
        "the document linked to a second matter is the same file in both collections",
        ids["linked"],
    )
    yield Verdict(
        is_in("unlinked", 1), "the document taken out of one matter is left in the other", ids["unlinked"]
    )
    for role, says in (
        ("deleted", "the deleted document"),
        ("of_deleted_owner", "the deleted client's document"),
    ):
        yield Verdict(is_in(role, 0), f"{says} is in no collection any more; its file is kept", ids[role])
    for role in ("later_pdf", "later_txt"):
        yield Verdict(is_in(role, 1), "permission given later: the matter's document has followed", ids[role])
    found = now("scan")
    state = after.states.get(ids["scan"])
    ok = found is not None and set(found.statuses.values()) == {PROCESSED}
    ok = ok and state is not None and state.index_status is IndexStatus.PROCESSED
    yield Verdict(ok, "the scan's replacement with a text layer is indexed", ids["scan"])


def _check_refusals(after: Picture, roles: Roles) -> Iterator[Verdict]:
    ids = roles.documents
    withheld = [
        one.id for one in after.documents.values() if one.owners and not required_collections(after, one)
    ]
    left = [document_id for document_id in withheld if after.files_of(document_id)]
    yield Verdict(
        ids["withheld"] in withheld and not left,
        f"{len(withheld)} documents without permission, or that xAI could not use, have not left the firm",
        ", ".join(left[:MOST_NAMED]),
    )
    for role, reason in (("photo", "unreadable_type"), ("too_large", "too_large")):
        found = after.parked.get(ids[role])
        yield Verdict(
            found == reason, f"{role.replace('_', ' ')}: set aside as {reason}", f"{ids[role]}: {found}"
        )
    failed = {one.id for one in after.files.values() if FAILED in one.statuses.values()}
    known = {state.file_id for state in after.states.values() if state.index_status is IndexStatus.FAILED}
    yield Verdict(
        bool(failed) and failed == known,
        f"{len(failed)} scans that xAI could not index are known as such",
        f"{len(failed ^ known)} differ",
    )
    unfinished = [
        state.document_id for state in after.states.values() if state.index_status is IndexStatus.PENDING
    ]
    yield verdict("the indexing of every other document is finished", unfinished)


def verdict(says: str, troubles: list[str]) -> Verdict:
    """Holds where there is no trouble; names the first few."""
    more = f" and {len(troubles) - MOST_NAMED} more" if len(troubles) > MOST_NAMED else ""
    return Verdict(not troubles, says, "; ".join(troubles[:MOST_NAMED]) + more)
