from pathlib import Path

import numpy as np
import pytest

from sss.data.sources import SOURCES
from sss.errors import InputError
from sss.training.config import OptimConfig, SourceConfig, TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.pair_count import FIRST_PHOTOS, PairCount
from sss.training.trainer import Trainer


def test_no_pair_in_the_first_photos() -> None:
    count = PairCount(OptimConfig(batch=10, steps=1000))
    for _ in range(FIRST_PHOTOS // 10):
        count.add(0)
    with pytest.raises(InputError, match=r"none of the 70 photos .* masks of 0 and 255"):
        count.add(0)


def test_one_pair_is_enough() -> None:
    count = PairCount(OptimConfig(batch=10, steps=1000))
    count.add(1)
    for _ in range(100):
        count.add(0)
    assert count.share() == 1 / 1010
    count.add(5)
    count.add(10)
    assert count.share() == 15 / 20


def test_a_short_run() -> None:
    count = PairCount(OptimConfig(batch=3, steps=2))
    count.add(0)
    with pytest.raises(InputError, match="none of the 6 photos"):
        count.add(0)


class Masks:
    """Photos with a second label: for training in one corner that hardly any crop shows."""

    def __init__(self, split: str) -> None:
        self.split = split

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        size = 600 if self.split == "train" else 80
        photo = np.full((size, size, 3), 40 * index, np.uint8)
        labels = np.zeros((1, size, size), np.int32)
        if self.split == "train":
            labels[0, 0, 0] = 1
        else:
            labels[:, :40] = 1
        return photo, labels


@pytest.mark.slow
@pytest.mark.usefixtures("quick_curves")
def test_a_run_without_pairs_stops(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "masks", lambda _root, split: Masks(split))
    tiny_config.data.sources = [SourceConfig("masks")]
    tiny_config.data.validation = SourceConfig("masks", split="val")
    with pytest.raises(InputError, match="none of the 8 photos"):
        Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    assert (tmp_path / "last.pt").is_file()
