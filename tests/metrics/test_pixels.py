import itertools
import math

import numpy as np
import pytest
from scipy.stats import chisquare

from sss.errors import InputError
from sss.metrics.catalogue import DISTANCE_BANDS
from sss.metrics.pixels import (
    SAMPLED_PIXELS,
    Pairs,
    draw_labelled_pixels,
    pairs_in_band,
    scored_pairs,
    uniform_pairs,
)

BANDS = [*DISTANCE_BANDS.values(), (0.1, 0.3), (0.0, 2.0)]


def every_pair(shape: tuple[int, int], band: tuple[float, float]) -> set[tuple[int, int]]:
    """All ordered pairs of different pixels within the band, by loops."""
    found = set()
    pixels = list(itertools.product(range(shape[0]), range(shape[1])))
    for (a, one), (b, other) in itertools.permutations(enumerate(pixels), 2):
        if band[0] <= math.dist(one, other) / math.dist((0, 0), shape) < band[1]:
            found.add((a, b))
    return found


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("shape", [(7, 10), (1, 12), (9, 2)])
@pytest.mark.slow
def test_pairs_of_a_band_are_uniform_among_all_of_it(
    shape: tuple[int, int], band: tuple[float, float]
) -> None:
    expected = every_pair(shape, band)
    pairs = pairs_in_band(shape, band, 200_000, seed=0)
    found, counts = np.unique(np.stack([pairs.first, pairs.second]), axis=1, return_counts=True)
    assert set(zip(*found.tolist(), strict=True)) == expected
    if expected:
        assert len(pairs.first) == 200_000
        assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("band", DISTANCE_BANDS.values())
@pytest.mark.parametrize("shape", [(321, 481), (40, 900), (2000, 3000), (64, 64)])
def test_bands_of_a_photo_are_filled(shape: tuple[int, int], band: tuple[float, float]) -> None:
    pairs = pairs_in_band(shape, band, 2000, seed=3)
    (row, column), (other_row, other_column) = (
        np.divmod(index, shape[1]) for index in (pairs.first, pairs.second)
    )
    share = np.sqrt((row - other_row) ** 2 + (column - other_column) ** 2) / math.dist(
        (0, 0), shape
    )
    assert len(share) == 2000
    assert band[0] <= share.min()
    assert share.max() < band[1]
    assert max(row.max(), other_row.max()) < shape[0]


def test_a_band_that_the_photo_does_not_have_is_empty() -> None:
    assert len(pairs_in_band((8, 8), DISTANCE_BANDS["near"], 100, seed=0).first) == 0
    assert len(pairs_in_band((1, 1), (0.0, 2.0), 100, seed=0).first) == 0


def test_pairs_are_seeded() -> None:
    drawn = [pairs_in_band((30, 40), (0.0, 0.2), 50, seed).first.tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    drawn = [uniform_pairs((30, 40), 50, seed).first.tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("band", BANDS)
def test_sampled_pixels_within_a_band_are_those_found_by_loops(band: tuple[float, float]) -> None:
    shape = (6, 11)
    features = np.arange(66.0).reshape(6, 11, 1)
    sample = draw_labelled_pixels(
        features, np.zeros((1, 6, 11), int), seed=0
    )  # all pixels, shuffled
    pixel = sample.points[:, 0].astype(int)
    found = {(int(pixel[a]), int(pixel[b])) for a, b in np.argwhere(sample.pairs_within(band))}
    assert found == every_pair(shape, band)


def test_sample_holds_labelled_pixels_with_their_features_and_places() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, (2, 50, 60))
    rows, columns = np.mgrid[:50, :60]
    sample = draw_labelled_pixels(
        np.stack([rows, columns], axis=-1).astype(np.uint8), labels, seed=5
    )
    assert sample.points.shape == (SAMPLED_PIXELS, 2)
    assert sample.points.dtype == np.float32
    np.testing.assert_array_equal(sample.points, sample.positions)
    row, column = sample.positions.T
    np.testing.assert_array_equal(sample.annotators, labels[:, row, column])
    assert (sample.annotators >= 0).any(axis=0).all()
    assert len(np.unique(sample.positions, axis=0)) == SAMPLED_PIXELS
    assert 0.3 < np.corrcoef(np.arange(SAMPLED_PIXELS), row)[0, 1] + 0.5 < 0.7  # not sorted


def test_scored_pairs_by_hand() -> None:
    features = np.array([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]])  # (1, 3, 2)
    labels = np.array([[[1, 1, 2]], [[1, -1, 2]], [[7, 7, 7]]])  # the last sees one segment
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 1]))
    scored = scored_pairs(features, labels, pairs)
    assert len(scored) == 1  # the second annotator knows one pair only
    assert scored[0][0].tolist() == [5.0, 1.0, 0.0]
    assert scored[0][1].tolist() == [False, True, False]


def test_other_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(12, 21\).*\(12, 20\)"):
        draw_labelled_pixels(np.zeros((12, 21, 3)), np.zeros((1, 12, 20), int), seed=0)
