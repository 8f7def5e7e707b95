from dataclasses import replace

import numpy as np
import pytest

from sss import Layers
from sss.errors import InputError
from sss.layers.arrange import all_pieces, divide, pieces, rename, reorder
from sss.layers.tree import MergeTree


@pytest.fixture
def merged(layers: Layers) -> Layers:
    """Two layers: the scene's last two merged from components on a grid of half its size."""
    components = layers.alpha[::2, ::2].copy()  # 24 × 32
    first, second = layers.alpha[..., 0], layers.alpha[..., 1:].sum(axis=2)
    tree = MergeTree(components, ((1, 2), (0, 1)), ((0,), (1, 2)))
    return replace(layers, alpha=np.stack([first, second], axis=2), names=("a", "b"), tree=tree)


def test_a_layer_becomes_what_it_was_merged_from(merged: Layers, layers: Layers) -> None:
    divided = divide(merged, 1)
    assert divided.names == ("a", "b a", "b b")
    np.testing.assert_allclose(divided.alpha.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(divided.alpha[..., 0], merged.alpha[..., 0])
    # The larger part first: the scene's third layer.
    assert abs(divided.alpha[..., 1] - layers.alpha[..., 2]).mean() < 0.02
    assert abs(divided.alpha[..., 2] - layers.alpha[..., 1]).mean() < 0.02
    assert divided.tree is not None
    assert divided.tree.groups == ((0,), (2,), (1,))
    assert len(merged) == 2  # as it was


def test_layers_merged_by_hand_come_apart_again(merged: Layers) -> None:
    whole = divide(merged, 1).merge([0, 2])  # no branch of the tree
    assert whole.tree is not None
    assert whole.tree.groups == ((0, 1), (2,))
    again = divide(whole, 0)
    assert again.tree is not None
    assert sorted(again.tree.groups) == [(0,), (1,), (2,)]


def test_what_cannot_be_divided(merged: Layers, layers: Layers) -> None:
    with pytest.raises(InputError, match="merged from 1 group, so it cannot become 2"):
        divide(merged, 0)
    with pytest.raises(InputError, match="merged from 2 groups, so it cannot become 3"):
        divide(merged, 1, 3)
    with pytest.raises(InputError, match="is in no file"):
        divide(layers, 0)
    with pytest.raises(InputError, match="there is no layer 2"):
        divide(merged, 2)
    with pytest.raises(InputError, match="parts is 1"):
        divide(merged, 1, 1)


def test_order_of_merging_decides_who_parts() -> None:
    tree = MergeTree(
        np.full((1, 1, 5), 0.2, np.float32),
        ((3, 4), (1, 2), (1, 3), (0, 1)),
        ((0, 1, 2, 3, 4),),
    )
    assert tree.divided(0, 2) == [(0,), (1, 2, 3, 4)]
    assert tree.divided(0, 3) == [(0,), (1, 2), (3, 4)]
    assert len(tree.divided(0, 9)) == 5


def test_connected_pieces(layers: Layers) -> None:
    alpha = np.zeros((48, 64, 2), np.float32)
    alpha[4:20, 4:20, 0] = 1
    alpha[30:40, 40:60, 0] = 1
    alpha[20, 4:20, 0] = 0.3  # a soft rim, which belongs to the upper one
    alpha[1, 1, 0] = 1  # a crumb, which the nearest piece takes
    alpha[..., 1] = 1 - alpha[..., 0]
    split = pieces(replace(layers, alpha=alpha, names=()), 0)
    assert split.names == ("layer 0 a", "layer 0 b", "layer 1")
    np.testing.assert_allclose(split.alpha.sum(axis=2), 1, atol=1e-6)
    assert split.alpha[10, 10].tolist() == [1, 0, 0]
    assert split.alpha[35, 50].tolist() == [0, 1, 0]
    np.testing.assert_allclose(split.alpha[20, 10], [0.3, 0, 0.7])
    assert split.alpha[1, 1, 0] == 1
    assert len(pieces(layers, 0)) == 3  # is of one piece


def test_order_and_names(layers: Layers) -> None:
    moved = reorder(layers, [2])
    assert moved.names == ("layer 2", "layer 0", "layer 1")
    np.testing.assert_array_equal(moved.alpha[..., 0], layers.alpha[..., 2])
    assert rename(layers, {1: "sky"}).names == ("layer 0", "sky", "layer 2")
    with pytest.raises(InputError, match="each layer once"):
        reorder(layers, [1, 1])
    with pytest.raises(InputError, match="is empty"):
        rename(layers, {1: " "})
    with pytest.raises(InputError, match="there is no layer 7"):
        rename(layers, {7: "sky"})


def test_soft_rims_go_to_the_piece_that_they_look_like() -> None:
    """Two blocks of one layer; between them a strip that has the colour of the further one."""
    photo = np.full((21, 42, 3), [0.2, 0.2, 0.8], np.float32)
    photo[:, 2:14] = photo[:, 14:26] = 0.9, 0.3, 0.1
    photo[:, 28:40] = 0.1, 0.8, 0.3
    photo += np.random.default_rng(0).normal(0, 0.002, photo.shape).astype(np.float32)
    alpha = np.zeros((21, 42, 2), np.float32)
    alpha[:, 2:14, 0] = alpha[:, 28:40, 0] = 1
    alpha[:, 14:26, 0] = 0.4  # of the left one by colour, though its end lies at the right one
    alpha[..., 1] = 1 - alpha[..., 0]
    divided = pieces(Layers(photo.clip(0, 1), alpha), 0)
    np.testing.assert_allclose(divided.alpha.sum(axis=2), 1, atol=1e-5)
    left = int(divided.alpha[10, 5].argmax())
    other = 1 - left
    strip = divided.alpha[4:17, 22:25]
    assert strip[..., left].mean() > 4 * strip[..., other].mean()


def test_all_layers_in_pieces(layers: Layers) -> None:
    divided = all_pieces(layers)
    assert len(divided) >= len(layers)
    np.testing.assert_allclose(divided.alpha.sum(axis=2), 1, atol=1e-5)
    areas = divided.alpha.sum(axis=(0, 1))
    assert (np.diff(areas) <= 1e-3).all()
    with pytest.raises(InputError, match="smallest is 3"):
        all_pieces(layers, 3)
