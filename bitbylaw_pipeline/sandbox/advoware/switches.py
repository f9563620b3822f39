"""What of Advoware's behaviour is unknown, or comes and goes, as switches that can be turned while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

_CHOICES: dict[str, tuple[Any, ...]] = {
    "connector": ("online", "offline"),
    "refusal_form": ("text", "json"),
    "expiration": ("fraction", "whole", "absent"),
    "post_answers": ("number", "object", "list"),
    "embeds": (True, False, "single"),
    "empty_text": ("null", "empty"),
    "window": ("overlap", "start"),
    "shared_termine": ("rows", "joined"),
    "single_day_datum_bis": ("date", "none"),
    "everybody": ("apart", "included"),
    "repeated_hour": ("first", "kept"),
    "termin_stamp": ("server", "sent"),
}


@dataclass(slots=True)
class Switches:
    """One attribute per trap or unknown of `facts/advoware.md` (sections 4 point 7 and 6); the likelier answer first.

    | switch | values (default first) | decides |
    |---|---|---|
    | connector | online, offline | offline: token service and relay say `ist nicht angemeldet` |
    | offline_until | 0 | the same until this moment of the sandbox clock (seconds UTC) |
    | enabled | true | false: `nicht freigeschaltet` for token and calls |
    | refusal_status | 0 | status of such refusals; 0: 503 offline, 403 not enabled, 404 not registered, 401 password |
    | refusal_form | text, json | their body: plain text, or `{"Message": text}` |
    | direct_connector | false | true: `connectorUrl` is set, and the relay answers 404 |
    | path_prefix | api/v1/advonet/ | what stands before the resources |
    | token_seconds | 3300 | lifetime of a token by the sandbox clock |
    | clock_window_seconds | 300 | how far RequestTimeStamp may be from the sandbox clock |
    | lockout_after | 0 | so many wrong passwords lock a user out; 0: never |
    | expiration | fraction, whole, absent | `expiration_utc` with fraction, without, or not sent |
    | fraction_digits | 7 | digits of the fraction in time stamps, 0 to 7 |
    | lists_beteiligte | true | false: `GET Beteiligte` is 404 |
    | embeds | true, false, single | parties carry their addresses and so on; single: only when read by number |
    | wraps_in_list | false | true: GET and PUT of one row answer a list of one |
    | post_answers | number, object, list | body after POST |
    | unknown_answers_empty | false | true: an unknown id is 200 with `[]` and not 404 |
    | empty_text | null, empty | how an empty text is shown |
    | same_put_new_row | true | false: a PUT that changes nothing keeps rowId and geaendertAm |
    | truncate_at | 0 | texts are cut to so many characters without a word; 0: kept |
    | kommkz_kept | true | false: kommKz is always read as 0 |
    | iban_blanks | false | true: an IBAN is shown in groups of four |
    | window | overlap, start | which Termine are in `from`..`to` |
    | ignored_parameters | [] | query parameters of the lists that are not looked at |
    | shared_termine | rows, joined | a list shows a Termin of several employees as a row each, or as one row |
    | single_day_datum_bis | date, none | general surface: `datumBis` of a Termin of one day |
    | everybody | apart, included | whether an employee's list holds the Termine of everybody too |
    | repeated_hour | first, kept | ActiveSync: the two equal hours of a night are one, or are told apart |
    | termin_stamp | server, sent | ZuletztGeaendertAm is the server's time, or what a POST or PUT says |
    """

    connector: str = "online"
    offline_until: float = 0.0
    enabled: bool = True
    refusal_status: int = 0
    refusal_form: str = "text"
    direct_connector: bool = False
    path_prefix: str = "api/v1/advonet/"
    token_seconds: float = 3300.0
    clock_window_seconds: float = 300.0
    lockout_after: int = 0
    expiration: str = "fraction"
    fraction_digits: int = 7
    lists_beteiligte: bool = True
    embeds: bool | str = True
    wraps_in_list: bool = False
    post_answers: str = "number"
    unknown_answers_empty: bool = False
    empty_text: str = "null"
    same_put_new_row: bool = True
    truncate_at: int = 0
    kommkz_kept: bool = True
    iban_blanks: bool = False
    window: str = "overlap"
    ignored_parameters: list[str] = field(default_factory=list)
    shared_termine: str = "rows"
    single_day_datum_bis: str = "date"
    everybody: str = "apart"
    repeated_hour: str = "first"
    termin_stamp: str = "server"

    def update(self, changes: Mapping[str, Any]) -> None:
        """Turn some switches, all or none. Raises ValueError with one sentence for an unknown name or value."""
        checked = {name: _checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All switches and their values."""
        return asdict(self)


_DEFAULTS = Switches()
_NAMES = frozenset(item.name for item in fields(Switches))


def _checked(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise ValueError(f"There is no switch {name!r}; the switches are {sorted(_NAMES)}.")
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
