"""The stand-ins as one process, or in a thread for tests.

    python -m bitbylaw_pipeline.sandbox.server --espocrm-port 8181 --xai-port 8182 --advoware-port 8183 \\
        --google-port 8184

On xAI's port, api.x.ai is below `/api` and management-api.x.ai below `/management`; on Advoware's the vendor's hosts
are below `/configurator`, `/security` and `/relay`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitbylaw_pipeline.sandbox.advoware import AdvowareSandbox
from bitbylaw_pipeline.sandbox.advoware import create_app as create_advoware
from bitbylaw_pipeline.sandbox.espocrm.app import EspoSandbox
from bitbylaw_pipeline.sandbox.espocrm.app import create_app as create_espocrm
from bitbylaw_pipeline.sandbox.espocrm.seeding import SYNC_API_KEY, seed
from bitbylaw_pipeline.sandbox.google import GoogleSandbox
from bitbylaw_pipeline.sandbox.google import create_app as create_google
from bitbylaw_pipeline.sandbox.serving import (
    LoopbackServer,
    loop_factory,
    loopback_server,
    run_servers,
    serving,
)
from bitbylaw_pipeline.sandbox.xai import XaiSandbox
from bitbylaw_pipeline.sandbox.xai import create_app as create_xai

DEFAULT_ESPOCRM_VERSION = "9.2.7"
_SETTINGS = (
    "espocrm_api_base_url",
    "espocrm_api_key",
    "xai_api_key",
    "xai_management_key",
    "xai_api_base_url",
    "xai_management_base_url",
)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """Where the stand-ins listen and the keys they take, under the names of the settings, and the apps themselves.

    `espocrm_url`, `xai_url`, `advoware_url` and `google_url` are the servers' roots (for `/sandbox/...`); no URL ends
    in a slash. `advoware_settings` and `google_settings` have the settings of those clients by the names of their
    fields; the key file that Google's name is gone when the stand-ins stop.
    """

    espocrm_url: str
    espocrm_api_base_url: str
    espocrm_api_key: str
    xai_url: str
    xai_api_base_url: str
    xai_management_base_url: str
    xai_api_key: str
    xai_management_key: str
    espocrm: EspoSandbox
    xai: XaiSandbox
    advoware_url: str
    advoware_settings: Mapping[str, str]
    advoware: AdvowareSandbox
    google_url: str
    google_settings: Mapping[str, str]
    google: GoogleSandbox

    @property
    def settings(self) -> dict[str, str]:
        """All of them, Advoware's and Google's included, by the names of the settings' fields."""
        return {
            **{name: getattr(self, name) for name in _SETTINGS},
            **self.advoware_settings,
            **self.google_settings,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same by the names of environment variables."""
        return {name.upper(): value for name, value in self.settings.items()}


@contextlib.contextmanager
def running_sandbox(
    *,
    espocrm_version: str = DEFAULT_ESPOCRM_VERSION,
    espocrm_seed: Mapping[str, Any] | None = None,
    xai_switches: Mapping[str, Any] | None = None,
    advoware_seed: Mapping[str, Any] | None = None,
    advoware_switches: Mapping[str, Any] | None = None,
    google_seed: Mapping[str, Any] | None = None,
    google_switches: Mapping[str, Any] | None = None,
) -> Iterator[RunningSandbox]:
    """All stand-ins in a thread on free loopback ports, stopped at the end of the block.

    They are empty but for `espocrm_seed` (such as `samples.seed.seed_document()`), `advoware_seed` (such as
    `samples.advoware.advoware_seed_document()`) and `google_seed` (`google.seeding.Seeding.seed`).
    """
    espocrm, xai = create_espocrm(espocrm_version), create_xai(xai_switches)
    advoware, google = create_advoware(advoware_switches), create_google(google_switches)
    if espocrm_seed is not None:
        seed(espocrm.espo, dict(espocrm_seed))
    if advoware_seed is not None:
        advoware.seed(advoware_seed)
    if google_seed is not None:
        google.seed(google_seed)
    with (
        tempfile.TemporaryDirectory(prefix="bitbylaw-google-") as folder,
        serving(espocrm, xai, advoware, google) as (espocrm_url, xai_url, advoware_url, google_url),
    ):
        yield RunningSandbox(
            espocrm_url=espocrm_url,
            espocrm_api_base_url=f"{espocrm_url}/api/v1",
            espocrm_api_key=SYNC_API_KEY,
            xai_url=xai_url,
            xai_api_base_url=f"{xai_url}/api/v1",
            xai_management_base_url=f"{xai_url}/management/v1",
            xai_api_key=xai.api_key,
            xai_management_key=xai.management_key,
            espocrm=espocrm,
            xai=xai,
            advoware_url=advoware_url,
            advoware_settings=advoware.settings(advoware_url),
            advoware=advoware,
            google_url=google_url,
            google_settings=google.settings(google_url, Path(folder)),
            google=google,
        )


async def _all_ready(servers: Sequence[LoopbackServer]) -> None:
    for server in servers:
        await asyncio.to_thread(server.ready.wait, 30)


async def _serve(servers: Mapping[str, LoopbackServer]) -> None:
    def stop() -> None:
        for server in servers.values():
            server.stop()

    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop)
    running = asyncio.create_task(run_servers(list(servers.values())))
    started = asyncio.create_task(_all_ready(list(servers.values())))
    await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        where = " ".join(f"{name}={server.url}" for name, server in servers.items())
        print(f"sandbox ready {where}", flush=True)  # noqa: T201  # the line that a caller waits for
    await running


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 2 if a port is taken."""
    parser = argparse.ArgumentParser(prog="python -m bitbylaw_pipeline.sandbox.server", description=__doc__)
    parser.add_argument("--espocrm-port", type=int, default=8181, help="0: a free port")
    parser.add_argument("--xai-port", type=int, default=8182, help="0: a free port")
    parser.add_argument("--advoware-port", type=int, default=8183, help="0: a free port")
    parser.add_argument("--google-port", type=int, default=8184, help="0: a free port")
    parser.add_argument("--espocrm-version", default=DEFAULT_ESPOCRM_VERSION)
    options = parser.parse_args(arguments)
    try:
        servers = {
            "espocrm": loopback_server(create_espocrm(options.espocrm_version), options.espocrm_port),
            "xai": loopback_server(create_xai(), options.xai_port),
            "advoware": loopback_server(create_advoware(), options.advoware_port),
            "google": loopback_server(create_google(), options.google_port),
        }
    except OSError as error:
        print(f"The sandbox cannot listen: {error.strerror}. Choose other ports.", file=sys.stderr)  # noqa: T201  # a command
        return 2
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(servers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
