import pytest
import torch
from torch import Tensor

from sss.learning.sampling import sample_pixels


def stripes(widths: dict[int, int], height: int = 10) -> Tensor:
    """Vertical stripes: ``widths[label]`` columns of each label."""
    columns = [torch.full((height, width), label) for label, width in widths.items()]
    return torch.cat(columns, dim=1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_counts() -> None:
    labels = stripes({0: 8, 5: 9, 7: 10, 20: 11})
    picked = sample_pixels(labels, labels_per_photo=3, pixels_per_label=50, generator=seeded(0))
    chosen, counts = labels.flatten()[picked].unique(return_counts=True)
    assert len(chosen) == 3
    assert counts.tolist() == [50, 50, 50]
    assert picked.unique().numel() == picked.numel()  # no pixel twice
    assert picked.dtype == torch.int64


def test_a_small_label_gives_all_its_pixels() -> None:
    labels = stripes({1: 2, 2: 30}, height=3)  # 6 and 90 pixels
    picked = sample_pixels(labels, pixels_per_label=20, generator=seeded(0))
    drawn = labels.flatten()[picked]
    assert int((drawn == 1).sum()) == 6
    assert int((drawn == 2).sum()) == 20


@pytest.mark.parametrize("seed", range(10))
def test_unlabelled_pixels_are_never_drawn(seed: int) -> None:
    labels = stripes({-1: 50, 0: 1, -3: 20, 4: 1})
    picked = sample_pixels(labels, 3, 500, generator=seeded(seed))
    assert sorted(labels.flatten()[picked].unique().tolist()) == [0, 4]
    assert len(picked) == 20


@pytest.mark.parametrize("widths", [{3: 9}, {-1: 9}, {-1: 4, 0: 5}])
def test_photos_without_two_labels_are_passed_over(widths: dict[int, int]) -> None:
    assert sample_pixels(stripes(widths), generator=seeded(0)).numel() == 0


def test_min_labels() -> None:
    labels = stripes({0: 4, 1: 4})
    assert sample_pixels(labels, min_labels=3, generator=seeded(0)).numel() == 0
    assert sample_pixels(labels, min_labels=2, generator=seeded(0)).numel() == 80
    one = sample_pixels(stripes({6: 4}), min_labels=1, generator=seeded(0))
    assert one.numel() == 40


def test_seeded() -> None:
    labels = stripes({0: 9, 1: 9, 2: 9, 3: 9})
    first, again, other = (sample_pixels(labels, 3, 10, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_labels_are_drawn_alike_whatever_their_area() -> None:
    labels, generator = stripes({0: 1, 1: 2, 2: 40, 9: 10}), seeded(3)
    flat, hits = labels.flatten(), torch.zeros(10)
    for _ in range(2000):
        hits[flat[sample_pixels(labels, 2, 1, generator=generator)]] += 1
    # Each of 4 labels is among the 2 drawn with probability 1/2: 1000 ± 22 times.
    assert hits[[0, 1, 2, 9]].tolist() == pytest.approx([1000] * 4, abs=110)


def test_pixels_of_a_label_are_drawn_alike() -> None:
    labels, generator = stripes({0: 2, 1: 3}, height=2), seeded(4)  # 4 and 6 pixels
    hits = torch.zeros(10)
    for _ in range(2000):
        hits[sample_pixels(labels, 2, 2, generator=generator)] += 1
    expected = torch.where(labels.flatten() == 0, 1000.0, 2000 / 3)
    assert (hits - expected).abs().max() < 110


def test_non_contiguous_labels() -> None:
    labels = stripes({0: 4, 1: 4}, height=6).T  # (8, 6)
    picked = sample_pixels(labels, 2, 5, generator=seeded(0))
    rows = picked // 6
    assert int((rows < 4).sum()) == 5  # label 0 lies in the first four rows
