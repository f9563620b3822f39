"""Ports for what is started in order to be tried."""

from __future__ import annotations

import socket

import pytest

from bitbylaw_pipeline.loopback import LOOPBACK, free_port, free_ports


def test_ports_that_are_asked_for_together_differ() -> None:
    """No two of the demo's servers get the same one."""
    assert len(set(free_ports(200))) == 200


def test_a_port_that_is_taken_is_not_given_out() -> None:
    """Where no other is left the caller hears of it."""
    port = free_port()
    with socket.socket() as sock:
        # As a server that comes back: what hung on the port a moment ago does not matter.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))
        sock.listen()
        with pytest.raises(OSError, match="no 1 free ports"):
            free_ports(1, range(port, port + 1))
