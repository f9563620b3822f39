"""Ports of this machine alone, for what is started in order to be tried: the demo, the measurements."""

from __future__ import annotations

import secrets
import socket

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A loopback port that nobody listens on now. Raises OSError if there is none.

    Below those that the system hands out itself: it would give the same one to the next that asks, or to a connection
    of some other program, in the seconds before we listen.
    """
    for port in secrets.SystemRandom().sample(_PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise OSError(f"No port is free between {_PORTS.start} and {_PORTS.stop}.")
