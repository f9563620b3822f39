"""How appointments are kept in step with Google: the firm's rules, as data (`facts/two_way_sync.md` 1.12 a).

Left is Advoware, right is Google. A Frist goes one way: an edit or a deletion in Google is put back and noted.
"""

from __future__ import annotations

from dataclasses import replace

from bitbylaw_pipeline.domain.termin_kind import TerminKind
from bitbylaw_pipeline.domain.three_way import Bootstrap, Direction, FieldPolicy, Fields, Merge, Side
from bitbylaw_pipeline.domain.two_way_link import DeleteRule, EditVsDelete, Guard, Policy

WHEN = ("start", "end", "ganztags", "serie")
"""When an appointment is: one unit, for a begin without its end is none."""
TEXTS = ("text", "notiz", "ort")
FIELDS = (*TEXTS, *WHEN, "art")
UNMAPPED = frozenset(
    {
        "serie_ohne_gegenstueck",
        "unreadable",
        "unknown_turnus",
        "end_of_month",
        "ends_before_it_begins",
        "ausnahme",
        "privat_in_google",
    }
)
"""Why an appointment is in one calendar alone, or no longer followed in the other; a person hears of each."""
NOTICED = frozenset({"privat_in_advoware"})
"""The same, where nothing can be done but to know it: its owner has made it private."""

_ONE_WAY = frozenset({TerminKind.FRIST, TerminKind.SERIE})
_SAME_TEXT = "trim"
_SAME_LINES = "lines"
# After a calendar was emptied by mistake, or a wrong mapping, a third of all appointments seems edited.
_MASS_CHANGE = Guard(min_abs=50, frac=0.3, hard_abs=1_000_000)


def termine_policy(*, masks: bool) -> Policy:
    """The rules; with `masks` Google is told no title, no notes and no place (it goes on hearing when)."""
    common = _common(masks=masks)
    one_way = _one_way(common)

    def of_its_kind(fields: Fields) -> Policy | None:
        return one_way if fields.get("art") in _ONE_WAY else None

    return replace(common, variant=of_its_kind)


def _common(*, masks: bool) -> Policy:
    when = FieldPolicy(merge=Merge.LEFT_WINS, bootstrap=Bootstrap.LEFT_WINS, group="when")
    text = FieldPolicy(merge=Merge.LEFT_WINS, bootstrap=Bootstrap.LEFT_WINS, eq=_SAME_TEXT)
    ort = replace(text, merge=Merge.RIGHT_WINS)
    notiz = FieldPolicy(merge=Merge.HOLD, bootstrap=Bootstrap.FILL_EMPTY, eq=_SAME_LINES)
    if masks:
        # Typed in Google it goes to Advoware once, with the new appointment; from then on the mask stands there, and
        # what is typed over it is kept in the log alone.
        text, ort, notiz = (
            replace(one, direction=Direction.TO_RIGHT, is_born=True, notes_drift=True)
            for one in (text, ort, notiz)
        )
    return Policy(
        default=when,
        fields={
            "text": text,
            "ort": ort,
            "notiz": notiz,
            **dict.fromkeys(WHEN, when),
            "art": FieldPolicy(direction=Direction.TO_RIGHT),
        },
        deleted={Side.LEFT: DeleteRule.PROPAGATE, Side.RIGHT: DeleteRule.PROPAGATE},
        edit_vs_delete=EditVsDelete.EDIT_WINS,
        # Only where Google says what they are: two masked ones at the same hour are nobody's twins.
        match=() if masks else (("start", "end", "text"),),
        told=UNMAPPED,
        noticed=NOTICED,
        update_guard=_MASS_CHANGE,
    )


def _one_way(common: Policy) -> Policy:
    return replace(
        common,
        fields={
            name: replace(policy, direction=Direction.TO_RIGHT, notes_drift=name != "art", is_born=True)
            for name, policy in common.fields.items()
        },
        # A deletion in Google ends nothing. What Advoware deletes goes in Google too: an edit of what travels one way
        # is none. Were the deletion to win here, one in Google would delete a Frist that was just moved in Advoware.
        deleted={Side.LEFT: DeleteRule.PROPAGATE, Side.RIGHT: DeleteRule.RESTORE},
        edit_vs_delete=EditVsDelete.EDIT_WINS,
        notes_restore=True,
        variant=None,
    )
