"""What the person at the terminal sees: the live board, the table of what is where, the verdicts."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bitbylaw_pipeline.demo.expectations import Verdict, document_troubles, required_collections
from bitbylaw_pipeline.demo.picture import CrmDocument, Picture

STREAMS = ("collections", "documents", "beteiligte", "bankverbindungen", "akten", "termine")
LINES_OF_STORY = 12


class Board:
    """The live board: what happens in EspoCRM on top, what the pipeline makes of it below."""

    def __init__(self) -> None:
        self._story: deque[str] = deque(maxlen=LINES_OF_STORY)
        self._phase = ""
        self._picture: Picture | None = None

    def begin(self, phase: str) -> None:
        """A new phase."""
        self._phase = phase

    def tell(self, line: str) -> None:
        """One more thing that has happened."""
        self._story.append(line)

    def show(self, picture: Picture) -> None:
        """The newest picture."""
        self._picture = picture

    def __rich__(self) -> Group:
        parts: list[Text | Table] = [Text(self._phase, style="bold")]
        parts += [Text(f"  {line}", style="cyan", overflow="ellipsis", no_wrap=True) for line in self._story]
        if self._picture is not None:
            parts += [Text(), work_table(self._picture), Text(holdings(self._picture))]
            parts += [Text(pairs(self._picture)), Text(appointments(self._picture))]
        return Group(*parts)


def work_table(picture: Picture) -> Table:
    """The queue, stream by stream."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("stream", "waiting", "in work", "delayed", "parked"):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for name in STREAMS:
        one = picture.queue.get(name)
        cells = (one.waiting, one.leased, one.delayed, one.parked) if one else (0, 0, 0, 0)
        table.add_row(name, *map(str, cells))
    return table


def holdings(picture: Picture) -> str:
    """What xAI's stand-in holds, in one line."""
    statuses = Counter(status for one in picture.files.values() for status in one.statuses.values())
    told = ", ".join(f"{count} {status.lower()}" for status, count in sorted(statuses.items()))
    return (
        f"xAI holds {len(picture.collections)} collections, {len(picture.files)} files, "
        f"{statuses.total()} memberships{f' ({told})' if told else ''}"
    )


def pairs(picture: Picture) -> str:
    """What is linked between EspoCRM and Advoware, in one line."""
    two_way = picture.two_way
    told = [f"{one.active} {pair}" for pair, one in sorted(two_way.counts.items()) if one.active]
    waiting = f"; {len(two_way.holds)} wait for a person" if two_way.holds else ""
    paused = f"; left alone: {', '.join(sorted(two_way.paused))}" if two_way.paused else ""
    return f"EspoCRM and Advoware have linked {', '.join(told) or 'nothing yet'}{waiting}{paused}"


def appointments(picture: Picture) -> str:
    """What is linked between Advoware and Google, in one line."""
    calendars = picture.calendars
    told = [f"{one.active} of {kuerzel}" for kuerzel, one in sorted(calendars.counts.items()) if one.active]
    refused = [kuerzel for kuerzel in sorted(calendars.passes) if calendars.is_refused(kuerzel)]
    waiting = f"; {len(calendars.holds)} wait for a person" if calendars.holds else ""
    out = f"; refused: {', '.join(refused)}" if refused else ""
    return f"Advoware and Google have linked appointments: {', '.join(told) or 'none yet'}{waiting}{out}"


def one_line(picture: Picture) -> str:
    """The board as a line, for a log."""
    told = [
        f"{name} {one.waiting} waiting {one.leased} in work {one.delayed} delayed {one.parked} parked"
        for name in STREAMS
        if (one := picture.queue.get(name)) and (one.waiting or one.leased or one.delayed or one.parked)
    ]
    return "; ".join(
        [*(told or ["nothing is open"]), holdings(picture), pairs(picture), appointments(picture)]
    )


def final_table(picture: Picture) -> Table:
    """What is where: one row per document."""
    table = Table(
        title="What is where", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0)
    )
    for name in ("document", "owners", "collections", "file", "indexing", "status"):
        table.add_column(
            name, overflow="ellipsis", no_wrap=True, max_width=52 if name == "document" else None
        )
    for document in sorted(picture.documents.values(), key=lambda one: one.title):
        table.add_row(*_cells(picture, document))
    return table


def _cells(picture: Picture, document: CrmDocument) -> Sequence[Text | str]:
    files = picture.files_of(document.id)
    statuses = sorted({status.lower() for one in files for status in one.statuses.values()})
    collections = sorted({_short(name) for one in files for name in one.statuses})
    owners = sorted(key.partition(":")[0] for key in document.owners)
    return (
        document.title,
        ", ".join(owners) or "-",
        ", ".join(collections) or "-",
        ", ".join(_short(one.id) for one in files) or "-",
        Text(", ".join(statuses) or "-", style="yellow" if "failed" in statuses else ""),
        _status(picture, document),
    )


def _status(picture: Picture, document: CrmDocument) -> Text:
    if document.id in picture.parked:
        return Text(f"set aside: {picture.parked[document.id]}", style="yellow")
    if any(document_troubles(picture, document)):
        return Text("does not agree", style="bold red")
    if required_collections(picture, document):
        return Text(document.status or "", style="green")
    if not document.owners:
        return Text("belongs to no matter", style="dim")
    return Text("stays in the firm: no permission", style="dim")


def _short(remote_id: str) -> str:
    """The end of an id: the beginning is the same for all of a kind."""
    return remote_id[-6:]


def verdict_lines(verdicts: Iterable[Verdict]) -> list[Text]:
    """One line each, ok or wrong."""
    lines = []
    for one in verdicts:
        mark = ("ok    ", "green") if one.is_ok else ("wrong ", "bold red")
        detail = f" [{one.detail}]" if one.detail and not one.is_ok else ""
        lines.append(Text.assemble(mark, one.says, detail))
    return lines
