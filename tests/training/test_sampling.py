import pickle

import numpy as np
import pytest
import torch
from scipy import ndimage

from sss.data.training import PixelSample
from sss.errors import InputError
from sss.region_labels import REST
from sss.spectral.superpixels import compute_superpixels
from sss.training.config import SamplingConfig
from sss.training.sampling import (
    SAMPLERS,
    BoundarySampler,
    SuperpixelSampler,
    UniformSampler,
    build_sampler,
    check_sampling,
    pooled_embeddings,
)

NAMES = sorted(SAMPLERS)


def stripes(widths: dict[int, int], height: int = 10) -> np.ndarray:
    """Vertical stripes: ``widths[label]`` columns of each label."""
    return np.concatenate([np.full((height, w), label) for label, w in widths.items()], axis=1)


def photo_of(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """A noisy photo in which each label has its colour."""
    colours = np.random.default_rng(7).integers(30, 220, (64, 3))
    noise = np.random.default_rng(seed).integers(-20, 20, (*labels.shape, 3))
    return (colours[labels % 64] + noise).astype(np.uint8)


def sample(sampler: UniformSampler, labels: np.ndarray, seed: int = 0) -> PixelSample:
    return sampler(photo_of(labels), labels, np.random.default_rng(seed))


def patches(seed: int, side: int = 48, unlabelled: float = 0.2) -> np.ndarray:
    """Smooth random regions of labels 0, 4, 8, …, a part of them unlabelled."""
    rng = np.random.default_rng(seed)
    heights = ndimage.gaussian_filter(rng.normal(size=(side, side)), 5)
    labels = 4 * np.digitize(heights, np.quantile(heights, [0.25, 0.5, 0.75]))
    hidden = ndimage.gaussian_filter(rng.normal(size=(side, side)), 2)
    return np.where(hidden < np.quantile(hidden, unlabelled), -1, labels)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_what_every_sample_is(name: str, seed: int) -> None:
    labels = patches(seed)
    sampler = build_sampler(
        SamplingConfig(name, labels_per_photo=3, pixels_per_label=40, superpixels=60)
    )
    drawn = sampler(photo_of(labels), labels, np.random.default_rng(seed))
    assert drawn.pixels.dtype == drawn.groups.dtype == drawn.labels.dtype == torch.int64
    assert drawn.pixels.shape == drawn.groups.shape
    assert len(np.unique(drawn.pixels)) == len(drawn.pixels)
    assert (np.diff(drawn.groups) >= 0).all()
    np.testing.assert_array_equal(np.unique(drawn.groups), np.arange(len(drawn.labels)))
    # Each pixel has the label of its group, so none is unlabelled.
    np.testing.assert_array_equal(labels.ravel()[drawn.pixels], drawn.labels[drawn.groups])
    assert (drawn.labels >= 0).all()
    kinds, counts = np.unique(drawn.labels, return_counts=True)
    assert len(kinds) == 3
    assert counts.max() <= 40


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_equal_samples(name: str) -> None:
    labels = patches(0)
    config = SamplingConfig(name, pixels_per_label=10, superpixels=60)
    first, again, other = (
        pickle.loads(pickle.dumps(build_sampler(config)))(
            photo_of(labels), labels, np.random.default_rng(seed)
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.groups, again.groups)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.pixels.tolist() != other.pixels.tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [{3: 12}, {-1: 12}, {-1: 4, 0: 8}, {-1: 4, 0: 8, -3: 5}])
def test_photos_without_two_labels_give_nothing(name: str, widths: dict[int, int]) -> None:
    labels = stripes(widths)
    sampler = build_sampler(SamplingConfig(name, superpixels=12))
    drawn = sampler(photo_of(labels), labels, np.random.default_rng(0))
    assert len(drawn.pixels) == len(drawn.groups) == len(drawn.labels) == 0
    assert drawn.pixels.dtype == drawn.labels.dtype == torch.int64
    assert not drawn.has_pairs


@pytest.mark.parametrize("sampler", [UniformSampler(3, 50), BoundarySampler(3, 50)])
def test_counts(sampler: UniformSampler) -> None:
    drawn = sample(sampler, stripes({0: 8, 5: 9, 7: 10, 20: 11}))
    kinds, counts = np.unique(drawn.labels, return_counts=True)
    assert len(kinds) == 3
    assert counts.tolist() == [50, 50, 50]


@pytest.mark.parametrize("sampler", [UniformSampler(3, 20), BoundarySampler(3, 20, 1.0, 1)])
def test_a_small_label_gives_all_its_pixels(sampler: UniformSampler) -> None:
    drawn = sample(sampler, stripes({1: 2, 2: 30}, height=3))  # 6 and 90 pixels
    assert sorted(np.bincount(drawn.labels)[1:].tolist()) == [6, 20]


def test_labels_are_drawn_alike_whatever_their_area() -> None:
    labels, rng = stripes({0: 1, 1: 2, 2: 40, 9: 10}), np.random.default_rng(3)
    sampler, hits = UniformSampler(2, 1), np.zeros(10)
    for _ in range(2000):
        hits[sampler(labels, labels, rng).labels] += 1
    # Each of 4 labels is among the 2 drawn with probability 1/2: 1000 ± 22 times.
    assert hits[[0, 1, 2, 9]] == pytest.approx([1000] * 4, abs=110)


def test_pixels_of_a_label_are_drawn_alike() -> None:
    labels, rng = stripes({0: 2, 1: 3}, height=2), np.random.default_rng(4)  # 4 and 6 pixels
    sampler, hits = UniformSampler(2, 2), np.zeros(10)
    for _ in range(2000):
        hits[sampler(labels, labels, rng).pixels] += 1
    expected = np.where(labels.ravel() == 0, 1000.0, 2000 / 3)
    assert np.abs(hits - expected).max() < 110


@pytest.mark.parametrize("name", NAMES)
def test_views_of_other_types(name: str) -> None:
    labels = patches(5)
    sampler = build_sampler(SamplingConfig(name, pixels_per_label=9, superpixels=60))
    expected = sampler(photo_of(labels), labels, np.random.default_rng(0))
    wide = np.repeat(labels, 2, axis=1).astype(np.int16)[:, ::2]
    drawn = sampler(photo_of(labels), wide, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.pixels, expected.pixels)


def distance_to_others(labels: np.ndarray, label: int) -> np.ndarray:
    """By SciPy, where the sampler has OpenCV."""
    return ndimage.distance_transform_edt(~((labels >= 0) & (labels != label)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [1, 2, 5])
def test_boundary_pixels_lie_near_other_labels(seed: int, width: int) -> None:
    labels = patches(seed)
    drawn = sample(BoundarySampler(4, 10, 1.0, width), labels, seed)
    for label in (0, 4, 8, 12):
        near = distance_to_others(labels, label) <= width
        available = int((near & (labels == label)).sum())
        pixels = drawn.pixels[drawn.labels == label]
        assert near.ravel()[pixels].sum() == min(10, available)


def test_unlabelled_pixels_are_no_boundary() -> None:
    labels = np.full((9, 40), 2)
    labels[:, 10:20] = -1  # a wide gap: 2 meets unlabelled pixels on both of its sides
    labels[:, 38:] = 3
    drawn = sample(BoundarySampler(2, 18, 1.0, 3), labels)
    columns = drawn.pixels[drawn.labels == 2] % 40
    assert columns.min() >= 35
    labels[:, 37] = -1  # a seam between 2 and 3 is looked across
    drawn = sample(BoundarySampler(2, 18, 1.0, 3), labels)
    columns = drawn.pixels[drawn.labels == 2] % 40
    assert set(columns.tolist()) == {35, 36}


def test_boundary_share() -> None:
    labels = stripes({0: 50, 1: 50})
    rng, hits = np.random.default_rng(0), np.zeros(100)
    for _ in range(200):
        drawn = BoundarySampler(2, 40, 0.5, 4)(labels, labels, rng)
        np.add.at(hits, drawn.pixels % 100, 1)
    # Of 40 pixels of a label 20 come from the 40 near ones; 20 from the other 480.
    assert hits[46:54].sum() / 200 == pytest.approx(2 * (20 + 20 * 20 / 480), rel=0.02)
    assert hits[:46].sum() / 200 == pytest.approx(20 * 460 / 480, rel=0.02)
    far = hits[:46]
    assert np.abs(far - far.mean()).max() < 5 * np.sqrt(far.mean())


def test_superpixels_by_hand() -> None:
    labels = patches(2, unlabelled=0.3)
    photo = photo_of(labels)
    segments = compute_superpixels(photo / 255, 60).labels
    voted: dict[int, tuple[int, list[int]]] = {}
    for segment in range(segments.max() + 1):
        own = np.flatnonzero(segments.ravel() == segment)
        for label in (0, 4, 8, 12):
            members = [int(pixel) for pixel in own if labels.ravel()[pixel] == label]
            if 2 * len(members) >= len(own) and segment not in voted:
                voted[segment] = (label, members)
    left_out = segments.max() + 1 - len(voted)
    assert 0 < left_out < 40  # mixed and mostly unlabelled ones occur
    drawn = SuperpixelSampler(4, 500, 60)(photo, labels, np.random.default_rng(0))
    found = {}
    for group, label in enumerate(drawn.labels):
        members = sorted(drawn.pixels[drawn.groups == group].tolist())
        found[segments.ravel()[members[0]]] = (label, members)
    assert found == voted


def test_superpixel_features_are_averaged_by_hand() -> None:
    labels = patches(3)
    drawn = SuperpixelSampler(3, 5, 80)(photo_of(labels), labels, np.random.default_rng(0))
    embedding = torch.randn(6, 48, 48, generator=torch.Generator().manual_seed(0))
    pooled = pooled_embeddings(embedding, drawn)
    assert pooled.shape == (15, 6)
    for group in range(15):
        total, count = [0.0] * 6, 0
        for pixel, of in zip(drawn.pixels.tolist(), drawn.groups.tolist(), strict=True):
            if of == group:
                count += 1
                for channel in range(6):
                    total[channel] += float(embedding[channel, pixel // 48, pixel % 48])
        assert pooled[group].tolist() == pytest.approx([t / count for t in total], abs=1e-5)


def test_superpixels_of_a_flat_photo() -> None:
    labels = stripes({0: 16, 1: 16}, height=32)
    flat = np.full((32, 32, 3), 90, np.uint8)
    drawn = SuperpixelSampler(2, 10, 16)(flat, labels, np.random.default_rng(0))
    np.testing.assert_array_equal(labels.ravel()[drawn.pixels], drawn.labels[drawn.groups])


def pool(embedding: torch.Tensor, pixels: list[int], groups: list[int]) -> torch.Tensor:
    """The mean embedding of each group of pixels; no test looks at labels."""
    labels = torch.zeros(max(groups, default=-1) + 1).long()
    sample = PixelSample(torch.tensor(pixels).long(), torch.tensor(groups).long(), labels)
    return pooled_embeddings(embedding, sample)


def test_single_pixels_are_picked() -> None:
    embedding = torch.arange(24.0).reshape(2, 3, 4)
    assert pool(embedding, [5, 0], [0, 1]).tolist() == [[5, 17], [0, 12]]
    assert pool(embedding, [], []).shape == (0, 2)


@pytest.mark.parametrize("groups", [[0, 0, 1, 2, 2], [0, 1, 2, 3, 4]])
def test_gradient_of_pooling(groups: list[int]) -> None:
    pixels, count = [7, 2, 11, 0, 5], max(groups) + 1
    embedding = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pooled = pool(embedding, pixels, groups)
    weights = torch.arange(1.0, 3 * count + 1).reshape(count, 3)
    (pooled * weights).sum().backward()
    assert embedding.grad is not None
    expected = torch.zeros(3, 12)
    for pixel, group in zip(pixels, groups, strict=True):
        expected[:, pixel] = weights[group] / groups.count(group)
    torch.testing.assert_close(embedding.grad.flatten(1), expected)


def test_pooling_in_half_precision_adds_in_single() -> None:
    embedding = torch.full((1, 64, 64), 1.001, dtype=torch.bfloat16)
    pooled = pool(embedding, list(range(4096)), [0] * 4096)
    assert pooled.dtype == torch.float32
    assert pooled.item() == pytest.approx(1.0, abs=1e-5)  # bfloat16 stops counting at 256


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "Unifrom"}, r"unknown sampling\.name 'Unifrom'; did you mean uniform\?"),
        ({"name": "x"}, "known: uniform, boundary, superpixel"),
        ({"labels_per_photo": 1}, r"sampling\.labels_per_photo is 1, expected 2"),
        ({"pixels_per_label": 1}, r"sampling\.pixels_per_label is 1, expected 2"),
        ({"boundary_share": 1.5}, r"sampling\.boundary_share is 1\.5, expected 0 to 1"),
        ({"boundary_share": float("nan")}, r"sampling\.boundary_share is nan"),
        ({"boundary_width": 0}, r"sampling\.boundary_width is 0, expected 1"),
        ({"superpixels": 1}, r"sampling\.superpixels is 1, expected 2"),
    ],
)
def test_refused_settings(values: dict, said: str) -> None:
    for use in (build_sampler, check_sampling):
        with pytest.raises(InputError, match=said) as caught:
            use(SamplingConfig(**values))
        assert "\n" not in str(caught.value)


def test_the_settings_arrive() -> None:
    config = SamplingConfig("boundary", 4, 70, 0.25, 3, 90)
    assert build_sampler(config) == BoundarySampler(4, 70, 0.25, 3)
    config.name = "superpixel"
    assert build_sampler(config) == SuperpixelSampler(4, 70, 90)
    config.name = "uniform"
    assert build_sampler(config) == UniformSampler(4, 70)


@pytest.mark.parametrize("name", NAMES)
def test_the_rest_is_sampled_like_a_region(name: str) -> None:
    labels = stripes({REST: 8, 3: 8, -1: 4})
    sampler = build_sampler(SamplingConfig(name, superpixels=12))
    drawn = sampler(photo_of(labels), labels, np.random.default_rng(0))
    assert set(drawn.labels.tolist()) == {REST, 3}
    assert drawn.has_pairs
