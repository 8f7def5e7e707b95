"""Mean intersection over union of masks, counted by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.image_labels import LabelledPhotos, Photo
from sss.errors import InputError
from sss.evaluation.weak_masks import MaskScores, evaluate_masks, results_text


def scores() -> MaskScores:
    rng = np.random.default_rng(0)
    union = rng.integers(50, 100, (30, 3)).astype(float)
    worse = np.stack([union * rng.uniform(0.2, 0.5, (30, 3)), union], axis=2)
    better = np.stack([worse[..., 0] * 1.3, union], axis=2)
    return MaskScores(("background", "a", "b"), {"maps": worse, "walk": better})


def test_means_and_tests() -> None:
    found = scores()
    for kind, sums in found.sums.items():
        by_hand = [sums[:, k, 0].sum() / sums[:, k, 1].sum() for k in range(3)]
        assert found.iou(kind).tolist() == pytest.approx(by_hand)
        assert found.mean_iou(kind) == pytest.approx(np.mean(by_hand))
        low, high = found.interval(kind)
        assert low < found.mean_iou(kind) < high
    assert found.gain_p("maps", "walk") == 1e-4  # better on each of 30 photos
    assert found.gain_p("maps", "maps") == 1
    text = results_text(found, ("maps", "walk"))
    assert "| maps → walk | +" in text


def test_small_samples_are_tested_exactly() -> None:
    sums = {k: v[:3] for k, v in scores().sums.items()}
    # Better on all of three photos: of 8 patterns two are as far apart.
    assert MaskScores(("background", "a", "b"), sums).gain_p("maps", "walk") == 2 / 8


def test_classes_that_do_not_occur_count_nowhere() -> None:
    sums = np.array([[[1, 2], [0, 0], [3, 4]]], float)
    found = MaskScores(("background", "a", "b"), {"maps": sums})
    assert np.isnan(found.iou("maps")[1])
    assert found.mean_iou("maps") == pytest.approx((1 / 2 + 3 / 4) / 2)


class Source:
    """Two photos with truth and one without."""

    classes = ("a", "b")

    def __init__(self, folder: Path, truths: list[np.ndarray | None]) -> None:
        self.truths = truths
        self.photos = [folder / f"{k}.png" for k in range(len(truths))]
        for path in self.photos:
            Image.fromarray(np.full((8, 10, 3), 90, np.uint8)).save(path)

    def labels(self, index: int) -> frozenset[str]:
        return frozenset("a")

    def truth(self, index: int) -> np.ndarray | None:
        return self.truths[index]


def labelled(source: Source) -> LabelledPhotos:
    photos = [Photo(path, path.stem, (0,), source, k) for k, path in enumerate(source.photos)]
    return LabelledPhotos(("a", "b"), photos)


def test_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.zeros((8, 10), np.int32)
    truth[:4] = 1
    source = Source(tmp_path, [truth, None, truth])
    half = np.where(np.arange(10) < 5, truth, 0)
    guesses = {"maps": half, "walk": truth, "layers": half, "walk_layers": truth}

    def predict(kind: str, index: int, size: tuple[int, int]) -> np.ndarray:
        assert size == (8, 10)
        return guesses[kind]

    found = evaluate_masks(labelled(source), predict, tmp_path / "out")
    assert found.sums["maps"].shape == (2, 3, 2)
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert float(rows["a"]["maps"]) == 0.5
    assert float(rows["background"]["maps"]) == pytest.approx(40 / 60, abs=1e-5)
    assert float(rows["mean"]["walk"]) == 1
    assert (tmp_path / "out" / "table.md").read_text() == capsys.readouterr().out
    with Image.open(tmp_path / "out" / "pictures.jpg") as picture:
        assert picture.size == (6 * 150, 2 * 124)


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photo has a true mask"):
        evaluate_masks(labelled(Source(tmp_path, [None])), lambda *_: np.zeros(1), tmp_path / "out")
