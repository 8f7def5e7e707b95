import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sss.errors import InputError
from sss.metrics.catalogue import METRICS, WeightedSum
from sss.metrics.mattes import (
    TrueMatte,
    connectivity_differences,
    gaussian_gradient,
    score_mattes,
)
from sss.metrics.samples import Matte

NAMES = {name for name, metric in METRICS.items() if metric.group == "mattes"}
SIZE = (18, 23)


def smooth_matte(seed: int, size: tuple[int, int] = SIZE, steep: float = 6.0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(size), 2)
    return np.clip(0.5 + steep * noise, 0.0, 1.0).astype(np.float32)


def trimap_of(alpha: np.ndarray) -> np.ndarray:
    return np.where(alpha == 0, 0, np.where(alpha == 1, 255, 128)).astype(np.uint8)


def matte_of(alpha: np.ndarray) -> Matte:
    return Matte(alpha, trimap_of(alpha))


def score(mattes: Sequence[Matte], alpha: np.ndarray) -> dict[str, WeightedSum]:
    """Of the layers alpha and the rest."""
    layers = np.stack([alpha, 1.0 - alpha], axis=-1).astype(np.float32)
    return score_mattes([TrueMatte(matte) for matte in mattes], layers.argmax(axis=-1), layers)


def slow_gradient(alpha: np.ndarray) -> np.ndarray:
    """Sec. 4 by loops: Gaussian derivatives of σ = 1.4, kernels of unit length, border repeated."""
    sigma, radius = 1.4, 4
    kernel = {
        (i, j): math.exp(-(i * i + j * j) / (2 * sigma**2)) * j
        for i in range(-radius, radius + 1)
        for j in range(-radius, radius + 1)
    }
    length = math.sqrt(sum(value**2 for value in kernel.values()))
    height, width = alpha.shape
    out = np.zeros(alpha.shape)
    for y in range(height):
        for x in range(width):
            across = down = 0.0
            for (i, j), value in kernel.items():
                row, column = min(max(y + i, 0), height - 1), min(max(x + j, 0), width - 1)
                across += value / length * float(alpha[row, column])
                row, column = min(max(y + j, 0), height - 1), min(max(x + i, 0), width - 1)
                down += value / length * float(alpha[row, column])
            out[y, x] = math.hypot(across, down)
    return out


def flood(mask: np.ndarray, seeds: set[tuple[int, int]]) -> set[tuple[int, int]]:
    reached, queue = set(seeds), deque(seeds)
    while queue:
        y, x = queue.popleft()
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
            if inside and mask[near] and near not in reached:
                reached.add(near)
                queue.append(near)
    return reached


def slow_connectivity(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Sec. 4 by flooding, with both mattes in 8 bits."""
    alpha, truth = (np.round(matte.astype(float) * 255) / 255 for matte in (alpha, truth))
    opaque = (alpha == 1.0) & (truth == 1.0)
    regions = [flood(opaque, {(y, x)}) for y, x in zip(*np.nonzero(opaque), strict=True)]
    source = max(regions, key=len, default=set())
    level = np.zeros(alpha.shape)
    for step in range(1, 11):
        mask = np.minimum(alpha, truth) >= step / 10 - 1e-9
        for pixel in flood(mask, source):
            level[pixel] = step / 10
    out = np.zeros(alpha.shape)
    for pixel in np.ndindex(alpha.shape):
        degrees = []
        for matte in (alpha, truth):
            d = matte[pixel] - level[pixel]
            degrees.append(1.0 - (d if d >= 0.15 else 0.0))
        out[pixel] = abs(degrees[0] - degrees[1])
    return out


def test_the_truth_has_no_errors() -> None:
    alpha = smooth_matte(0)
    sums = score([matte_of(alpha)], alpha)
    assert set(sums) == NAMES
    for name, found in sums.items():
        assert found == (1.0 if "soft_iou" in name else pytest.approx(0.0, abs=1e-9), 1)


def test_the_inverse_of_a_hard_matte_has_all_errors_but_that_of_the_gradient() -> None:
    alpha = (smooth_matte(1) > 0.5).astype(np.float32)
    trimap = np.full(SIZE, 255, np.uint8)
    trimap[3:7, 2:12] = 128
    errors = TrueMatte(Matte(alpha, trimap)).errors(1.0 - alpha)
    pixels = SIZE[0] * SIZE[1]
    for band, count in (("", pixels), ("_unknown", 40)):
        assert errors[f"matte_soft_iou{band}"] == 0.0
        assert errors[f"matte_sad{band}"] == pytest.approx(count / 1000)
        assert errors[f"matte_mse{band}"] == pytest.approx(1.0)
        # Edges are where they were; nothing is opaque in both, so nothing is connected.
        assert errors[f"matte_gradient{band}"] == pytest.approx(0.0, abs=1e-9)
        assert errors[f"matte_connectivity{band}"] == pytest.approx(count / 1000)


def test_a_small_case_by_hand() -> None:
    truth = np.array([[1.0, 0.5], [0.0, 0.0]], np.float32)
    alpha = np.array([[0.8, 0.7], [0.2, 0.0]], np.float32)
    errors = TrueMatte(Matte(truth, np.array([[255, 128], [128, 0]], np.uint8))).errors(alpha)
    assert errors["matte_soft_iou"] == pytest.approx(1.3 / 1.9)
    assert errors["matte_sad"] == pytest.approx(0.6 / 1000)
    assert errors["matte_mse"] == pytest.approx(0.12 / 4)
    assert errors["matte_soft_iou_unknown"] == pytest.approx(0.5 / 0.9)
    assert errors["matte_sad_unknown"] == pytest.approx(0.4 / 1000)
    assert errors["matte_mse_unknown"] == pytest.approx(0.08 / 2)


def test_agreement_on_nothing_is_agreement() -> None:
    empty = np.zeros((5, 6), np.float32)
    errors = TrueMatte(Matte(empty, np.full((5, 6), 128, np.uint8))).errors(empty)
    assert errors["matte_soft_iou"] == errors["matte_soft_iou_unknown"] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_the_loops(seed: int) -> None:
    alpha = smooth_matte(seed, (11, 13))
    np.testing.assert_allclose(gaussian_gradient(alpha), slow_gradient(alpha), atol=1e-6)


def test_gradients_are_scaled_derivatives() -> None:
    """Inside, SciPy's Gaussian derivatives in another unit."""
    alpha = smooth_matte(5, (40, 50), steep=3.0).astype(float)
    slopes = [gaussian_filter(alpha, 1.4, order=order) for order in ((0, 1), (1, 0))]
    unit = 1.4**2 * math.sqrt(8 * math.pi)  # one over the length of the continuous kernel
    expected = unit * np.hypot(*slopes)
    inner = (slice(8, -8), slice(8, -8))
    difference = abs(gaussian_gradient(alpha) - expected)[inner]
    assert difference.max() < 0.02 * expected[inner].max()


def test_gradient_error_sums_squared_differences() -> None:
    truth, alpha = smooth_matte(0, (11, 13)), smooth_matte(1, (11, 13))
    matte = matte_of(truth)
    squares = (slow_gradient(alpha) - slow_gradient(truth)) ** 2
    errors = TrueMatte(matte).errors(alpha)
    assert errors["matte_gradient"] == pytest.approx(squares.sum() / 1000, rel=1e-5)
    inside = squares[matte.trimap == 128].sum() / 1000
    assert errors["matte_gradient_unknown"] == pytest.approx(inside, rel=1e-5)


def test_connectivity_by_hand() -> None:
    """A gap cuts off the right end, which is then as far from the object as it is opaque."""
    truth = np.array([[1.0, 1.0, 0.6, 0.6, 0.6]], np.float32)
    alpha = np.array([[1.0, 1.0, 0.0, 0.6, 0.1]], np.float32)
    expected = [[0.0, 0.0, 0.6, 0.0, 0.6]]  # 0.1 is below θ
    np.testing.assert_allclose(connectivity_differences(alpha, truth), expected, atol=1e-6)
    # Through a bridge of 0.4 all are connected at that level: 0.2 and 0.4 above it.
    bridge = np.array([[1.0, 1.0, 0.4, 0.6, 0.8]], np.float32)
    truth = np.array([[1.0, 1.0, 0.4, 0.4, 0.4]], np.float32)
    expected = [[0.0, 0.0, 0.0, 0.2, 0.4]]
    np.testing.assert_allclose(connectivity_differences(bridge, truth), expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_connectivity_is_that_of_the_flooding(seed: int) -> None:
    truth = smooth_matte(seed, steep=9.0)
    noise = np.random.default_rng(seed).normal(0.0, 0.15, SIZE)
    alpha = np.clip(0.6 * truth + 0.5 * smooth_matte(seed + 50, steep=9.0) + noise, 0, 1)
    alpha = alpha.astype(np.float32)
    expected = slow_connectivity(alpha, truth)
    assert expected.sum() > 5.0
    np.testing.assert_allclose(connectivity_differences(alpha, truth), expected, atol=1e-6)


def test_the_larger_of_two_objects_is_the_source() -> None:
    truth = np.array([[1.0, 0.0, 1.0, 1.0, 0.0]], np.float32)
    alpha = np.array([[1.0, 0.0, 1.0, 1.0, 0.0]], np.float32)
    assert connectivity_differences(alpha, truth).sum() == 0.0
    # The small one is disconnected in both: what it loses counts in full, not down to θ.
    alpha[0, 0] = 0.95
    np.testing.assert_allclose(
        connectivity_differences(alpha, truth)[0], [1 - round(0.95 * 255) / 255, 0, 0, 0, 0]
    )
    # In the large one the loss is below θ.
    alpha[0, 0], alpha[0, 3] = 1.0, 0.95
    truth[0, 4] = alpha[0, 4] = 1.0
    alpha[0, 2:] = [1.0, 1.0, 0.95]
    assert connectivity_differences(alpha, truth).sum() == 0.0


def test_nearly_opaque_sums_of_layers_are_opaque() -> None:
    truth = np.array([[1.0, 1.0, 0.3]], np.float32)
    assert connectivity_differences(truth * 0.9999, truth).sum() == 0.0


def test_the_mattes_of_a_photo_add_up() -> None:
    mattes = [matte_of(smooth_matte(seed)) for seed in range(3)]
    mattes.append(Matte(mattes[0].alpha, np.zeros(SIZE, np.uint8)))  # has no unknown band
    alpha = smooth_matte(10)
    single = [score([matte], alpha) for matte in mattes]
    assert set(single[0]) == NAMES
    assert set(single[3]) == {name for name in NAMES if not name.endswith("_unknown")}
    for name, found in score(mattes, alpha).items():
        total = sum(one[name][0] for one in single if name in one)
        assert found == (pytest.approx(total), 3 if name.endswith("_unknown") else 4)


def test_hard_regions_are_scored_as_they_are() -> None:
    truth = smooth_matte(2)
    labels = (truth > 0.5).astype(int)
    sums = score_mattes([TrueMatte(matte_of(truth))], labels)
    assert sums["matte_sad"][0] == pytest.approx(abs(labels - truth).sum() / 1000, rel=1e-5)


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="segment the photo in its own size"):
        score([matte_of(smooth_matte(0))], smooth_matte(0, (18, 24)))
