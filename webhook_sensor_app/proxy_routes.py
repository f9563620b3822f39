"""Which calls the proxy lets through: a list of methods and paths, extended and narrowed by ADVOWARE_PROXY_ROUTES."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bitbylaw_pipeline.settings import SettingsError
from webhook_sensor_app.refusal import Refusal

METHODS = ("GET", "POST", "PUT", "DELETE")
ID = "{id}"

_READ, _READ_ADD, _READ_CHANGE = ("GET",), ("GET", "POST"), ("GET", "PUT")
DEFAULT_ROUTES: tuple[tuple[tuple[str, ...], str], ...] = (
    (_READ_ADD, "Beteiligte"),
    (_READ_CHANGE, "Beteiligte/{id}"),
    (_READ_ADD, "Beteiligte/{id}/Adressen"),
    (("PUT",), "Beteiligte/{id}/Adressen/{id}"),
    (_READ_ADD, "Beteiligte/{id}/Kommunikation"),
    (("PUT",), "Beteiligte/{id}/Kommunikation/{id}"),
    # No POST: a bank account that nobody approved is how invoices get paid to strangers.
    (_READ, "Beteiligte/{id}/Bankverbindungen"),
    (_READ, "Akten"),
    (_READ, "Akten/{id}"),
    (_READ, "Mitarbeiter"),
    (METHODS, "Termine"),
    (METHODS, "TermineActiveSync"),
)
"""What Advoware can do by what is known (`facts/advoware.md` 3); its deletes that are always refused are left out."""

ALIASES: Mapping[tuple[str, ...], tuple[str, ...]] = {("employees",): ("Mitarbeiter",)}
"""Names that the replaced system's callers use."""

NAMED_IN_QUERY = frozenset({"Termine", "TermineActiveSync"})
"""Paths whose records are named by the query parameter `frnr`: a PUT or DELETE without it would be meant for nobody
knows which record, and Advoware ignores parameters that it does not know (`facts/advoware.md` 3.1)."""
RECORD_PARAMETER = "frnr"
"""Spelled like this: of `frNr` Advoware takes no notice."""

_ID_TEXT = re.compile(r"[1-9][0-9]{0,17}")


def is_id(text: str) -> bool:
    """True for a record's number. Negative ones are Advoware's own inventions (`facts/advoware.md` 3.1): read-only."""
    return _ID_TEXT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Match:
    """A call on the list: `pattern` may stand in a log line; `segments` hold the list's own words, and ids."""

    method: str
    pattern: str
    segments: tuple[str, ...]

    @property
    def record(self) -> str | None:
        """The ids in the path, as in `104860/7`; None without any."""
        return "/".join(segment for segment in self.segments if is_id(segment)) or None

    @property
    def wants_record_parameter(self) -> bool:
        """True if the record that it changes must be named in the query."""
        return self.method in ("PUT", "DELETE") and self.pattern in NAMED_IN_QUERY

    @property
    def is_write(self) -> bool:
        """True if it may change something at Advoware."""
        return self.method != "GET"


class AllowList:
    """The calls that are let through."""

    def __init__(self, changes: Iterable[str] = ()) -> None:
        """`changes` as in ADVOWARE_PROXY_ROUTES; raises SettingsError for a removal that removes nothing."""
        routes = {(method, path): None for methods, path in DEFAULT_ROUTES for method in methods}
        for change in changes:
            if change == "-*":
                routes.clear()
                continue
            method, _, path = change[1:].partition(" ")
            if change.startswith("+"):
                routes[method, path] = None
            elif (method, path) in routes:
                del routes[method, path]
            else:
                raise SettingsError(
                    f"ADVOWARE_PROXY_ROUTES removes {method} {path}, which is not on the list: see docs/configuration.md."
                )
        self._methods: dict[tuple[str, ...], list[str]] = {}
        for method, path in routes:
            self._methods.setdefault(tuple(path.split("/")), []).append(method)

    def match(self, method: str, segments: tuple[str, ...]) -> Match:
        """The call, if it is on the list; raises Refusal: 403 for another path, 405 for another method."""
        shape = tuple(ID if is_id(segment) else segment for segment in ALIASES.get(segments, segments))
        methods = self._methods.get(shape)
        if methods is None:
            raise Refusal(
                403,
                "This endpoint is not on the proxy's list: ADVOWARE_PROXY_ROUTES extends the list.",
                "not_listed",
            )
        if method not in methods:
            raise Refusal(
                405,
                f"This endpoint takes {', '.join(methods)} alone: ADVOWARE_PROXY_ROUTES extends the list.",
                "method_not_listed",
                headers={"allow": ", ".join(methods)},
            )
        ids = iter([segment for segment in segments if is_id(segment)])
        return Match(method, "/".join(shape), tuple(next(ids) if part == ID else part for part in shape))
