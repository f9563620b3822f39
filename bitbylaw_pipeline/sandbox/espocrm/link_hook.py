"""The hook that a firm's administrator writes by hand, since EspoCRM has no webhook for links (facts 0.5)."""

from __future__ import annotations

import aiohttp

from bitbylaw_pipeline.sandbox.espocrm.answers import encode_text
from bitbylaw_pipeline.sandbox.espocrm.system import Espo

_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def send_calls(espo: Espo) -> None:
    """Send what link changes left behind, in order; a receiver that fails changes nothing but the log."""
    hook = espo.link_hook
    calls, espo.link_calls = espo.link_calls, []
    if hook is None:
        return
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for call in calls:
            body = {key: value for key, value in call.items() if key != "action"}
            headers = {"Content-Type": "application/json", hook.header: hook.secret}
            url = f"{hook.url.rstrip('/')}/{call['action']}"
            status: int | None = None
            try:
                async with session.post(url, data=encode_text(body).encode(), headers=headers) as response:
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                status = None
            espo.link_hook_log.append({**call, "status": status})
