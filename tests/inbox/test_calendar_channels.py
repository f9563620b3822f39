"""Channels by which Google reports changes: remembered, forgotten, and the tokens of their messages."""

from __future__ import annotations

import string
from functools import partial

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.inbox import calendar_channels
from bitbylaw_pipeline.inbox.calendar_channels import Channel, employee_of, place_of, token_of
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.database import Database

KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
CIPHER = Cipher(KEY)
KUERZEL = ["AB", "MÜ", "A.B", "A-1", "ÄÖÜ_x", "x" * 20]


def channel(channel_id: str, expires_at: float, kuerzel: str = "AB") -> Channel:
    """A channel that was made."""
    return Channel(kuerzel, channel_id, f"res-{channel_id}", "place", expires_at)


def test_an_employees_channels_come_with_the_longest_first(database: Database) -> None:
    """Each employee's own, none of another's; what is forgotten is gone, and forgetting it again is no fault."""
    first, second, others = channel("a", 500.0), channel("b", 900.0), channel("a", 700.0, "CD")
    for one in (first, second, others):
        database.run_sync(partial(calendar_channels.remember, now=1.0, channel=one))
    assert database.run_sync(lambda c: calendar_channels.channels_of(c, "AB")) == [second, first]
    for _ in range(2):
        database.run_sync(lambda c: calendar_channels.forget(c, first))
    assert database.run_sync(lambda c: calendar_channels.channels_of(c, "AB")) == [second]
    assert database.run_sync(lambda c: calendar_channels.channels_of(c, "CD")) == [others]


def test_a_former_employees_channels_are_forgotten_at_their_end(database: Database) -> None:
    """No pass looks after them any more: whoever stores one clears what has ended."""
    database.run_sync(lambda c: calendar_channels.remember(c, 1.0, channel("a", 500.0, "ZZ")))
    database.run_sync(lambda c: calendar_channels.remember(c, 499.0, channel("b", 900.0)))
    assert database.run_sync(lambda c: calendar_channels.channels_of(c, "ZZ")) != []
    database.run_sync(lambda c: calendar_channels.remember(c, 500.0, channel("c", 901.0)))
    assert database.run_sync(lambda c: calendar_channels.channels_of(c, "ZZ")) == []


@pytest.mark.parametrize("kuerzel", KUERZEL)
def test_a_token_says_whose_it_is_and_fits_a_header(kuerzel: str) -> None:
    """The Kürzel and a digest, in ASCII and within Google's 256 characters; a plain Kürzel stands there as it is."""
    token = token_of(CIPHER, kuerzel, "0f" * 16)
    assert token.isascii()
    assert token.isprintable()
    assert len(token) <= 256
    assert employee_of(CIPHER, token, "0f" * 16) == kuerzel
    assert token_of(CIPHER, "AB", "1").startswith("AB:")


def test_a_token_is_good_for_one_channel_one_employee_and_one_key() -> None:
    """Another channel, another employee, another key: none of them."""
    token = token_of(CIPHER, "AB", "c1")
    assert employee_of(CIPHER, token, "c2") is None
    assert employee_of(CIPHER, token.replace("AB:", "CD:"), "c1") is None
    assert employee_of(Cipher(OTHER), token, "c1") is None
    assert employee_of(Cipher(f"{KEY},{OTHER}"), token, "c1") == "AB"
    assert employee_of(CIPHER, f"%41B:{token.partition(':')[2]}", "c1") is None


@given(st.text(max_size=100) | st.text(string.hexdigits + ":%AB", max_size=100))
def test_whatever_a_stranger_writes_is_no_token(text: str) -> None:
    """Any text in Latin-1 or not is refused without an error."""
    assert employee_of(CIPHER, text.encode("latin-1", "replace").decode("latin-1"), "c1") is None


def test_a_place_changes_with_address_calendar_and_key() -> None:
    """So that a channel is made anew when any of them does; the digest holds neither."""
    known = place_of(CIPHER, "https://a.example/push", "c_ab")
    assert known == place_of(CIPHER, "https://a.example/push", "c_ab")
    others = [
        place_of(CIPHER, "https://b.example/push", "c_ab"),
        place_of(CIPHER, "https://a.example/push", "c_cd"),
        place_of(Cipher(OTHER), "https://a.example/push", "c_ab"),
    ]
    assert known not in others
    assert "example" not in known
