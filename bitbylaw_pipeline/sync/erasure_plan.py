"""What an erasure is going to do, complete before anything is done; and the words for what stands in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bitbylaw_pipeline.domain.document import Document, Owner
from bitbylaw_pipeline.domain.erasure import Kind, Mention, Partition
from bitbylaw_pipeline.inbox.traces import Traces


class ErasureRefused(Exception):
    """What would come back is not erased; the message is one sentence for each reason, saying what to do first."""


class NotErased(Exception):
    """Something is still where it was; the message says what and where, and nothing of our own state was deleted."""


@dataclass(frozen=True, slots=True, order=True)
class CalendarEvent:
    """An event in an employee's Google calendar that stands for a Termin of the subject."""

    kuerzel: str
    event_id: str


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """Files and events by id, collections by id, records as they were read; nothing by name."""

    kind: Kind
    subject: str
    refusals: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    """What cannot be erased now, as sentences that say what to do."""
    unsearched: tuple[str, ...] = ()
    """Where there may be more that nobody can look for, as sentences; a proof says so, too."""
    documents: frozenset[str] = frozenset()
    files: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """File -> the collections that it is taken out of before it is deleted."""
    detached: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The same for files that stay: of documents that also belong elsewhere, and such as are not ours."""
    foreign: frozenset[str] = frozenset()
    """Those among the detached that nothing of ours put there."""
    collections: frozenset[str] = frozenset()
    records: tuple[Document, ...] = ()
    """Documents of EspoCRM in which fields of ours are to be emptied."""
    owners: tuple[Owner, ...] = ()
    """Records of EspoCRM in which the collection's id is to be emptied."""
    neighbours: frozenset[str] = frozenset()
    """Documents that stay, and get a pass of their own afterwards."""
    events: frozenset[CalendarEvent] = frozenset()
    tasks: frozenset[str] = frozenset()
    """Open tasks in EspoCRM that asked a person for something about the subject."""
    traces: Traces = field(default_factory=Traces)
    partitions: frozenset[Partition] = frozenset()
    leases: frozenset[str] = frozenset()
    """Pairs of systems that nobody else may pass over meanwhile."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Our tables -> rows."""
    history: int = 0
    """Runs, rows and files in Dagster's history."""

    def __or__(self, other: ErasurePlan) -> ErasurePlan:
        """Both, under this one's name. A file that one of them deletes is not merely detached."""
        files = _merged(self.files, other.files)
        detached = _merged(self.detached, other.detached)
        return replace(
            self,
            refusals=(*self.refusals, *other.refusals),
            remaining=(*self.remaining, *other.remaining),
            unsearched=(*self.unsearched, *other.unsearched),
            documents=self.documents | other.documents,
            files=files,
            detached={file: places for file, places in detached.items() if file not in files},
            foreign=(self.foreign | other.foreign) - files.keys(),
            collections=self.collections | other.collections,
            records=(*self.records, *other.records),
            owners=(*self.owners, *other.owners),
            neighbours=self.neighbours | other.neighbours,
            events=self.events | other.events,
            tasks=self.tasks | other.tasks,
            traces=self.traces | other.traces,
            partitions=self.partitions | other.partitions,
            leases=self.leases | other.leases,
        )

    @property
    def mention(self) -> Mention:
        """What Dagster's history is to forget."""
        order = sorted(self.partitions, key=lambda one: (one.key, one.stream or ""))
        return Mention(tuple(order), tuple(sorted(self.traces.mentions)))

    def counts(self) -> dict[str, int]:
        """Place -> how much there is; only places where there is something."""
        found = {
            "xai_files": len(self.files),
            "xai_links": sum(len(places) for places in (*self.files.values(), *self.detached.values())),
            "xai_foreign_files_detached": len(self.foreign),
            "xai_collections": len(self.collections),
            "espocrm_documents_cleared": len(self.records),
            "espocrm_owners_cleared": len(self.owners),
            "espocrm_tasks_closed": len(self.tasks),
            "google_events": len(self.events),
            **{f"state_{table}": rows for table, rows in self.rows.items()},
            "dagster_history": self.history,
        }
        return {place: number for place, number in found.items() if number}


def _merged(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    return {
        file: one.get(file, frozenset()) | other.get(file, frozenset())
        for file in (*one, *(file for file in other if file not in one))
    }
