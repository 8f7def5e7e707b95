import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sss.errors import InputError
from sss.git import git_state, record_git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):  # set where a hook runs the tests
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "checkout"
    (folder / "part").mkdir(parents=True)
    git(tmp_path, "init", "-q", "checkout")
    (folder / "code.py").write_text("1")
    (folder / "part" / "more.py").write_text("1")
    (folder / ".gitignore").write_text("installed\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_clean_and_dirty(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert len(commit) == 40
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout / "notes.txt").write_text("of no account")
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout / "code.py").write_text("2")
    assert git_state(checkout) == {"commit": commit, "dirty": True}
    assert git_state(checkout / "part") == {"commit": commit, "dirty": False}


def test_no_checkout(checkout: Path) -> None:
    installed = checkout / "installed"
    installed.mkdir()
    (installed / "code.py").write_text("1")
    assert git_state(installed) == {}
    assert git_state(checkout.parent) == {}
    assert git_state(checkout / "missing") == {}


def test_no_commit_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    assert git_state(tmp_path) == {}


def test_no_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert git_state(checkout) == {}


def test_hooks_of_other_repositories_do_not_matter(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = git_state(checkout)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(checkout) == before != {}


def test_an_entry_per_start(checkout: Path, tmp_path: Path) -> None:
    run, first = tmp_path / "run", git_state(checkout)
    assert record_git_state(run, folder=checkout) == first
    (checkout / "code.py").write_text("2")
    git(checkout, "commit", "-qam", "second")
    second = record_git_state(run, step=40, folder=checkout)
    assert second["commit"] != first["commit"]
    file = run / "git.json"
    assert json.loads(file.read_text()) == [{"step": 0, **first}, {"step": 40, **second}]
    file.write_text("broken")
    record_git_state(run, step=60, folder=checkout)
    assert json.loads(file.read_text()) == [{"step": 60, **second}]
    record_git_state(run, folder=checkout)
    assert json.loads(file.read_text()) == [{"step": 0, **second}]


def test_nothing_is_written_outside_a_checkout(tmp_path: Path) -> None:
    assert record_git_state(tmp_path / "run", folder=tmp_path) == {}
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_told(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write .*git\.json"):
        record_git_state(tmp_path / "run", folder=checkout)
