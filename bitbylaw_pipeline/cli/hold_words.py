"""What each reason for a hold means, and which answers it takes: data, for the list and for the answers' check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bitbylaw_pipeline.cli.pair_names import legend_of
from bitbylaw_pipeline.inbox.two_way_desk import HoldView

LEGEND = legend_of("beteiligte")
CONFIRMED_PAIR = "bankverbindungen"
"""An answer about an account moves money: it is confirmed by hand."""
DIGEST_LETTERS = 6

_SIDE = ("left", "right")
_RECORD = ("create", "link:ID")


@dataclass(frozen=True, slots=True)
class Meaning:
    """`says` for a person; `answers` are what `resolve --take` takes, none where it ends in another way."""

    says: str
    answers: tuple[str, ...] = ()


_MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        "conflict": Meaning("Both sides changed these fields: whose values count?", _SIDE),
        "approval": Meaning(
            "An account changed on one side: nothing goes across unseen. Whose counts?", _SIDE
        ),
        "approval:create": Meaning("Another account for a party that has one: make it there, too?", _RECORD),
        "edit_vs_delete": Meaning("Deleted on one side, edited on the other: which side is right?", _SIDE),
        "delete_policy_hold": Meaning("Deleted on one side: which side is right?", _SIDE),
        "no_base_delete": Meaning("Gone on one side before the two ever agreed: which side is right?", _SIDE),
        "undelete": Meaning("A record that was deleted everywhere is back: which side is right?", _SIDE),
        "ambiguous_match": Meaning("Several records look like this one: which is it?", _RECORD),
        "ambiguous_partner": Meaning("Several records name the same counterpart: which is it?", _RECORD),
        "partner_missing": Meaning("It names a counterpart that is not there.", _RECORD),
        "partner_gone": Meaning(
            "The record that it names is gone: delete this one, too, and the hold ends; or create makes it anew there.",
            _RECORD,
        ),
        "partner_withheld": Meaning(
            "The record that it names is there and left alone (private, or it makes no sense): clear that up there.",
            ("link:ID",),
        ),
        "bootstrap_unmatched": Meaning(
            "Nothing, or little, matched in a first pass: is it the right firm, or calendar?", _RECORD
        ),
        "partner_not_searchable": Meaning(
            "Its counterpart cannot be looked for: a list is not whole.", _RECORD
        ),
        "delete_guard": Meaning(
            "Too many deletes at once: bitbylaw approve-deletes PAIR SIDE N allows them."
        ),
        "update_guard": Meaning(
            "Too many changes at once, as after a restore: bitbylaw approve-updates PAIR SIDE N allows them."
        ),
        "quarantined": Meaning("Refused five times: left alone until bitbylaw release PAIR LINK."),
        "iban_invalid": Meaning("Its IBAN cannot be one: put it right in that system. Ends by itself."),
        "side_empty": Meaning("A whole side is empty: nothing is deleted for that. Ends by itself."),
        "task": Meaning("That system cannot take it: do it there by hand. Ends once both agree."),
        "loop": Meaning(
            "A value went to and fro: the link is in quarantine until bitbylaw release PAIR LINK."
        ),
        "duplicate_refused": Meaning(
            "EspoCRM refused it as a double: clear that up there, the next pass tries."
        ),
        "key_taken": Meaning(
            "Its key stands on a copy that is linked already: empty it there (EspoCRM: bitbylawKey), or delete the copy."
        ),
        "create_unsettled": Meaning("A create without an answer: the next passes find out. Ends by itself."),
        "ambiguous_create": Meaning(
            "After a create without an answer several records fit: remove the double."
        ),
        "same_number": Meaning(
            "Two matters, or two Akten, carry one number: correct it there. Ends by itself."
        ),
        "names_another_akte": Meaning("A matter names another Akte than its number says: correct it there."),
        "akte_gone": Meaning("A matter names an Akte that Advoware no longer has: correct it in EspoCRM."),
        "unlinked": Meaning(
            "Deleted on one side; the other stays and is on its own now. A notice: acknowledge."
        ),
        # Appointments.
        "serie_ohne_gegenstueck": Meaning(
            "A series made in Google stays there: Advoware's know no such rules. Enter it in Advoware instead."
        ),
        "ausnahme": Meaning(
            "One appointment of a series was moved or deleted in Google: Advoware's series have no exceptions. Undo it "
            "there, or change Advoware. Ends by itself."
        ),
        "privat_in_google": Meaning(
            "Made private in Google: it is no longer followed there, and its Termin stays as it is. Ends by itself."
        ),
        "privat_in_advoware": Meaning(
            "Made private in Advoware: its event in Google stays as it is. A notice: acknowledge."
        ),
        "unreadable": Meaning(
            "It is there, and its times make no sense: put them right in that system. Ends by itself."
        ),
        "unknown_turnus": Meaning(
            "A series of Advoware's without a known interval stays there: put the interval right. Ends by itself."
        ),
        "end_of_month": Meaning(
            "A series on a day that not every month has stays in Advoware: enter single Termine. Ends by itself."
        ),
        "ends_before_it_begins": Meaning(
            "A series that ends before it begins stays in Advoware: put its end right there. Ends by itself."
        ),
    }
)
_UNKNOWN = Meaning("See docs/operation.md.")


def meaning(why: str) -> Meaning:
    """The reason's meaning: that of the whole code, else that of its first part."""
    return _MEANINGS.get(why) or _MEANINGS.get(why.partition(":")[0], _UNKNOWN)


def kind_of(why: str) -> str:
    """The part of the code that has a meaning of its own."""
    return why if why in _MEANINGS else why.partition(":")[0]


def fields_of(why: str) -> tuple[str, ...]:
    """The fields that a conflict or an approval is about; empty where it is about the whole record."""
    kind, _, unit = why.partition(":")
    return tuple(unit.split("+")) if kind in ("conflict", "approval") and why != "approval:create" else ()


def name_of(hold: HoldView) -> str:
    """How a person names the hold: its id and, where it is about values, some letters that stand for them.

    The id outlives a change of the values; whoever answers must have seen the present ones.
    """
    return f"{hold.hold_id}-{hold.digest[:DIGEST_LETTERS]}" if hold.digest else hold.hold_id


def state_of(hold: HoldView) -> str:
    """Whether somebody has answered already; needs the decision, read with the cipher."""
    if hold.decision is None:
        return ""
    if hold.is_void:
        return f"answered {hold.decision.take}, but the values have changed: answer again"
    return f"answered {hold.decision.take}, next pass"
