"""Lines and bars."""

from __future__ import annotations

import sys

import pytest

from sss.data.prepare.progress import ProgressBar


def test_progress_in_a_pipe_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("quick", 10, unit="files") as progress:
        progress.advance(10)
    assert capsys.readouterr().out == ""
    with ProgressBar("slow", 4_000_000_000, done=1_000_000_000, pause=0.0) as progress:
        progress.advance(1_000_000_000)
    assert capsys.readouterr().out == "slow: 2.0 GB of 4.0 GB (50%)\n"


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar("fetching", 100, done=50) as progress:
        progress.advance(25)
    assert "fetching" in capsys.readouterr().err
