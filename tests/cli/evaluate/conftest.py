"""A quick evaluation of four tiny photos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.cli.evaluate import main
from sss.evaluation.scores import EntryResults

NAMES = ("a", "b", "c", "d")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had started this with torchrun or set a folder of data sets."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SSS_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A data set ``folder`` of four photos: two halves, noise, the corner's red tells which."""
    for kind in ("images", "labels"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
    for index, name in enumerate(NAMES):
        labels = np.zeros((26, 32), np.uint8)
        labels[:, 10 + 4 * index :] = 1
        noise = np.random.default_rng(index).normal(scale=25, size=(26, 32, 3))
        pixels = np.where(labels[..., None] == 1, [180, 90, 60], [60, 90, 170]) + noise
        photo = np.clip(pixels, 0, 255).astype(np.uint8)
        photo[0, 0] = index
        Image.fromarray(photo).save(tmp_path / "photos" / "images" / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / "photos" / "labels" / f"{name}.png")
    return tmp_path / "photos"


@pytest.fixture
def line(photos: Path, tmp_path: Path) -> list[str]:
    """A quick evaluation: ``kmeans-lab`` at two numbers of clusters."""
    text = f"--data folder --folder {photos} --layers 2,3 --wandb disabled -o {tmp_path / 'report'}"
    return [*text.split(), "--cache", str(tmp_path / "cache"), "--method", "kmeans-lab"]


class Evaluate:
    """Runs evaluate.py within this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out: list[str] = []
        self.err: list[str] = []

    def __call__(self, *arguments: object) -> int:
        code = main([*map(str, arguments)])
        shown = self.capsys.readouterr()
        assert "Traceback" not in shown.err
        self.out, self.err = shown.out.splitlines(), shown.err.splitlines()
        return code

    @property
    def errors(self) -> list[str]:
        return [text for text in self.err if text.startswith("error: ")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Evaluate:
    return Evaluate(capsys)


class Reported(list[dict[str, EntryResults]]):
    """What the reports of this test got, call by call: results by entry."""

    def sums(self, call: int) -> dict[str, Any]:
        """All that must be equal from run to run: everything but the times."""
        return {
            name: (entry.photos, entry.keys, {m: s.tolist() for m, s in entry.sums.items()})
            for name, entry in self[call].items()
        }


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    """What reports would tell; none is written, which takes seconds."""
    from sss.evaluation.report import write

    calls = Reported()

    def keep(_out: Path, entries: list[EntryResults], *_: object) -> None:
        calls.append({entry.entry: entry for entry in entries})

    monkeypatch.setattr(write, "write_evaluation", keep)
    return calls


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], dict[str, int]]:
    """Tells the records in the cache and when they were written."""
    cache = tmp_path / "cache"
    return lambda: {path.name: path.stat().st_mtime_ns for path in cache.glob("*.json")}
