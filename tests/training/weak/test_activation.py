"""Class activation maps against the formula, by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sss.models.classifier import Classifier
from sss.models.encoders import Staged
from sss.training.weak.activation import activation_maps, background, with_background
from sss.training.weak.affinity_labels import affinity_labels

CPU = torch.device("cpu")


class Means(nn.Module):
    """An encoder whose last stage is the mean red, green and blue of blocks of 16×16 pixels."""

    out_channels = (3, 3)

    def forward(self, photos: Tensor) -> list[Tensor]:
        return [photos, nn.functional.avg_pool2d(photos, 16)]


@pytest.fixture
def network() -> Classifier:
    """Class 0 is red minus green, class 1 blue, class 2 green."""
    network = Classifier(Staged(Means(), [16], (0, 0, 0), (1, 1, 1)), 3).eval()
    weights = torch.tensor([[1.0, -1, 0], [0, 0, 2], [0, 1, 0]])
    network.classify.weight.data.copy_(weights)
    return network


def blocks(values: np.ndarray) -> np.ndarray:
    """A photo of 16×16 blocks of (h, w, 3) colours."""
    return values.repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)


def test_logits_are_the_means_of_the_activations(network: Classifier) -> None:
    photos = torch.rand(2, 3, 64, 32)
    features = network.backbone(photos)[-1]
    logits = network(photos)
    assert torch.allclose(network.activations(features).mean((2, 3)), logits, atol=1e-6)
    by_hand = [[float(p[0].mean() - p[1].mean()), 2 * float(p[2].mean())] for p in photos]
    assert torch.allclose(logits[:, :2], torch.tensor(by_hand), atol=1e-5)


def test_maps_are_the_formula(network: Classifier) -> None:
    colours = np.zeros((4, 4, 3))
    colours[0, 0] = (200, 0, 0)
    colours[1, 2] = (100, 0, 255)
    colours[3, 3] = (0, 255, 51)
    found = activation_maps(network, blocks(colours), [0, 1], [1.0], False, CPU)
    assert found.maps.shape == (16, 16, 2)
    assert found.size == (64, 64)
    # In the middles of the blocks nothing is interpolated; maxima lie there.
    middles = found.maps[1::4, 1::4]
    red = np.maximum(colours[..., 0] - colours[..., 1], 0)
    blue = colours[..., 2]
    for k, expected in enumerate((red / red.max(), blue / blue.max())):
        near = middles[..., k]
        assert near.argmax() == expected.argmax()
        assert near.max() == pytest.approx(1, abs=0.2)
        assert (near[expected == 0] < 0.25).all()
    assert found.maps.max(axis=(0, 1)).tolist() == [1, 1]
    assert found.maps.min() >= 0


def test_scales_and_mirror_images_add_up(network: Classifier) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (60, 75, 3), dtype=np.uint8)
    one = activation_maps(network, photo, [1], [1.0], True, CPU).maps
    mirrored = activation_maps(network, photo[:, ::-1].copy(), [1], [1.0], True, CPU).maps
    # Of 75 pixels, 19 cells of 4: cells of a mirror image lie a pixel apart.
    np.testing.assert_allclose(one, mirrored[:, ::-1], atol=0.12)
    both = activation_maps(network, photo, [1], [0.5, 1.0], True, CPU).maps
    assert both.shape == one.shape == (15, 19, 1)
    assert not np.allclose(both, one, atol=0.01)


def test_a_class_that_is_nowhere_has_an_empty_map(network: Classifier) -> None:
    found = activation_maps(
        network, blocks(np.full((2, 2, 3), (0, 90, 0))), [0, 2], [1.0], True, CPU
    )
    assert found.maps[..., 0].max() == 0
    assert found.maps[..., 1].max() == 1


@pytest.mark.parametrize("alpha", [4.0, 16.0, 24.0])
def test_background(alpha: float) -> None:
    maps = np.array([[[0.0, 0.25], [0.5, 0.1], [1.0, 0.0]]])
    expected = [[0.75**alpha, 0.5**alpha, 0.0]]
    np.testing.assert_allclose(background(maps, alpha), expected, rtol=1e-6)
    together = with_background(maps, alpha)
    np.testing.assert_allclose(together[..., 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(together[..., 1:], maps)


def test_affinity_labels_by_hand() -> None:
    # (1 − m)^4 > m up to m = 0.276; (1 − m)^24 > m up to m = 0.095.
    values = np.array([0.0, 0.05, 0.12, 0.2, 0.26, 0.3, 0.9])
    maps = np.stack([values, np.zeros(7)], axis=1)[None]
    found = affinity_labels(maps, np.array([4, 7]), 4, 24)
    assert found.tolist() == [[0, 0, -1, -1, -1, 5, 5]]
    found = affinity_labels(maps[..., ::-1], np.array([4, 7]), 4, 24)
    assert found.tolist() == [[0, 0, -1, -1, -1, 8, 8]]


def test_layers_sharpen_affinity_labels() -> None:
    maps = np.zeros((1, 8, 1))
    maps[0, :3, 0] = 0.9
    maps[0, 3, 0] = 0.15  # neutral, but in the layer of the object
    alpha = np.zeros((1, 8, 2))
    alpha[0, :4, 0] = alpha[0, 4:, 1] = 1
    assert affinity_labels(maps, np.array([0]), 4, 24).tolist() == [[1, 1, 1, -1, 0, 0, 0, 0]]
    sharpened = affinity_labels(maps, np.array([0]), 4, 24, alpha)
    assert sharpened.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
