"""A firm at work in any order: whatever people, webhooks, crashes and xAI do, both sides are in step in the end."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bitbylaw_pipeline.inbox import intents, work_queue
from bitbylaw_pipeline.sync.uploads import INTENT_KIND
from tests.sync.drift import assert_quiet, repaired
from tests.sync.test_crashes import Killed
from tests.sync.world import KLAGE, World, open_world

T = TypeVar("T")
CONTENTS = [b"Erste Fassung", b"Zweite Fassung", b"Dritte Fassung"]
WHICH = st.integers(0, 5)
"""Picks one of what there is."""
IS_HEARD = st.sampled_from([1, 0, 3])
"""How many webhooks come of it: lost, one, or several."""


class Firm(RuleBasedStateMachine):
    """People change documents and matters; passes, crashes and events come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="firm-"))
        self.stack = AsyncExitStack()
        self.world: World = self.run(self.stack.enter_async_context(open_world(self.folder)))
        self.matters: dict[str, bool] = {}
        """Every matter and whether it carries the permission; deleted ones are in `deleted`."""
        self.documents: dict[str, bytes | None] = {}
        self.links: set[tuple[str, str]] = set()
        self.deleted: set[str] = set()
        self.content_changes = 0
        self.crashes_in_upload = 0
        self.may_drop = False

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(story)

    # what people do

    @initialize(
        re_add=st.sampled_from([200, 409]),
        remove_last=st.sampled_from(["keep", "drop"]),
        remove_nonmember=st.sampled_from([404, 200]),
        list_lag=st.sampled_from([0.0, 20.0]),
    )
    def open_the_office(self, **switches: Any) -> None:
        self.may_drop = switches["remove_last"] == "drop"
        self.world.xai.switches.update(switches)
        self.new_matter(is_permitted=True)

    @rule(is_permitted=st.booleans())
    def new_matter(self, is_permitted: bool) -> None:
        if len(self.matters) < 4:
            self.matters[self.run(self.world.new_matter(kiFreigabe=is_permitted))] = is_permitted

    @rule(content=st.sampled_from(CONTENTS), which=WHICH, heard=IS_HEARD)
    def new_document(self, content: bytes, which: int, heard: int) -> None:
        if len(self.documents) < 5:
            matters = {self._matter(which)} - self.deleted
            document = self.run(self.world.new_document(content, *matters))
            self.documents[document] = content
            self.links |= {(matter, document) for matter in matters}
            self.content_changes += 1
            self._announce(document, heard)

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, content=st.sampled_from(CONTENTS), heard=IS_HEARD)
    def new_version(self, which: int, content: bytes, heard: int) -> None:
        document = self._document(which)
        self.run(self.world.new_version(document, content))
        self.content_changes += content != self.documents[document]
        self.documents[document] = content
        self._announce(document, heard)

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, heard=IS_HEARD)
    def clear_file(self, which: int, heard: int) -> None:
        document = self._document(which)
        self.run(self.world.espo("PUT", f"CDokumente/{document}", {"dokumentId": None}))
        self.documents[document] = None
        self._announce(document, heard)

    @precondition(lambda self: self.alive)
    @rule(which=WHICH, matter=WHICH, heard=IS_HEARD)
    def link_or_unlink(self, which: int, matter: int, heard: int) -> None:
        pair = (self._matter(matter), self._document(which))
        if pair[0] in self.deleted:
            return
        if pair in self.links:
            self.run(self.world.unlink(*pair))
        else:
            self.run(self.world.link(*pair))
        self.links ^= {pair}
        self._announce(pair[1], heard)

    @rule(which=WHICH, heard=IS_HEARD)
    def change_permission(self, which: int, heard: int) -> None:
        matter = self._matter(which)
        if matter not in self.deleted:
            self.matters[matter] = not self.matters[matter]
            self.run(self.world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": self.matters[matter]}))
            self._announce_owner(matter, heard)

    @rule(which=WHICH, is_document=st.booleans(), heard=IS_HEARD)
    def delete_or_restore(self, which: int, is_document: bool, heard: int) -> None:
        known = sorted(self.documents if is_document else self.matters)
        if not known:
            return
        record, entity_type = known[which % len(known)], "CDokumente" if is_document else KLAGE
        if record in self.deleted:
            self.run(self.world.restore(entity_type, record))
        else:
            self.run(self.world.espo("DELETE", f"{entity_type}/{record}"))
            (self._announce if is_document else self._announce_owner)(record, heard)
        self.deleted ^= {record}

    @rule(which=WHICH, value=st.sampled_from([None, "collection_of-nobody"]), heard=IS_HEARD)
    def write_into_our_field(self, which: int, value: str | None, heard: int) -> None:
        matter = self._matter(which)
        if matter not in self.deleted:
            self.run(self.world.espo("PUT", f"{KLAGE}/{matter}", {"xaiCollectionId": value}))
            self._announce_owner(matter, heard)

    # what the pipeline does, and what happens to it

    @rule()
    def read_the_feed(self) -> None:
        self.run(self.world.runtime.feed.poll_once())

    @rule(passes=st.integers(1, 4))
    def work_a_little(self, passes: int) -> None:
        self.run(self.world.some_passes(passes))

    @rule(calls=st.integers(1, 25), when=st.sampled_from(["before", "after"]))
    def crash(self, calls: int, when: str) -> None:
        self.run(self._work_until_killed(calls, when))

    async def _work_until_killed(self, calls: int, when: str) -> None:
        left = calls

        async def kill(moment: str, name: str) -> None:
            nonlocal left
            left -= moment == when
            if left == 0:
                self.crashes_in_upload += name.startswith("xai-files POST")
                raise Killed(name)

        self.world.listener = kill
        try:
            await self.world.drain()
        except Killed:
            self.world.clock.advance(1001.0)
            self.world.xai.clock.advance(1001.0)
        finally:
            self.world.listener = None

    # how it must end

    def teardown(self) -> None:
        try:
            self.run(self._close_the_day())
        finally:
            self.run(self.stack.aclose())
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _close_the_day(self) -> None:
        world = self.world
        await world.runtime.feed.poll_once()
        assert await world.drain() == []
        await self._night_comes()
        found = await repaired(world)
        await self._night_comes()
        await assert_quiet(world)
        names = [row["name"] for row in world.xai.state()["collections"]]
        assert len(names) == len(set(names)), "An owner has two collections."
        for document in self.alive:
            await self._assert_in_step(document)
        self._assert_nothing_strange_is_anywhere()
        assert len([kind for kind, _ in found if kind == "orphaned"]) <= self.crashes_in_upload
        if not self.may_drop:
            uploads = sum(1 for call in world.calls if call == "xai-files POST /v1/files")
            assert uploads <= self.content_changes + self.crashes_in_upload, "Something was uploaded twice."
        assert await world.database.run(work_queue.parked) == []
        open_ends = await world.database.run(lambda conn: intents.unsettled_all(conn, INTENT_KIND))
        assert len(open_ends) <= self.crashes_in_upload

    async def _night_comes(self) -> None:
        """Lists that lag behind have caught up."""
        self.world.clock.advance(60.0)
        self.world.xai.clock.advance(60.0)

    async def _assert_in_step(self, document: str) -> None:
        world, content = self.world, self.documents[document]
        homes = {matter for matter, linked in self.links if linked == document} - self.deleted
        permitted = {matter for matter in homes if self.matters[matter]}
        record, state = await world.document(document), await world.state(document)
        assert state is not None
        if content is None:
            assert record["xaiId"] is None
            assert state.file_id is None
            return
        if not permitted:
            return
        file = world.files()[record["xaiId"]]
        assert (state.file_id, record["fileStatus"]) == (file["id"], "synced")
        assert file["sha256"] == record["sha256"] == hashlib.sha256(content).hexdigest()
        for matter in permitted:
            assert file["id"] in world.files_in(matter)
        assert sorted(record["xaiCollections"]) == sorted(state.collections) == file["collections"]

    def _assert_nothing_strange_is_anywhere(self) -> None:
        """A file is only where its document is linked: nothing of one matter stands in another's collection."""
        for file in self.world.files().values():
            document = file["name"].split("-")[0]
            for matter in self.matters:
                if file["id"] in self.world.files_in(matter):
                    assert (matter, document) in self.links
                    assert not {matter, document} & self.deleted

    # picking

    @property
    def alive(self) -> list[str]:
        return sorted(self.documents.keys() - self.deleted)

    def _document(self, which: int) -> str:
        return self.alive[which % len(self.alive)]

    def _matter(self, which: int) -> str:
        known = sorted(self.matters)
        return known[which % len(known)]

    def _announce(self, document: str, times: int) -> None:
        for _ in range(times):
            self.run(self.world.want(document))

    def _announce_owner(self, matter: str, times: int) -> None:
        for _ in range(times):
            self.run(self.world.want_owner(f"{KLAGE}:{matter}"))


Firm.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    report_multiple_bugs=False,
    # A counterexample in full in seconds, rather than the shortest one after minutes.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
TestFirm = Firm.TestCase
