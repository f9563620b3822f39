"""Usage, settings and errors: one sentence on standard error, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal


def test_help_names_every_command_without_importing_them() -> None:
    """`bitbylaw --help` is quick: neither Dagster nor the clients are loaded."""
    program = (
        "import sys; from click.testing import CliRunner; from bitbylaw_pipeline.cli.main import cli; "
        "result = CliRunner().invoke(cli, ['--help']); print(result.output); "
        "assert not {'dagster', 'aiohttp', 'httpx', 'redis'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for name in ("up", "demo", "status", "inbox", "sync", "doctor", "setup-espocrm"):
        assert f"  {name} " in done.stdout


def test_an_unknown_command_is_bad_usage(bare: Terminal) -> None:
    """Exit code 2, as for an unknown option."""
    assert bare.run("bogus").exit_code == 2
    assert bare.run("status", "--bogus").exit_code == 2


def test_missing_settings_are_named_together(bare: Terminal) -> None:
    """Everything that is missing stands in one sentence, exit code 2."""
    result = bare.run("up")
    assert result.exit_code == 2
    assert result.stderr == (
        "bitbylaw: ESPOCRM_API_BASE_URL, ESPOCRM_API_KEY, XAI_API_KEY, XAI_MANAGEMENT_KEY must be set: "
        "put it into .env (see .env.example).\n"
    )


def test_a_senseless_setting_is_named(bare: Terminal) -> None:
    """The setting's name, not its value, exit code 2."""
    result = bare.run("status", ESPOCRM_API_KEY="s3cret", REDIS_PORT="s3cret")
    assert result.exit_code == 2
    assert result.stderr.startswith("bitbylaw: REDIS_PORT is not usable: ")
    assert "s3cret" not in result.output


def test_an_unknown_name_in_the_env_file_is_noticed(bare: Terminal, folder: Path) -> None:
    """A typo in .env ends in one sentence that says where to look."""
    (folder / ".env").write_text("XAI_EGRES=field\n")
    result = bare.run("status")
    assert result.exit_code == 2
    assert result.stderr == (
        "bitbylaw: XAI_EGRES in .env is not a setting of this project; see .env.example for the names.\n"
    )


@pytest.mark.parametrize(
    ("url", "code", "begins"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", 1, "The state database is not available"),
        ("mysql://nobody@127.0.0.1:1/none", 2, "STATE_DB_URL must begin with sqlite:/// or postgresql://."),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence(
    bare: Terminal, url: str, code: int, begins: str
) -> None:
    """A server that is down is wrong (1), a URL of another kind not usable (2); no traceback in either case."""
    result = bare.run("status", STATE_DB_URL=url)
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith(f"bitbylaw: {begins}")
    assert "Traceback" not in result.output
