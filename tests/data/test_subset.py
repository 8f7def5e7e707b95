import numpy as np

from sss.data.base import InstanceDataset
from sss.data.subset import subset


class Numbered:
    """Photo and labels say their index."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((2, 2, 3), index, np.uint8), np.full((1, 2, 2), index, np.int32)


class WithThings(Numbered):
    def things(self, index: int) -> np.ndarray:
        return np.array([index])


def test_photos_in_the_asked_order() -> None:
    chosen = subset(Numbered(), [3, 0])
    assert len(chosen) == 2
    assert [int(chosen[index][1].max()) for index in range(2)] == [3, 0]
    assert not isinstance(chosen, InstanceDataset)


def test_instances_stay() -> None:
    chosen = subset(WithThings(), [4, 1])
    assert isinstance(chosen, InstanceDataset)
    assert [int(chosen.things(index)[0]) for index in range(2)] == [4, 1]
