"""What processes of the program have in common."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

FAULTS = """
import resource, sys
import numpy as np
from sss.processes import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def fill():
    for array in [np.ones(3_000_000, np.uint8) for _ in range(8)]:  # too small for large pages
        del array
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc to")
def test_freed_memory_is_kept() -> None:
    def faults(mode: str) -> int:
        line = [sys.executable, "-c", FAULTS, mode]
        done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("kept") < 100 < 1000 < faults("as usual")
