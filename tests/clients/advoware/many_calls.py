"""A process of its own that begins many calls at once. Arguments: the settings as JSON, how many calls.

Prints "ready", waits for a line, then prints how many calls succeeded.
"""

from __future__ import annotations

import asyncio
import json
import sys

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.inbox.advoware_token_cache import open_token_cache
from bitbylaw_pipeline.settings import Settings


async def main() -> None:
    """All of them over one client with the shared cache."""
    settings = Settings.load(**json.loads(sys.argv[1]), _env_file=None)
    cache = open_token_cache(settings, socket_timeout=20.0)
    client = Advoware.open(settings, cache=cache)
    print("ready", flush=True)  # noqa: T201  # what the test reads
    sys.stdin.readline()
    found = await asyncio.gather(*(client.list_mitarbeiter() for _ in range(int(sys.argv[2]))))
    print(len(found), flush=True)  # noqa: T201  # what the test reads
    await client.aclose()
    if cache is not None:
        await cache.aclose()


if __name__ == "__main__":
    asyncio.run(main())
