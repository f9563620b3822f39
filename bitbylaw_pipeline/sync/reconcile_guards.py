"""A listing that is empty or has shrunken is an error: nothing is taken for deleted on its word."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.sync.reconcile_known import Known
from bitbylaw_pipeline.sync.reconcile_listing import Listing

ENOUGH_TO_JUDGE = 10
"""Of fewer, half may well have been deleted in a day."""
ESPOCRM, FILES, MANAGEMENT = "espocrm", "xai-files", "xai-management"


def refuse_shrunken(listing: Listing, known: Known) -> None:
    """Raises Unexpected for a list that lacks most of what is known to be alive."""
    alive = known.documents[known.documents["s_deleted"].eq(False)]
    owners = known.owners[known.owners["c_deleted"].eq(False)]
    name = listing.document_type
    refuse(ESPOCRM, name, set(listing.documents["document"]), set(alive["document"]), name in listing.partly)
    listed = set(listing.owners["owner"])
    for name in sorted(listing.types - {listing.document_type}):
        of_type = {key for key in owners["owner"] if key.partition(":")[0] == name}
        refuse(ESPOCRM, name, listed & of_type or _any_of(name, listed), of_type, name in listing.partly)
    linked = set(zip(listing.links["owner"], listing.links["document"], strict=True))
    pairs = alive[["s_owners", "document"]].explode("s_owners").dropna()
    # Of a type that was taken out of the settings nothing is listed any more, on purpose.
    pairs = pairs[pairs["s_owners"].str.partition(":")[0].isin(listing.configured)] if len(pairs) else pairs
    known_links = set(zip(pairs["s_owners"], pairs["document"], strict=True))
    if len(known_links) >= ENOUGH_TO_JUDGE:
        refuse(ESPOCRM, "links of documents", linked, known_links, bool(listing.partly))
    with_file = alive[alive["s_file"].notna() & alive["s_collections"].map(bool)]
    refuse(FILES, "files", set(listing.files["file"]), set(with_file["s_file"]))
    collections = set(owners["c_collection"].dropna())
    refuse(MANAGEMENT, "collections", set(listing.collections["collection"]), collections)
    places = with_file[["s_file", "s_collections"]].explode("s_collections")
    known_members = set(zip(places["s_collections"], places["s_file"], strict=True))
    if len(known_members) >= ENOUGH_TO_JUDGE:
        members = set(zip(listing.members["collection"], listing.members["file"], strict=True))
        refuse(MANAGEMENT, "files in collections", members, known_members)


def refuse(
    system: str, what: str, listed: AbstractSet[object], known: AbstractSet[object], is_partly: bool = False
) -> None:
    """Raises Unexpected if nothing is listed where several are known, or less than half of what is known alive."""
    where = "EspoCRM" if system == ESPOCRM else "xAI"
    look = "the API user's rights" if system == ESPOCRM else "the keys' team"
    advice = (
        f"look at {look} and at the address. Nothing was written. If that many are really gone, run bitbylaw "
        "reconcile --accept-smaller."
    )
    if not listed and len(known) > 1:
        raise Unexpected(
            f"{where} lists no {what} although {len(known)} are known here: {advice}", system=system
        )
    found = len(listed & known)
    if not is_partly and len(known) >= ENOUGH_TO_JUDGE and found < len(known) / 2:
        raise Unexpected(
            f"{where} lists only {found} of the {len(known)} {what} that are known here: {advice}",
            system=system,
        )


def _any_of(name: str, listed: AbstractSet[str]) -> set[str]:
    return {key for key in listed if key.partition(":")[0] == name}
