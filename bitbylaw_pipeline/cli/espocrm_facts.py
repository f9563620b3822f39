"""What doctor and setup-espocrm ask EspoCRM: its data model and its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bitbylaw_pipeline.cli.espocrm_model import known_types
from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.settings import Settings


async def read_definitions(espocrm: EspoCrm, settings: Settings) -> dict[str, Mapping[str, Any] | None]:
    """`entityDefs` of every type that our flows know, asked afresh; None where there is none."""
    names = known_types(settings)
    found = await asyncio.gather(*(espocrm.metadata(f"entityDefs.{name}", fresh=True) for name in names))
    return {
        name: parts if isinstance(parts, dict) and parts.get("fields") else None
        for name, parts in zip(names, found, strict=True)
    }
