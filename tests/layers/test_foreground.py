import numpy as np
import pytest

from sss.layers.foreground import foreground_colours


def recomposed(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.einsum("hwkc,hwk->hwc", colours, alpha)


def test_shape_type_and_range(scene):
    photo, alpha = scene
    colours = foreground_colours(photo, alpha)
    assert colours.shape == (*alpha.shape, 3)
    assert colours.dtype == np.float32
    assert np.isfinite(colours).all()
    assert colours.min() >= 0
    assert colours.max() <= 1


def test_layers_composite_to_the_photo(scene):
    photo, alpha = scene
    exact = recomposed(foreground_colours(photo, alpha), alpha)
    np.testing.assert_allclose(exact, photo, atol=1e-5)


def test_without_the_correction_layers_composite_roughly(scene):
    _, alpha = scene
    photo = np.random.default_rng(0).random(alpha.shape)
    rough = recomposed(foreground_colours(photo, alpha, exact_sum=False), alpha)
    assert 0.01 < np.abs(rough - photo).max() < 0.3
    assert np.abs(rough - photo).mean() < 0.02


def test_the_correction_spares_absent_layers(scene):
    _, alpha = scene
    photo = np.random.default_rng(0).random(alpha.shape)
    rough = foreground_colours(photo, alpha, exact_sum=False)
    change = np.abs(foreground_colours(photo, alpha) - rough).max(axis=3)  # (H, W, K)
    absent = alpha == 0
    assert change[~absent].max() > 0.01
    assert (change[absent] == 0).all()


def test_layers_composite_to_a_photo_full_of_noise(scene):
    _, alpha = scene
    photo = np.random.default_rng(0).random(alpha.shape)
    error = np.abs(recomposed(foreground_colours(photo, alpha), alpha) - photo)
    assert error.max() < 1e-5


def test_colours_are_freed_of_what_lies_behind(scene):
    photo, alpha = scene
    colours = foreground_colours(photo, alpha)
    true = np.array([[0.9, 0.2, 0.1], [0.1, 0.6, 0.2], [0.2, 0.3, 0.9]])
    for k in range(3):
        soft = (alpha[..., k] > 0.2) & (alpha[..., k] < 0.9)
        assert soft.any()
        estimated = np.abs(colours[..., k, :][soft] - true[k]).mean()
        as_seen = np.abs(photo[soft] - true[k]).mean()
        assert estimated < 0.35 * as_seen


def test_an_opaque_pixel_keeps_its_colour(scene):
    photo, alpha = scene
    colours = foreground_colours(photo, alpha)
    opaque = alpha[..., 0] == 1
    np.testing.assert_allclose(colours[..., 0, :][opaque], photo[opaque], atol=1e-4)


def test_empty_and_full_layers_are_finite():
    photo = np.random.default_rng(1).random((20, 24, 3))
    alpha = np.zeros((20, 24, 2))
    alpha[..., 0] = 1
    colours = foreground_colours(photo, alpha)
    assert np.isfinite(colours).all()
    np.testing.assert_allclose(colours[..., 0, :], photo, atol=1e-4)
    single = foreground_colours(photo, alpha[..., :1])
    np.testing.assert_allclose(single[..., 0, :], photo, atol=1e-4)


def test_inputs_are_left_alone_and_may_be_strided(scene):
    photo, alpha = scene[0].copy(), scene[1].copy()
    before = photo.copy(), alpha.copy()
    plain = foreground_colours(photo, alpha)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(alpha, before[1])
    strided = foreground_colours(np.asfortranarray(photo), np.asfortranarray(alpha))
    np.testing.assert_array_equal(plain, strided)


def test_wrong_input(scene):
    photo, alpha = scene
    with pytest.raises(ValueError, match="photo has shape"):
        foreground_colours(photo[..., 0], alpha)
    with pytest.raises(ValueError, match=r"alpha has shape .* layers on the last axis"):
        foreground_colours(photo, np.moveaxis(alpha, 2, 0))
    with pytest.raises(ValueError, match="sum to one"):
        foreground_colours(photo, alpha * 0.9)


def test_single_and_double_precision_agree(scene):
    photo, alpha = scene
    double = foreground_colours(photo, alpha)
    single = foreground_colours(photo.astype(np.float32), alpha.astype(np.float32))
    np.testing.assert_array_equal(single, double)


def test_alphas_beyond_the_range_by_a_slip_count_as_in_it(scene):
    photo, alpha = scene
    sloppy = alpha.copy()
    sloppy[alpha == 0] = -3e-6
    colours = foreground_colours(photo, sloppy)
    np.testing.assert_array_equal(colours, foreground_colours(photo, alpha))
