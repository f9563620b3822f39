"""From what a request says to what is stored: the events, and the work that follows from them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitbylaw_pipeline.inbox.events import Item, Received, Want
from webhook_sensor_app.addresses import Address, LinkAddress, Subjects
from webhook_sensor_app.notices import End

SOURCE = "webhook"


def random_event_id() -> str:
    """An event's id that no other has."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Intake:
    """What one request amounts to; `accepted` counts the items in its body that concern us."""

    event_id: str
    accepted: int
    received: Sequence[Received]
    wants: Sequence[Want]


def take_changes(address: Address, ids: Sequence[str], *, digest: str, event_id: str) -> Intake:
    """Changed records, each as one event and one want however often it is named."""
    if not ids:
        return Intake(event_id, 0, [], [])
    subject = address.subject
    items = [(subject.entity_type, record_id, address.action) for record_id in dict.fromkeys(ids)]
    received = Received(event_id, SOURCE, address.topic, items, digest)
    wants = [
        Want(stream, [subject.key(stream, record_id) for _, record_id, _ in items])
        for stream in subject.streams
    ]
    return Intake(event_id, len(ids), [received], wants)


def take_links(
    address: LinkAddress, links: Iterable[tuple[End, End]], subjects: Subjects, *, digest: str, event_id: str
) -> Intake:
    """Links that touch a record of ours: an event for both ends, and a want for each end that is ours.

    A firm's hook fires for links of every kind; those between records that we do not keep in step are passed over.
    """
    accepted = 0
    items: dict[str, dict[Item, None]] = {}
    keys: dict[str, dict[str, None]] = {}
    for ends in links:
        ours = [(subject, end) for end in ends if (subject := subjects.find(end.entity_type)) is not None]
        if not ours:
            continue
        accepted += 1
        for end in ends:
            topic = subjects.link_topic(end.entity_type)
            items.setdefault(topic, {})[end.entity_type, end.id, address.action] = None
        for subject, end in ours:
            for stream in subject.streams:
                keys.setdefault(stream, {})[subject.key(stream, end.id)] = None
    received = [
        # Rows are numbered per topic, so a topic needs an id of its own.
        Received(f"{event_id}-{number}" if number else event_id, SOURCE, topic, list(of_topic), digest)
        for number, (topic, of_topic) in enumerate(items.items())
    ]
    return Intake(
        event_id, accepted, received, [Want(stream, list(of_stream)) for stream, of_stream in keys.items()]
    )
