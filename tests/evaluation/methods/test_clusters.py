import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.data import astronaut
from sklearn.metrics import adjusted_rand_score

from sss.evaluation.methods.base import LAYER_COUNTS, Case
from sss.evaluation.methods.clusters import (
    FeatureKMeans,
    LabKMeans,
    MeanShift,
    absorb_small,
    contiguous,
    join_alike,
    lab_colour,
    positions,
)


def case(photo: np.ndarray, seed: int = 0) -> Case:
    """The features are colours turned and stretched into five dimensions."""
    turn = np.random.default_rng(1).normal(size=(3, 5))
    return Case(photo, (4 * photo @ turn).astype(np.float32), seed=seed)


def test_regions_get_fewer_as_the_bandwidth_grows() -> None:
    photo = astronaut()[100:260:2, 100:260:2] / 255
    counts = [int(r.labels.max()) + 1 for r in MeanShift(min_size=30).segment(Case(photo))]
    assert counts[0] > 20
    assert counts[0] > counts[5] > counts[-1]


def test_mean_shift_regions_are_not_small() -> None:
    photo = astronaut()[100:260:2, 100:260:2] / 255
    for result in MeanShift(min_size=30).segment(Case(photo)):
        assert np.bincount(result.labels.ravel()).min() >= 30


def test_as_many_clusters_as_asked_for() -> None:
    photo = astronaut()[::16, ::16] / 255
    for method in (LabKMeans(), FeatureKMeans()):
        counts = [r.labels.max() + 1 for r in method.segment(case(photo))]
        assert counts == list(LAYER_COUNTS)


def test_one_cluster_per_colour_where_there_are_fewer() -> None:
    photo = np.zeros((20, 30, 3))
    photo[:, 10:] = 1
    for method in (LabKMeans(position_weight=0, blur=0), FeatureKMeans()):
        assert [r.labels.max() + 1 for r in method.segment(case(photo))] == [2] * 11


def test_another_seed_draws_other_pixels() -> None:
    photo = astronaut()[::4, ::4] / 255
    method = LabKMeans(sample=300, scales=(9,))
    first, second = (next(method.segment(Case(photo, seed=seed))).labels for seed in (0, 1))
    assert 0.3 < adjusted_rand_score(first.ravel(), second.ravel()) < 1


def test_centres_of_a_sample_serve_all_pixels() -> None:
    truth = np.broadcast_to(np.arange(64) // 16, (48, 64))
    photo = np.eye(4)[truth][..., :3] + np.random.default_rng(0).normal(0.2, 0.01, (48, 64, 3))
    result = next(FeatureKMeans(scales=(4,), sample=200).segment(case(photo)))
    assert adjusted_rand_score(truth.ravel(), result.labels.ravel()) == 1


def test_every_pixel_is_nearest_to_the_mean_of_its_cluster() -> None:
    photo = astronaut()[::8, ::8] / 255
    one = case(photo)
    labels = next(FeatureKMeans(scales=(5,)).segment(one)).labels.ravel()
    points = one.pixel_embedding.reshape(len(labels), -1).astype(float)
    means = np.stack([points[labels == k].mean(axis=0) for k in range(5)])
    nearest = np.square(points[:, None] - means).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.995


def test_position_weight_splits_one_colour_along_the_longer_side() -> None:
    flat = np.full((20, 80, 3), 0.5)
    labels = next(LabKMeans(scales=(2,), position_weight=10).segment(Case(flat))).labels
    assert (labels == labels[0]).all()
    assert abs(int((labels[0] == labels[0, 0]).sum()) - 40) <= 2


def test_lab_equals_scikit_image() -> None:
    photo = np.random.default_rng(0).random((20, 20, 3))
    np.testing.assert_allclose(lab_colour(photo), rgb2lab(photo), atol=0.4)


def test_blur_keeps_the_mean_and_lowers_the_variance() -> None:
    photo = 0.5 + 0.05 * np.random.default_rng(0).normal(size=(60, 60, 3))
    sharp, smooth = lab_colour(photo), lab_colour(photo, 2.0)
    assert np.allclose(sharp.mean(axis=(0, 1)), smooth.mean(axis=(0, 1)), atol=0.5)
    # A Gaussian of σ pixels leaves 1/(4πσ²) of the variance of white noise.
    assert smooth[..., 0].var() / sharp[..., 0].var() == pytest.approx(1 / (16 * np.pi), rel=0.3)


def test_positions_are_measured_in_diagonals() -> None:
    where = positions((31, 41))
    assert where[30, 40] == pytest.approx([30 / np.hypot(31, 41), 40 / np.hypot(31, 41)])


def test_join_alike_by_hand() -> None:
    row = np.array([[0, 1, 2, 9, 10], [0, 5, 5, 5, 20]])[..., None]
    assert contiguous(join_alike(row, 1)).tolist() == [[0, 0, 0, 1, 1], [0, 2, 2, 2, 3]]
    assert join_alike(row, 20).max() == 0
    assert (
        join_alike(row, 0.5).max() == 6
    )  # ten pixels, less two noughts and three fives that touch


def test_small_regions_go_to_the_most_similar_neighbour() -> None:
    labels = np.array([[0, 0, 0, 1, 2, 2, 2], [0, 0, 0, 1, 2, 2, 2]])
    colour = np.array([0.0, 7.0, 10.0])[labels][..., None]
    assert (absorb_small(labels, colour, 3) == [[0, 0, 0, 1, 1, 1, 1]] * 2).all()
    assert (absorb_small(labels, colour, 2) == labels).all()
    assert absorb_small(labels, colour, 9).max() == 0
    assert absorb_small(labels, colour, 10**6).max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_nothing_small_is_left_of_a_mosaic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = join_alike(rng.integers(3, size=(40, 40, 1)), 0)
    merged = absorb_small(labels, rng.random((40, 40, 3)), 25)
    assert np.bincount(merged.ravel()).min() >= 25
    assert all(len(np.unique(merged[labels == part])) == 1 for part in range(labels.max() + 1))


def test_more_regions_than_32_bits_can_pair_join_their_neighbours() -> None:
    # Pixels by twos, alike in colour: every one is a region, numbered in 32 bits.
    labels = np.arange(220 * 240, dtype=np.int32).reshape(220, 240)
    colour = np.repeat(np.arange(120.0) ** 1.5, 2)[None, :, None] * np.ones((220, 1, 3))
    merged = absorb_small(labels, colour, 2)
    assert np.bincount(merged.ravel()).min() >= 2
    # No region has two colours: each found its own within the first round.
    for column in range(1, 240, 2):
        assert not set(merged[:, column].tolist()) & set(merged[:, column + 1 : column + 2].ravel())
