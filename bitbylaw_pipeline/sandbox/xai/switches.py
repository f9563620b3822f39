"""What of xAI's behaviour is unknown or changing, as switches that can be turned while the stand-in runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

STAGES = ("PROCESSING", "CHUNKED", "EMBEDDING", "WRITING")

_CHOICES: dict[str, tuple[Any, ...]] = {
    "re_add": (200, 409),
    "remove_nonmember": (404, 200),
    "remove_last": ("keep", "drop"),
    "delete_in_use": ("cascade", 500, "dangling"),
    "upload_content_type": ("trust", "sniff"),
    "unknown_keys": ("ignored", "rejected"),
    "credits_exhausted": ("no", 429, 403),
    "api_key_state": ("ok", "invalid", "blocked", "disabled", "team_blocked"),
    "management_key_state": ("ok", "invalid", "no_permission"),
    "one_shot_upload": ("available", "gone"),
    "zero_byte_upload": (200, 400),
    "files_end_token": ("always", "absent"),
    "files_default_order": ("desc", "asc"),
}


def _stage_seconds() -> dict[str, float]:
    return {"PROCESSING": 2.0, "CHUNKED": 1.0, "EMBEDDING": 1.0, "WRITING": 1.0}


@dataclass(slots=True)
class Switches:
    """One attribute per unknown of `facts/xai.md` (sections 9 and 10); each default is the likelier answer.

    | switch | values (default first) | decides |
    |---|---|---|
    | re_add | 200, 409 | attaching a file to a collection that has it (200 replaces its fields) |
    | remove_nonmember | 404, 200 | removing a file from a collection that has it not |
    | remove_last | keep, drop | whether a file survives the removal from its last collection |
    | delete_in_use | cascade, 500, dangling | deleting a file that is still in collections |
    | list_lag | 0 | seconds after which a new file or collection shows in lists and filters |
    | upload_content_type | trust, sniff | `POST /v1/files` keeps the part's Content-Type, or guesses from bytes |
    | unknown_keys | ignored, rejected | unknown JSON keys when creating or changing a collection |
    | stuck_token | false | the file list ignores its token: the same page for ever |
    | files_end_token | always, absent | whether the last page of the file list carries a token |
    | files_default_order | desc, asc | order of the file list when none is asked for |
    | credits_exhausted | no, 429, 403 | the answer to uploads and attachments of a team without credits |
    | api_key_state | ok, invalid, blocked, disabled, team_blocked | of the inference key |
    | management_key_state | ok, invalid, no_permission | of the management key |
    | management_team | sandbox-team | the team of the management key; the API key's is `sandbox-team` |
    | denied_endpoints | [] | rights missing on the management key, such as `AddFileToCollection` |
    | one_shot_upload | available, gone | multipart upload into a collection |
    | zero_byte_upload | 200, 400 | an upload without a byte |
    | max_upload_bytes | 50000000 | above it: 413 |
    | keep_bytes | 1000000 | files up to this size can be downloaded again; of larger ones the hash stays; null: all |
    | stage_seconds | 2, 1, 1, 1 | seconds in PROCESSING, CHUNKED, EMBEDDING, WRITING; 0 skips a stage |
    """

    re_add: int = 200
    remove_nonmember: int = 404
    remove_last: str = "keep"
    delete_in_use: str | int = "cascade"
    list_lag: float = 0.0
    upload_content_type: str = "trust"
    unknown_keys: str = "ignored"
    stuck_token: bool = False
    files_end_token: str = "always"
    files_default_order: str = "desc"
    credits_exhausted: str | int = "no"
    api_key_state: str = "ok"
    management_key_state: str = "ok"
    management_team: str = "sandbox-team"
    denied_endpoints: list[str] = field(default_factory=list)
    one_shot_upload: str = "available"
    zero_byte_upload: int = 200
    max_upload_bytes: int = 50_000_000
    keep_bytes: int | None = 1_000_000
    stage_seconds: dict[str, float] = field(default_factory=_stage_seconds)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Turn some switches, all or none. Raises ValueError with one sentence for an unknown name or value."""
        checked = {name: _checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, {**self.stage_seconds, **value} if name == "stage_seconds" else value)

    def as_json(self) -> dict[str, Any]:
        """All switches and their values."""
        return asdict(self)


_NAMES = frozenset(item.name for item in fields(Switches))


def _checked(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise ValueError(f"There is no switch {name!r}; the switches are {sorted(_NAMES)}.")
    if name in _CHOICES:
        for choice in _CHOICES[name]:
            # "409" and 409 are both fine: switches also come from a query or a command line.
            if str(choice) == str(value):
                return choice
        raise ValueError(f"The switch {name} takes {list(_CHOICES[name])}.")
    valid = {
        "list_lag": isinstance(value, int | float),
        "stuck_token": isinstance(value, bool),
        "denied_endpoints": isinstance(value, list) and all(isinstance(item, str) for item in value),
        "management_team": isinstance(value, str),
        "max_upload_bytes": isinstance(value, int),
        "keep_bytes": value is None or isinstance(value, int),
        "stage_seconds": isinstance(value, dict) and set(value) <= set(STAGES),
    }[name]
    if not valid:
        raise ValueError(f"The switch {name} cannot take that value; see GET /sandbox/switches for its form.")
    return value
