"""A firm as it stands, for comparing two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bitbylaw_pipeline.sync.two_way_pairs import Pair
from tests.sync.advoware.world import Firm


async def picture(firm: Firm) -> dict[str, Any]:
    """Everything on both sides without ids and times, for comparing two firms."""
    names = (
        "nachname",
        "vorname",
        "titel",
        "anrede",
        "geburtsdatum",
        "adresseStreet",
        "adresseCity",
        "adresseCountry",
    )
    parties = [await firm.party(one["id"]) for one in await firm.parties()]
    left = [
        (
            *(one.get(name) for name in names),
            bool(one["betnr"]),
            _values(one, "phoneNumber"),
            _values(one, "emailAddress"),
        )
        for one in parties
    ]
    right = [
        (
            *(row[name] for name in ("name", "vorname", "titel", "anrede", "geburtsdatum", "zusatzFeld1")),
            [(one["strasse"], one["ort"], one["land"]) for one in row["adressen"]],
            sorted(one["tlf"] for one in row["kommunikation"] if one["tlf"]),
            sorted(one["iban"] for one in row["bankverbindungen"]),
        )
        for row in firm.advoware.state()["beteiligte"]
    ]
    ibans = sorted((one["iban"], bool(one["advowareId"])) for one in await firm.accounts())
    holds = [await firm.whys(pair) for pair in Pair]
    return {
        "left": sorted(left, key=str),
        "right": sorted(right, key=str),
        "ibans": ibans,
        "holds": holds,
        "tasks": sorted(str(one["status"]) for one in await firm.tasks()),
    }


def _values(party: Mapping[str, Any], kind: str) -> list[str]:
    return sorted(one[kind] for one in party[f"{kind}Data"])
