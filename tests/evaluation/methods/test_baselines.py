"""What all baselines with hard regions have in common."""

import numpy as np
import pytest
from scipy.ndimage import label as connected
from skimage.data import astronaut
from sklearn.metrics import adjusted_rand_score

from sss.evaluation.methods.base import Case, Method
from sss.evaluation.methods.clusters import FeatureKMeans, LabKMeans, MeanShift
from sss.evaluation.methods.graphs import Felzenszwalb, NormalisedCuts

CONNECTED = [Felzenszwalb(min_size=200), NormalisedCuts(superpixels=100), MeanShift(min_size=30)]
METHODS = [LabKMeans(), FeatureKMeans(), *CONNECTED]
COLOURS = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.2], [0.2, 0.2, 0.9], [0.9, 0.9, 0.2]])

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def case(photo: np.ndarray) -> Case:
    """The embedding is the colours turned and stretched into five dimensions."""
    turn = np.random.default_rng(1).normal(size=(3, 5))
    return Case(photo, (4 * photo @ turn).astype(np.float32), seed=3)


@every_method
@pytest.mark.slow
def test_labels_are_contiguous_take_time_and_come_again(method: Method) -> None:
    photo = astronaut()[::9, ::9] / 255
    results, again = list(method.segment(case(photo))), method.segment(case(photo))
    assert len(results) == len(method.scales) == 11
    for result, same in zip(results, again, strict=True):
        assert result.labels.shape == photo.shape[:2]
        assert np.issubdtype(result.labels.dtype, np.integer)
        assert set(result.labels.ravel()) == set(range(result.labels.max() + 1))
        assert result.alpha is None
        assert result.seconds > 0
        np.testing.assert_array_equal(result.labels, same.labels)


@every_method
def test_coloured_bands_are_found(method: Method) -> None:
    truth = np.broadcast_to(np.arange(80) // 20, (60, 80))
    noise = np.random.default_rng(0).normal(scale=0.01, size=(60, 80, 3))
    results = list(method.segment(case(np.clip(COLOURS[truth] + noise, 0, 1))))
    found = next(r.labels for r in results if r.labels.max() == 3)
    assert adjusted_rand_score(truth.ravel(), found.ravel()) > 0.95  # a blur moves edges


@every_method
@pytest.mark.parametrize("size", [(16, 16), (3, 50)])
@pytest.mark.slow
def test_one_colour_and_tiny_photos_pass(method: Method, size: tuple[int, int]) -> None:
    for photo in (np.full((*size, 3), 0.5), np.random.default_rng(0).random((*size, 3))):
        for result in method.segment(case(photo)):
            assert result.labels.shape == size
            assert result.labels.min() == 0


@pytest.mark.parametrize("method", CONNECTED, ids=lambda method: method.name)
@pytest.mark.slow
def test_regions_are_in_one_piece(method: Method) -> None:
    for result in method.segment(case(astronaut()[100:260:2, 100:260:2] / 255)):
        for region in range(result.labels.max() + 1):
            assert connected(result.labels == region, np.ones((3, 3)))[1] == 1
