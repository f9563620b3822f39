"""What is listed, joined with what is known: outer joins, so that what is missing on either side shows as such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bitbylaw_pipeline.inbox.open_work import InMotion
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import Listing

BOTH, LISTED, KNOWN = "both", "left_only", "right_only"
"""The values of a join's column `seen`."""
OPEN, LATER, PARKED = "open", "later", "parked"
"""The values of the column `motion`; None where nothing is under way."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The joins.

    - `documents`: each document of either side, with its work, its `file` at xAI (`is_gone`: the state names one that is
      not there; `is_evidence`: the state names none that is there, and EspoCRM does), the collections `at` which that file is.
    - `owners`: each owner of either side, with its work, how many collections bear its name, and whether its documents
      are required in its collection.
    - `places`: each collection that belongs to an owner.
    - `memberships`: required (left) and actual (right) places of documents' files, and whether the owner is linked.
    """

    documents: pd.DataFrame
    owners: pd.DataFrame
    places: pd.DataFrame
    memberships: pd.DataFrame


def join(listing: Listing, known: Known) -> Joined:
    """All of them; nothing but frames."""
    places = join_places(listing, known)
    owners = join_owners(listing, known)
    documents = join_documents(listing, known)
    memberships = join_memberships(listing, owners, places, documents)
    return Joined(_with_places(documents, memberships), owners, places, memberships)


def join_documents(listing: Listing, known: Known) -> pd.DataFrame:
    """EspoCRM's documents and our states."""
    table = _outer(listing.documents, known.documents, "document")
    files = listing.files.set_index("file")
    claimed = {*known.documents["s_file"], *(old for doomed in known.documents["s_doomed"] for old in doomed)}
    is_there = table["s_file"].isin(files.index)
    table["is_gone"] = table["s_file"].notna() & ~is_there
    named = table["e_file"].map(files["of_document"])
    table["is_evidence"] = ~is_there & (named == table["document"]) & ~table["e_file"].isin(claimed)
    table["file"] = table["s_file"].where(is_there, table["e_file"].where(table["is_evidence"], None))
    table["digest"] = table["file"].map(files["digest"])
    table["file_size"] = table["file"].map(files["file_size"])
    table["made_at"] = table["file"].map(files["created_at"])
    table["motion"] = _motion(
        table["document"], table["s_updated"], known.documents_in_motion, known.begun_at
    )
    return _plain(table)


def join_owners(listing: Listing, known: Known) -> pd.DataFrame:
    """EspoCRM's owners, our states, and the collections that bear their names."""
    table = _outer(listing.owners, known.owners, "owner")
    named = listing.collections.dropna(subset=["named_owner"]).groupby("named_owner")["collection"].agg(tuple)
    table = table.merge(
        named.rename("named").rename_axis("owner").reset_index(),
        on="owner",
        how="outer",
        validate="one_to_one",
    )
    table["type"] = table["owner"].str.partition(":")[0]
    table["motion"] = _motion(table["owner"], table["c_updated"], known.owners_in_motion, known.begun_at)
    table.loc[table["owner"].isin(listing.unread), "motion"] = OPEN
    table = _plain(table)
    table["named"] = [found or () for found in table["named"]]
    at_xai = set(listing.collections["collection"])
    table["is_there"] = table["c_collection"].isin(at_xai)
    table["is_doubled"] = table["named"].map(len) > 1
    table["is_required"] = (
        (table["seen"] == BOTH)
        & table["e_permitted"].eq(True)
        & table["c_permitted"].eq(True)
        & table["c_deleted"].eq(False)
        & table["is_there"]
        & ~table["is_doubled"]
        & table["motion"].isna()
        & (not known.is_stopped)
    )
    return table


def join_places(listing: Listing, known: Known) -> pd.DataFrame:
    """Which collection belongs to which owner: as our state says, else by its name."""
    ours = known.owners.dropna(subset=["c_collection"]).drop_duplicates("c_collection")
    table = listing.collections.merge(
        ours[["c_collection", "owner"]].rename(columns={"c_collection": "collection"}),
        on="collection",
        how="left",
        validate="one_to_one",
    )
    table["owner"] = table["owner"].where(table["owner"].notna(), table["named_owner"])
    return _plain(table.dropna(subset=["owner"]))[["collection", "owner"]]


def join_memberships(
    listing: Listing, owners: pd.DataFrame, places: pd.DataFrame, documents: pd.DataFrame
) -> pd.DataFrame:
    """Where the documents' files ought to be, and where they are."""
    is_settled = (
        (documents["seen"] == BOTH)
        & documents["s_deleted"].eq(False)
        & documents["excluded"].eq(False)
        & documents["is_gone"].eq(False)
        & documents["s_file"].notna()
        & (documents["attachment"] == documents["s_attachment"])
    )
    required = (
        listing.links.merge(
            owners.loc[owners["is_required"], ["owner", "c_collection"]].rename(
                columns={"c_collection": "collection"}
            ),
            on="owner",
            validate="many_to_one",
        )
        .merge(documents.loc[is_settled, ["document"]], on="document", validate="many_to_one")
        .drop_duplicates(["document", "collection"])
    )
    files = documents.dropna(subset=["file"]).drop_duplicates("file")
    actual = listing.members.merge(places, on="collection", validate="many_to_one").merge(
        files[["document", "file"]], on="file", validate="many_to_one"
    )
    actual = actual.drop_duplicates(["document", "collection"])
    table = required.merge(
        actual,
        on=["document", "collection"],
        how="outer",
        indicator="seen",
        validate="one_to_one",
        suffixes=("_required", ""),
    )
    table["owner"] = table["owner"].where(table["owner"].notna(), table["owner_required"])
    linked = listing.links.drop_duplicates().assign(is_linked=True)
    table = table.merge(linked, on=["owner", "document"], how="left", validate="many_to_one")
    table["is_linked"] = table["is_linked"].notna()
    table = table.drop(columns=["owner_required"])
    about = documents[["document", "motion"]].rename(columns={"motion": "document_motion"})
    table = table.merge(about, on="document", how="left", validate="many_to_one")
    return _plain(table)


def _with_places(documents: pd.DataFrame, memberships: pd.DataFrame) -> pd.DataFrame:
    """The documents with the collections that their files are in, and the hash that these have of them."""
    places: dict[str, set[str]] = {}
    hashes: dict[str, str] = {}
    for row in rows(memberships[memberships["seen"] != LISTED]):
        places.setdefault(row.document, set()).add(row.collection)
        if row.m_sha256 is not None:
            hashes[row.document] = row.m_sha256
    table = documents.copy(deep=False)
    table["at"] = [tuple(sorted(places.get(document, ()))) for document in table["document"]]
    table["held_sha256"] = pd.Series(map(hashes.get, table["document"]), index=table.index, dtype=object)
    return _plain(table)


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows, their columns as attributes."""
    yield from table.itertuples(index=False)


def rows_by(table: pd.DataFrame, key: str) -> dict[str, Any]:
    """The rows by a column that names each of them once."""
    return dict(zip(table[key], rows(table), strict=True))


def _outer(listed: pd.DataFrame, known: pd.DataFrame, key: str) -> pd.DataFrame:
    table = listed.merge(known, on=key, how="outer", indicator="seen", validate="one_to_one")
    return _plain(table)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Plain values again: None where a join found nothing, and no categories."""
    plain = table.astype(object)
    return plain.where(plain.notna(), None).reset_index(drop=True)


def _motion(keys: pd.Series, updated: pd.Series, in_motion: InMotion, begun_at: float) -> list[str | None]:
    return [_one_motion(key, moment, in_motion, begun_at) for key, moment in zip(keys, updated, strict=True)]


def _one_motion(key: str, updated: float | None, in_motion: InMotion, begun_at: float) -> str | None:
    if key in in_motion.parked:
        return PARKED
    if key in in_motion.later:
        return LATER
    if key in in_motion.open or (updated is not None and updated > begun_at):
        return OPEN
    return None
