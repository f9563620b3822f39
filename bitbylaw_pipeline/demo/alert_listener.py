"""A chat's incoming webhook, as far as the alerts know: takes what is posted and remembers it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "sandbox-alert-token"  # noqa: S105  # made up, for the listener below
MOST_BYTES = 1_000_000


@dataclass(slots=True)
class AlertListener:
    """What came in, in its order; `strangers` counts what came without our token."""

    messages: list[str] = field(default_factory=list)
    strangers: int = 0


@contextlib.contextmanager
def listening(port: int) -> Iterator[AlertListener]:
    """Listens on that port of loopback until the end of the block."""
    heard = AlertListener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
            text = self.rfile.read(length).decode("utf-8", "replace")
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                heard.messages.append(text)
                self.send_response(204)
            else:
                heard.strangers += 1
                self.send_response(401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing: the demo's screen is for the story."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="alert-listener", daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
