"""Why a request is not accepted, with the status that makes its sender do the right thing.

EspoCRM tries again after 401, 404, 405, 408 and 503; it drops the events for ever after 400, 413, 415, 429, 502 and
504, takes a redirect for success, and deletes the webhook itself after 410 (`facts/espocrm.md` 11). So trouble of
ours is always 503, and 400, 413 and 415 are for what EspoCRM cannot send.
"""

from __future__ import annotations

from collections.abc import Mapping

WAIT_SECONDS = 1.0
"""How long a request waits for the database before its sender is told to come again."""


class Refusal(Exception):
    """An answer other than "accepted": the HTTP status, one sentence for a person, and a short reason for the log."""

    def __init__(
        self, status: int, sentence: str, reason: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.reason = reason
        self.headers = dict(headers or {})


def unavailable(reason: str) -> Refusal:
    """Trouble of ours: the sender tries again later."""
    return Refusal(
        503, "The receiver cannot store events at the moment: send the same request again.", reason
    )


def unreadable(sentence: str, reason: str = "unreadable") -> Refusal:
    """A body that says nothing usable; sending it again cannot help."""
    return Refusal(400, sentence, reason)
