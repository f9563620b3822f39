"""This machine's own address, and free ports on it for what is started to be tried: the demo, the measurements."""

from __future__ import annotations

import secrets
import socket

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)


def free_ports(count: int, among: range = _PORTS) -> list[int]:
    """So many different loopback ports that nobody listens on now. Raises OSError if there are not that many.

    By default below those that the system hands out itself: it would give the same one to the next that asks, or to a connection
    of some other program, in the seconds before we listen.
    """
    found: list[int] = []
    for port in secrets.SystemRandom().sample(among, len(among)):
        if len(found) == count:
            break
        if is_free(LOOPBACK, port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"There are no {count} free ports between {among.start} and {among.stop}.")
    return found


def free_port() -> int:
    """One such port. Raises OSError if there is none."""
    return free_ports(1)[0]


def is_free(host: str, port: int) -> bool:
    """True if the port can be listened on. Raises PermissionError where this user may not."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise
        except OSError:
            return False
    return True
