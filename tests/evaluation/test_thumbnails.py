"""Small pictures for the gallery."""

import numpy as np
import pytest

from sss.evaluation.methods.base import Segmentation
from sss.evaluation.thumbnails import (
    palette,
    photo_picture,
    segmentation_picture,
    strip,
    truth_picture,
)
from sss.metrics.samples import Matte, Sample

PHOTO = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)


def sample(**parts: object) -> Sample:
    nothing = {
        "regions": np.zeros((0, 30, 40), np.int32),
        "instances": np.zeros((0, 30, 40), bool),
    }
    return Sample("p", PHOTO, **{**nothing, **parts})


def colour(index: int, count: int = 16) -> np.ndarray:
    return np.rint(palette(count)[index] * 255).astype(np.uint8)


def test_sixteen_colours_can_be_told_apart() -> None:
    colours = palette(16)
    np.testing.assert_array_equal(palette(5), colours[:5])
    assert colours.min() >= 0
    assert colours.max() <= 1
    distance = np.linalg.norm(colours[:, None] - colours, axis=2) + 9 * np.eye(16)
    assert distance.min() > 0.12
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 0.3


@pytest.mark.parametrize(
    ("size", "small"), [((30, 40), (30, 40)), ((480, 960), (120, 240)), ((960, 31), (240, 8))]
)
def test_sizes(size: tuple[int, int], small: tuple[int, int]) -> None:
    photo = np.full((*size, 3), 77, np.uint8)
    picture = photo_picture(photo)
    assert picture.shape == (*small, 3)
    assert (picture == 77).all()
    labels = np.zeros(size, int)
    alpha = np.ones((*size, 1), np.float32)
    for segmentation in (Segmentation(labels, None, 0), Segmentation(labels, alpha, 0)):
        assert segmentation_picture(segmentation, photo).shape == (*small, 3)


def test_soft_layers_are_blended_by_their_alphas() -> None:
    alpha = np.zeros((30, 40, 3), np.float32)
    alpha[:10, :, 0] = 1
    alpha[10:20, :, 2] = 1
    alpha[20:, :, :2] = 0.25, 0.75
    picture = segmentation_picture(Segmentation(alpha.argmax(2), alpha, 0), PHOTO)
    np.testing.assert_array_equal(picture[:10], np.broadcast_to(colour(0), (10, 40, 3)))
    np.testing.assert_array_equal(picture[10:20], np.broadcast_to(colour(2), (10, 40, 3)))
    expected = np.rint((0.25 * palette(3)[0] + 0.75 * palette(3)[1]) * 255)
    np.testing.assert_allclose(picture[25, 5], expected, atol=1)


def test_few_regions_have_colours_of_their_own() -> None:
    labels = np.repeat([0, 7, 3], 10)[:, None].repeat(40, axis=1)
    picture = segmentation_picture(Segmentation(labels, None, 0), PHOTO)
    np.testing.assert_array_equal(picture[::10, 0], [colour(0), colour(2), colour(1)])


def test_many_regions_have_the_photo_s_mean_colours_and_boundaries() -> None:
    labels = (np.arange(30)[:, None] // 6) * 4 + np.arange(40) // 10  # 20 blocks of 6 × 10
    picture = segmentation_picture(Segmentation(labels, None, 0), PHOTO)
    for row, column in ((0, 0), (6, 10), (24, 30)):
        mean = PHOTO[row : row + 6, column : column + 10].mean(axis=(0, 1))
        np.testing.assert_allclose(picture[row + 3, column + 5], mean, atol=1)
    assert (picture[6, 5] < picture[9, 5]).all()
    assert (picture[3, 10] < picture[3, 15]).all()


def test_of_the_annotators_the_one_in_the_middle_is_shown() -> None:
    regions = np.zeros((3, 30, 40), np.int32)
    regions[0] = np.arange(40) // 10
    regions[1, :, 20:] = 5
    regions[1, :5] = -1
    picture = truth_picture(sample(regions=regions))
    np.testing.assert_array_equal(picture[10, 10], colour(0))
    np.testing.assert_array_equal(picture[10, 30], colour(1))
    np.testing.assert_array_equal(picture[2, 10], [51, 51, 51])  # unlabelled


def test_instances_lie_over_the_grey_photo_small_ones_on_top() -> None:
    instances = np.zeros((2, 30, 40), bool)
    instances[0, 5:10, 5:10] = True
    instances[1, :20, :20] = True
    picture = truth_picture(sample(instances=instances)).astype(int)
    grey = picture[25:, 25:]
    assert (grey == grey[..., :1]).all()
    flat = np.linalg.norm(picture[7, 7] - colour(0)), np.linalg.norm(picture[7, 7] - colour(1))
    assert flat[0] < flat[1]
    assert np.linalg.norm(picture[15, 15] - colour(1)) < np.linalg.norm(picture[15, 15] - colour(0))


def test_mattes() -> None:
    alpha = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1))
    trimap = np.full((30, 40), 128, np.uint8)
    one = truth_picture(sample(mattes=(Matte(alpha, trimap),)))
    np.testing.assert_array_equal(one[0], np.rint(alpha[0] * 255)[:, None].repeat(3, axis=1))
    both = truth_picture(sample(mattes=(Matte(alpha, trimap), Matte(1 - alpha, trimap))))
    np.testing.assert_array_equal(both[0, 0], colour(1))
    np.testing.assert_array_equal(both[0, -1], colour(0))


def test_nothing_known_shows_the_photo() -> None:
    np.testing.assert_array_equal(truth_picture(sample()), PHOTO)


def test_a_strip_is_in_the_order_of_the_scales() -> None:
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (1, 2, 3)]
    tall = strip(pictures)
    assert tall.shape == (12, 6, 3)
    assert tall[::4, 0, 0].tolist() == [1, 2, 3]


def test_objects_and_masks_are_white_on_black() -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 8:30] = True
    expected = np.where(mask[..., None], 255, 0)
    np.testing.assert_array_equal(truth_picture(sample(mask=mask)), expected + np.zeros(3))
    found = Segmentation((~mask).astype(int), None, 0.1, mask.astype(np.float32))
    np.testing.assert_array_equal(segmentation_picture(found, PHOTO), expected + np.zeros(3))
