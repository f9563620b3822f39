"""The reconciliation of documents and collections: EspoCRM, xAI and our state, all three listed and compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.drift import Drift, DriftKind, DriftReport, are_too_many, withhold
from bitbylaw_pipeline.domain.three_way import Side
from bitbylaw_pipeline.inbox import two_way_holds
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings
from bitbylaw_pipeline.sync import reconcile_collection_drift, reconcile_document_drift
from bitbylaw_pipeline.sync.call_count import counting
from bitbylaw_pipeline.sync.reconcile_collection_drift import collection_drifts
from bitbylaw_pipeline.sync.reconcile_confirm import Confirmation
from bitbylaw_pipeline.sync.reconcile_document_drift import document_drifts
from bitbylaw_pipeline.sync.reconcile_frames import LATER, LISTED, OPEN, PARKED, Joined, join
from bitbylaw_pipeline.sync.reconcile_guards import refuse_shrunken
from bitbylaw_pipeline.sync.reconcile_index_drift import index_drifts
from bitbylaw_pipeline.sync.reconcile_known import Known, read_known
from bitbylaw_pipeline.sync.reconcile_listing import Listing, ListingReader
from bitbylaw_pipeline.sync.reconcile_marks import MarkedDrift
from bitbylaw_pipeline.sync.reconcile_membership_drift import membership_drifts
from bitbylaw_pipeline.sync.reconcile_repairs import repair_collections, repair_documents

NAME = "documents"
"""The name by which it is run, and by which its deletes are approved (with side right: xAI)."""


@dataclass(frozen=True, slots=True)
class DocumentReconciliation:
    """One set of listings serves both flows."""

    records: DocumentRecords
    xai: Xai
    database: Database
    coordination: Coordination
    settings: Settings
    accepts_smaller: bool = False
    """A person has looked: the listing really is that much shorter."""

    @property
    def flows(self) -> tuple[str, ...]:
        """Documents, and the collections of their owners."""
        return (reconcile_document_drift.FLOW, reconcile_collection_drift.FLOW)

    async def look(self) -> list[DriftReport]:
        """Lists and compares; writes nothing. Raises the errors of `domain.errors`."""
        started = time.monotonic()
        begun_at = await self.database.run(self.database.now)
        with counting() as calls:
            listing = await ListingReader(self.records, self.xai, self.settings).read(begun_at)
            known, approved = await self.database.run(self._reader(begun_at))
            if not self.accepts_smaller:
                refuse_shrunken(listing, known)
            confirmation = Confirmation(self.xai)
            listing = await confirmation.complete(listing, known)
            joined = join(listing, known)
            drifts = await confirmation.confirmed(_all_drifts(joined, listing, known))
        listed = _sizes(listing, joined, drifts)
        drifts = _with_their_kin(self._withheld(drifts, _total(listed), approved), listing)
        seconds = time.monotonic() - started
        of_flow = zip(self.flows, (joined.documents, joined.owners), strict=True)
        return [
            DriftReport(
                flow,
                begun_at,
                drifts=tuple(drift for drift in drifts if drift.flow == flow),
                listed=listed,
                busy=int(table["motion"].isin((OPEN, LATER)).sum()),
                calls=calls[0],
                seconds=seconds,
            )
            for flow, table in of_flow
        ]

    async def repair(self, reports: Sequence[DriftReport]) -> int:
        """Puts what `look` of this same kind reported into the queue; an approval that was needed is used up."""
        drifts = [drift for report in reports for drift in _marked(report) if not drift.is_withheld]
        begun_at = min((report.begun_at for report in reports), default=0.0)
        documents, owners = self.flows
        repaired = await repair_documents(
            self.database, (drift for drift in drifts if drift.flow == documents), begun_at
        )
        repaired += await repair_collections(
            self.database, (drift for drift in drifts if drift.flow == owners), begun_at
        )
        if reports and self._needs_approval(drifts, _total(reports[0].listed)):
            await self.database.run(lambda conn: two_way_holds.use_approvals(conn, NAME, [Side.RIGHT]))
        for stream in self.flows if repaired else ():
            await self.coordination.wake(stream)
        return repaired

    def _reader(self, begun_at: float) -> Callable[[Connection], tuple[Known, int]]:
        def read(conn: Connection) -> tuple[Known, int]:
            known = read_known(
                conn,
                self.database.now(conn),
                begun_at,
                drops_older_files=self.settings.xai_delete_replaced_files,
            )
            return known, two_way_holds.approved(conn, NAME, "delete").get(Side.RIGHT, 0)

        return read

    def _withheld(self, drifts: Sequence[MarkedDrift], total: int, approved: int) -> list[MarkedDrift]:
        limit, share = self.settings.reconcile_delete_limit, self.settings.reconcile_delete_share
        advice = (
            f"Look whether these deletes are meant; if so: bitbylaw approve-deletes {NAME} right "
            f"{sum(drift.deletes for drift in drifts)}, then reconcile again."
        )
        return [
            replace(drift, advice=advice) if drift.is_withheld else drift
            for drift in withhold(drifts, total, limit, share, approved)
        ]

    def _needs_approval(self, drifts: Iterable[Drift], total: int) -> bool:
        limit, share = self.settings.reconcile_delete_limit, self.settings.reconcile_delete_share
        return are_too_many(sum(drift.deletes for drift in drifts), total, limit, share)


def _with_their_kin(drifts: Sequence[MarkedDrift], listing: Listing) -> list[MarkedDrift]:
    """Withheld too what else is found of a document whose deletes are, and the pass that would want it.

    A pass puts everything right at once: wanted for its stale hash alone, it would unlink the file all the same.
    """
    documents, owners = reconcile_document_drift.FLOW, reconcile_collection_drift.FLOW
    advice = {
        drift.key: drift.advice
        for drift in drifts
        # A stray file is deleted only where its mark was noted.
        if drift.is_withheld and drift.flow == documents and drift.kind is not DriftKind.ORPHANED
    }
    linked = listing.links[listing.links["document"].isin(advice)]
    of_owner = dict(zip(linked["owner"], linked["document"].map(advice), strict=True))

    def kept_back(drift: MarkedDrift) -> str | None:
        if drift.flow == documents:
            return advice.get(drift.key)
        # A new collection wants every linked document; a permission that was withdrawn must not wait.
        is_new = drift.flow == owners and drift.kind is DriftKind.MISSING
        return of_owner.get(drift.key) if is_new else None

    return [
        drift
        if drift.is_withheld or (said := kept_back(drift)) is None
        else replace(drift, is_withheld=True, advice=said)
        for drift in drifts
    ]


def _all_drifts(joined: Joined, listing: Listing, known: Known) -> Iterator[MarkedDrift]:
    yield from document_drifts(joined, listing, known)
    yield from membership_drifts(joined, listing, known)
    yield from index_drifts(joined, known)
    yield from collection_drifts(joined, listing, known)


def _marked(report: DriftReport) -> Iterator[MarkedDrift]:
    for drift in report.drifts:
        assert isinstance(drift, MarkedDrift)  # noqa: S101  # `look` makes no others
        yield drift


def _sizes(listing: Listing, joined: Joined, drifts: Iterable[MarkedDrift]) -> dict[str, int]:
    """How long each list was; foreign files and collections are those that the pipeline leaves alone."""
    at_xai = joined.memberships[joined.memberships["seen"] != LISTED]
    in_ours = listing.members[listing.members["collection"].isin(joined.places["collection"])]
    doomed = joined.documents["s_doomed"].explode()
    ours = {*joined.documents["file"], *doomed, *(drift.file_id for drift in drifts)}
    return {
        "espocrm_documents": len(listing.documents),
        "espocrm_owners": len(listing.owners),
        "espocrm_links": len(listing.links),
        "xai_files": len(listing.files),
        "xai_collections": len(listing.collections),
        "xai_members": len(listing.members),
        "of_documents": len(at_xai),
        "foreign_files_in_collections": int((~in_ours["file"].isin(ours)).sum()),
        "foreign_collections": len(listing.collections) - len(joined.places),
        "parked": int(joined.documents["motion"].eq(PARKED).sum()),
        "kept_files": int((joined.documents["s_deleted"].eq(True) & joined.documents["file"].notna()).sum()),
        "partly_readable_types": len(listing.partly),
    }


def _total(listed: Mapping[str, int]) -> int:
    return max(listed["of_documents"], listed["espocrm_documents"])
