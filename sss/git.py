"""Which code made a run: the git commit of the checkout that the program runs from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from sss.files import whole_file

PROGRAM = Path(__file__).parents[1]
"""Folder of the program: the checkout, if it was not installed."""

_SECONDS = 10


def git_state(folder: Path = PROGRAM) -> dict[str, Any]:
    """Commit of the files in ``folder``.

    Args:
        folder: A checkout or a folder in one.

    Returns:
        ``commit``, its full hash, and ``dirty``, whether tracked files below ``folder`` differ
        from it. Empty when the folder is not under version control (an installed copy inside
        somebody's checkout is not), has no commit yet, or there is no git.
    """
    if not _git(folder, "ls-files"):
        return {}
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    if commit is None or changes is None:
        return {}
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def record_git_state(run_dir: Path, step: int = 0, folder: Path = PROGRAM) -> dict[str, Any]:
    """Write :func:`git_state` into ``run_dir/git.json``: a list with an entry per start.

    Args:
        run_dir: Folder of the run.
        step: Where this start of the run begins; 0 begins the list anew.
        folder: See :func:`git_state`.

    Returns:
        The state; when it is empty nothing is written.

    Raises:
        InputError: The file cannot be written.
    """
    state = git_state(folder)
    if state:
        path = run_dir / "git.json"
        starts = _earlier_starts(path) if step else []
        with whole_file(path) as partial:
            partial.write_text(json.dumps([*starts, {"step": step, **state}], indent=1) + "\n")
    return state


def _earlier_starts(path: Path) -> list[Any]:
    """What is in the file; nothing if it is not ours."""
    try:
        starts = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return starts if isinstance(starts, list) else []


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails."""
    # In a git hook these name the repository that the hook runs for, not ours.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**kept, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
