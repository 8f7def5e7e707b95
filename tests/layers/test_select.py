import numpy as np
import pytest

from sss import Layers
from sss.errors import InputError
from sss.layers import select

# The scene is 64 × 48: layer 0 right of x ≈ 29, layer 1 below y ≈ 28 of the rest, layer 2 above.


def test_the_strongest_layer_at_points(layers: Layers) -> None:
    assert select.at(layers, [(60, 5)]) == (0,)
    assert select.at(layers, [(3, 45), (63.9, 0)]) == (0, 1)


@pytest.mark.parametrize("point", [(64, 3), (-1, 3), (3, 48), (3, -0.1)])
def test_a_point_outside(layers: Layers, point: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"outside the photo; expected x from 0 to 63"):
        select.at(layers, [point])


def test_a_stroke_means_what_holds_much_of_it(layers: Layers) -> None:
    assert select.stroke(layers, [(2, 4), (60, 4)], 2) == (0, 2)
    assert select.stroke(layers, [(2, 4), (30, 4)], 2) == (2,)  # only touches the right one
    assert select.stroke(layers, [(5, 5)], 3) == (2,)
    with pytest.raises(InputError, match="outside the photo"):
        select.stroke(layers, [(-50, -50), (-20, -60)], 3)


def test_a_box_means_what_lies_in_it(layers: Layers) -> None:
    assert select.box(layers, (0, 0, 30, 30)) == (2,)
    assert select.box(layers, (0, 0, 30, 48)) == (1, 2)
    assert select.box(layers, (50, 10, 60, 20)) == (0,)  # within a layer: the one it overlaps
    for corners in ((100, 0, 120, 20), (30, 20, 20, 30)):
        with pytest.raises(InputError, match="holds nothing"):
            select.box(layers, corners)


def test_a_mask_means_what_lies_in_it(layers: Layers) -> None:
    assert select.mask(layers, layers.alpha[..., 1]) == (1,)
    assert select.mask(layers, 1 - layers.alpha[..., 1]) == (0, 2)
    with pytest.raises(InputError, match="empty"):
        select.mask(layers, np.zeros((48, 64)))
    with pytest.raises(InputError, match="10 × 5 pixels, the photo 64 × 48"):
        select.mask(layers, np.ones((5, 10)))


def test_by_size_number_and_name(layers: Layers) -> None:
    assert select.largest(layers) == (0,)
    assert select.numbered(layers, ["2", 0, "layer 1", 0]) == (0, 1, 2)
    for wanted in ([3], ["-1"], ["sky"], []):
        with pytest.raises(InputError, match=r"there is no layer|no layers"):
            select.numbered(layers, wanted)


def test_all_others(layers: Layers) -> None:
    assert select.inverse(layers, [1]) == (0, 2)
    with pytest.raises(InputError, match="no other"):
        select.inverse(layers, [0, 1, 2])
