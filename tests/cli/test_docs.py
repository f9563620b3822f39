"""The documents that a person goes by name every setting and no command that does not exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bitbylaw_pipeline.cli.main import cli
from bitbylaw_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {name.upper() for name in Settings.model_fields}


def test_the_example_file_names_every_setting_once_with_a_comment() -> None:
    """.env.example has exactly the settings there are, each below one line that says what it is."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    found = [
        (number, match[1]) for number, line in enumerate(lines) if (match := re.match(r"#?([A-Z_]+)=", line))
    ]
    assert sorted(name for _, name in found) == sorted(NAMES)
    for number, name in found:
        assert re.match(r"# [^-]", lines[number - 1]), f"{name} has no comment above it"


def test_the_example_file_can_be_used_as_it_is(tmp_path: Path) -> None:
    """Copied without a change it loads, and every default that it shows is one that loads, too."""
    text = (ROOT / ".env.example").read_text("utf-8")
    file = tmp_path / "given.env"
    for used in (text, re.sub(r"(?m)^#([A-Z_]+=)", r"\1", text)):
        file.write_text(used, "utf-8")
        Settings.load(_env_file=file)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_configuration_page_explains_every_setting(name: str) -> None:
    """docs/configuration.md names it."""
    assert f"`{name}" in (ROOT / "docs" / "configuration.md").read_text("utf-8")


def _documented_commands() -> list[str]:
    found: set[str] = set()
    for page in ("README.md", "docs/operation.md", "docs/configuration.md", "docs/moving-over.md"):
        text = (ROOT / page).read_text("utf-8")
        found |= set(re.findall(r"`bitbylaw ([a-z][^`…]*)`", text))
        for block in re.findall(r"```(?:sh|ini)\n(.*?)```", text, re.DOTALL):
            found |= {match.strip() for match in re.findall(r"bitbylaw ([a-z][^#\n]*)", block)}
    return sorted(found)


@pytest.mark.parametrize("line", _documented_commands())
def test_every_documented_command_exists(line: str) -> None:
    """Command, sub-command and options are understood; one that is named alone, without arguments, exists.

    Placeholders in angle brackets stand for any value; what is in square brackets may be left out.
    """
    command: click.Command = cli
    arguments = shlex.split(re.sub(r"<[^>]+>", "64f0c1d2e3b4a5968", line).replace("[", "").replace("]", ""))
    context = click.Context(command)
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    if arguments:
        command.parse_args(context, arguments)


def test_commands_were_found_at_all() -> None:
    """The pattern finds the commands of both pages."""
    assert {"doctor --quiet", "up", "inbox parked"} <= set(_documented_commands())
