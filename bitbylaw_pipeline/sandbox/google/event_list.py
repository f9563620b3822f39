"""`events.list`: parameters, full listings, deltas and pages (`facts/two_way_sync.md` 2, events.list and Sync tokens)."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import Calendar, Row
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid
from bitbylaw_pipeline.sandbox.google.event_selection import Selection, list_selection, window_of
from bitbylaw_pipeline.sandbox.google.event_view import EventView
from bitbylaw_pipeline.sandbox.google.list_tokens import (
    Parameters,
    Snapshot,
    Snapshots,
    page_token,
    read_sync_token,
    sync_token,
)
from bitbylaw_pipeline.sandbox.google.operations import STANDARD_PARAMETERS
from bitbylaw_pipeline.sandbox.google.scripts import Scripts
from bitbylaw_pipeline.sandbox.google.store import Store, timestamp

DEFAULT_PAGE, LARGEST_PAGE = 250, 2500
_FORBIDDEN_WITH_TOKEN = (
    "iCalUID", "orderBy", "privateExtendedProperty", "sharedExtendedProperty", "q", "timeMin", "timeMax", "updatedMin",
)  # fmt: skip
# A listing with one of these gets no sync token (an assumption but for timeMin and timeMax, which may).
_WITHOUT_TOKEN = frozenset(_FORBIDDEN_WITH_TOKEN) - {"timeMin", "timeMax"}
_NOT_COMPARED = frozenset({"pageToken", "syncToken"}) | STANDARD_PARAMETERS


class EventList:
    """Answers `events.list`."""

    def __init__(self, store: Store, scripts: Scripts) -> None:
        self._store = store
        self._scripts = scripts
        self._snapshots = Snapshots()

    def clear(self) -> None:
        """Forget all page tokens."""
        self._snapshots.clear()

    def answer(self, call: Call) -> Answer:
        """One page. Raises ApiError."""
        view = EventView(call, self._store.switches)
        size = call.number("maxResults", DEFAULT_PAGE, LARGEST_PAGE)
        token = call.text("pageToken")
        if token is not None:
            found = self._snapshots.find(token)
            if found is None or not self._continues(call, found[0]):
                raise invalid("Invalid page token value.", parameter="pageToken")
            snapshot, key, offset, page = found
        else:
            snapshot, key, offset, page = self._first_page(call), "", 0, 0
        return self._page(call, view, snapshot, key, (offset, page, size))

    def _continues(self, call: Call, snapshot: Snapshot) -> bool:
        if (snapshot.calendar_id, snapshot.user) != (call.known_calendar.id, call.user):
            return False
        ignores = self._store.switches.parameter_mismatch == "ignored"
        return ignores or _parameters(call, {"pageToken"}) == snapshot.parameters

    def _page(
        self, call: Call, view: EventView, snapshot: Snapshot, key: str, place: tuple[int, int, int]
    ) -> Answer:
        offset, page, size = place
        switches, calendar = self._store.switches, call.known_calendar
        size = min(size, switches.page_cap) if switches.page_cap else size
        is_empty = (switches.empty_pages == "first" and page == 0) or (
            switches.empty_pages == "between" and page % 2 == 1
        )
        end = offset if is_empty else min(offset + size, len(snapshot.rows))
        is_last = end == len(snapshot.rows) and not is_empty
        if is_last and (script := self._scripts.take("last_page_fails", call)) is not None:
            raise api_error(script.error or "backendError")
        items = [view.shown(row) for row in self._rows(calendar, snapshot, offset, end)]
        answer = list_head(call, calendar, items)
        if not is_last:
            key = key or self._snapshots.keep(snapshot)
            answer["nextPageToken"] = page_token(key, end, page + 1)
        elif snapshot.sync_token is not None:
            answer["nextSyncToken"] = snapshot.sync_token
        return Answer(answer)

    def _rows(self, calendar: Calendar, snapshot: Snapshot, start: int, end: int) -> list[Row]:
        rows = snapshot.rows[start:end]
        if self._store.switches.pages_show == "snapshot":
            return rows
        # An occurrence that is stored nowhere is only in the snapshot.
        present = [calendar.events.get(event_id) for event_id in snapshot.ids[start:end]]
        return [row if event is None else event.data for row, event in zip(rows, present, strict=True)]

    def _first_page(self, call: Call) -> Snapshot:
        calendar, token = call.known_calendar, call.text("syncToken")
        parameters = _parameters(call, set())
        selection = list_selection(call, self._store)
        if token is None:
            found, position = selection.full(calendar), calendar.position
            kept = parameters
        else:
            since, kept = self._checked_sync_token(call, calendar, token, parameters)
            found = self._delta(calendar, selection, since, kept)
            position = calendar.position
        if self._scripts.take("empty_list", call) is not None:
            found = []
        found, position = self._scripts.made_stale(call, calendar, found, position)
        new_token = None
        if not _WITHOUT_TOKEN & set(parameters):
            now = self._store.now()
            new_token = sync_token(calendar.id, calendar.token_generation, position, kept, now)
        ids, rows = [str(row["id"]) for row in found], found
        return Snapshot(calendar.id, call.user, _parameters(call, {"pageToken"}), ids, rows, new_token)

    def _delta(self, calendar: Calendar, selection: Selection, since: int, first: Parameters) -> list[Row]:
        switches = self._store.switches
        window = window_of(first) if switches.delta_window != "unfiltered" else (None, None)
        return selection.delta(calendar, since, window, as_deleted=switches.delta_window == "as_deleted")

    def _checked_sync_token(
        self, call: Call, calendar: Calendar, token: str, parameters: Parameters
    ) -> tuple[int, Parameters]:
        """The position that the token stands for and its listing's parameters. Raises ApiError (400, 410)."""
        for name in _FORBIDDEN_WITH_TOKEN:
            if name in parameters:
                raise invalid(f"Sync token cannot be used with {name}.", parameter=name)
        if "showDeleted" in parameters and not call.flag("showDeleted"):
            raise invalid("Sync token cannot be used with showDeleted set to false.", parameter="showDeleted")
        switches = self._store.switches
        known = read_sync_token(token, calendar.id)
        if known is None and switches.malformed_sync_token == 400:
            raise invalid("Invalid sync token value.", parameter="syncToken")
        if known is None or self._scripts.take("sync_token_gone", call) is not None:
            raise api_error("fullSyncRequired")
        generation, position, first, issued_at = known
        is_old = switches.sync_token_seconds and self._store.now() - issued_at > switches.sync_token_seconds
        if is_old or generation != calendar.token_generation or position > calendar.position:
            raise api_error("fullSyncRequired")
        expected = {name: values for name, values in first.items() if name not in _FORBIDDEN_WITH_TOKEN}
        if switches.parameter_mismatch == "refused" and expected != parameters:
            raise invalid("The parameters differ from those of the first request.", parameter="syncToken")
        return position, first


def list_head(call: Call, calendar: Calendar, items: list[Row]) -> Row:
    """An answer with these items, still without a token."""
    is_own = call.role == "owner" and calendar.is_primary
    head = {
        "kind": "calendar#events",
        "etag": f'"p33{calendar.position:x}{calendar.token_generation:x}"',
        "summary": calendar.summary,
        "updated": timestamp(calendar.updated_at),
        "timeZone": calendar.time_zone,
        "accessRole": call.role,
        "defaultReminders": [{"method": "popup", "minutes": 30}] if is_own else [],
        "items": items,
    }
    return {**head, "description": calendar.description} if calendar.description else head


def _parameters(call: Call, ignored: set[str]) -> Parameters:
    skipped = _NOT_COMPARED if not ignored else (_NOT_COMPARED - {"syncToken"}) | ignored
    return {name: values for name, values in sorted(call.query.items()) if name not in skipped}
