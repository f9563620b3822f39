"""Who may do what with a calendar: `acl`."""

from __future__ import annotations

from bitbylaw_pipeline.sandbox.google.calendar_data import ROLES, Calendar, Row
from bitbylaw_pipeline.sandbox.google.calls import Answer, Call
from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid, required
from bitbylaw_pipeline.sandbox.google.event_writes import no_content
from bitbylaw_pipeline.sandbox.google.store import Store

_SCOPE_TYPES = ("user", "group", "domain", "default")


class AclRoutes:
    """Handlers of `acl`, for owners only; each may raise ApiError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, call: Call) -> Answer:
        """All rules on one page."""
        calendar = self._owned(call)
        rows = [_rule(calendar, scope) for scope in calendar.acl]
        return Answer({"kind": "calendar#acl", "etag": calendar.etag, "items": rows})

    def get(self, call: Call) -> Answer:
        """One rule."""
        calendar = self._owned(call)
        return Answer(_rule(calendar, self._known(calendar, call)))

    def insert(self, call: Call) -> Answer:
        """A rule, instead of the one that the scope has. Google tells the user by mail unless asked not to."""
        calendar, body = self._owned(call), call.json_object()
        scope = body.get("scope")
        if not isinstance(scope, dict) or scope.get("type") not in _SCOPE_TYPES:
            raise required("Missing scope.")
        kind, value = scope["type"], str(scope.get("value") or "").lower()
        if kind != "default" and not value:
            raise required("Missing scope value.")
        rule_id = "default" if kind == "default" else f"{kind}:{value}"
        self._set(call, calendar, rule_id, body)
        return Answer(_rule(calendar, rule_id))

    def update(self, call: Call) -> Answer:
        """PUT and PATCH: the role of a rule."""
        calendar = self._owned(call)
        rule_id = self._known(calendar, call)
        self._set(call, calendar, rule_id, call.json_object())
        return Answer(_rule(calendar, rule_id))

    def delete(self, call: Call) -> Answer:
        """204; sync tokens may end with it."""
        calendar = self._owned(call)
        rule_id = self._known(calendar, call)
        if rule_id == f"user:{calendar.owner}":
            raise api_error("forbidden", "Cannot remove the owner of the calendar.")
        del calendar.acl[rule_id]
        self.changed(calendar)
        return no_content()

    def changed(self, calendar: Calendar) -> None:
        """What a change of rights brings with it: a new version, and the end of sync tokens (switch)."""
        calendar.etag = self._store.next_etag()
        if self._store.switches.acl_change_ends_tokens:
            calendar.token_generation += 1

    def _set(self, call: Call, calendar: Calendar, rule_id: str, body: Row) -> None:
        role = body.get("role")
        if role not in ROLES:
            raise invalid("Invalid role.") if role else required("Missing role.")
        tells = call.text("sendNotifications") is None or call.flag("sendNotifications")
        calendar.acl[rule_id] = role
        self.changed(calendar)
        kind, _, address = rule_id.partition(":")
        if tells and role != "none" and kind in ("user", "group"):
            self._store.add_mail(
                "calendar shared", [address], calendar=calendar.id, operation=call.operation.id, user=call.user,
                send_updates=call.text("sendNotifications"),
            )  # fmt: skip

    def _owned(self, call: Call) -> Calendar:
        if call.role != "owner":
            raise api_error("requiredAccessLevel", "You need to have owner access to this calendar.")
        return call.known_calendar

    def _known(self, calendar: Calendar, call: Call) -> str:
        if call.ids["ruleId"] not in calendar.acl:
            raise api_error("notFound")
        return call.ids["ruleId"]


def _rule(calendar: Calendar, rule_id: str) -> Row:
    kind, _, value = rule_id.partition(":")
    return {
        "kind": "calendar#aclRule",
        "etag": calendar.etag,
        "id": rule_id,
        "scope": {"type": kind, "value": value} if value else {"type": kind},
        "role": calendar.acl[rule_id],
    }
