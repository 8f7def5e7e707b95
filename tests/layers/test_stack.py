import numpy as np
import pytest

from sss import Layers
from sss.layers.stack import Stack, straight


def test_layers_add_up_to_the_photo(layers: Layers) -> None:
    stack = Stack.of(layers)
    assert (len(stack), stack.size, stack.is_opaque) == (3, (48, 64), True)
    np.testing.assert_allclose(stack.composite()[..., :3], layers.photo, atol=1e-5)
    np.testing.assert_allclose(stack.picture()[..., :3], layers.photo, atol=1e-5)
    inside = layers.alpha[..., 1] > 0
    np.testing.assert_allclose(
        straight(stack.planes[1])[inside][:, :3], layers.colors[..., 1, :][inside], atol=1e-4
    )


def test_what_is_lacking_is_transparent(layers: Layers) -> None:
    stack = Stack.of(layers)
    cut = Stack(stack.planes[:1], stack.names[:1])
    assert not cut.is_opaque
    np.testing.assert_allclose(cut.picture()[..., 3], layers.alpha[..., 0], atol=1e-6)
    assert (cut.picture()[layers.alpha[..., 0] == 0] == 0).all()


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="expected"):
        Stack(np.zeros((2, 3, 3, 3), np.float32), ("a", "b"))
    with pytest.raises(ValueError, match="1 names for 2 layers"):
        Stack(np.zeros((2, 3, 3, 4), np.float32), ("a",))
