"""Which URL means what: the entity type, action, topic and stream behind each webhook address."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.settings import Settings

DOCUMENTS = "documents"
COLLECTIONS = "collections"
BETEILIGTE = "beteiligte"
BANKVERBINDUNGEN = "bankverbindungen"
"""Streams, and for the two-way ones the word in URLs and topics as well."""

ACTIONS = ("create", "update", "delete")
LINK_ACTIONS = ("link", "unlink")

_VMH_TOPICS = frozenset({"document", "beteiligte", "bankverbindungen"})
"""The words whose topics the replaced system prefixed; all others it did not (`raeumungsklage.update`)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An entity type that we keep in step; `word` stands for it in URLs and topics.

    A party is kept in step twice: with its collection at xAI, and with Advoware.
    """

    entity_type: str
    word: str
    streams: tuple[str, ...]
    """Empty for what is kept in step with Advoware where Advoware is not configured: its events are stored alone."""

    def key(self, stream: str, record_id: str) -> str:
        """The record's key in the stream."""
        return str(OwnerKey(self.entity_type, record_id)) if stream == COLLECTIONS else record_id

    def topic(self, action: str) -> str:
        """What happened to a record, as the replaced system named it."""
        return f"vmh.{self.word}.{action}" if self.word in _VMH_TOPICS else f"{self.word}.{action}"


@dataclass(frozen=True, slots=True)
class Address:
    """What a POST to one URL says: this happened to records of that type."""

    path: str
    subject: Subject
    action: str

    @property
    def topic(self) -> str:
        """The topic its events are stored under."""
        return self.subject.topic(self.action)

    def fits(self, event: str) -> bool:
        """True if EspoCRM may send the registered event (`CDokumente.update`) to this address."""
        entity_type, _, what = event.partition(".")
        if entity_type != self.subject.entity_type:
            return False
        return what == self.action or (self.action == "update" and what.startswith("fieldUpdate."))


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """What a POST to a link URL says: two records were linked, or are no longer."""

    path: str
    action: str

    def fits(self, _: str) -> bool:
        """False: EspoCRM has no webhook event for links, so only a hook written by hand comes here."""
        return False


class Subjects:
    """The entity types that we keep in step, and the addresses that follow from them."""

    def __init__(self, settings: Settings) -> None:
        two_way = {
            settings.beteiligte_fields.entity_type: BETEILIGTE,
            settings.bankverbindung_fields.entity_type: BANKVERBINDUNGEN,
        }

        def streams(entity_type: str, *first: str) -> tuple[str, ...]:
            more = two_way.get(entity_type) if settings.has_advoware else None
            return first if more is None else (*first, more)

        self.document = Subject(settings.document_fields.entity_type, "document", (DOCUMENTS,))
        owners = [
            Subject(owner.entity_type, owner.word, streams(owner.entity_type, COLLECTIONS))
            for owner in settings.collection_owners
        ]
        self._by_type = {subject.entity_type: subject for subject in (*owners, self.document)}
        taken = {owner.word for owner in owners}
        others = [
            # A type that owns collections under another word has both addresses, and both want the same.
            replace(
                self._by_type.get(entity_type, Subject(entity_type, word, streams(entity_type))), word=word
            )
            for entity_type, word in two_way.items()
            if word not in taken
        ]
        for subject in others:
            self._by_type.setdefault(subject.entity_type, subject)
        self._all = (self.document, *owners, *others)

    def find(self, entity_type: str) -> Subject | None:
        """The subject of that type, if it is one of ours."""
        return self._by_type.get(entity_type)

    def link_topic(self, entity_type: str) -> str:
        """The topic for one end of a link: `cdokumente.update`, `raeumungsklage.update`, `ctermin.update`."""
        subject = self.find(entity_type)
        if subject is None or subject is self.document:
            return f"{entity_type.lower()}.update"
        return subject.topic("update")

    def addresses(self) -> list[Address]:
        """Every address for changed records."""
        return [
            Address(f"/vmh/webhook/{subject.word}/{action}", subject, action)
            for subject in self._all
            for action in ACTIONS
        ]

    @staticmethod
    def link_addresses() -> list[LinkAddress]:
        """Every address for links."""
        return [LinkAddress(f"/vmh/webhook/entity/{action}", action) for action in LINK_ACTIONS]
