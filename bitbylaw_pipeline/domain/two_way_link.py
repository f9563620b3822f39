"""What the two-way engine knows and remembers: records, links, intents, holds, conflicts, policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bitbylaw_pipeline.domain.three_way import Direction, FieldPolicy, Fields, Side, Unit


@dataclass(frozen=True, slots=True)
class Record:
    """One record as its system holds it now; `fields` has exactly the mapped fields that could be read.

    `claim` is the create key in its marker ("left:n1:g0"), `partner` the other side's id that it names as its own
    (betnr), `parent` what it belongs to, named alike on both sides, `nonce` the mark of our last write. Out of scope
    (`is_in_scope` False): it exists and is nobody's business.
    """

    id: str
    fields: Fields
    version: str | None = None
    claim: str | None = None
    partner: str | None = None
    parent: str | None = None
    nonce: str | None = None
    updated: float | None = None
    is_in_scope: bool = True
    stamp: str | None = None
    """A version that is certain to move with the next change; None while that is not certain."""
    readonly_fields: frozenset[str] = frozenset()
    """What cannot be written on this very record, beside what its system never takes."""
    can_delete: bool = True
    """False where a person has to delete this very record (an appointment that others are invited to)."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a linked record held when it was last agreed; with the same stamp it need not be read again.

    `stamp` is None where not all of it was agreed, or no version was certain to move.
    """

    stamp: str | None
    fields: Fields


LEFT_FOR_LATER = "left_for_later"
"""Why a record is withheld that another pass looks at: nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a side showed.

    `gone`: ids with an explicit tombstone. `withheld`: records that exist and could not be understood. `complete`:
    every page was read and every row fits what was asked. `covers`: whether absence means anything for that id.
    """

    items: Mapping[str, Record]
    gone: frozenset[str] = frozenset()
    withheld: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    covers: Callable[[str], bool] = lambda _: True
    is_pointwise: bool = False
    """Each record was read by itself: what is in `gone` has been confirmed already."""
    reads_beyond: bool = False
    """What is not covered can be read by itself: that is done where its counterpart has changed."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a system can do, as data (`facts/two_way_sync.md` 1.2).

    `client_key`: a create with the same key finds the first one's record. `marker`: records carry our create key and
    the nonce of our last write. `create_fields`: the fields that one create takes at once (None: all of them).
    `notes_partner`: a record has a place for the other side's id.
    """

    create: bool = True
    update: bool = True
    delete: bool = True
    readonly_fields: frozenset[str] = frozenset()
    client_key: bool = False
    marker: bool = False
    create_fields: frozenset[str] | None = None
    notes_partner: bool = False


class DeleteRule(StrEnum):
    """What a deletion on one side means for the other."""

    PROPAGATE = "propagate"
    RESTORE = "restore"
    UNLINK = "unlink"
    HOLD = "hold"


class EditVsDelete(StrEnum):
    """One side edited, the other deleted."""

    EDIT_WINS = "edit_wins"
    DELETE_WINS = "delete_wins"
    HOLD = "hold"


class Undelete(StrEnum):
    """A record that was deleted everywhere is back on one side."""

    RECREATE = "recreate"
    IGNORE = "ignore"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Guard:
    """Withholds all deletes of a side: more than `min_abs`, and more than `frac` of the links or than `hard_abs`."""

    min_abs: int = 3
    frac: float = 0.1
    hard_abs: int = 25

    def withholds(self, deletes: int, links: int) -> bool:
        """True if that many deletes of one side in one run are too many."""
        return deletes > self.min_abs and (deletes > self.frac * links or deletes > self.hard_abs)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a pair is kept in step. `creates`: on which sides records are made.

    `match` holds natural keys; a part is a field, compared as its policy says, or more loosely: "name~lower|nospace",
    or a field that must be empty: "!vorname". `holds_look_alikes`: a new record with the natural key of one that is
    linked already waits for a person.
    """

    default: FieldPolicy = field(default_factory=FieldPolicy)
    fields: Mapping[str, FieldPolicy] = field(default_factory=dict)
    deleted: Mapping[Side, DeleteRule] = field(default_factory=dict)
    edit_vs_delete: EditVsDelete = EditVsDelete.EDIT_WINS
    match: tuple[tuple[str, ...], ...] = ()
    creates: frozenset[Side] = frozenset(Side)
    holds_look_alikes: bool = False
    create_alone: bool = False
    """A record is made only where its parent has none yet on that side; else a person has to say so."""
    guard: Guard = Guard()
    approved_deletes: Mapping[Side, int] = field(default_factory=dict)
    holds_unmatched_bootstrap: bool = True
    undelete: Undelete = Undelete.RECREATE
    notes_restore: bool = False
    """A record that is made anew because it may not be deleted there is noted in the conflict log."""
    told: frozenset[str] = frozenset()
    """Reasons for withholding a record that a person has to hear of."""
    noticed: frozenset[str] = frozenset()
    """Reasons for being withheld that a person is only told of: nothing can be answered."""
    quarantine_after: int = 5
    update_guard: Guard | None = None
    variant: Callable[[Fields], Policy | None] | None = None
    """The policy for one record, by its fields on the left (gone there: by its base), where it is not this one.

    Variants differ in directions and in what a deletion means; equivalences, units and guards are this policy's.
    """
    units: dict[frozenset[str], list[Unit]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `units_of` has worked out already."""

    def field(self, name: str) -> FieldPolicy:
        """The policy of that field."""
        return self.fields.get(name, self.default)

    def of(self, fields: Fields) -> Policy:
        """The policy for a record with these fields on the left."""
        return (self.variant(fields) if self.variant is not None else None) or self

    def on_delete(self, side: Side) -> DeleteRule:
        """What becomes of the counterpart when a record is gone on that side."""
        return self.deleted.get(side, DeleteRule.PROPAGATE)


class LinkState(StrEnum):
    """Where a link is in its life."""

    PENDING = "pending"
    """Its counterpart is being created: there is one id and an intent."""
    ACTIVE = "active"
    TOMBSTONE = "tombstone"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Write:
    """One side's part of an update: what is sent, what it was planned against, and whether it has landed."""

    patch: Fields
    version: str | None
    nonce: str
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """What one unit's bases become once every side that it writes has been written."""

    unit: str
    left: Fields
    right: Fields
    writes: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Intent:
    """The one unfinished operation of a link, stored before its first call.

    A create has `side`, `key`, `payload` and `seen` (the number of the last observation of that side before it); an
    update `writes` and `advances`; a delete `side`.
    """

    op: str
    nonce: str
    side: Side | None = None
    key: str = ""
    payload: Fields = field(default_factory=dict)
    source: Fields = field(default_factory=dict)
    seen: int = 0
    writes: Mapping[Side, Write] = field(default_factory=dict)
    advances: tuple[Advance, ...] = ()


@dataclass(frozen=True, slots=True)
class PastWrite:
    """A write to a unit that the loop breaker remembers; `digest` stands for the value."""

    at: float
    target: str
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    """One record on each side that are the same thing; unique in both directions.

    `row_rev` counts its changes (compare and set). `refusals`: unit -> digest of a value that the other side silently
    did not take. `lease_until`: until when its intent is somebody's work in progress (UTC epoch seconds).
    """

    link_id: str
    left_id: str | None
    right_id: str | None
    state: LinkState = LinkState.ACTIVE
    gen: int = 0
    base_left: Fields = field(default_factory=dict)
    base_right: Fields = field(default_factory=dict)
    ver_left: str | None = None
    ver_right: str | None = None
    intent: Intent | None = None
    is_unlinked: bool = False
    archive: Fields = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    recent: tuple[PastWrite, ...] = ()
    lease_until: float = 0.0
    row_rev: int = 0
    fail_count: int = 0

    def id(self, side: Side) -> str | None:
        """The record's id on that side."""
        return self.left_id if side is Side.LEFT else self.right_id

    def base(self, side: Side) -> Fields:
        """What that side held when both last agreed."""
        return self.base_left if side is Side.LEFT else self.base_right

    def with_side(
        self,
        side: Side,
        *,
        record_id: str | None = None,
        base: Fields | None = None,
        version: str | None = None,
    ) -> Link:
        """The link with these facts of one side; what is not given stays."""
        if side is Side.LEFT:
            return replace(
                self,
                left_id=record_id or self.left_id,
                base_left=self.base_left if base is None else dict(base),
                ver_left=version or self.ver_left,
            )
        return replace(
            self,
            right_id=record_id or self.right_id,
            base_right=self.base_right if base is None else dict(base),
            ver_right=version or self.ver_right,
        )

    @property
    def has_base(self) -> bool:
        """True if anything was ever agreed."""
        return bool(self.base_left or self.base_right)


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that waits for a person; `subject` is a link's id or, for a record without link, "side:id"."""

    subject: str
    why: str
    link_id: str | None = None
    side: Side | None = None
    record_id: str | None = None
    is_notice: bool = False
    """Done already, and told: nothing waits for an answer."""
    digest: str = ""
    """Stands for what the person was shown: a decision about other values is void."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed: which unit, what stood where, and who won ("none": nobody yet)."""

    link_id: str
    what: str
    winner: str
    base: Fields
    left: Fields
    right: Fields


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One write that was made, with what it replaced: for undo and for the last word about a lost value."""

    link_id: str
    side: Side
    op: str
    fields: tuple[str, ...]
    before: Fields
    nonce: str


def units_of(policy: Policy, *fields: Fields) -> list[Unit]:
    """The units that the names in these fields make up under the policy, sorted by name; ignored ones left out."""
    names = frozenset[str]().union(*fields)
    known = policy.units.get(names)
    if known is None:
        # Thousands of records share a few sets of names.
        known = policy.units[names] = _units(policy, names)
    return known


def _units(policy: Policy, names: frozenset[str]) -> list[Unit]:
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        own = policy.field(name)
        if own.direction is not Direction.IGNORE:
            groups.setdefault(f"group {own.group}" if own.group else name, []).append(name)
    return [
        Unit(tuple(members), policy.field(members[0]), {name: policy.field(name) for name in members})
        for members in groups.values()
    ]
