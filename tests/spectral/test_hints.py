import numpy as np
import pytest

from sss.spectral.hints import fill_claimed, priority, soft_masks
from sss.spectral.propagation import propagate
from sss.spectral.stencil import matting_stencil, stencil_matrix


def scene(size: tuple[int, int] = (120, 160)) -> tuple[np.ndarray, np.ndarray]:
    """Two blocks before a ground, and the photo of them."""
    truth = np.zeros((2, *size), bool)
    truth[0, 20:100, 16:72] = truth[1, 28:92, 96:148] = True
    photo = np.full((*size, 3), [0.2, 0.4, 0.6])
    photo[truth[0]] = 0.8, 0.2, 0.1
    photo[truth[1]] = 0.1, 0.8, 0.2
    photo += np.random.default_rng(0).normal(0, 0.01, photo.shape)
    return truth, photo.clip(0, 1).astype(np.float32)


def soft(masks: np.ndarray, photo: np.ndarray, scores: list[float] | None = None) -> np.ndarray:
    components = np.ones((*photo.shape[:2], 1))  # which tell nothing
    laplacian = stencil_matrix(matting_stencil(photo))
    return soft_masks(masks, scores, photo, laplacian, components)


def test_rims_follow_the_photo() -> None:
    truth, photo = scene()
    rough = np.zeros_like(truth)
    rough[0, 21:101, 18:74] = rough[1, 30:90, 98:146] = True  # one aside, one too small
    found = soft(rough, photo)
    assert found.shape == (120, 160, 2)
    assert found.min() >= 0
    assert found.sum(axis=2).max() <= 1 + 1e-6
    for number in range(2):
        wrong = np.abs(found[..., number] - truth[number]).sum()
        assert wrong < 0.35 * np.abs(rough[number].astype(float) - truth[number]).sum()


def test_overlaps_go_to_the_higher_score_then_to_the_smaller() -> None:
    masks = np.zeros((3, 40, 40), bool)
    masks[0, 5:35, 5:35] = masks[1, 10:20, 10:20] = masks[2, 5:35, 5:36] = True
    assert priority(masks) == [1, 0, 2]
    assert priority(masks, [0.5, 0.2, 0.9]) == [2, 0, 1]
    flat = np.full((40, 40, 3), 0.5, np.float32)
    equal = soft(masks[:2], flat)
    assert equal[15, 15].tolist() == [0, 1]
    scored = soft(masks[:2], flat, [0.9, 0.1])
    assert scored[15, 15].tolist() == [1, 0]
    assert scored[..., 1].max() == 0  # it lies behind the other


def test_components_decide_where_colours_do_not() -> None:
    mask = np.zeros((64, 64), bool)
    mask[12:52, 12:52] = True
    flat = np.full((64, 64, 3), 0.5, np.float32)
    rows, columns = np.mgrid[:64, :64]
    wider = ((rows >= 12) & (rows < 52) & (columns >= 12) & (columns < 53)).astype(float)
    components = np.stack([wider, 1 - wider], axis=2)
    laplacian = stencil_matrix(matting_stencil(flat))
    found = soft_masks(mask[None], None, flat, laplacian, components)[..., 0]
    plain = soft_masks(mask[None], None, flat, laplacian, np.ones((64, 64, 1)))[..., 0]
    assert found[20:44, 52].mean() > plain[20:44, 52].mean()


def test_claimed_pixels_take_the_nearest_layers() -> None:
    layers = np.zeros((1, 6, 3))
    layers[0, :2, 0] = layers[0, 2:4, 1] = layers[0, 4:, 2] = 1
    claims = np.zeros((1, 6, 1))
    claims[0, 2:4] = 1  # all of layer 1
    expected = [[[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]]
    np.testing.assert_array_equal(fill_claimed(layers, claims), expected)
    assert fill_claimed(layers, np.ones((1, 6, 1))).tolist() == [[[1]] * 6]


def test_propagation_is_the_minimum() -> None:
    rng = np.random.default_rng(0)
    laplacian = stencil_matrix(matting_stencil(rng.random((9, 10, 3))))
    known = rng.random((90, 2))
    pixels = np.flatnonzero(rng.random(90) < 0.5)
    guess = rng.random((len(pixels), 2))
    found = propagate(laplacian, known, pixels, guess, 0.3)
    dense, free = laplacian.toarray(), np.isin(np.arange(90), pixels)
    matrix = dense[np.ix_(free, free)] + 0.3 * np.eye(len(pixels))
    rhs = 0.3 * guess - dense[np.ix_(free, ~free)] @ known[~free]
    np.testing.assert_allclose(found, np.linalg.solve(matrix, rhs), atol=5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_propagation_keeps_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    laplacian = stencil_matrix(matting_stencil(rng.random((8, 8, 3))))
    known = rng.dirichlet(np.ones(3), 64)
    pixels = np.flatnonzero(rng.random(64) < 0.4)
    guess = rng.dirichlet(np.ones(3), len(pixels))
    found = propagate(laplacian, known, pixels, guess, 0.1)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=5e-3)
