import numpy as np
import pymatting
import pytest
from scipy.sparse import coo_array

import sss.layers.multilevel as multilevel
from sss.layers.multilevel import make_sum_exact, multilevel_colours
from sss.threads import set_thread_count


def random_layers(height: int, width: int, count: int, seed: int = 0):
    """A photo in calm colours, so that no colour needs clipping, and rough alphas."""
    rng = np.random.default_rng(seed)
    image = 0.4 + 0.2 * rng.random((height, width, 3))
    alpha = rng.dirichlet([1.0] * count, size=(height, width))
    return image.astype(np.float32), alpha.astype(np.float32)


def neighbours(height: int, width: int, y: int, x: int) -> list[tuple[int, int]]:
    """Up, down, left, right; beyond the border stands the pixel itself, as in pymatting."""
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return [(min(max(r, 0), height - 1), min(max(c, 0), width - 1)) for r, c in around]


def test_an_update_solves_the_normal_equations_of_each_pixel():
    image, alpha = random_layers(7, 6, 4)
    colours = np.random.default_rng(1).random((7, 6, 4, 3)).astype(np.float32)
    expected = colours.astype(np.float64)
    for y in [0, 2, 4, 6, 1, 3, 5]:
        for x in range(6):
            a = alpha[y, x].astype(np.float64)
            system, right = np.outer(a, a), np.outer(a, image[y, x])
            for r, c in neighbours(7, 6, y, x):
                weights = 1e-5 + np.abs(a - alpha[r, c])
                system += np.diag(weights)
                right += weights[:, None] * expected[r, c]
            expected[y, x] = np.linalg.solve(system, right).clip(0, 1)
    for odd in (0, 1):
        multilevel._update_rows(image, alpha, colours, odd, 7, multilevel.SMOOTHNESS, True)
    np.testing.assert_allclose(colours, expected, atol=2e-5)


def test_many_updates_lead_to_the_minimum_of_the_energy():
    height, width, count = 6, 5, 3
    image, alpha = random_layers(height, width, count)
    colours = multilevel_colours(image, alpha, small_sweeps=3000)

    # The gradient of the energy is zero: (AᵀA + L) c = AᵀI, unknowns ordered pixel · K + layer.
    pixels = height * width
    unknown = np.arange(pixels * count)
    blend = coo_array((alpha.ravel(), (unknown // count, unknown)))
    smooth = np.zeros((pixels * count, pixels * count))
    for y in range(height):
        for x in range(width):
            for r, c in neighbours(height, width, y, x):
                for k in range(count):
                    p, q = ((i * width + j) * count + k for i, j in ((y, x), (r, c)))
                    weight = 1e-5 + abs(float(alpha[y, x, k]) - float(alpha[r, c, k]))
                    smooth[p, p] += weight
                    smooth[p, q] -= weight
    system = (blend.T @ blend).toarray() + smooth
    expected = np.linalg.solve(system, blend.T @ image.reshape(pixels, 3))
    assert 0 < expected.min() < expected.max() < 1  # so clipping plays no part
    np.testing.assert_allclose(colours.reshape(-1, 3), expected, atol=2e-4)


def test_two_layers_are_what_pymatting_estimates(scene):
    photo = scene[0].astype(np.float32)
    matte = scene[1][..., 0].astype(np.float32)
    front, back = pymatting.estimate_foreground_ml(photo, matte, return_background=True)
    colours = multilevel_colours(photo, np.dstack([matte, 1 - matte]), large_sweeps=2)
    for k, (estimate, weight) in enumerate([(front, matte), (back, 1 - matte)]):
        difference = np.abs(colours[:, :, k] - estimate)[weight > 0.05]
        assert difference.mean() < 0.01
        assert difference.max() < 0.1


def blend_of_known_colours() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo (H, W, 3) made of four textured layers, their colours (K, H, W, 3) and alphas."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:120, :160] / 160
    score = np.stack([3 * np.sin(9 * (x * np.cos(t) + y * np.sin(t)) + t) for t in range(4)])
    alpha = np.exp(4 * score)
    alpha /= alpha.sum(axis=0)
    alpha[alpha < 0.01] = 0
    alpha /= alpha.sum(axis=0)
    base, waves = rng.random((4, 1, 1, 3)), rng.random((4, 3))
    texture = [0.2 * np.sin(40 * (w[0] * x + w[1] * y))[..., None] * w for w in waves]
    colours = (base + np.stack(texture)).clip(0, 1)
    photo = np.einsum("khw,khwc->hwc", alpha, colours)
    return photo.astype(np.float32), colours, np.moveaxis(alpha, 0, 2).astype(np.float32)


def test_estimating_all_layers_together_beats_one_against_the_rest():
    photo, true, alpha = blend_of_known_colours()
    together = np.moveaxis(multilevel_colours(photo, alpha), 2, 0)
    alone = [pymatting.estimate_foreground_ml(photo, alpha[..., k].copy()) for k in range(4)]
    mattes = np.moveaxis(alpha, 2, 0)
    soft = (mattes > 0.02) & (mattes < 0.98)
    error, previous = (np.abs(c - true).mean(axis=3)[soft].mean() for c in (together, alone))
    as_seen = np.abs(photo - true).mean(axis=3)[soft].mean()
    assert error < 0.95 * previous
    assert error < 0.5 * as_seen


def test_an_absent_layer_continues_its_surroundings(scene):
    photo, alpha = scene[0].astype(np.float32), scene[1].astype(np.float32)
    colours = multilevel_colours(photo, alpha)
    absent = alpha[..., 0] == 0
    near = absent & (np.arange(64) > 20)  # the layer begins right of column 25
    assert near.any()
    assert np.abs(colours[:, :, 0][near] - [0.9, 0.2, 0.1]).max() < 0.1


@pytest.mark.parametrize("fill", [True, False])
def test_absent_layers_are_left_alone_on_large_levels_only(fill):
    image, alpha = random_layers(8, 8, 2)
    alpha[:, :4] = [1, 0]
    before = np.random.default_rng(2).random((8, 8, 2, 3)).astype(np.float32)
    colours = before.copy()
    for odd in (0, 1):
        multilevel._update_rows(image, alpha, colours, odd, 8, multilevel.SMOOTHNESS, fill)
    changed = (colours != before).any(axis=3)
    assert changed[..., 0].all()
    assert changed[:, 3:, 1].all()  # also beside the layer
    assert changed[:, :3, 1].all() == fill
    assert changed[:, :3, 1].any() == fill


def test_threads_do_not_show():
    photo, _, alpha = blend_of_known_colours()
    photo, alpha = (np.tile(part, (3, 3, 1)) for part in (photo, alpha))  # several blocks of rows

    def colours() -> np.ndarray:
        found = multilevel_colours(photo, alpha)
        make_sum_exact(photo, alpha, found)
        return found

    whole = colours()
    try:
        for count in (1, 3):
            set_thread_count(count)
            np.testing.assert_array_equal(colours(), whole)
    finally:
        set_thread_count(None)


def test_any_colours_can_be_made_to_add_up():
    _, alpha = random_layers(30, 40, 3)
    rng = np.random.default_rng(4)
    image = (1.2 * rng.random((30, 40, 3)) - 0.1).clip(0, 1).astype(np.float32)
    before = rng.random((30, 40, 3, 3)).astype(np.float32)
    colours = before.copy()
    make_sum_exact(image, alpha, colours)
    assert 0 <= colours.min() < colours.max() <= 1
    np.testing.assert_allclose(np.einsum("hwk,hwkc->hwc", alpha, colours), image, atol=1e-6)

    # Where no colour met a limit, the change is the least-squares one.
    missing = image - np.einsum("hwk,hwkc->hwc", alpha, before)
    least = (
        before + (alpha / (alpha**2).sum(axis=2, keepdims=True))[..., None] * missing[:, :, None]
    )
    free = ((least > 0) & (least < 1)).all(axis=2)  # (H, W, 3)
    assert 0.1 < free.mean() < 0.9
    moved = np.moveaxis(colours - least, 3, 2)[free]
    np.testing.assert_allclose(moved, 0, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (33, 32)])
def test_every_size_is_possible(size):
    image, alpha = random_layers(*size, 3)
    colours = multilevel_colours(image, alpha)
    make_sum_exact(image, alpha, colours)
    assert colours.shape == (*size, 3, 3)
    total = np.einsum("hwk,hwkc->hwc", alpha, colours)
    np.testing.assert_allclose(total, image, atol=1e-5)
