"""Commands whose standard streams are missing, full or closed by their reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

COMMAND = """
import os, sys
from pathlib import Path
from sss.console import run_main, tell

def main():
    with open(sys.argv[1], "w") as file:
        assert file.fileno() > 2
        for number in range(2000):  # more than a pipe or a buffer holds
            print("a line of output", number)
            tell(f"a line of progress {number}")
        os.system("echo of another program; echo of another program >&2")
        file.write(f"{sys.stdin.read()}done")
    return int(sys.argv[2])

sys.exit(run_main(main))
"""


def run(redirected: str, file: Path, code: int = 0) -> tuple[int, str]:
    """The exit code of the command, and what the shell shows."""
    line = f'"$0" -c "$1" "$2" {code} {redirected}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, COMMAND, file],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of Unix")
@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize(
    "redirected", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | head -0"]
)
def test_the_work_is_done_as_otherwise(redirected: str, code: int, tmp_path: Path) -> None:
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    given = f"{redirected}; exit ${{PIPESTATUS[0]}}" if "|" in redirected else redirected
    ended, shown = run(given, tmp_path / "file", code)
    assert ended == code, shown
    assert (tmp_path / "file").read_text() == "done"
    assert "Traceback" not in shown
    assert "Exception" not in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_is_lost_is_told(tmp_path: Path) -> None:
    ended, shown = run(">/dev/full", tmp_path / "file")
    assert ended == 2
    assert shown.splitlines()[-1] == (
        "error: cannot write to the standard output: No space left on device; all else is done"
    )
    assert (tmp_path / "file").read_text() == "done"


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    code = "from sss.console import run_main; run_main(lambda: print('→ \\udce9') or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\\u2192 \\udce9\n"
    assert done.stderr == ""
