"""The evening, at the administrator's desk: what was put wrong behind the pipeline's back is found and put right, a client
takes the permission back, and everything of that matter is erased.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from bitbylaw_pipeline.demo.alert_listener import AlertListener
from bitbylaw_pipeline.demo.expectations import Verdict, check_agreement, verdict
from bitbylaw_pipeline.demo.leaks import find_leaks, persons_words
from bitbylaw_pipeline.demo.person import Person
from bitbylaw_pipeline.demo.picture import Camera, Picture
from bitbylaw_pipeline.demo.story import Roles
from bitbylaw_pipeline.demo.terminal import Said, Terminal
from bitbylaw_pipeline.demo.vandal import Vandal
from bitbylaw_pipeline.domain.document import OwnerKey
from bitbylaw_pipeline.domain.document_plan import content_token

STATUS_PASSWORD = "sandbox-status-password"  # noqa: S105  # made up, for the page in the demo
CLASSES = ("missing", "orphaned", "wrong_collection", "duplicate_collection")
LOOK_EVERY_SECONDS = 0.5
ALERT_SECONDS = 75.0
"""The alerts look once a minute."""
ELSEWHERE = "f" * 64
"""A hash that no sample file has."""


@dataclass(slots=True)
class Evening:
    """The day's last part; `raise_if_over` raises once somebody has broken the demo off, or a program has died."""

    camera: Camera
    person: Person
    terminal: Terminal
    roles: Roles
    xai_url: str
    receiver_url: str
    alerts: AlertListener
    console: Console
    raise_if_over: Callable[[], None]
    settle_seconds: float = 90.0

    def live(self, folder: Path, leak_words: Callable[[], Sequence[str]]) -> list[Verdict]:
        """Everything in its order; one verdict for each thing that must have come of it."""
        found: list[Verdict] = []
        for part in (self._put_right, self._withdrawn, self._looked_at, self._told):
            found += part()
        leaks = list(find_leaks(folder, leak_words()))
        found.append(
            Verdict(not leaks, "nor does anything that the evening has left behind", ", ".join(leaks))
        )
        return found

    # -- what was put wrong

    def _put_right(self) -> Iterator[Verdict]:
        self._tell("at xAI, behind the pipeline's back: files are deleted, moved and left behind")
        self._put_wrong(self.camera.take())
        first = self._run("reconcile", "--flow", "documents")
        lacking = [one for one in CLASSES if one not in first.text]
        yield Verdict(
            first.code == 1 and not lacking,
            "bitbylaw reconcile finds what was put wrong at xAI behind the pipeline's back",
            f"exit code {first.code}, not named: {', '.join(lacking)}",
        )
        picture = self._settled(lambda picture: all(one.is_ok for one in check_agreement(picture)))
        yield verdict(
            "and it is put right through the work queue",
            [one.detail for one in check_agreement(picture) if not one.is_ok],
        )
        second = self._run("reconcile", "--flow", "documents")
        yield Verdict(second.code == 0, "a second reconciliation finds nothing", f"exit code {second.code}")

    def _put_wrong(self, picture: Picture) -> None:
        states = [
            state
            for key, state in sorted(picture.states.items())
            if state.file_id and len(state.collections) == 1 and key not in picture.parked
        ]
        deleted, moved, copied = states[:3]
        strange = next(one for one in sorted(picture.collections) if one not in moved.collections)
        doubled = picture.collections[copied.collections[0]]
        with Vandal(self.xai_url) as vandal:
            vandal.delete_file(deleted.file_id or "")
            vandal.take_out(moved.collections[0], moved.file_id or "")
            vandal.put_into(strange, moved.file_id or "")
            vandal.leave_behind(f"{content_token(copied.document_id, ELSEWHERE)}~Kopie.txt")
            vandal.double_collection(doubled)

    # -- a permission that is taken back

    def _withdrawn(self) -> Iterator[Verdict]:
        owner = self.roles.owners["permitted_later"]
        documents = [self.roles.documents[role] for role in ("later_pdf", "later_txt")]
        self._tell("the client of the new matter takes the permission back")
        self.person.change(owner.entity_type, owner.id, kiFreigabe=False)
        self._settled(lambda picture: _is_withheld(picture, owner))
        remaining = self._run("egress", "remaining")
        yield Verdict(
            remaining.code == 0 and str(owner) in remaining.text,
            "after a permission is taken back, what is still at xAI is named",
            f"exit code {remaining.code}",
        )
        before = self.camera.take()
        plan = self._run("erase", "matter", str(owner))
        after = self.camera.take()
        yield Verdict(
            plan.code == 0 and before.files.keys() == after.files.keys(),
            "bitbylaw erase shows its plan first, and nothing is gone by that",
            f"exit code {plan.code}",
        )
        erased = self._run("erase", "matter", str(owner), "--confirm")
        picture = self._settled(lambda picture: picture.is_quiet)
        left = [one for one in documents if picture.files_of(one)]
        left += [name for name in picture.collections.values() if name == f"espocrm:{owner}"]
        yield Verdict(
            erased.code == 0 and not left,
            "and with --confirm the matter's files and its collection are gone",
            f"exit code {erased.code}, left: {', '.join(left)}",
        )
        chain = self._run("egress", "verify")
        yield Verdict(
            chain.code == 0, "the egress register's chain is whole afterwards", f"exit code {chain.code}"
        )

    # -- a look at how things stand

    def _looked_at(self) -> Iterator[Verdict]:
        address = f"{self.receiver_url}/status"
        closed = httpx.get(address, timeout=20.0).status_code
        page = httpx.get(address, auth=("kanzlei", STATUS_PASSWORD), timeout=20.0)
        named = [one for one in persons_words() if one in page.text]
        yield Verdict(
            closed == 401 and page.status_code == 200 and "documents" in page.text and not named,
            "the status page opens with its password alone, and names nobody",
            f"{closed}, {page.status_code}",
        )

    def _told(self) -> Iterator[Verdict]:
        deadline = time.monotonic() + ALERT_SECONDS
        while not self.alerts.messages and time.monotonic() < deadline:
            self.raise_if_over()
            time.sleep(LOOK_EVERY_SECONDS)
        text = "\n".join(self.alerts.messages)
        named = [one for one in persons_words() if one in text]
        yield Verdict(
            "parked" in text and not named and not self.alerts.strangers,
            "a message has said what is parked and what to do, and names nobody",
            f"{len(self.alerts.messages)} messages, {len(named)} names",
        )

    # -- inner parts

    def _run(self, *arguments: str) -> Said:
        self._tell(f"bitbylaw {' '.join(arguments)}")
        return self.terminal.run(*arguments)

    def _settled(self, condition: Callable[[Picture], bool]) -> Picture:
        """The first quiet picture for which the condition holds, or the last one in the given time."""
        deadline = time.monotonic() + self.settle_seconds
        while True:
            self.raise_if_over()
            picture = self.camera.take()
            if (picture.is_quiet and condition(picture)) or time.monotonic() > deadline:
                return picture
            time.sleep(LOOK_EVERY_SECONDS)

    def _tell(self, line: str) -> None:
        self.console.print(f"  {line}", markup=False)


def _is_withheld(picture: Picture, owner: OwnerKey) -> bool:
    found = picture.collection_states.get(str(owner))
    return found is not None and not found.is_permitted


def environment_of(clean: Mapping[str, str]) -> dict[str, str]:
    """The terminal's environment: without any setting of the firm's, telemetry off."""
    return {**clean, "DAGSTER_DISABLE_TELEMETRY": "1"}
