"""What happens at the firm, in three rounds: the first load, a busy hour, and what is put right afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.sandbox.samples.matters import SampleDocument, SampleFirm, SampleMatter

TOO_LARGE_BYTES = 2_000_000
"""xAI's limit in the demo: its own 50 MB would only make it slow."""

_JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb") + bytes(4000) + bytes.fromhex("ffd9")


@dataclass(slots=True)
class Roles:
    """Which document or owner plays which part, by the part's name; filled as the story goes."""

    documents: dict[str, str] = field(default_factory=dict)
    owners: dict[str, OwnerKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person does."""

    says: str
    do: Callable[[Person], None]


@dataclass(frozen=True, slots=True)
class Story:
    """The acts, on one firm."""

    firm: SampleFirm
    roles: Roles = field(default_factory=Roles)

    def busy_hour(self) -> Sequence[Act]:
        """Everything that people do with documents in an hour."""
        return [*self._new_documents(), *self._changes(), *self._what_cannot_go(), *self._permissions()]

    def put_right(self) -> Sequence[Act]:
        """What follows from the busy hour."""
        return [
            Act("the client permits the use of the new matter's documents", self._permit_later),
            Act("the scan is replaced by a PDF with a text layer", self._replace_scan),
        ]

    # the first round

    def _new_documents(self) -> Sequence[Act]:
        klage, inkasso = self._klagen[1], self._inkassos[1]
        account = self.firm.of_type("Account")[0]
        base = klage.documents[0]
        reminder = replace(base, kind="Mahnung", file_format="pdf")
        statement = replace(inkasso.documents[0], kind="Forderungsaufstellung", file_format="docx")
        note = replace(base, kind="Gesprächsnotiz", file_format="txt")
        scan = replace(self._inkassos[2].documents[0], kind="Vollmacht", file_format="scan")
        return [
            Act("files a new PDF in a Räumungsklage", self._adds("new_pdf", reminder, klage)),
            Act("files a new Word document in a Mietinkasso", self._adds("new_docx", statement, inkasso)),
            Act(
                "files a new note with a client and in a matter at once",
                self._adds("new_txt", note, klage, account),
            ),
            Act("files a scan without a text layer", self._adds("scan", scan, self._inkassos[2])),
        ]

    def _changes(self) -> Sequence[Act]:
        edited, twice = self._document(1, "Klageschrift"), self._document(4, "Klageschrift")
        again, renamed = self._document(2, "Mietvertrag"), self._document(2, "Kündigung")
        linked, shared = self._document(3, "Mietvertrag"), self._document(0, "Mietvertrag")
        deleted = self._document(3, "Gesprächsnotiz")
        second, other = _key(self._inkassos[1]), _key(self._inkassos[0])
        account = _key(self.firm.of_type("Account")[2])
        self.roles.owners |= {"linked_to": second, "unlinked_from": other, "owner_deleted": account}
        self.roles.documents["of_deleted_owner"] = self.firm.of_type("Account")[2].documents[0].id

        def replace_twice(person: Person) -> None:
            person.replace_file(twice.id, twice.next_version())
            person.replace_file(twice.id, twice.next_version().next_version())

        return [
            self._act("edits a document: a new version", "edited", edited,
                      lambda person: person.replace_file(edited.id, edited.next_version())),
            self._act("saves a document twice within a moment", "twice", twice, replace_twice),
            self._act("uploads the very same file once more", "same_bytes", again,
                      lambda person: person.replace_file(again.id, again)),
            self._act("renames a document", "renamed", renamed,
                      lambda person: person.rename(renamed.id, f"{renamed.title} (zugestellt)")),
            self._act("links a document to a second matter", "linked", linked,
                      lambda person: person.link(linked.id, second)),
            self._act("takes a document out of one of its two matters", "unlinked", shared,
                      lambda person: person.unlink(shared.id, other)),
            self._act("deletes a document", "deleted", deleted,
                      lambda person: person.delete("CDokumente", deleted.id)),
            Act("deletes a client's account", lambda person: person.delete(account.entity_type, account.id)),
        ]  # fmt: skip

    def _what_cannot_go(self) -> Sequence[Act]:
        owner = [_key(self._klagen[4])]

        def add_photo(person: Person) -> None:
            self.roles.documents["photo"] = person.add_file(
                "Lichtbild Wohnungstür", "tuer.jpg", "image/jpeg", _JPEG, owner
            )

        def add_large(person: Person) -> None:
            large = b"Anlage K 7, Kontoauszug\n" * (TOO_LARGE_BYTES // 20)
            self.roles.documents["too_large"] = person.add_file(
                "Kontoauszüge gesamt", "kontoauszuege.txt", "text/plain", large, owner
            )

        return [
            Act("files a photograph, which xAI cannot read", add_photo),
            Act("files a text that is too large", add_large),
        ]

    def _permissions(self) -> Sequence[Act]:
        closed = self._klagen[-1]
        base = self._klagen[1].documents[0]
        secret = replace(closed.documents[0], kind="Mahnung", file_format="pdf")

        def open_matter(person: Person) -> None:
            owner = self.roles.owners["permitted_later"] = person.open_matter("Räumungsklage Neuaufnahme")
            for role, kind, form in (
                ("later_pdf", "Kündigung", "pdf"),
                ("later_txt", "Gesprächsnotiz", "txt"),
            ):
                sample = replace(base, kind=kind, file_format=form)
                self.roles.documents[role] = person.add_document(f"{kind} Neuaufnahme", sample, [owner])

        return [
            Act(
                "files a document in a matter without the client's permission",
                self._adds("withheld", secret, closed),
            ),
            Act("opens a matter with two documents; the permission is still to come", open_matter),
        ]

    # the second round

    def _permit_later(self, person: Person) -> None:
        person.permit(self.roles.owners["permitted_later"], "Einwilligung Neuaufnahme", "2026-11-20")

    def _replace_scan(self, person: Person) -> None:
        sample = replace(self._inkassos[2].documents[0], kind="Vollmacht", file_format="pdf")
        person.replace_file(self.roles.documents["scan"], sample)

    # who is who

    @property
    def _klagen(self) -> list[SampleMatter]:
        return self.firm.of_type("CVmhRumungsklage")

    @property
    def _inkassos(self) -> list[SampleMatter]:
        return self.firm.of_type("CMietinkasso")

    def _document(self, klage: int, kind: str) -> SampleDocument:
        return next(item for item in self._klagen[klage].documents if item.kind == kind)

    def _act(self, says: str, role: str, sample: SampleDocument, do: Callable[[Person], None]) -> Act:
        self.roles.documents[role] = sample.id
        return Act(says, do)

    def _adds(self, role: str, sample: SampleDocument, *owners: SampleMatter) -> Callable[[Person], None]:
        def add(person: Person) -> None:
            self.roles.documents[role] = person.add_document(
                sample.title, sample, [_key(one) for one in owners]
            )

        return add


def _key(matter: SampleMatter) -> OwnerKey:
    return OwnerKey(matter.entity_type, matter.id)
