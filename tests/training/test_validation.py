import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sss.errors import InputError
from sss.metrics.pair_auc import pair_auc
from sss.training.task import Share
from sss.training.validation import (
    METRICS,
    photo_scores,
    summarise,
    validate_photos,
)


class Numbered:
    """Photo i is painted with i; its left and right half are two segments unless i is in blank."""

    def __init__(self, length: int, blank: tuple[int, ...] = ()) -> None:
        self.length = length
        self.blank = blank

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros((1, 8, 8), np.int32)
        if index not in self.blank:
            labels[:, :, 4:] = 1
        return np.full((8, 8, 3), index, np.uint8), labels


def embedding(good: set[int], seen: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Perfect features for the photos in ``good``, constant ones (AUC 0.5) for the others."""

    def embed(photo: np.ndarray) -> np.ndarray:
        seen.append(int(photo[0, 0, 0]))
        halves = (np.arange(8) >= 4).astype(float)
        return np.tile(halves[None, :, None], (8, 1, 1)) * (seen[-1] in good)

    return embed


def validate(embed: Callable, dataset: Numbered, photos: int) -> dict[str, float]:
    return summarise(validate_photos(embed, dataset, photos))


def test_photos_are_spread_evenly() -> None:
    seen: list[int] = []
    scores = validate(embedding({0, 3}, seen), Numbered(10), photos=4)
    assert seen == [0, 3, 6, 9]
    assert list(scores) == list(METRICS)
    assert scores["pair_auc"] == pytest.approx(0.75)
    assert scores["ami"] == pytest.approx(0.5)
    assert 0.6 < scores["precision_at_1"] < 0.9


@pytest.mark.parametrize("photos", [3, 50])
def test_all_photos_of_a_small_set(photos: int) -> None:
    seen: list[int] = []
    assert validate(embedding({1}, seen), Numbered(3), photos)["pair_auc"] == pytest.approx(2 / 3)
    assert seen == [0, 1, 2]


def test_photos_of_one_segment_are_left_out() -> None:
    scores = validate_photos(embedding({0, 2}, []), Numbered(3, blank=(1,)), 3)
    assert all(math.isnan(value) for value in scores[1].values())
    assert summarise(scores) == dict.fromkeys(METRICS, pytest.approx(1.0))


@pytest.mark.parametrize("dataset", [Numbered(2, blank=(0, 1)), Numbered(0)])
def test_nothing_to_validate_on(dataset: Numbered) -> None:
    with pytest.raises(InputError, match="two segments"):
        validate(embedding(set(), []), dataset, 5)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_processes_together_are_the_whole(processes: int) -> None:
    alone = validate_photos(embedding({0, 4}, []), Numbered(9), 5)
    together: dict[int, dict[str, float]] = {}
    for rank in reversed(range(processes)):
        seen: list[int] = []
        own = validate_photos(embedding({0, 4}, seen), Numbered(9), 5, Share(rank, processes))
        assert seen == sorted(own)
        assert len(own) in (5 // processes, -(-5 // processes))
        assert not together.keys() & own.keys()
        together |= own
    assert together == alone
    assert summarise(together) == summarise(alone)


def scene(seed: int = 0, height: int = 24, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 5) features and the labels of two annotators who see different segments."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    first = 2 * (rows > 0.4 * height - 0.6) + (columns > 0.6 * width - 1)
    second = (columns > 0.4 * width - 1).astype(int)
    return rng.normal(size=(height, width, 5)) + first[..., None], np.stack([first, second])


def test_pair_auc_is_what_it_was() -> None:
    features, labels = scene()
    scores = photo_scores(features, labels, seed=4)
    assert scores["pair_auc"] == pair_auc(features, labels, seed=4)
    # Checkpoints are compared by this number: it must not move.
    assert scores["pair_auc"] == pytest.approx(0.6706687, abs=1e-6)


def test_metrics_of_a_sample_are_what_they_were() -> None:
    scores = photo_scores(*scene(height=60, width=80), seed=4)  # more pixels than are sampled
    expected = {"pair_auc": 0.6664433, "precision_at_1": 0.643}
    expected |= {"r_precision": 0.5467960, "ami": 0.2583422}
    assert scores == pytest.approx(expected, abs=1e-6)


def test_annotators_are_averaged() -> None:
    features, labels = scene()  # fewer pixels than are sampled, so all annotators see the same
    alone = [photo_scores(features, one[None]) for one in labels]
    together = photo_scores(features, labels)
    for metric in METRICS:
        assert alone[0][metric] != alone[1][metric]
        assert together[metric] == pytest.approx(np.mean([one[metric] for one in alone]))


def test_only_labelled_pixels_are_scored() -> None:
    features, labels = scene()
    features = 10 * np.eye(4)[labels[0]]
    hidden = labels[:1].copy()
    hidden[0, :, :25] = -1  # only a strip of two segments is left
    features[:, :25] = np.random.default_rng(0).normal(size=(24, 25, 4))
    assert photo_scores(features, hidden) == dict.fromkeys(METRICS, pytest.approx(1.0))


def test_constant_features_are_chance() -> None:
    halves = np.repeat([0, 1], 1800).reshape(1, 60, 60)  # in a row, as constant features are
    scores = photo_scores(np.zeros((60, 60, 8), np.float32), halves)
    expected = {"pair_auc": 0.5, "precision_at_1": 0.5, "r_precision": 0.5, "ami": 0.0}
    assert scores == {key: pytest.approx(value, abs=0.03) for key, value in expected.items()}


def test_seeded() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(1, 50, 50))
    features = rng.normal(size=(50, 50, 3)) + labels[0, ..., None]
    runs = [photo_scores(features, labels, seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert all(runs[0][metric] != runs[2][metric] for metric in METRICS)


def test_unlabelled_photo_has_no_scores() -> None:
    scores = photo_scores(np.ones((8, 8, 2)), np.full((2, 8, 8), -1))
    assert all(math.isnan(value) for value in scores.values())


def test_a_metric_without_photos_is_nan() -> None:
    nan = float("nan")
    scores = {1: {"pair_auc": 0.75, "precision_at_1": 0.5, "r_precision": nan, "ami": nan}}
    scores[4] = {"pair_auc": 0.25, "precision_at_1": nan, "r_precision": nan, "ami": 0.25}
    means = summarise(scores)
    assert (means["pair_auc"], means["precision_at_1"], means["ami"]) == (0.5, 0.5, 0.25)
    assert math.isnan(means["r_precision"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    features, labels = scene()
    features[3:5] = bad
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="diverged"):
        photo_scores(features, labels)


@pytest.mark.reference
def test_fast_on_a_real_photo(reference: Path) -> None:
    from sss.data.bsds500 import Bsds500

    photo, labels = Bsds500(reference / "bsds500", "val")[10]
    started = time.process_time()
    scores = photo_scores(np.concatenate([photo / 255] * 20, axis=2).astype(np.float32), labels)
    assert time.process_time() - started < 1.5  # measured: 0.3
    assert 0.5 < scores["pair_auc"] < 0.8
    assert 0.2 < scores["r_precision"] < 0.4 < scores["precision_at_1"] < 0.6
    assert 0.2 < scores["ami"] < 0.4
