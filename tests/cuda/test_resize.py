import numpy as np
import pytest
import torch

from sss.cuda.resize import resampling_weights, resize_linearly
from sss.image import resize

SIZES = [
    ((64, 96), (16, 24)),
    ((67, 91), (23, 31)),
    ((100, 150), (99, 148)),
    ((321, 481), (131, 196)),
    ((33, 47), (121, 173)),
    ((20, 30), (80, 120)),
    ((5, 7), (6, 7)),
    ((40, 41), (40, 20)),
    ((3, 4), (9, 50)),
    ((1071, 24), (3000, 67)),
    ((3000, 67), (139, 24)),
]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_result_is_that_of_opencv(before: tuple[int, int], after: tuple[int, int]) -> None:
    picture = (np.random.default_rng(0).random((*before, 2)) > 0.5).astype(np.float32)
    found = resize_linearly(torch.from_numpy(picture), after)
    np.testing.assert_allclose(found, resize.resize_linearly(picture, after), rtol=0, atol=1e-5)


def test_same_size_is_the_same_picture() -> None:
    picture = torch.rand((7, 9, 3))
    assert resize_linearly(picture, (7, 9)) is picture


def test_averages_of_a_third_by_hand() -> None:
    # Three pixels become two: one and a half each.
    np.testing.assert_allclose(resampling_weights(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_interpolation_to_twice_the_size_by_hand() -> None:
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(resampling_weights(2, 4), expected)
