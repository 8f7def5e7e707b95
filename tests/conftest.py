"""What the tests of several folders share."""

import os
import signal

# A job that a shell runs in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Many small matrix products: more threads than one cost more than they bring, and very much more
# when the cores are busy. Set before NumPy and torch are imported.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

from pathlib import Path

import pytest

from sss.data.scenes import SceneDataset
from sss.data.sources import SOURCES
from sss.models.base import ModelConfig

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the real data sets; tests that use it are marked ``reference``."""
    folder = Path(os.environ.get("SSS_REFERENCE", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set SSS_REFERENCE")
    return folder


@pytest.fixture
def tiny_model() -> ModelConfig:
    """A network that trains within milliseconds."""
    return ModelConfig(decoder_channels=[16, 16, 8, 8, 8], dim=8, weights="none")


@pytest.fixture
def small_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the data set ``scenes`` be four small ones per split."""
    seeds = {"train": 0, "val": 1}
    monkeypatch.setitem(
        SOURCES, "scenes", lambda _root, split: SceneDataset(4, seeds[split], size=(72, 80))
    )
