"""Ports for what is started in order to be tried."""

from __future__ import annotations

import contextlib
import socket

import pytest

from bitbylaw_pipeline.loopback import LOOPBACK, free_port, free_ports


def test_ports_that_are_asked_for_together_differ_and_are_free() -> None:
    """No two of the demo's servers get the same one."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.socket()).bind((LOOPBACK, port))


def test_a_port_that_is_taken_is_not_given_out() -> None:
    """Where no other is left the caller hears of it."""
    port = free_port()
    with socket.socket() as sock:
        sock.bind((LOOPBACK, port))
        sock.listen()
        with pytest.raises(OSError, match="no 1 free ports"):
            free_ports(1, range(port, port + 1))
