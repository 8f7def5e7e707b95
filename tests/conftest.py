"""What the tests of several folders share."""

import os
import shutil
import signal

# A job that a shell runs in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Many small matrix products: more threads than one cost more than they bring, and very much more
# when the cores are busy. Set before NumPy and torch are imported.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def browser_options() -> dict[str, Any]:
    """How Playwright starts the Chromium that is in PATH, or named by SSS_CHROMIUM."""
    names = (os.environ.get("SSS_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    binary = next((found for name in names if name and (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip("no Chromium in PATH; install one or name it by SSS_CHROMIUM")
    flags = (
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    )
    return {"executable_path": binary, "args": list(flags)}


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
