import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sss.layers.formats.fill import edge_colours, extended_colours
from sss.layers.formats.over import bounding_box, merged, over_layers
from sss.layers.stack import Stack
from sss.threads import set_thread_count


def full_of(layers: np.ndarray) -> int:
    return int(np.iinfo(layers.dtype).max)


@pytest.mark.parametrize("bits", [8, 16])
def test_opaque_layers_on_one_another_are_the_picture(opaque, lay_over, bits):
    layers = over_layers(opaque, bits)
    full = full_of(layers)
    assert full == 2**bits - 1
    assert (layers[0, ..., 3] == full).all()
    off = np.abs(lay_over(layers / full) - opaque.composite()) * full
    assert off.max() < 0.52


@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_is_kept(cut_out, lay_over, bits):
    layers = over_layers(cut_out, bits)
    full = full_of(layers)
    off = np.abs(lay_over(layers / full) - cut_out.composite()) * full
    assert off.max() < 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans(), st.sampled_from([1, 8, 30]))
def test_any_stack(lay_over, seed, count, solid, power):
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(size=(count, 6, 7)) ** power
    alpha[rng.uniform(size=alpha.shape) < 0.3] = 0
    if solid:
        alpha[0][alpha.sum(axis=0) == 0] = 1
        alpha /= alpha.sum(axis=0)
    else:
        alpha /= np.maximum(alpha.sum(axis=0), rng.uniform(0.3, 1.8, size=alpha.shape[1:]))
    colours = rng.uniform(size=(*alpha.shape, 3))
    colours = np.where(rng.uniform(size=colours.shape) < 0.3, np.rint(colours), colours)
    planes = np.concatenate([colours * alpha[..., None], alpha[..., None]], axis=3)
    stack = Stack(planes.astype(np.float32), tuple("abcdefgh"[:count]))
    for bits in (8, 16):
        layers = over_layers(stack, bits)
        full = full_of(layers)
        off = np.abs(lay_over(layers / full) - stack.composite()) * full
        assert off.max() < (0.55 if stack.is_opaque else 1)


def test_alphas_are_those_of_the_formula():
    alphas = np.array([0.5, 0.3, 0.2], np.float32)  # of one pixel, the bottom first
    planes = np.zeros((3, 1, 1, 4), np.float32)
    planes[:, 0, 0, 3] = alphas
    planes[:, 0, 0, :3] = alphas[:, None] * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    layers = over_layers(Stack(planes, ("a", "b", "c")), 16)[:, 0, 0] / 65535
    np.testing.assert_allclose(layers[:, 3], [1, 0.3 / 0.8, 0.2], atol=1e-5)
    np.testing.assert_allclose(layers[:, :3], np.eye(3), atol=1e-4)


def test_faint_leftovers_below_a_covering_layer_are_left_out(lay_over):
    planes = np.zeros((3, 8, 8, 4), np.float32)
    planes[0, :, :4] = [0.5, 0.5, 0.5, 1]  # grey on the left
    planes[2, :, 4:] = [0.2, 0.4, 0.6, 0.997]  # covers the right
    planes[0, :, 4:] = [0, 0, 0, 0.001]  # hidden specks there: black,
    planes[1, :, 4:] = [0.002, 0, 0, 0.002]  # and red
    stack = Stack(planes, ("grey", "specks", "blue"))
    layers = over_layers(stack) / 255
    np.testing.assert_allclose(lay_over(layers), stack.composite(), atol=0.51 / 255)
    np.testing.assert_allclose(lay_over(layers[:2])[..., :3], 0.5, atol=0.03)


def test_nothing_is_black_behind_a_layer(opaque):
    red = np.zeros((2, 32, 32, 4), np.float32)
    red[0, :, :16] = [0.8, 0.1, 0.1, 1]
    red[1, :, 16:] = [0.1, 0.1, 0.8, 1]
    layers = over_layers(Stack(red, ("red", "blue")))
    assert np.ptp(layers[0].reshape(-1, 4), axis=0).max() <= 1  # red goes on behind the blue
    assert (layers[1, :, :16, 3] == 0).all()
    assert np.ptp(layers[1, ..., :3].reshape(-1, 3), axis=0).max() <= 1  # blue beyond its edge


def test_an_empty_bottom_layer_takes_colours_of_the_picture():
    planes = np.zeros((2, 8, 8, 4), np.float32)
    planes[1] = [0.6, 0.5, 0.4, 1]
    layers = over_layers(Stack(planes, ("empty", "all")))
    expected = np.broadcast_to([0.6, 0.5, 0.4, 1], (8, 8, 4))
    np.testing.assert_allclose(layers[0] / 255, expected, atol=0.01)


def test_threads_do_not_show(opaque):
    one = over_layers(opaque)
    set_thread_count(3)
    try:
        np.testing.assert_array_equal(over_layers(opaque), one)
    finally:
        set_thread_count(None)


def test_merged_picture(opaque, cut_out):
    picture = merged(opaque, 16)
    assert (picture[..., 3] == 65535).all()
    np.testing.assert_allclose(picture / 65535, opaque.picture(), atol=0.6 / 65535)
    np.testing.assert_allclose(merged(cut_out) / 255, cut_out.picture(), atol=0.51 / 255)


def test_bounding_box():
    alpha = np.zeros((5, 6), np.uint8)
    assert bounding_box(alpha) == (0, 0, 1, 1)
    alpha[1:3, 2:6] = 9
    assert bounding_box(alpha) == (1, 2, 3, 6)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (13, 21)])
def test_filling_keeps_colours_and_has_no_holes(size):
    rng = np.random.default_rng(1)
    alpha = (rng.uniform(size=size) < 0.4).astype(np.float32)
    alpha[0, 0] = 1
    colours = rng.uniform(0.3, 0.7, (*size, 3)).astype(np.float32)
    plane = np.dstack([colours * alpha[..., None], alpha])
    filled = extended_colours(plane)
    np.testing.assert_allclose(filled[alpha == 1], colours[alpha == 1], atol=1e-6)
    assert filled.min() > 0.29
    assert filled.max() < 0.71


def test_far_from_a_layer_its_mean_colour_is_all():
    plane = np.zeros((40, 40, 4), np.float32)
    plane[:4, :4] = [0.2, 0.4, 0.6, 1]
    plane[0, 0, :3] = [0.52, 0.4, 0.6]
    np.testing.assert_allclose(edge_colours(plane)[39, 39], [0.22, 0.4, 0.6], atol=1e-6)
