"""The service account's key file: what can be wrong with it, said in one sentence that repeats nothing of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import crypt, jwt

from bitbylaw_pipeline.clients.google_account import read_account
from bitbylaw_pipeline.settings import SettingsError
from tests.clients.google.office import ACCOUNT, CLIENT_ID, key_file, key_info, private_key, write_key

EC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    .decode()
)
# google-auth has no types; these are what its documentation says.
decoded: Callable[..., Any] = jwt.decode
verifier_of: Callable[[bytes], Any] = crypt.RSAVerifier.from_string
BROKEN_KEY = private_key()[:200] + "\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x00\xff\xfe", "not JSON"),
        ("", "not JSON"),
        ("[" * 5000, "not JSON"),
        ([1], "not JSON"),
        (b'{"type": "service_account"' + b" " * 70_000 + b"}", "not JSON"),
        ({}, "its type is not service_account"),
        ({"type": "secret-thing"}, "its type is not service_account"),
        ({"installed": {"client_secret": "GOCSPX-secret"}}, "an OAuth client"),
        ({"web": {"client_secret": "GOCSPX-secret"}}, "an OAuth client"),
        ({"type": "authorized_user", "refresh_token": "secret"}, "an OAuth client"),
        (key_info(private_key=None), "without private_key"),
        (key_info(private_key=7, client_email=" "), "without client_email and private_key"),
        (key_info(private_key="secret"), "private key is broken"),
        (key_info(private_key=BROKEN_KEY), "private key is broken"),
        (key_info(private_key=EC_KEY), "private key is broken"),
        (key_info(private_key="sécret"), "private key is broken"),
    ],
)
def test_a_key_file_that_is_none_is_named_in_one_sentence(content: Any, says: str, tmp_path: Path) -> None:
    """The sentence names the setting and what is wrong, and repeats neither the file nor its path."""
    with pytest.raises(SettingsError) as raised:
        read_account(write_key(tmp_path, content))
    text = str(raised.value)
    assert says in text
    assert "GOOGLE_SERVICE_ACCOUNT_FILE" in text
    assert not any(part in text for part in ("secret", "sécret", "MII", str(tmp_path), ACCOUNT))
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "is not set"),
        ("  ", "is not set"),
        ("/nowhere/of-all/key.json", "not there"),
        (str(Path(__file__).parent), "cannot be read (IsADirectoryError)"),
        ("a\x00b", "cannot be read (ValueError)"),
        ("x" * 5000, "cannot be read (OSError)"),
        ("~no-such-user-here/key.json", "cannot be read (RuntimeError)"),
        (json.dumps(key_info()), "holds the key itself"),
    ],
)
def test_a_path_that_leads_to_no_file_is_named_in_one_sentence(path: str, says: str) -> None:
    """Whatever the setting holds, it is not repeated: it may be the key itself."""
    with pytest.raises(SettingsError) as raised:
        read_account(path)
    assert says in str(raised.value)
    assert path.strip() == "" or path.strip() not in str(raised.value)
    assert "PRIVATE KEY" not in str(raised.value)


def test_a_file_that_we_may_not_read_is_named(tmp_path: Path) -> None:
    """A link that leads to itself, as one file that no rights can help to read."""
    path = tmp_path / "key.json"
    path.symlink_to(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_account(str(path))


def test_an_assertion_is_what_google_verifies() -> None:
    """google-auth's own verification accepts it, with the claims that Google asks for."""
    account = read_account(key_file())
    now = 1_780_000_000.9
    assertion = account.assertion(subject="a@b.example", scope="s", audience="https://t/token", now=now)
    assert decoded(assertion, verify=False) == {
        "iss": ACCOUNT,
        "sub": "a@b.example",
        "scope": "s",
        "aud": "https://t/token",
        "iat": 1_780_000_000,
        "exp": 1_780_003_600,
    }
    head, payload, signature = assertion.split(".")
    verifier = verifier_of(_public_key())
    padded = signature + "=" * (-len(signature) % 4)
    assert verifier.verify(f"{head}.{payload}".encode(), base64.urlsafe_b64decode(padded))


def test_an_account_shows_no_key(tmp_path: Path) -> None:
    """Its repr holds the client's number and nothing else; a number that is none is left out."""
    account = read_account(key_file())
    assert repr(account) == f"ServiceAccount(client_id='{CLIENT_ID}')"
    assert read_account(write_key(tmp_path, key_info(client_id="<script>"))).client_id == ""


def _public_key() -> bytes:
    key = serialization.load_pem_private_key(private_key().encode(), None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
