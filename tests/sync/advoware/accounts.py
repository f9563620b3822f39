"""A party with one account on both sides, to begin a story with."""

from __future__ import annotations

from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.persons import linked_person
from tests.sync.advoware.world import Firm

IBAN = "DE38001201000007300274"
OTHER = "DE89370400440532013000"
THIRD = "DE02120300000000202051"
BANK = Pair.BANKVERBINDUNGEN


async def linked_account(firm: Firm) -> tuple[str, int, str]:
    """A party with one account on both sides: its ids, and the account's in EspoCRM."""
    record, betnr = await linked_person(firm)
    account = await firm.new_account(
        record, IBAN, bic="PRBEDE00XXX", kontoinhaber="Kallenbrink", bankname="Probebank"
    )
    await firm.sweep()
    assert [row["iban"] for row in firm.rows(betnr, "bankverbindungen")] == [IBAN]
    await firm.sweeps_quietly()
    firm.calls.clear()
    return record, betnr, account
