"""What of Google's behaviour is unknown, or comes and goes, as switches that can be turned while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

AUTH = "https://www.googleapis.com/auth/"

_CHOICES: dict[str, tuple[Any, ...]] = {
    "delegation": ("granted", "missing"),
    "quota_answer": (403, 429),
    "empty_pages": ("none", "first", "between"),
    "pages_show": ("snapshot", "current"),
    "delta_window": ("unfiltered", "filtered", "as_deleted"),
    "parameter_mismatch": ("refused", "ignored"),
    "repeated_property_filter": ("and", "or"),
    "malformed_sync_token": (410, 400),
    "tombstones": ("details", "bare"),
    "zero_length": ("refused", "accepted"),
    "no_op_patch": ("keeps", "bumps"),
    "patch_cancelled": ("undelete", "undelete_always", "refused"),
    "deleted_again": (410, 412),
    "move_answers": ("cancelled", "moved"),
    "description_form": ("as_written", "html", "crlf"),
    "push": ("normal", "lost", "duplicated", "reordered"),
}


@dataclass(slots=True)
class Switches:
    """One attribute per trap or unknown (`docs/sandbox-google.md` has the table of what each decides)."""

    delegation: str = "granted"
    delegated_scopes: list[str] = field(
        default_factory=lambda: [
            f"{AUTH}{name}" for name in ("calendar", "calendar.events", "calendar.app.created")
        ]
    )
    checks_jwt_times: bool = True
    jwt_skew_seconds: float = 300.0
    clock_skew_seconds: float = 0.0
    token_seconds: float = 3600.0
    token_calls: int = 0
    api_enabled: bool = True
    strict: bool = True

    user_quota_per_minute: int = 0
    project_quota_per_minute: int = 0
    calendar_writes_per_minute: int = 0
    quota_answer: int = 403
    patch_units: int = 3
    new_calendars_per_day: int = 25
    new_events_per_day: int = 0

    page_cap: int = 0
    empty_pages: str = "none"
    pages_show: str = "snapshot"
    delta_window: str = "unfiltered"
    parameter_mismatch: str = "refused"
    repeated_property_filter: str = "and"
    malformed_sync_token: int = 410
    acl_change_ends_tokens: bool = True
    sync_token_seconds: float = 0.0
    updated_min_days: float = 28.0
    tombstones: str = "details"

    zero_length: str = "refused"
    no_op_patch: str = "keeps"
    patch_cancelled: str = "undelete"
    deleted_again: int = 410
    move_answers: str = "cancelled"
    trims_summary: bool = False
    drops_seconds: bool = False
    omits_empty: bool = True
    description_form: str = "as_written"
    answer_zone: str = ""
    duplicate_copies_private: bool = True

    push: str = "normal"
    push_allows_http: bool = False

    def update(self, changes: Mapping[str, Any]) -> None:
        """Turn some switches, all or none. Raises ValueError with one sentence for an unknown name or value."""
        checked = {name: _checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All switches and their values."""
        return asdict(self)


_DEFAULTS = Switches()
SWITCH_NAMES = frozenset(item.name for item in fields(Switches))


def _checked(name: str, value: Any) -> Any:
    if name not in SWITCH_NAMES:
        raise ValueError(f"There is no switch {name!r}; the switches are {sorted(SWITCH_NAMES)}.")
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"The switch {name} takes {list(_CHOICES[name])}.")
        return value
    default = getattr(_DEFAULTS, name)
    wanted = int | float if isinstance(default, float) else type(default)
    # bool is an int to isinstance, and `true` seconds would be one second.
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise ValueError(f"The switch {name} takes a value like {default!r}.")
    return value
