"""The firm's records in Advoware, as the other system of record beside EspoCRM."""

import dagster as dg

from bitbylaw_pipeline.orchestration.asset_facts import OWNERS, describe_tags

PARTEIEN = dg.AssetKey(["advoware", "parteien"])
KONTEN = dg.AssetKey(["advoware", "konten"])
AKTENBESTAND = dg.AssetKey(["advoware", "aktenbestand"])


def _record_asset(key: dg.AssetKey, resource: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        description=description,
        group_name="advoware",
        kinds={"advoware"},
        owners=OWNERS,
        tags=describe_tags("advoware"),
        code_version="1",
        metadata={"resource": resource},
    )


parteien = _record_asset(
    PARTEIEN, "Beteiligte", "Parties with their addresses, numbers and mails, kept in Advoware by people."
)
konten = _record_asset(
    KONTEN, "Beteiligte/{betNr}/Bankverbindungen", "Bank accounts of the parties, kept in Advoware by people."
)
aktenbestand = _record_asset(
    AKTENBESTAND, "Akten", "The firm's matters as Advoware numbers them; read here and never written."
)
