"""The Calendar API: who asks, whether it may, and the handler of each operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qs

from starlette.types import Scope

from bitbylaw_pipeline.sandbox.google.calendar_data import WRITING_ROLES
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid
from bitbylaw_pipeline.sandbox.google.journal import SCOPE_KEY, Journal
from bitbylaw_pipeline.sandbox.google.operations import STANDARD_PARAMETERS, operation_of
from bitbylaw_pipeline.sandbox.google.partial_answers import mask_of, part_of
from bitbylaw_pipeline.sandbox.google.quotas import Quotas, UseLimits
from bitbylaw_pipeline.sandbox.google.scripts import Scripts
from bitbylaw_pipeline.sandbox.google.store import Store
from bitbylaw_pipeline.sandbox.google.token_endpoint import TokenEndpoint

PREFIX = "/calendar/v3/"
_APP_SCOPE = "https://www.googleapis.com/auth/calendar.app.created"
Handler = Callable[[Call], Answer]


class CalendarApi:
    """Answers every path below `/calendar/v3/`."""

    def __init__(
        self,
        store: Store,
        tokens: TokenEndpoint,
        scripts: Scripts,
        quotas: Quotas,
        limits: UseLimits,
        journal: Journal,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._scripts = scripts
        self._quotas = quotas
        self._limits = limits
        self._journal = journal
        self._handlers = handlers

    def answer(self, scope: Scope, body: bytes) -> Answer:
        """One call. Raises ApiError."""
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        operation, ids = operation_of(scope["method"], raw_path.decode("latin-1").removeprefix(PREFIX))
        scope["sandbox.route"] = PREFIX + operation.path
        headers = {bytes(name): bytes(value) for name, value in scope["headers"]}
        grant = self._tokens.grant_of(headers.get(b"authorization", b"").decode("latin-1"))
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        call = Call(operation, ids, query, headers, body, grant)
        if "calendarId" in ids and ids["calendarId"] == "primary":
            ids["calendarId"] = grant.user
        entry = scope.get(SCOPE_KEY)
        if entry is not None:
            self._journal.named(entry, operation.id, grant.user, ids.get("calendarId", ""))
        call.calendar = self._store.calendars.get(ids.get("calendarId", ""))
        self._check_caller(call)
        self._quotas.spend(call)
        self._check_calendar(call)
        return self._carried_out(call)

    def _carried_out(self, call: Call) -> Answer:
        if self._scripts.waiting:
            if (script := self._scripts.take("error", call)) is not None:
                raise api_error(script.error)
            self._scripts.edit_before(call)
        if call.operation.is_write:
            self._quotas.spend_write(call)
            if call.operation.id == "events.insert":
                self._limits.count_event(call.user)
        answer = self._handlers[call.operation.id](call)
        fields = call.text("fields")
        if fields is not None and answer.payload is not None:
            answer = replace(answer, payload=part_of(answer.payload, mask_of(fields)))
        if self._scripts.waiting and (script := self._scripts.take("error_after", call)) is not None:
            raise api_error(script.error)
        return answer

    def _check_caller(self, call: Call) -> None:
        switches = self._store.switches
        if not switches.api_enabled:
            raise api_error("accessNotConfigured")
        usable = call.operation.scopes & call.grant.scopes
        if not usable:
            raise api_error("insufficientPermissions")
        if usable == {_APP_SCOPE} and call.calendar is not None and not call.calendar.created_by_app:
            raise api_error("insufficientPermissions")
        if self._store.user_state(call.user) == "no_calendar":
            raise api_error("notACalendarUser")
        if switches.strict:
            for name in call.query:
                if name not in call.operation.parameters and name not in STANDARD_PARAMETERS:
                    raise invalid(f'Unknown name "{name}": Cannot bind query parameter.', parameter=name)
        quota_user = call.text("quotaUser")
        if quota_user is not None and len(quota_user) > 40:
            raise invalid("Invalid value for: quotaUser.", parameter="quotaUser")

    def _check_calendar(self, call: Call) -> None:
        """Find the calendar of the path and the caller's role in it. Raises ApiError (403, 404)."""
        if "calendarId" not in call.ids:
            return
        calendar = call.calendar
        if calendar is None:
            raise api_error("notFound")
        if call.user in calendar.denied:
            raise api_error("notFound" if calendar.denied[call.user] == 404 else "forbidden")
        call.role = calendar.role_of(call.user)
        if call.role == "none":
            raise api_error("notFound")
        if call.operation.is_write and call.role not in WRITING_ROLES:
            raise api_error("requiredAccessLevel")
