"""Every fault knob of both stand-ins, each as something that can be turned on before a pass."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.sync.termine.office import EMPLOYEES, mail_of
from tests.sync.termine.world import World

Knob = Callable[[World, random.Random], None]
API = ".*/calendar/v3/.*"
TERMINE = "/relay/.*Termine.*"
READS, WRITES = ("events.list", "events.get"), ("events.insert", "events.patch", "events.delete")
Row = dict[str, Any]


def _google_error(error: str) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        operation = source.choice([*READS, *WRITES, "*"])
        world.script(
            "error", operation=operation, error=error, after=source.randint(0, 2), times=source.randint(1, 3)
        )

    return turn


def _google_script(kind: str, operations: tuple[str, ...] = ("events.list",), **more: Any) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        world.script(kind, operation=source.choice(operations), times=source.randint(1, 2), **more)

    return turn


def _concurrent_edit(do: str, **fields: Any) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        edit = {"do": do, **({"set": fields} if fields else {})}
        world.script("concurrent_edit", operation=source.choice(["events.patch", "events.delete"]), edit=edit)

    return turn


def _transport(system: str, path: str, kind: str, methods: tuple[str, ...] = ("*",), **more: Any) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        after, times = source.randint(0, 2), source.randint(1, 2)
        world.fail(system, path, method=source.choice(methods), kind=kind, after=after, times=times, **more)

    return turn


def _google_switch(**values: Any) -> Knob:
    def turn(world: World, _: random.Random) -> None:
        world.google.switches.update(values)

    return turn


def _advoware_switch(**values: Any) -> Knob:
    def turn(world: World, _: random.Random) -> None:
        world.advoware.switches.update(values)

    return turn


def _calendar_edit(do: str, **more: Any) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        kuerzel = source.choice(EMPLOYEES)
        world.edit_google(do, kuerzel=kuerzel, **more)

    return turn


def _shut(do: str, **more: Any) -> Knob:
    def turn(world: World, source: random.Random) -> None:
        kuerzel = source.choice(EMPLOYEES)
        world.shut.add(kuerzel)
        world.edit_google(do, kuerzel=kuerzel, user=mail_of(kuerzel), **more)

    return turn


def _suspend(world: World, source: random.Random) -> None:
    kuerzel = source.choice(EMPLOYEES)
    world.shut.add(kuerzel)
    world.google.edit(
        {"do": "set_user", "user": mail_of(kuerzel), "state": source.choice(["suspended", "no_calendar"])}
    )


def _revoke_tokens(world: World, _: random.Random) -> None:
    world.advoware.tokens.revoke()
    world.google.tokens.revoke()


def _offline(world: World, source: random.Random) -> None:
    world.advoware.switches.update({"offline_until": world.clock() + source.choice([900.0, 1800.0])})


def _edit_before_the_compare(world: World, source: random.Random) -> None:
    """Somebody edits a Termin after it was listed and before it is read again for a write."""

    def deed() -> None:
        rows = [
            row for row in world.termine() if not row["dauertermin"] and not row["text"].startswith("Frist")
        ]
        if rows:
            world.edit_termin(source.choice(rows)["frNr"], ort="Ort eben noch")

    world.wire.before_next("GET", "/calendar/v3/.*/events/.*", deed)


COERCIONS: dict[str, Row] = {
    "description_html": {"description_form": "html"},
    "description_crlf": {"description_form": "crlf"},
    "trims_summary": {"trims_summary": True},
    "drops_seconds": {"drops_seconds": True},
    "answers_in_new_york": {"answer_zone": "America/New_York"},
    "answers_in_kiritimati": {"answer_zone": "Pacific/Kiritimati"},
    "shows_empty": {"omits_empty": False},
    "bumps_versions": {"no_op_patch": "bumps"},
    "bare_tombstones": {"tombstones": "bare"},
    "undeletes_always": {"patch_cancelled": "undelete_always"},
    "refuses_undelete": {"patch_cancelled": "refused"},
    "deleted_again_412": {"deleted_again": 412},
    "copies_without_ours": {"duplicate_copies_private": False},
    "short_pages": {"page_cap": 2, "empty_pages": "between"},
    "pages_as_they_are_now": {"page_cap": 1, "pages_show": "current", "empty_pages": "first"},
    "zero_length": {"zero_length": "accepted"},
    "malformed_token_400": {"malformed_sync_token": 400},
    "tokens_age": {"sync_token_seconds": 1000.0},
}
"""How Google stores and shows things; on for as long as the office stands."""
SHAPES: dict[str, Row] = {
    "joined": {"shared_termine": "joined"},
    "window_by_start": {"window": "start"},
    "everybody_included": {"everybody": "included"},
    "no_datum_bis": {"single_day_datum_bis": "none"},
    "posts_answer_objects": {"post_answers": "object"},
    "posts_answer_lists": {"post_answers": "list", "wraps_in_list": True},
    "unknown_is_empty": {"unknown_answers_empty": True},
    "stamps_are_sent": {"termin_stamp": "sent", "fraction_digits": 0},
    "json_refusals": {"refusal_form": "json", "expiration": "absent"},
    "truncates": {"truncate_at": 60},
}
"""How Advoware stores and shows things; on for as long as the office stands."""
KNOBS: dict[str, Knob] = {
    **{f"google_{error}": _google_error(error) for error in (
        "userRateLimitExceeded", "rateLimitExceeded", "tooManyRequests", "quotaExceeded", "backendError",
        "internalError", "authError", "conflict", "forbiddenForNonOrganizer", "insufficientPermissions", "notFound",
    )},
    "google_5xx_after": _google_script("error_after", WRITES),
    "google_500_after": _google_script("error_after", WRITES, error="internalError"),
    "google_token_gone": _google_script("sync_token_gone"),
    "google_tokens_end": _calendar_edit("end_sync_tokens"),
    "google_tombstones_purged": _calendar_edit("purge_tombstones"),
    "google_empty_list": _google_script("empty_list"),
    "google_last_page_fails": _google_script("last_page_fails"),
    "google_missing_in_list": _google_script("missing_in_list"),
    "google_deleted_still_listed": _google_script("deleted_still_listed"),
    "google_edited_before": _concurrent_edit("edit", location="Ort von eben"),
    "google_deleted_before": _concurrent_edit("delete"),
    "google_private_before": _concurrent_edit("make_private"),
    "google_guests_before": _concurrent_edit("edit", attendees=[{"email": "gast@fremd.example"}]),
    "google_html": _transport("google", API, "html"),
    "google_html_404": _transport("google", API, "html", status=404),
    "google_html_410": _transport("google", API, "html", ("GET", "DELETE"), status=410),
    "google_cut_body": _transport("google", API, "cut_body"),
    "google_hang": _transport("google", API, "hang"),
    "google_close": _transport("google", API, "close"),
    "google_lost_answer": _transport("google", API, "timeout_after_commit", ("POST", "PATCH", "DELETE")),
    "google_latency": _transport("google", API, "latency", seconds=0.002),
    "google_502": _transport("google", API, "status", status=502),
    "google_token_endpoint_500": _transport("google", "/token", "status", status=500),
    "google_short_tokens": _google_switch(token_calls=3),
    "google_user_quota": _google_switch(user_quota_per_minute=6),
    "google_user_quota_429": _google_switch(user_quota_per_minute=5, quota_answer=429),
    "google_project_quota": _google_switch(project_quota_per_minute=9),
    "google_write_quota": _google_switch(calendar_writes_per_minute=2),
    "google_clock_ahead": _google_switch(clock_skew_seconds=250.0),
    "google_no_delegation": _google_switch(delegation="missing"),
    "google_api_disabled": _google_switch(api_enabled=False),
    "google_reader": _shut("set_role", role="reader"),
    "google_writer_without_private": _shut("set_role", role="writerWithoutPrivateAccess"),
    "google_revoked_404": _shut("revoke_access", status=404),
    "google_revoked_403": _shut("revoke_access", status=403),
    "google_suspended": _suspend,
    "tokens_revoked": _revoke_tokens,
    "advoware_offline": _offline,
    "advoware_disabled": _advoware_switch(enabled=False),
    "advoware_ignores_kuerzel": _advoware_switch(ignored_parameters=["kuerzel"]),
    "advoware_ignores_from": _advoware_switch(ignored_parameters=["from"]),
    "advoware_ignores_frnr": _advoware_switch(ignored_parameters=["frnr"]),
    "advoware_401": _transport("advoware", TERMINE, "status", status=401),
    "advoware_404": _transport("advoware", TERMINE, "status", status=404),
    "advoware_429": _transport("advoware", TERMINE, "status", status=429),
    "advoware_500": _transport("advoware", TERMINE, "status", ("GET", "POST", "PUT", "DELETE"), status=500),
    "advoware_empty_list": _transport("advoware", TERMINE, "status", ("GET",), status=200, body=[]),
    "advoware_empty_body": _transport("advoware", TERMINE, "status", ("GET",), status=200),
    "advoware_html": _transport("advoware", TERMINE, "html"),
    "advoware_cut_body": _transport("advoware", TERMINE, "cut_body"),
    "advoware_hang": _transport("advoware", TERMINE, "hang"),
    "advoware_close": _transport("advoware", TERMINE, "close"),
    "advoware_lost_answer": _transport("advoware", TERMINE, "timeout_after_commit", ("POST", "PUT", "DELETE")),
    "advoware_latency": _transport("advoware", TERMINE, "latency", seconds=0.002),
    "advoware_edited_before": _edit_before_the_compare,
}  # fmt: skip
"""What goes wrong for a pass or two."""


def turn(world: World, name: str, seed: int) -> None:
    """Turns one knob on; what it hits is drawn from the seed."""
    KNOBS[name](world, random.Random(seed))
