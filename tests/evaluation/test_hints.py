from pathlib import Path

import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.hints import KINDS, hint_identity, make_hints

PHOTO = np.zeros((60, 60, 3))


def square(side: int = 20) -> np.ndarray:
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 10 : 10 + side, 10 : 10 + side] = True
    return mask


def rough(text: str, truth: np.ndarray, seed: int = 0) -> np.ndarray:
    return make_hints(text, truth, PHOTO, "photo", seed).masks


def test_a_square_of_twenty_by_hand() -> None:
    truth = square()
    np.testing.assert_array_equal(rough("truth", truth), truth)
    eroded = rough("erode:0.05", truth)  # by one pixel
    assert np.argwhere(eroded[0]).min() == 11
    assert eroded.sum() == 18 * 18
    dilated = rough("dilate:0.05", truth)  # with corners, which are 1.4 away
    assert 22 * 22 - 4 <= dilated.sum() <= 22 * 22
    assert rough("shift:0.05", truth).sum() == 400
    assert (rough("shift:0.2", truth) & truth).sum() < 400
    assert rough("blob:0.1", truth)[0, 10, 10] == 0  # corners are rounded


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_small_stays(kind: str) -> None:
    truth = square(4)
    np.testing.assert_array_equal(rough(f"{kind}:0.05", truth), truth)


def test_what_would_vanish_stays() -> None:
    np.testing.assert_array_equal(rough("erode:1", square()), square())


def test_directions_are_of_the_seed() -> None:
    masks = np.concatenate([square(30)] * 6)
    first = rough("shift:0.1", masks)
    np.testing.assert_array_equal(first, rough("shift:0.1", masks))
    assert (first != rough("shift:0.1", masks, seed=1)).any()
    assert (first != first[:1]).any()  # not all the same way


def test_masks_from_files_are_told_apart_by_content(tmp_path: Path) -> None:
    path = tmp_path / "photo.npy"
    np.save(path, square())
    np.testing.assert_array_equal(rough(str(tmp_path), square(4)), square())
    before = hint_identity(str(tmp_path))
    np.save(path, square(5))
    assert hint_identity(str(tmp_path)) != before
    assert hint_identity("erode:0.01") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [("erode:2", "expected a share from 0 to 1"), ("blob:x", "share"), ("erod", "no such file")],
)
def test_what_is_no_hint(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hint_identity(text)


def test_without_truth_none_can_be_made() -> None:
    with pytest.raises(InputError, match="the photo has none"):
        rough("erode", np.zeros((0, 60, 60), bool))
