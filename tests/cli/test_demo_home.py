"""The demo's own home: hermetic, private, and usable by the other commands."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bitbylaw_pipeline.cli.demo_home import (
    HOMES,
    Ports,
    clean_environment,
    demo_home,
    demo_settings,
    write_env_file,
)
from bitbylaw_pipeline.settings import Settings

PORTS = Ports(espocrm=1, xai=2, receiver=3, advoware=4, google=5, alerts=6)


def test_nothing_of_the_firms_settings_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from the environment nor from .env, nor do the demo's parts inherit them."""
    monkeypatch.setenv("XAI_API_KEY", "the-firms-key")
    monkeypatch.setenv("ADVOWARE_PASSWORD", "the-firms-password")
    monkeypatch.setenv("ADVOWARE_PROXY_READ_ONLY", "false")
    monkeypatch.setenv("REDIS_HOST", "redis.kanzlei.example")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://kanzlei")
    (folder / ".env").write_text("STATE_DB_URL=postgresql://kanzlei\nXAI_SETTLE_SECONDS=99\n")
    settings = demo_settings(folder, PORTS)
    assert settings.redis_host == ""
    assert settings.state_db_url == ""
    assert settings.xai_api_key.get_secret_value() != "the-firms-key"
    assert settings.advoware_password.get_secret_value() != "the-firms-password"
    assert settings.xai_settle_seconds == 2.0
    assert settings.advoware_configurator_url == f"{PORTS.advoware_url}/configurator"
    assert settings.advoware_proxy_read_only
    firms = {"XAI_API_KEY", "ADVOWARE_PASSWORD", "REDIS_HOST", "DAGSTER_POSTGRES_URL"}
    assert not firms & set(clean_environment())
    assert "PATH" in clean_environment()


def test_its_env_file_says_the_same(folder: Path) -> None:
    """A command started there works on the demo; the file is private."""
    settings = demo_settings(folder, PORTS)
    write_env_file(folder, settings, PORTS)
    assert Settings.load() == settings
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_old_homes_go_unless_a_demo_runs_in_them(folder: Path) -> None:
    """Two demos at once have a home each; the next one clears away what has ended."""
    with demo_home() as first, demo_home() as second:
        assert first != second
        assert first.is_dir()
    with demo_home() as third:
        assert [home.name for home in (folder / HOMES).iterdir()] == [third.name]
    assert third.is_dir()
