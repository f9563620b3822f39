"""How parties and their bank accounts are kept in step: the firm's rules, as data (`facts/two_way_sync.md` 1.12 b)."""

from __future__ import annotations

from bitbylaw_pipeline.domain.three_way import Bootstrap, FieldPolicy, Merge, Side
from bitbylaw_pipeline.domain.two_way_link import DeleteRule, EditVsDelete, Guard, Policy, Undelete

_UNLINK = {Side.LEFT: DeleteRule.UNLINK, Side.RIGHT: DeleteRule.UNLINK}
_LOOSE = "trim|lower|nospace"

# EspoCRM, where people work, wins; who somebody is (name, birth, register) is never decided by a program.
_PLAIN = FieldPolicy(merge=Merge.LEFT_WINS, bootstrap=Bootstrap.FILL_EMPTY, eq="trim")
_IDENTITY = FieldPolicy(merge=Merge.HOLD, bootstrap=Bootstrap.FILL_EMPTY, eq="trim")

# After a restore from a backup a third of all records seems edited: then nothing is written before somebody looks.
_MASS_CHANGE = Guard(min_abs=50, frac=0.3, hard_abs=1_000_000)


def _in(group: str, policy: FieldPolicy) -> FieldPolicy:
    return FieldPolicy(policy.merge, policy.direction, group, policy.drift, policy.bootstrap, policy.eq)


BETEILIGTE = Policy(
    default=_PLAIN,
    fields={
        "name": _in("name", _IDENTITY),
        "vorname": _in("name", _IDENTITY),
        "geburtsdatum": _IDENTITY,
        "rechtsform": _in("register", _IDENTITY),
        "register_nummer": _in("register", _IDENTITY),
        "register_gericht": _in("register", _IDENTITY),
        # Street, PLZ and town of two different addresses together would be an address that does not exist.
        "strasse": _in("adresse", _PLAIN),
        "plz": _in("adresse", _PLAIN),
        "ort": _in("adresse", _PLAIN),
        "phones": FieldPolicy(merge=Merge.SET3, bootstrap=Bootstrap.UNION, eq="phone"),
        "emails": FieldPolicy(merge=Merge.SET3, bootstrap=Bootstrap.UNION, eq="trim|lower"),
    },
    deleted=_UNLINK,
    edit_vs_delete=EditVsDelete.HOLD,
    undelete=Undelete.HOLD,
    # A person by name and birth; a firm by its register entry, or where its legal form says that it is one: husband
    # and wife have a surname and a PLZ in common, and must never become one party.
    match=(
        (f"name~{_LOOSE}", f"vorname~{_LOOSE}", "geburtsdatum"),
        (f"register_gericht~{_LOOSE}", f"register_nummer~{_LOOSE}"),
        (f"name~{_LOOSE}", f"rechtsform~{_LOOSE}|not:natürlicheperson", "!vorname", "plz"),
    ),
    holds_look_alikes=True,
    update_guard=_MASS_CHANGE,
)

_KONTO = FieldPolicy(
    merge=Merge.HOLD, group="konto", bootstrap=Bootstrap.HOLD, eq="nospace|upper", needs_approval=True
)
_ACCOUNT_FACT = FieldPolicy(merge=Merge.HOLD, bootstrap=Bootstrap.FILL_EMPTY, eq="trim", needs_approval=True)

# A forged mail with "our new account" is how law firms lose their clients' money: no change without a person.
BANKVERBINDUNGEN = Policy(
    default=_ACCOUNT_FACT,
    fields={
        "iban": _KONTO,
        "bic": _KONTO,
        "partei": _ACCOUNT_FACT,
    },
    deleted=_UNLINK,
    edit_vs_delete=EditVsDelete.HOLD,
    undelete=Undelete.HOLD,
    match=(("partei", "iban"),),
    create_alone=True,
    told=frozenset({"iban_invalid"}),
)
