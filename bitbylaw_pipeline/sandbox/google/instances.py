"""`events.instances`: the occurrences of one series."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import Row
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid
from bitbylaw_pipeline.sandbox.google.event_list import DEFAULT_PAGE, LARGEST_PAGE, list_head
from bitbylaw_pipeline.sandbox.google.event_selection import is_in, window_of
from bitbylaw_pipeline.sandbox.google.event_times import in_zone, zone_of
from bitbylaw_pipeline.sandbox.google.event_view import EventView
from bitbylaw_pipeline.sandbox.google.list_tokens import decoded, encoded
from bitbylaw_pipeline.sandbox.google.occurrences import HORIZON_SECONDS, is_series, occurrences_of
from bitbylaw_pipeline.sandbox.google.store import Store


class Instances:
    """Answers `events.instances`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, call: Call) -> Answer:
        """One page, without a sync token. Raises ApiError."""
        calendar, switches = call.known_calendar, self._store.switches
        master = calendar.events.get(call.ids["eventId"])
        if master is None:
            raise api_error("notFound")
        if not is_series(master.data):
            raise invalid("The event is not a recurring event.")
        view, window = EventView(call, switches), window_of(call.query)
        shows_deleted, original = call.flag("showDeleted"), call.text("originalStart")
        rows: list[Row] = []
        until = window[1] if window[1] is not None else max(self._store.now(), master.start) + HORIZON_SECONDS
        for one in occurrences_of(calendar, master, until):
            is_wanted = shows_deleted or (one.data["status"] != "cancelled" and not master.is_cancelled)
            if is_wanted and is_in(one.start, one.end, window) and _is_original(one.plain, original):
                rows.append(view.shown(one.data))
        offset = self._offset(call)
        size = call.number("maxResults", DEFAULT_PAGE, LARGEST_PAGE)
        size = min(size, switches.page_cap) if switches.page_cap else size
        answer = list_head(call, calendar, rows[offset : offset + size])
        if offset + size < len(rows):
            answer["nextPageToken"] = encoded(["i", master.id, offset + size])
        return Answer(answer)

    def _offset(self, call: Call) -> int:
        token = call.text("pageToken")
        if token is None:
            return 0
        data = decoded(token)
        if not isinstance(data, list) or data[:2] != ["i", call.ids["eventId"]]:
            raise invalid("Invalid page token value.", parameter="pageToken")
        return int(data[2])


def _is_original(plain: Row, wanted: str | None) -> bool:
    if wanted is None:
        return True
    start, utc = plain["originalStartTime"], zone_of("UTC")
    if utc is None or "date" in start:
        return bool(start.get("date") == wanted)
    return wanted in (start["dateTime"], in_zone(start, utc)["dateTime"])
