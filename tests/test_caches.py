"""Where nothing of the user's own can be written: caches go to a temporary folder."""

import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import sss.caches
from sss.caches import choose_caches, has_room

REPOSITORY = Path(__file__).parents[1]

SET = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
SET += ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing can be made; the user's home, package and caches lie there."""
    for name in SET:
        monkeypatch.setenv(name, "")  # so that it is undone
        monkeypatch.delenv(name)
    (tmp_path / "closed").touch()
    closed = tmp_path / "closed" / "home"
    monkeypatch.setenv("HOME", str(closed))
    monkeypatch.setattr(sss.caches, "__file__", str(closed / "caches.py"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return closed


def choose() -> bool:
    return choose_caches.__wrapped__()


def test_a_usable_home_stays_what_it_is(closed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    assert choose()
    assert dict(os.environ) == before
    assert not (tmp_path / ".cache").exists()


def test_caches_of_a_closed_home_are_temporary(
    closed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose()
    (folder,) = (tmp_path / "tmp").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in SET:
        assert Path(os.environ[name]).parent == folder
    assert os.environ["HOME"] == str(closed)
    assert len(caplog.records) == 1
    assert f"{closed}/.cache cannot be written to: caches are kept in {folder}" in caplog.text
    assert choose()  # the processes that this one starts say nothing
    assert len(caplog.records) == 1


def test_a_package_that_can_be_written_to_keeps_its_compiled_code(
    closed: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(sss.caches, "__file__", str(tmp_path / "caches.py"))
    assert choose()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "__pycache__")


def test_what_the_user_has_set_stays(closed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed / "cache"))
    assert choose()
    assert os.environ["MPLCONFIGDIR"] == "/mine"
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(tmp_path / "tmp")


def test_a_user_without_a_home_gets_one(closed: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sss.caches, "_home", lambda: None)
    assert choose()
    assert os.environ["HOME"] == os.environ["XDG_CACHE_HOME"].removesuffix("/xdg")
    assert "~ cannot be written to" in caplog.text


@pytest.mark.parametrize("how", ["open to all", "another's", "a link"])
def test_a_folder_that_others_can_write_to_is_not_used(
    closed: Path, tmp_path: Path, monkeypatch, how: str
) -> None:
    """Compiled code that is read from a cache is run."""
    planted = tmp_path / "tmp" / f"semantic-soft-segmentation-{os.getuid()}"
    if how == "another's":
        planted.mkdir(mode=0o700)
        real = os.getuid()
        planted.rename(planted.with_name(f"semantic-soft-segmentation-{real + 1}"))
        monkeypatch.setattr(os, "getuid", lambda: real + 1)
    elif how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        planted.symlink_to(tmp_path / "elsewhere")
    else:
        planted.mkdir()
        planted.chmod(0o777)
    monkeypatch.setattr(sss.caches, "_SHARED_MEMORY", closed)
    assert not choose()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_no_place_at_all(closed: Path, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    monkeypatch.setattr(sss.caches, "_SHARED_MEMORY", closed)
    assert not choose()
    assert caplog.messages == ["no place for caches can be written to, so each start takes longer"]


def test_a_full_disk_is_no_place(tmp_path: Path, monkeypatch) -> None:
    assert has_room(tmp_path / "not" / "yet")
    monkeypatch.setattr(sss.caches, "ROOM", 1 << 62)
    assert not has_room(tmp_path)


@pytest.mark.slow
def test_infer_without_a_home(tmp_path: Path) -> None:
    """Numba compiles anew, into the temporary folder, and matplotlib is quiet."""
    (tmp_path / "closed").touch()
    home = tmp_path / "closed" / "home"
    environment = {"HOME": str(home), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    code = "import sss.spectral.stencil, matplotlib.font_manager, os; print(os.environ['HOME'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{home}\n"
    assert done.stderr.count("\n") == 1, done.stderr
    assert "caches are kept in" in done.stderr


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sss")
