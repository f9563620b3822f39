"""DAGSTER_HOME: the folder with Dagster's settings, its history, and our embedded state."""

from __future__ import annotations

import shutil
from pathlib import Path

from bitbylaw_pipeline.cli.problems import NotUsable
from bitbylaw_pipeline.settings import Settings

FILES = ("dagster.yaml", "workspace.yaml")


def prepare_home(settings: Settings) -> Path:
    """The folder, private to us, with the project's dagster.yaml and workspace.yaml as they are now.

    Dagster reads them from there and from nowhere else. Raises Problem where they cannot be found.
    """
    home = settings.home
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    source = _project_folder()
    for name in FILES:
        shutil.copyfile(source / name, home / name)
    (settings.spool_dir or home / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


def _project_folder() -> Path:
    beside_the_package = Path(__file__).resolve().parents[2]
    for folder in (Path.cwd(), beside_the_package):
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise NotUsable(
        f"{' and '.join(FILES)} are neither in the working folder nor in {beside_the_package}: "
        "start this in the project's folder."
    )
