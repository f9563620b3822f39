"""The mails to guests that Google would have sent after a write through the API."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.calls import Call
from bitbylaw_pipeline.sandbox.google.store import Store

SEND_UPDATES = ("all", "externalOnly", "none")
# A change of any of these is one that guests see.
_SEEN_BY_GUESTS = (
    "summary",
    "description",
    "location",
    "start",
    "end",
    "recurrence",
    "status",
    "conferenceData",
)


def guests_of(data: Row | None, calendar_id: str) -> set[str]:
    """The guests' addresses without the calendar's own."""
    if data is None or data["status"] == "cancelled":
        return set()
    return {guest["email"].lower() for guest in data.get("attendees", ())} - {calendar_id}


def note_mails(store: Store, call: Call, before: Row | None, after: Row | None) -> None:
    """Note whom this write's change is mailed to. `sendUpdates` absent counts too: "some emails might still be sent".

    Raises ApiError for a wrong `sendUpdates`.
    """
    asked = call.choice("sendUpdates", SEND_UPDATES)
    if asked is None and call.text("sendNotifications") is not None:
        asked = "all" if call.flag("sendNotifications") else "none"
    if asked == "none":
        return
    calendar_id = call.known_calendar.id
    organizer = (before or after or {}).get("organizer", {})
    if not organizer.get("self"):
        # A guest's own change is told to nobody; leaving (or answering) is told to the organizer.
        if before is not None and (after is None or before.get("attendees") != after.get("attendees")):
            facts = {"calendar": calendar_id, "event": before["id"], "operation": call.operation.id}
            store.add_mail(
                "response", [organizer.get("email", "")], **facts, user=call.user, send_updates=asked
            )
        return
    old, new = guests_of(before, calendar_id), guests_of(after, calendar_id)
    if not old and not new:
        return
    kinds = {"invitation": new - old, "cancellation": old - new, "update": set[str]()}
    if (
        before is not None
        and after is not None
        and any(before.get(n) != after.get(n) for n in _SEEN_BY_GUESTS)
    ):
        kinds["update"] = old & new
    event_id = (after or before or {}).get("id")
    for kind, addresses in kinds.items():
        to = sorted(mail for mail in addresses if asked != "externalOnly" or mail not in store.users)
        store.add_mail(
            kind,
            to,
            calendar=calendar_id,
            event=event_id,
            operation=call.operation.id,
            user=call.user,
            send_updates=asked,
        )
