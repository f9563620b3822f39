"""Log lines: an event name and key=value facts, the same in the receiver, the CLI and a Dagster run.

Facts that hold for a whole stretch of work (stream, key, run, event) are bound once with `bound` and then stand in
every line of it, so that one document can be followed by `grep key=<id>` through everything. Values are ids, counts
and hashes. What looks like a secret is cut out as a last line of defence, not as a licence.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

bound = structlog.contextvars.bound_contextvars

_SECRET = re.compile(
    r"(xai-[\w-]{6})[\w-]+|(Bearer )\S+|((?:key|secret|token|password)=)[^\s&]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """The text with keys, bearer tokens and secrets in query strings cut out."""
    return _SECRET.sub(lambda match: (match[1] or match[2] or match[3] or "") + "[cut]", text)


def _cut_secrets(_: Any, __: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in facts.items():
        if isinstance(value, str) and name not in ("event", "key"):
            facts[name] = redact(value)
    return facts


def configure_structure() -> None:
    """Makes `structlog.get_logger` write its lines to the standard library's loggers; opens no stream itself."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _cut_secrets,
            structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def configure_process(level: str = "INFO", stream: TextIO | None = None) -> None:
    """For a process of its own (receiver, CLI, sandbox): the same lines with time and level on standard error."""
    configure_structure()
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # httpx and aiohttp log whole URLs at INFO; ours are written by the clients, without queries.
    for noisy in ("httpx", "httpcore", "aiohttp", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
