"""What Advoware's texts mean, whatever the status and the form they come in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bitbylaw_pipeline.clients import advoware_errors as errors
from bitbylaw_pipeline.clients.advoware_surface import Trouble
from bitbylaw_pipeline.clients.answer import Call, Refusal
from bitbylaw_pipeline.domain.errors import (
    AuthFailed,
    NotFound,
    OutcomeUnknown,
    Permanent,
    SyncError,
    Unexpected,
    Unreachable,
)

TEXTS = {
    Trouble.OFFLINE: "Die Kanzlei ist nicht angemeldet.",
    Trouble.NOT_ENABLED: "Produkt 64 ist nicht freigeschaltet.",
    Trouble.NOT_REGISTERED: "Datenbank X ist nicht registriert.",
    Trouble.CREDENTIALS: "Benutzer / Kennwort ungültig.",
}
FORMS: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: text.encode(),
    "latin-1": lambda text: text.encode("latin-1"),
    "string": lambda text: json.dumps(text).encode(),
    "object": lambda text: json.dumps({"Message": text}).encode(),
    "escaped": lambda text: json.dumps({"error": text}).replace("/", "\\/").encode(),
}


def refusal(status: int, body: bytes = b"", *, creates: bool = False, **headers: str) -> Refusal:
    """An answer that is no success."""
    call = Call("advoware", "create_beteiligter" if creates else "beteiligter", "Beteiligte/5", creates)
    return Refusal(call, status, {key.replace("_", "-"): value for key, value in headers.items()}, body, 0.0)


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
@pytest.mark.parametrize("trouble", sorted(TEXTS))
def test_a_known_text_counts_whatever_the_status(trouble: Trouble, status: int, form: str) -> None:
    """Offline is a matter of time, all else one for a person; the text is not repeated."""
    given = refusal(status, FORMS[form](TEXTS[trouble]), creates=True)
    for judge in (errors.judge, errors.judge_token):
        error = judge(given)
        assert isinstance(error, Unreachable if trouble is Trouble.OFFLINE else errors.LoginRefused)
        assert TEXTS[trouble] not in str(error)
        assert "Beteiligte/5" in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("", 70.0), ("5", 70.0), ("300", 300.0)])
def test_offline_waits_at_least_seventy_seconds(header: str, seconds: float) -> None:
    """Longer if Advoware asks for it, never shorter."""
    error = errors.judge(refusal(503, TEXTS[Trouble.OFFLINE].encode(), retry_after=header))
    assert isinstance(error, Unreachable)
    assert error.retry_after == seconds


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_known_text_counts_in_a_success_too(form: str) -> None:
    """200 with the text in place of what was asked for."""
    call = Call("advoware", "create_beteiligter", creates=True)
    with pytest.raises(Unreachable):
        errors.parsed(FORMS[form](TEXTS[Trouble.OFFLINE]), call, 200)


def test_a_record_that_holds_such_words_is_a_record() -> None:
    """A remark about somebody "nicht angemeldet" in a row is no trouble."""
    row = {"betNr": 5, "bemerkung": "ist nicht angemeldet"}
    call = Call("advoware", "beteiligter")
    assert errors.parsed(json.dumps(row).encode(), call, 200) == row
    assert errors.parsed(json.dumps({"rowId": "1", "title": "ist nicht angemeldet"}).encode(), call, 200)
    assert errors.parsed(json.dumps([row]).encode(), call, 200) == [row]


def test_html_in_place_of_an_answer_is_unclear_for_a_create() -> None:
    """A proxy's page says nothing about whether the create landed."""
    page = b"<!DOCTYPE html><html></html>"
    with pytest.raises(Unexpected):
        errors.parsed(page, Call("advoware", "akte"), 200)
    with pytest.raises(OutcomeUnknown):
        errors.parsed(page, Call("advoware", "create", creates=True), 200)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", errors.TokenRefused),
        (401, TEXTS[Trouble.CREDENTIALS].encode(), errors.TokenRefused),
        (401, TEXTS[Trouble.OFFLINE].encode(), Unreachable),
        (404, b"", NotFound),
        (404, b'{"Message": "unbekannt"}', NotFound),
        (404, b"<html>404</html>", Unexpected),
        (404, b'{"Message": "No HTTP resource was found that matches"}', Unexpected),
        (405, b"", Permanent),
        (302, b"", Unexpected),
    ],
)
def test_the_api_says_what_is_the_case(status: int, body: bytes, kind: type[SyncError]) -> None:
    """A record that is missing is told from an address that is wrong, a worn-out token from a wrong login."""
    assert type(errors.judge(refusal(status, body))) is kind


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_any_refusal_of_the_token_service_is_final(status: int) -> None:
    """Each try may count as a wrong login, so an unknown reason is a reason to stop."""
    error = errors.judge_token(refusal(status, b"?"))
    assert isinstance(error, AuthFailed)
    assert isinstance(error, errors.LoginRefused)
    assert error.trouble is Trouble.REFUSED


@pytest.mark.parametrize("status", [302, 404])
def test_a_token_service_that_is_elsewhere_is_no_refusal(status: int) -> None:
    """A wrong address is not a wrong password."""
    assert isinstance(errors.judge_token(refusal(status)), Unexpected)
    assert errors.judge_token(refusal(500)) is None
