"""Tiny photos, a tiny network, and infer.py within this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sss
from sss.cli.photo_worker import PhotoWorker
from sss.cli.split import main, run
from sss.cli.split_options import parse_options
from sss.console import run_main
from sss.image.reading import ReadPhoto


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had started this with torchrun."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def _scene(height: int = 24, width: int = 30) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    photo = np.where((x < 0.55 * width)[..., None], [200, 60, 40], [40, 150, 70])
    disc = (x - 0.4 * width) ** 2 + (y - 0.5 * height) ** 2 < (0.25 * height) ** 2
    photo[disc] = [60, 60, 220]
    noise = np.random.default_rng(0).normal(scale=4, size=photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """Makes uint8 photos: two grounds side by side, before them a disc; a little noise."""
    return _scene


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from sss.models.base import ModelConfig
    from sss.models.checkpoints import save_checkpoint
    from sss.models.registry import build_network

    torch.manual_seed(0)
    config = ModelConfig(decoder_channels=[8, 8, 8], dim=8, weights="none")
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, build_network(config), config, {"step": 1})
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(_scene()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Made by hand for ``photo``: its own colours, so that no network is needed."""
    np.save(tmp_path / "features.npy", _scene().astype(np.float32) / 255)
    return tmp_path / "features.npy"


class Split:
    """Runs infer.py within this process, writing to ``out``."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out = out
        self.capsys = capsys
        self.splitter: Any = None  # of the options
        self.lines: list[str] = []

    def __call__(self, *arguments: object) -> int:
        line = [*map(str, arguments), *([] if "-o" in arguments else ["-o", str(self.out)])]
        if self.splitter is None:
            code = main(line)
        else:
            code = run_main(
                lambda: run(
                    parse_options(line), lambda options: PhotoWorker(options, self.splitter)
                )
            )
        shown = self.capsys.readouterr()
        assert shown.out == ""
        assert "Traceback" not in shown.err
        self.lines = shown.err.splitlines()
        return code

    @property
    def errors(self) -> list[str]:
        return [line for line in self.lines if line.startswith("error: ")]

    def refused(self, *arguments: object) -> str:
        """The only error line of a call that must fail without leaving anything behind."""
        assert self(*arguments) == 2
        assert len(self.errors) == 1
        assert not self.out.exists()
        return self.errors[0]

    def alpha(self, name: str = "photo") -> np.ndarray:
        with np.load(self.out / name / "layers.npz") as archive:
            assert archive.files == ["alpha"]
            return archive["alpha"]

    def report(self, name: str = "photo") -> dict[str, Any]:
        return json.loads((self.out / name / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Split:
    return Split(tmp_path / "out", capsys)


class QuickSplitter:
    """In place of the real one where only files and messages count: slices by brightness."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []
        self.parts = 40
        self.fails: Callable[[np.ndarray], None] = lambda _photo: None

    def load(self, network: bool) -> None:
        """There is nothing to load."""

    def prepare(self, read: ReadPhoto, _embedding: object, progress: Callable) -> SimpleNamespace:
        photo = read.srgb
        self.seen.append(photo)
        progress("components", 0.5)
        self.fails(photo)
        return SimpleNamespace(layers=lambda k, _progress: self._layers(photo, k))

    def _layers(self, photo: np.ndarray, k: int | str) -> sss.Layers:
        count = min(3 if k == "auto" else int(k), self.parts)
        rank = photo.mean(axis=2).argsort(axis=None).argsort() * count // photo[..., 0].size
        alpha = np.eye(count, dtype=np.float32)[rank].reshape(*photo.shape[:2], -1)
        details = {"device": "cpu", "settings": {}, "versions": {}}
        return sss.Layers(photo, alpha, features3=photo, details=details)


@pytest.fixture
def quick(split: Split) -> QuickSplitter:
    split.splitter = QuickSplitter()
    return split.splitter


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.name != "report.json"
    }


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Reads all files below a folder but the reports, which tell times."""
    return _contents
