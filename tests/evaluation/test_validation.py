import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.validation import mean_pair_auc


class Numbered:
    """Photo i is painted with i; its left and right half are two segments unless i is in blank."""

    def __init__(self, length: int, blank: tuple[int, ...] = ()) -> None:
        self.length = length
        self.blank = blank

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros((1, 8, 8), np.int32)
        if index not in self.blank:
            labels[:, :, 4:] = 1
        return np.full((8, 8, 3), index, np.uint8), labels


def embedding(good: set[int], seen: list[int]):
    """Perfect features for the photos in ``good``, constant ones (AUC 0.5) for the others."""

    def embed(photo: np.ndarray) -> np.ndarray:
        seen.append(int(photo[0, 0, 0]))
        halves = (np.arange(8) >= 4).astype(float)
        return np.tile(halves[None, :, None], (8, 1, 1)) * (seen[-1] in good)

    return embed


def test_photos_are_spread_evenly() -> None:
    seen: list[int] = []
    score = mean_pair_auc(embedding({0, 3}, seen), Numbered(10), photos=4)
    assert seen == [0, 3, 6, 9]
    assert score == pytest.approx(0.75)


@pytest.mark.parametrize("photos", [3, 50])
def test_all_photos_of_a_small_set(photos: int) -> None:
    seen: list[int] = []
    assert mean_pair_auc(embedding({1}, seen), Numbered(3), photos) == pytest.approx(2 / 3)
    assert seen == [0, 1, 2]


def test_photos_of_one_segment_are_left_out() -> None:
    assert mean_pair_auc(embedding({0, 2}, []), Numbered(3, blank=(1,)), 3) == 1.0


@pytest.mark.parametrize("dataset", [Numbered(2, blank=(0, 1)), Numbered(0)])
def test_nothing_to_validate_on(dataset: Numbered) -> None:
    with pytest.raises(InputError, match="two segments"):
        mean_pair_auc(embedding(set(), []), dataset, 5)
