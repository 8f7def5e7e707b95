import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sss.data.base import InstanceDataset
from sss.data.copy_paste import (
    DONOR_TRIES,
    EDGE_SIGMA,
    MAX_AREA,
    MAX_INSTANCES,
    MIN_AREA,
    CopyPaste,
    paste,
    pick_instances,
)
from sss.data.scenes import SceneDataset
from sss.errors import InputError

SIZE = (40, 50)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    """Left 2, right 5, a stripe of unlabelled between."""
    labels = np.full(SIZE, -1, np.int32)
    labels[:, :20] = 2
    labels[:, 23:] = 5
    return labels


# --- paste ----------------------------------------------------------------------------------------


def test_blend_by_hand(labels: np.ndarray) -> None:
    photo, source = noise(0), noise(1)
    mask = box(10, 12, 30, 34)
    blended, _ = paste(photo, labels, source, [mask])
    alpha = gaussian_filter(mask.astype(float), EDGE_SIGMA, mode="mirror", truncate=4.0)
    for row in range(0, 40, 3):
        for column in range(50):
            a = alpha[row, column]
            expected = a * source[row, column] + (1 - a) * photo[row, column].astype(float)
            assert np.abs(blended[row, column] - expected).max() < 1  # rounding
    assert blended.dtype == np.uint8
    inside, outside = box(16, 18, 24, 28), ~box(4, 6, 36, 40)
    np.testing.assert_array_equal(blended[inside], source[inside])
    np.testing.assert_array_equal(blended[outside], photo[outside])


def test_labels_by_hand(labels: np.ndarray) -> None:
    masks = [box(10, 12, 30, 34), box(0, 40, 5, 50)]
    _, pasted = paste(noise(0), labels, noise(1), masks)
    expected = labels.copy()
    expected[masks[0]] = 6
    expected[masks[1]] = 7
    np.testing.assert_array_equal(pasted, expected)
    assert pasted.dtype == np.int32


def test_nothing_labelled_below() -> None:
    _, pasted = paste(noise(0), np.full(SIZE, -1, np.int32), noise(1), [box(0, 0, 5, 5)])
    np.testing.assert_array_equal(pasted, np.where(box(0, 0, 5, 5), 0, -1))


def test_nothing_shows_through_between_neighbours(labels: np.ndarray) -> None:
    photo, source = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 200, np.uint8)
    blended, _ = paste(photo, labels, source, [box(5, 5, 35, 20), box(5, 20, 35, 40)])
    assert (blended[box(12, 12, 28, 33)] == 200).all()


def test_the_border_of_the_crop_is_no_edge(labels: np.ndarray) -> None:
    photo, source = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 200, np.uint8)
    blended, _ = paste(photo, labels, source, [box(0, 0, 40, 25)])
    assert (blended[:, :10] == 200).all()


def test_input_is_left_alone(labels: np.ndarray) -> None:
    photo, source, mask = noise(0), noise(1), box(3, 3, 20, 20)
    before = [array.copy() for array in (photo, labels, source, mask)]
    paste(photo, labels, source, [mask])
    for array, old in zip((photo, labels, source, mask), before, strict=True):
        np.testing.assert_array_equal(array, old)


# --- which instances ------------------------------------------------------------------------------


def test_one_to_three_of_the_things() -> None:
    labels = (np.arange(40)[:, None] // 5 * np.ones(50, int)).astype(np.int32)  # 0 to 7
    counts, chosen = [], set()
    for seed in range(80):
        masks = pick_instances(labels, np.array([1, 2, 4, 6, 7]), np.random.default_rng(seed))
        counts.append(len(masks))
        for mask in masks:
            (value,) = np.unique(labels[mask])
            assert (mask == (labels == value)).all()
            chosen.add(int(value))
        assert np.sum(masks, axis=0).max() == 1
    assert set(counts) == set(range(1, MAX_INSTANCES + 1))
    assert chosen == {1, 2, 4, 6, 7}


def test_neither_specks_nor_what_hides_all() -> None:
    labels = np.zeros(SIZE, np.int32)
    labels[:, 24:] = 1  # more than half
    speck = int(MIN_AREA * labels.size) - 1
    labels[0, :speck] = 2
    things = np.array([1, 2, 3])
    for seed in range(10):
        assert pick_instances(labels, things, np.random.default_rng(seed)) == []
    labels[0, : speck + 1] = 2
    masks = pick_instances(labels, things, np.random.default_rng(0))
    assert [int(mask.sum()) for mask in masks] == [speck + 1]


def test_all_together_leave_half() -> None:
    labels = (np.arange(50) // 15 * np.ones((40, 1), int)).astype(np.int32)  # 30 % each of 0, 1, 2
    for seed in range(20):
        masks = pick_instances(labels, np.array([0, 1, 2]), np.random.default_rng(seed))
        assert 0 < np.sum(masks) <= MAX_AREA * labels.size


# --- the augmentation -----------------------------------------------------------------------------


class Boxes:
    """Photos of one colour with one object, or none; remembers what was opened."""

    def __init__(self, colour: int, photos: int = 5, objects: bool = True) -> None:
        self.colour, self.photos, self.objects = colour, photos, objects
        self.opened = 0

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.opened += 1
        photo = np.full((*SIZE, 3), self.colour, np.uint8)
        labels = np.where(box(10, 10, 30, 30) & self.objects, 1, -1)
        return photo, labels[None].astype(np.int32)

    def things(self, index: int) -> np.ndarray:
        return np.array([1])


def keep(photo: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return photo, labels


def test_donors_are_drawn_by_weight(labels: np.ndarray) -> None:
    scenes = SceneDataset(2, size=SIZE)
    assert not isinstance(scenes, InstanceDataset)
    sources = [scenes, Boxes(50), Boxes(100, photos=1)]
    augment = CopyPaste(sources, [5.0, 3.0, 1.0], keep)
    photo = np.zeros((*SIZE, 3), np.uint8)
    centres = [augment(photo, labels, np.random.default_rng(k))[0][20, 20, 0] for k in range(200)]
    assert set(centres) == {50, 100}
    assert np.mean(np.array(centres) == 50) == pytest.approx(0.75, abs=0.1)


def test_the_donor_is_augmented_by_itself(labels: np.ndarray) -> None:
    def moved(photo, labels, seed):
        return photo, np.roll(labels, seed % 7, axis=1)

    augment = CopyPaste([Boxes(50)], [1.0], moved)
    left = set()
    for seed in range(30):
        _, pasted = augment(noise(0), labels, np.random.default_rng(seed))
        left.add(int(np.flatnonzero((pasted == 6).any(axis=0))[0]))
    assert left == set(range(10, 17))


def test_same_generator_same_paste(labels: np.ndarray) -> None:
    augment = CopyPaste([Boxes(50), Boxes(100)], [1.0, 1.0], keep)
    first, again = (augment(noise(0), labels, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_donors_without_objects_give_nothing(labels: np.ndarray) -> None:
    donor = Boxes(50, objects=False)
    photo, pasted = CopyPaste([donor], [1.0], keep)(noise(0), labels, np.random.default_rng(0))
    assert donor.opened == DONOR_TRIES
    np.testing.assert_array_equal(photo, noise(0))
    np.testing.assert_array_equal(pasted, labels)


def test_no_donor() -> None:
    for sources in ([SceneDataset(2)], [SceneDataset(2), Boxes(0, photos=0)]):
        with pytest.raises(InputError, match=r"data\.copy_paste is above 0, but none"):
            CopyPaste(sources, [1.0] * len(sources), keep)
