import numpy as np
import pytest

from sss.errors import InputError
from sss.metrics.instances import Instances

SIZE = (60, 70)


def random_masks(seed: int, count: int) -> np.ndarray:
    """(count, H, W) bool: rectangles that may overlap."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *SIZE), bool)
    for mask in masks:
        top, left = rng.integers(0, 40, size=2)
        height, width = rng.integers(3, 30, size=2)
        mask[top : top + height, left : left + width] = True
    return masks


@pytest.mark.parametrize("regions", [3, 500])
def test_best_iou_equals_nested_loops(regions: int) -> None:
    masks = random_masks(0, 6)
    labels = np.random.default_rng(1).integers(regions, size=SIZE)
    labels[10:30, 10:40] = 1
    expected = [
        max(((labels == r) & mask).sum() / ((labels == r) | mask).sum() for r in range(regions))
        for mask in masks
    ]
    np.testing.assert_allclose(Instances(masks).best_iou(labels), expected, atol=1e-12)


def test_best_soft_iou_equals_nested_loops() -> None:
    masks = random_masks(2, 6)
    alpha = np.random.default_rng(3).random((*SIZE, 5)).astype(np.float32)
    alpha[5:40, 8:50, 2] = 1
    expected = [
        max(
            np.minimum(alpha[..., k], mask).sum(dtype=float)
            / np.maximum(alpha[..., k], mask).sum(dtype=float)
            for k in range(5)
        )
        for mask in masks
    ]
    np.testing.assert_allclose(Instances(masks).best_soft_iou(alpha), expected, rtol=1e-6)


def test_hard_layers_have_the_hard_iou() -> None:
    instances = Instances(random_masks(4, 5))
    labels = np.random.default_rng(5).integers(6, size=SIZE)
    alpha = np.eye(8, dtype=np.float32)[labels]  # two of the layers are empty
    np.testing.assert_allclose(instances.best_soft_iou(alpha), instances.best_iou(labels))
    soft, hard = instances.score(labels, alpha), instances.score(labels)
    assert soft.keys() == hard.keys()
    for name, figure in soft.items():
        assert figure == pytest.approx(hard[name])


def test_figures_by_hand() -> None:
    masks = np.zeros((4, 100, 200), bool)
    masks[0, :10, :10] = True  # small
    masks[1, :32, 100:132] = True  # 32² is the first medium area
    masks[2, 50:100, :20] = True  # 1000 pixels: small
    masks[3, 60:100, 100:140] = True  # medium
    labels = np.zeros((100, 200), int)
    labels[:10, :10] = 1  # the first object exactly
    labels[:16, 100:132] = 2  # half of the second
    labels[50:90, :20] = 3  # 4/5 of the third
    labels[60:100, 100:112] = 4  # 3/10 of the fourth
    figures = Instances(masks).score(labels)
    both = {f"{name}{size}" for name in ("instance_iou", "recall_75") for size in ("", "_small")}
    assert both < set(figures)
    assert not any(name.endswith("large") for name in figures)
    assert figures["instance_iou"] == (pytest.approx(1 + 0.5 + 0.8 + 0.3), 4)
    assert figures["instance_iou_small"] == (pytest.approx(1 + 0.8), 2)
    assert figures["instance_iou_medium"] == (pytest.approx(0.5 + 0.3), 2)
    assert figures["recall_50"] == (3, 4)  # an IoU of just 0.5 counts
    assert figures["recall_75"] == (2, 4)
    assert figures["recall_50_medium"] == (1, 2)
    assert figures["recall_75_medium"] == (0, 2)
    assert figures["instance_soft_iou"] == figures["instance_iou"]


def test_large_objects_have_their_class() -> None:
    masks = np.ones((1, 96, 96), bool)
    figures = Instances(masks).score(np.zeros((96, 96), int))
    assert figures["instance_iou_large"] == figures["instance_iou"] == (1, 1)
    assert not any(name.endswith(("small", "medium")) for name in figures)


def test_soft_figures_are_those_of_the_layers() -> None:
    masks = np.zeros((1, 1, 4), bool)
    masks[0, 0, :2] = True
    alpha = np.array([[[0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.2, 0.8]]], np.float32)
    figures = Instances(masks).score(alpha.argmax(-1), alpha)
    assert figures["instance_iou"] == (1, 1)
    assert figures["instance_soft_iou"] == (pytest.approx(1.4 / 2.6), 1)


def test_an_empty_mask_is_found_nowhere() -> None:
    figures = Instances(np.zeros((1, 4, 5), bool)).score(
        np.zeros((4, 5), int), np.zeros((4, 5, 2), np.float32)
    )
    assert figures["instance_iou"] == figures["instance_soft_iou"] == (0, 1)


def test_other_sizes_are_refused() -> None:
    instances = Instances(np.ones((1, 4, 5), bool))
    with pytest.raises(InputError, match=r"\(5, 4\).*\(4, 5\)"):
        instances.best_iou(np.zeros((5, 4), int))
    with pytest.raises(InputError, match=r"\(5, 4\).*\(4, 5\)"):
        instances.best_soft_iou(np.zeros((5, 4, 2)))


def test_many_objects_among_many_regions() -> None:
    # 900 objects of four pixels, 57 600 regions of one: a dense table of them takes 400 MB.
    labels = np.arange(240 * 240, dtype=np.int32).reshape(240, 240)
    masks = np.zeros((900, 240, 240), bool)
    for number, mask in enumerate(masks):
        row, column = 8 * (number // 30), 8 * (number % 30)
        mask[row : row + 2, column : column + 2] = True
    np.testing.assert_array_equal(Instances(masks).best_iou(labels), 1 / 4)


def test_an_empty_object_is_found_nowhere() -> None:
    masks = np.zeros((2, 4, 5), bool)
    masks[0, :2] = True
    labels = np.repeat([0, 1], 10).reshape(4, 5)
    np.testing.assert_array_equal(Instances(masks).best_iou(labels), [1, 0])
    assert Instances(masks).best_soft_iou(np.eye(2)[labels]).tolist() == [1, 0]
