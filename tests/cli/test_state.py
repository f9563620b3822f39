"""The encryption key of an embedded state: made once, private, and the same for whoever comes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from bitbylaw_pipeline.cli.state import KEY_FILE, with_key
from bitbylaw_pipeline.settings import Settings, SettingsError


def settings_in(folder: Path, **given: str) -> Settings:
    """Settings whose state is embedded in the folder."""
    return Settings.load(_env_file=None, dagster_home=folder, **given)


def test_the_key_is_made_once_and_private(folder: Path) -> None:
    """The file is readable by its owner alone, and the next command finds the same usable key."""
    made = with_key(settings_in(folder), make=True).state_encryption_key.get_secret_value()
    Fernet(made)
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert with_key(settings_in(folder), make=False).state_encryption_key.get_secret_value() == made
    assert [file.name for file in folder.iterdir()] == [KEY_FILE]


def test_programs_that_start_at_once_get_one_key(folder: Path) -> None:
    """Whoever comes second takes the first one's."""
    with ThreadPoolExecutor(8) as pool:
        keys = pool.map(lambda _: with_key(settings_in(folder), make=True).state_encryption_key, range(8))
        found = {key.get_secret_value() for key in keys}
    assert len(found) == 1
    assert (folder / KEY_FILE).read_text().strip() in found


def test_looking_makes_no_key(folder: Path) -> None:
    """Only what needs to store a secret makes one."""
    assert with_key(settings_in(folder), make=False).state_encryption_key.get_secret_value() == ""
    assert list(folder.iterdir()) == []


def test_a_key_that_others_can_read_is_refused(folder: Path) -> None:
    """The sentence says what to do."""
    with_key(settings_in(folder), make=True)
    (folder / KEY_FILE).chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        with_key(settings_in(folder), make=False)


def test_a_server_needs_the_key_from_the_environment(folder: Path) -> None:
    """With PostgreSQL the secrets must not depend on a file of one machine."""
    with pytest.raises(SettingsError, match="STATE_ENCRYPTION_KEY must be set"):
        with_key(settings_in(folder, state_db_url="postgresql://localhost/x"), make=True)


def test_the_given_key_wins(folder: Path) -> None:
    """STATE_ENCRYPTION_KEY is used as it is, and no file is made."""
    key = Fernet.generate_key().decode()
    found = with_key(settings_in(folder, state_encryption_key=key), make=True)
    assert found.state_encryption_key.get_secret_value() == key
    assert list(folder.iterdir()) == []
