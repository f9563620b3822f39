"""The spool: generated names, hashes on the way, nothing left behind."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from bitbylaw_pipeline.clients.spool import spooled, sweep
from bitbylaw_pipeline.domain.errors import Transient


def test_pieces_are_hashed_and_readable_at_once(tmp_path: Path) -> None:
    """Size and both hashes are those of the pieces together, and the file can be read before it is closed."""
    pieces = [b"a" * 1000, b"", bytes(range(256)) * 100]
    with spooled(tmp_path / "new" / "spool") as file:
        for piece in pieces:
            file.write(piece)
        whole = b"".join(pieces)
        assert file.path.read_bytes() == whole
        assert (file.size, file.md5) == (len(whole), hashlib.md5(whole, usedforsecurity=False).hexdigest())
        assert file.sha256 == hashlib.sha256(whole).hexdigest()
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert list((tmp_path / "new" / "spool").iterdir()) == []


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    """Whatever happens meanwhile, the file is removed."""

    def fail() -> None:
        with spooled(tmp_path) as file:
            file.write(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_else_removed_is_no_error(tmp_path: Path) -> None:
    """A sweep of another process may have been quicker."""
    with spooled(tmp_path) as file:
        file.path.unlink()


def test_a_full_disk_is_trouble_for_later() -> None:
    """A disk that takes no more is Transient, in a sentence that says what to do."""
    if not Path("/dev/full").exists():
        pytest.fail("This test needs Linux's /dev/full.")
    with spooled(Path("/dev/shm")) as file:  # noqa: S108  # a file system in memory, to be filled
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file._target.fileno())
        os.close(full)
        with pytest.raises(Transient, match="SPOOL_DIR") as caught:
            file.write(b"x" * 100_000)
    assert caught.value.system == "spool"


def test_a_folder_that_cannot_be_made_is_trouble_for_later(tmp_path: Path) -> None:
    """A file where the folder should be: Transient, in a sentence that says what to do."""
    (tmp_path / "spool").write_text("x", encoding="utf-8")
    with pytest.raises(Transient, match="SPOOL_DIR"), spooled(tmp_path / "spool"):
        pass


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    """Old spooled files go; young ones and files of others stay; a missing folder has none."""
    names = {"spool-old": 100.0, "spool-young": 300.0, "other": 100.0}
    for name, at in names.items():
        (tmp_path / name).write_text("x", encoding="utf-8")
        os.utime(tmp_path / name, (at, at))
    assert sweep(tmp_path, older_than=200.0) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "spool-young"]
    assert sweep(tmp_path / "missing", older_than=200.0) == 0
