"""What happens to parties and bank accounts: in EspoCRM, in Advoware, and while the two cannot reach each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bitbylaw_pipeline.demo.employee import Employee
from bitbylaw_pipeline.demo.ledgers import Ledgers
from bitbylaw_pipeline.demo.passes import ENDED_BADLY, ENDED_WELL, Passes
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.proxy_visit import TRICK_PATHS, Visit, visit_proxy
from bitbylaw_pipeline.demo.story import Act
from bitbylaw_pipeline.sandbox.samples.matters import konto_record_id, person_betnr, person_record_id
from bitbylaw_pipeline.sandbox.samples.persons import PERSONS

MOVED, NEW_ACCOUNT, ABROAD = PERSONS[4], PERSONS[8], PERSONS[5]
NEW_MAIL, NEW_TITLE = PERSONS[13], PERSONS[9]

NEW_STREET = "Wacholdersteig 51"
MOBILE = "+49 171 3920042"
"""Kept free for film and television, as the samples' other numbers."""
KOMMKZ_MOBILE = 3
IBAN = "DE18001201000009900137"
COUNTRY = "AT"
EMAIL = "rehm.neu@kanzlei-probe.example"
TITLE = "Dr. habil."

NEW_VALUES = (NEW_STREET, MOBILE, IBAN, EMAIL)
"""What the story brings in beside the samples, to be looked for in logs like those."""


@dataclass(slots=True)
class TwoWayStory:
    """The acts, and what they brought to light: the passes' runs, the proxy's answers, what a quiet pass wrote."""

    employee: Employee
    passes: Passes
    ledgers: Ledgers
    receiver_url: str
    skip_wait: Callable[[], None]
    runs: list[str] = field(default_factory=list)
    failed_runs: list[str] = field(default_factory=list)
    visit: Visit | None = None
    tricks_that_got_through: list[str] | None = None
    quiet_writes: list[str] | None = None
    arrival_seconds: float | None = None
    """How long the street took from EspoCRM to Advoware."""
    _moved_at: float = 0.0
    _marks: dict[str, int] = field(default_factory=dict)

    def first_pass(self) -> Sequence[Act]:
        """The first comparison of both systems."""
        return [Act("launches the first pass over EspoCRM and Advoware in Dagster", self._launch)]

    def busy_hour(self) -> Sequence[Act]:
        """Changes on both sides, those included that must not go across by themselves; and a visit to the proxy."""
        betnr = person_betnr(MOVED)
        return [
            Act("changes a party's street in EspoCRM", self._move),
            Act(
                "an employee adds a mobile number to the same party in Advoware",
                lambda _: self.employee.add_number(betnr, MOBILE, KOMMKZ_MOBILE),
            ),
            Act(
                "changes a party's IBAN in EspoCRM",
                lambda person: person.change("CBankverbindungen", konto_record_id(NEW_ACCOUNT), iban=IBAN),
            ),
            Act(
                "changes the country of an address in EspoCRM, which Advoware cannot take",
                lambda person: person.change("CBeteiligte", person_record_id(ABROAD), adresseCountry=COUNTRY),
            ),
            Act("a program of the firm uses the proxy, and tries to trick it", self._visit),
        ]

    def goes_offline(self) -> Sequence[Act]:
        """The connector is gone, and work goes on on both sides."""
        return [
            Act(
                "the connector to Advoware goes offline",
                lambda _: self.employee.switch_connector(is_online=False),
            ),
            Act(
                "changes a party's mail address in EspoCRM meanwhile",
                lambda person: person.change("CBeteiligte", person_record_id(NEW_MAIL), emailAddress=EMAIL),
            ),
            Act(
                "an employee changes a party's title in Advoware meanwhile",
                lambda _: self.employee.change_party(person_betnr(NEW_TITLE), titel=TITLE),
            ),
        ]

    def comes_back(self) -> Sequence[Act]:
        """The connector is there again, and the schedule's next pass comes."""
        return [
            Act("the connector is back", lambda _: self.employee.switch_connector(is_online=True)),
            Act(
                "the minute for which Advoware is left alone after that is skipped",
                lambda _: self.skip_wait(),
            ),
            Act("launches the next pass", self._launch),
        ]

    def last_pass(self) -> Sequence[Act]:
        """Nothing has changed since: a pass over what is in step."""

        def launch(person: Person) -> None:
            self._marks = self.ledgers.marks()
            self._launch(person)

        return [Act("launches one more pass, with nothing to do", launch)]

    def count_quiet_writes(self) -> None:
        """What was written since the last pass began; to be called once it has ended."""
        self.quiet_writes = self.ledgers.writes_since(self._marks)

    def has_pass_ended(self) -> bool:
        """True once the newest pass has ended, well or not."""
        run_id = self.runs[-1]
        status = self.passes.status(run_id)
        if status in ENDED_BADLY and run_id not in self.failed_runs:
            self.failed_runs.append(run_id)
        return status == ENDED_WELL or status in ENDED_BADLY

    def note_arrival(self) -> None:
        """The street has been seen at Advoware; counts the first time."""
        if self.arrival_seconds is None:
            self.arrival_seconds = time.monotonic() - self._moved_at

    def _move(self, person: Person) -> None:
        self._moved_at = time.monotonic()
        person.change("CBeteiligte", person_record_id(MOVED), adresseStreet=NEW_STREET)

    def _launch(self, _: Person) -> None:
        self.runs.append(self.passes.launch())

    def _visit(self, _: Person) -> None:
        self.visit = visit_proxy(self.receiver_url, person_betnr(PERSONS[0]))
        self.tricks_that_got_through = self.ledgers.paths_with(TRICK_PATHS)
