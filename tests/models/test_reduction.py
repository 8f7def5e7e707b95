import logging
import tracemalloc

import cv2
import numpy as np
import pytest
from sklearn.decomposition import PCA

from sss.errors import InputError
from sss.models.reduction import (
    FILTER_EPSILON,
    FILTER_WINDOW,
    guided_filter,
    principal_components,
    reduce_embedding,
    stretch,
)
from sss.threads import set_thread_count


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def two_halves(rng: np.random.Generator, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a dark and a bright half, and noisy features that differ between them."""
    photo = np.full((24, 32, 3), 0.1)
    photo[:, 16:] = 0.9
    features = np.where(photo[..., :1] > 0.5, 1.0, -1.0) * rng.normal(size=channels)
    return photo, features + 0.2 * rng.normal(size=(24, 32, channels))


# --- guided filter --------------------------------------------------------------------------------


def filtered_by_hand(guide: np.ndarray, values: np.ndarray, window: int) -> np.ndarray:
    """He et al., Eq. (14)–(17), window by window; the window of (y, x) starts window // 2 before.

    Only pixels whose windows, and the windows of all pixels in these, lie in the picture; the
    others are NaN.
    """
    height, width = values.shape
    before, after = window // 2, window - window // 2

    def inside(y: int, x: int, margin: int) -> bool:
        return (
            margin * before <= y <= height - margin * (after - 1) - 1
            and margin * before <= x <= width - margin * (after - 1) - 1
        )

    slopes = np.full((height, width, 3), np.nan)
    offsets = np.full((height, width), np.nan)
    for y in range(height):
        for x in range(width):
            if not inside(y, x, 1):
                continue
            I = guide[y - before : y + after, x - before : x + after].reshape(-1, 3)  # noqa: E741
            p = values[y - before : y + after, x - before : x + after].ravel()
            mu = I.mean(axis=0)
            sigma = sum(np.outer(i - mu, i - mu) for i in I) / len(I)
            cross = sum(i * v for i, v in zip(I, p, strict=True)) / len(I) - mu * p.mean()
            slopes[y, x] = np.linalg.solve(sigma + FILTER_EPSILON * np.eye(3), cross)
            offsets[y, x] = p.mean() - slopes[y, x] @ mu
    result = np.full((height, width), np.nan)
    for y in range(height):
        for x in range(width):
            if inside(y, x, 2):
                area = np.s_[y - before : y + after, x - before : x + after]
                slope = slopes[area].reshape(-1, 3).mean(axis=0)
                result[y, x] = slope @ guide[y, x] + offsets[area].mean()
    return result


@pytest.mark.parametrize("window", [FILTER_WINDOW, 3])
def test_guided_filter_is_that_of_the_paper(rng: np.random.Generator, window: int) -> None:
    guide = rng.random((24, 27, 3))
    values = rng.normal(size=(24, 27, 2))
    result = guided_filter(guide.astype(np.float32), values.astype(np.float32), window)
    assert result.dtype == np.float32
    for channel in range(2):
        expected = filtered_by_hand(guide, values[..., channel], window)
        known = np.isfinite(expected)
        assert known.sum() == (24 - 2 * (window - 1)) * (27 - 2 * (window - 1))
        np.testing.assert_allclose(result[known, channel], expected[known], atol=1e-4)


def filtered_by_opencv(guide: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same equations on whole pictures in double precision, borders included."""

    def mean(picture: np.ndarray) -> np.ndarray:
        window = (FILTER_WINDOW, FILTER_WINDOW)
        return cv2.boxFilter(picture, -1, window, borderType=cv2.BORDER_REFLECT)

    guide, values = guide.astype(np.float64), values.astype(np.float64)
    moments = [[mean(guide[..., i] * guide[..., j]) for i in range(3)] for j in range(3)]
    mu = mean(guide)
    sigma = np.moveaxis(np.array(moments), (0, 1), (-2, -1)) - mu[..., None] * mu[..., None, :]
    cross = mean(guide * values[..., None]) - mu * mean(values)[..., None]
    slope = np.linalg.solve(sigma + FILTER_EPSILON * np.eye(3), cross[..., None])[..., 0]
    offset = mean(values) - (slope * mu).sum(axis=-1)
    return (mean(slope) * guide).sum(axis=-1) + mean(offset)


@pytest.mark.parametrize("size", [(40, 53), (11, 9), (3, 4), (25, 1)])
def test_guided_filter_mirrors_at_borders(rng: np.random.Generator, size: tuple[int, int]) -> None:
    guide = rng.random((*size, 3), dtype=np.float32)
    values = rng.normal(size=(*size, 2)).astype(np.float32)
    result = guided_filter(guide, values)
    for channel in range(2):
        expected = filtered_by_opencv(guide, values[..., channel])
        np.testing.assert_allclose(result[..., channel], expected, atol=2e-6)


def test_constant_values_pass_unchanged(rng: np.random.Generator) -> None:
    guide = rng.random((20, 20, 3), dtype=np.float32)
    values = np.broadcast_to(np.float32([2.5, -1, 0]), (20, 20, 3))
    np.testing.assert_allclose(guided_filter(guide, values), values, atol=1e-5)


def test_noise_goes_but_edges_of_the_guide_stay(rng: np.random.Generator) -> None:
    photo, _ = two_halves(rng, 1)
    clean = np.where(photo[..., :1] > 0.5, 1.0, -1.0)
    noisy = (clean + 0.3 * rng.normal(size=clean.shape)).astype(np.float32)
    filtered = guided_filter(photo.astype(np.float32), noisy)
    assert np.abs(filtered - clean).mean() < 0.3 * np.abs(noisy - clean).mean()
    step = filtered[:, 16, 0] - filtered[:, 15, 0]
    assert step.min() > 1.5
    blurred = guided_filter(np.full_like(photo, 0.5, dtype=np.float32), noisy)  # guide of no help
    assert (blurred[:, 16, 0] - blurred[:, 15, 0]).max() < 0.6


# --- principal components -------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [3, 8, 64])
def test_principal_components_are_those_of_scikit_learn(rng: np.random.Generator, dim: int) -> None:
    points = rng.normal(size=(500, dim)) * np.geomspace(5, 0.5, dim) + 3
    mixed = points @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    ours = principal_components(mixed, 3)
    theirs = PCA(3, svd_solver="full").fit_transform(mixed)
    signs = np.sign((ours * theirs).sum(axis=0))
    assert set(np.abs(signs)) == {1.0}
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-8)


def test_sign_makes_the_strongest_entry_positive() -> None:
    direction = np.array([0.1, -0.9, 0.3])
    points = np.linspace(-1, 1, 50)[:, None] * direction
    for given in (points, points[::-1], -points):
        projected = principal_components(given, 1)[:, 0]
        assert np.corrcoef(projected, given[:, 1])[0, 1] > 0.999  # grows with the strongest entry


@pytest.mark.parametrize("dim", [1, 2])
def test_missing_directions_are_zero(rng: np.random.Generator, dim: int) -> None:
    points = rng.normal(size=(40, dim)) * [3, 1][:dim]
    projected = principal_components(points, 3)
    assert projected.shape == (40, 3)
    assert (projected[:, dim:] == 0).all()
    spread = np.sqrt(np.square(points - points.mean(axis=0)).sum())
    assert np.sqrt(np.square(projected).sum()) == pytest.approx(spread)


# --- stretch --------------------------------------------------------------------------------------


def test_each_channel_is_stretched_by_itself(rng: np.random.Generator) -> None:
    features = rng.normal(size=(9, 7, 3)) * [1, 50, 1e-3] + [0, 900, 4]
    stretched = stretch(features)
    assert (stretched.min(axis=(0, 1)) == 0).all()
    assert (stretched.max(axis=(0, 1)) == 1).all()
    for channel in range(3):
        line = np.polyfit(features[..., channel].ravel(), stretched[..., channel].ravel(), 1)
        assert line[0] > 0
        np.testing.assert_allclose(
            np.polyval(line, features[..., channel]), stretched[..., channel], atol=1e-9
        )


def test_constant_channels_are_zero_with_a_warning(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    features = rng.random((6, 5, 3))
    features[..., 1] = 0.7
    stretched = stretch(features)
    assert (stretched[..., 1] == 0).all()
    assert stretched[..., [0, 2]].max() == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "1 of 3 channels do not vary" in caplog.text
    assert "colour alone" not in caplog.text


def test_varying_channels_raise_no_warning(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    stretch(rng.random((6, 5, 3)) * 1e-3)
    assert not caplog.records


# --- all together ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [4, 64, 128])
def test_reduced_features_fill_the_unit_range(rng: np.random.Generator, dim: int) -> None:
    photo, features = two_halves(rng, dim)
    given = features.copy()
    reduced = reduce_embedding(features, photo)
    assert reduced.shape == (24, 32, 3)
    assert reduced.dtype == np.float64
    assert (reduced.min(axis=(0, 1)) == 0).all()
    assert (reduced.max(axis=(0, 1)) == 1).all()
    np.testing.assert_array_equal(features, given)
    halves = reduced[:, :16, 0].mean(), reduced[:, 16:, 0].mean()
    assert abs(halves[0] - halves[1]) > 0.7  # the main difference is the first channel


def test_layout_in_memory_and_precision_hardly_matter(rng: np.random.Generator) -> None:
    photo, features = two_halves(rng, 8)
    expected = reduce_embedding(features.astype(np.float32), photo)
    turned = np.ascontiguousarray(features.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(reduce_embedding(turned, np.asfortranarray(photo)), expected)
    half = reduce_embedding(features.astype(np.float16), photo)
    assert np.abs(half - expected).mean() < 0.01


def test_threads_do_not_show(rng: np.random.Generator) -> None:
    photo, features = (np.tile(part, (8, 8, 1)) for part in two_halves(rng, 50))
    results = []
    try:
        for threads in (1, 2, 5):
            set_thread_count(threads)
            results.append(reduce_embedding(features, photo))
    finally:
        set_thread_count(None)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.slow
def test_memory_is_at_most_twice_that_of_the_features(rng: np.random.Generator) -> None:
    photo = rng.random((400, 500, 3), dtype=np.float32)
    features = rng.normal(size=(400, 500, 96)).astype(np.float32)
    set_thread_count(1)
    reduce_embedding(features, photo)
    tracemalloc.start()
    try:
        reduce_embedding(features, photo)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        set_thread_count(None)
    assert peak < 2 * features.nbytes  # beside the features themselves


def test_one_outlier_does_not_flatten_the_rest(rng: np.random.Generator) -> None:
    photo, features = two_halves(rng, 6)
    features[3, 4] = 1e6
    at_limit = features.copy()
    at_limit[3, 4] = 5
    reduced = reduce_embedding(features, photo)
    np.testing.assert_array_equal(reduced, reduce_embedding(at_limit, photo))
    at_limit[3, 4] = 4
    assert not np.array_equal(reduced, reduce_embedding(at_limit, photo))


def test_constant_features_leave_it_to_colour(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    reduced = reduce_embedding(np.full((20, 20, 16), 1.3), rng.random((20, 20, 3)))
    np.testing.assert_array_equal(reduced, np.zeros((20, 20, 3)))
    assert "3 of 3 channels" in caplog.text
    assert "the layers follow colour alone" in caplog.text


def test_features_of_one_direction_fill_one_channel(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    photo, _ = two_halves(rng, 1)
    features = photo[..., :1] * np.ones(5)
    reduced = reduce_embedding(features, photo)
    assert (reduced[..., 1:] == 0).all()
    assert reduced[..., 0].max() == 1
    assert "2 of 3 channels" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(rng: np.random.Generator, bad: float) -> None:
    photo, features = two_halves(rng, 5)
    features[2, 3, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite values; compute it again"):
        reduce_embedding(features, photo)


@pytest.mark.parametrize("shape", [(24, 31, 5), (32, 24, 5), (24, 32)])
def test_another_size_is_refused(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    photo, _ = two_halves(rng, 1)
    shown = "×".join(map(str, shape))
    with pytest.raises(InputError, match=f"the embedding is {shown}, expected 24×32×D"):
        reduce_embedding(rng.random(shape), photo)
