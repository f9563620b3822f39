"""Whatever is spoilt behind the pipeline's back, in whatever mixture: one reconciliation puts it right."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.inbox import schema
from tests.sync.drift import assert_quiet, empty, repaired
from tests.sync.test_collections import ids_at_xai, key_of, make_collection
from tests.sync.test_reconcile_documents import STRANGER, put_stray
from tests.sync.world import KLAGE, World, open_world

MATTERS, DOCUMENTS = 3, 5


@dataclass(slots=True)
class Office:
    """A firm with several matters, the last without permission, and what may be spoilt in it."""

    world: World
    matters: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    contents: dict[str, bytes | None] = field(default_factory=dict)
    links: set[tuple[str, str]] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    async def open(self) -> None:
        """Everything synced."""
        for number in range(MATTERS):
            self.matters.append(await self.world.new_matter(kiFreigabe=number < MATTERS - 1))
        self.closed.add(self.matters[-1])
        for number in range(DOCUMENTS):
            content = f"Schriftsatz {number}".encode()
            matters = {self.matters[number % MATTERS], self.matters[number % 2]}
            document = await self.world.new_document(content, *sorted(matters))
            self.documents.append(document)
            self.contents[document] = content
            self.links |= {(matter, document) for matter in matters}
        await self.world.want(*self.documents)
        await self.world.want_owner(*(key_of(matter) for matter in self.matters))
        assert await self.world.drain() == []

    def matter(self, which: int) -> str:
        return self.matters[which % MATTERS]

    def document(self, which: int) -> str:
        return self.documents[which % DOCUMENTS]

    def file(self, which: int) -> str | None:
        files = list(self.world.xai.store.files)
        return files[which % len(files)] if files else None

    def collection(self, which: int) -> str | None:
        found = list(self.world.xai.store.collections)
        return found[which % len(found)] if found else None

    # what people and accidents do; `a` and `b` choose what it is done to

    async def drop_file(self, a: int, _: int) -> None:
        if (file := self.file(a)) is not None:
            self.world.xai.store.drop_file(self.world.xai.store.files[file], keep_memberships=False)

    async def attach_or_detach(self, a: int, b: int) -> None:
        file, collection, store = self.file(a), self.collection(b), self.world.xai.store
        if file is None or collection is None:
            return
        if not store.detach(store.collections[collection], file):
            store.attach(store.collections[collection], store.files[file], {})

    async def other_bytes(self, a: int, b: int) -> None:
        if (file := self.file(a)) is not None:
            stored = self.world.xai.store.files[file]
            if stored.name.startswith(STRANGER):
                return  # bytes that are not those of its token: anybody's file might be called so
            stored.data = b"other" * (b + 1)
            stored.size, stored.sha256 = len(stored.data), hashlib.sha256(stored.data).hexdigest()

    async def drop_collection(self, a: int, _: int) -> None:
        if (collection := self.collection(a)) is not None:
            self.world.xai.store.drop_collection(self.world.xai.store.collections[collection])

    async def double_collection(self, a: int, b: int) -> None:
        make_collection(self.world, f"espocrm:{key_of(self.matter(a))}", older_by=float(b - 2))

    async def collection_of_nobody(self, a: int, _: int) -> None:
        make_collection(self.world, f"espocrm:{KLAGE}:6b02a0dd1a3b9b63{a}")

    async def stray(self, a: int, b: int) -> None:
        document = self.document(a) if b % 2 else STRANGER
        collection = self.collection(b)
        put_stray(
            self.world, document, *([collection] if collection and b > 2 else []), content=bytes([97 + b])
        )

    async def clear_field(self, a: int, b: int) -> None:
        names = ("xaiId", "xaiSyncedHash", "md5sum", "sha256", "xaiCollections")
        value: list[str] | str | None = [] if b % 5 == 4 else (None if a % 2 else "0" * 32)
        if self.document(a) not in self.deleted:
            await self.world.espo("PUT", f"CDokumente/{self.document(a)}", {names[b % 5]: value})

    async def clear_owner_field(self, a: int, b: int) -> None:
        if self.matter(a) not in self.deleted:
            value = None if b % 2 else "collection_of-nobody"
            await self.world.espo("PUT", f"{KLAGE}/{self.matter(a)}", {"xaiCollectionId": value})

    async def link_or_unlink(self, a: int, b: int) -> None:
        pair = (self.matter(a), self.document(b))
        if self.deleted & {*pair}:
            return
        await (self.world.unlink if pair in self.links else self.world.link)(*pair)
        self.links ^= {pair}

    async def delete_or_restore(self, a: int, b: int) -> None:
        record, entity_type = (self.document(a), "CDokumente") if b % 2 else (self.matter(a), KLAGE)
        if record in self.deleted:
            await self.world.restore(entity_type, record)
        else:
            await self.world.espo("DELETE", f"{entity_type}/{record}")
        self.deleted ^= {record}

    async def new_version(self, a: int, b: int) -> None:
        document = self.document(a)
        if document not in self.deleted:
            content = b"Neue Fassung" * (b + 1) if b else None
            if content is None:
                await self.world.espo("PUT", f"CDokumente/{document}", {"dokumentId": None})
            else:
                await self.world.new_version(document, content)
            self.contents[document] = content

    async def change_permission(self, a: int, _: int) -> None:
        matter = self.matter(a)
        if matter not in self.deleted:
            self.closed ^= {matter}
            await self.world.espo("PUT", f"{KLAGE}/{matter}", {"kiFreigabe": matter not in self.closed})

    async def lose_state(self, _: int, b: int) -> None:
        tables = (schema.document_state, schema.document_owner, schema.collection_state)[: 3 if b else 2]
        await self.world.database.run(lambda conn: empty(conn, *tables))

    # how it must end

    async def assert_in_step(self) -> None:
        """From EspoCRM alone: whose file must be where, and that nothing else of ours is anywhere."""
        files = self.world.files()
        for document, content in self.contents.items():
            of_document = [file for file in files.values() if file["name"].startswith(document)]
            homes = {matter for matter, linked in self.links if linked == document} - self.deleted
            required = homes - self.closed
            if document in self.deleted:
                assert not any(file["collections"] for file in of_document)
                continue
            for file in of_document:
                allowed = {
                    place for matter in homes for place in ids_at_xai(self.world, f"espocrm:{key_of(matter)}")
                }
                assert {*file["collections"]} <= allowed, "A file is where its document is not linked."
            record = await self.world.document(document)
            if content is None:
                assert (record["xaiId"], of_document) == (None, [])
            elif required:
                (file,) = of_document
                assert file["sha256"] == record["sha256"] == hashlib.sha256(content).hexdigest()
                assert record["xaiId"] == file["id"]
                assert sorted(record["xaiCollections"]) == sorted(file["collections"])
                for matter in required:
                    assert file["id"] in self.world.files_in(matter)
        assert not [file for file in files.values() if file["name"].startswith(STRANGER)]
        listed = [row["name"] for row in self.world.xai.state()["collections"]]
        for matter in set(self.matters) - self.closed - self.deleted:
            assert listed.count(f"espocrm:{key_of(matter)}") <= 1


ACCIDENTS: list[Callable[[Office, int, int], Awaitable[None]]] = [
    Office.drop_file,
    Office.attach_or_detach,
    Office.other_bytes,
    Office.drop_collection,
    Office.double_collection,
    Office.collection_of_nobody,
    Office.stray,
    Office.clear_field,
    Office.clear_owner_field,
    Office.link_or_unlink,
    Office.delete_or_restore,
    Office.new_version,
    Office.change_permission,
    Office.lose_state,
]
STORY = st.lists(
    st.tuples(st.sampled_from(ACCIDENTS), st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=8
)


@settings(
    max_examples=20,
    # A counterexample in full in seconds, rather than the shortest one after minutes.
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(STORY)
def test_any_mixture_is_put_right_by_one_reconciliation(
    story: list[tuple[Callable[[Office, int, int], Awaitable[None]], int, int]],
) -> None:
    """A second one finds nothing, and both systems are as EspoCRM says."""

    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="drift-") as folder:
            async with open_world(
                Path(folder), reconcile_delete_limit=1000, reconcile_delete_share=1.0
            ) as world:
                office = Office(world)
                await office.open()
                for accident, a, b in story:
                    await accident(office, a, b)
                await repaired(world, accept_smaller=True)
                await assert_quiet(world)
                await office.assert_in_step()

    asyncio.run(run())
