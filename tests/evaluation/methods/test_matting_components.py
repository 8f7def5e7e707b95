import numpy as np
import pytest
from pymatting import cf_laplacian
from skimage.data import astronaut

from sss.evaluation.methods.base import LAYER_COUNTS, Case
from sss.evaluation.methods.matting_components import (
    LEAST_AREA,
    SpectralMatting,
    matting_energies,
    merge_order,
    merged_layers,
)
from sss.spectral.spectral_matting import spectral_matting_components

METHOD = SpectralMatting(components=12, eigenvectors=20)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return astronaut()[20:180:3, 140:300:3] / 255


def random_components(count: int, seed: int = 0) -> np.ndarray:
    alpha = np.random.default_rng(seed).random((8, 9, count)) ** 4
    return alpha / alpha.sum(axis=2, keepdims=True)


@pytest.mark.slow
def test_layers_are_valid_and_labels_their_strongest(photo: np.ndarray) -> None:
    results = list(METHOD.segment(Case(photo)))
    assert len(results) == 11
    counts = [result.alpha.shape[2] for result in results]
    assert counts == [min(count, counts[-1]) for count in LAYER_COUNTS]
    assert counts[-1] > 4
    for result in results:
        assert result.alpha.dtype == np.float32
        assert result.alpha.min() >= 0
        np.testing.assert_allclose(result.alpha.sum(axis=2), 1, atol=1e-5)
        strongest = np.unique(result.alpha.argmax(axis=2), return_inverse=True)[1]
        assert (strongest.ravel() == result.labels.ravel()).all()
        area = result.alpha.sum(axis=(0, 1))
        assert (np.diff(area) <= 1e-3).all()
        assert result.seconds > 0


def test_fewer_layers_are_sums_of_more(photo: np.ndarray) -> None:
    alpha = spectral_matting_components(photo, 12, 20)
    merges = merge_order(alpha, matting_energies(alpha, photo))
    for count in range(2, alpha.shape[2]):
        few, more = merged_layers(alpha, merges, count), merged_layers(alpha, merges, count + 1)
        shared = [
            any(np.allclose(few[..., i], more[..., j]) for j in range(count + 1))
            for i in range(count)
        ]
        assert sum(shared) == count - 1


def test_the_same_twice(photo: np.ndarray) -> None:
    first, again = ([r.alpha for r in METHOD.segment(Case(photo, seed=2))] for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_two_plain_regions_are_found() -> None:
    picture = np.full((30, 40, 3), 0.1)
    picture[:, 15:] = [0.9, 0.5, 0.2]
    picture += np.random.default_rng(0).normal(scale=0.01, size=picture.shape)
    labels = next(METHOD.segment(Case(np.clip(picture, 0, 1)))).labels
    assert (labels[:, :14] == labels[0, 0]).mean() > 0.95
    assert (labels[:, 17:] != labels[0, 0]).mean() > 0.95


@pytest.mark.parametrize(
    "tiny", [np.full((16, 16, 3), 0.5), np.random.default_rng(0).random((16, 16, 3))]
)
def test_one_colour_and_tiny_photos_pass(tiny: np.ndarray) -> None:
    for result in SpectralMatting().segment(Case(tiny)):
        assert result.labels.shape == (16, 16)
        assert set(result.labels.ravel()) == set(range(result.labels.max() + 1))
        assert np.isfinite(result.alpha).all()


def test_large_photos_are_done_on_the_coarse_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def components(photo: np.ndarray, *_: int, seed: int) -> np.ndarray:
        seen.append((photo.shape, seed))
        return random_components(5)[:1].repeat(photo.shape[0], axis=0).repeat(4, axis=1)[:, :30]

    name = "sss.evaluation.methods.matting_components.spectral_matting_components"
    monkeypatch.setattr(name, components)
    small_grid = SpectralMatting(components=12, eigenvectors=20, grid_pixels=900)
    result = list(small_grid.segment(Case(astronaut()[:90, :90] / 255, seed=7)))[-1]
    assert seen == [((30, 30, 3), 7)]
    assert result.alpha.shape == (90, 90, 5)


def test_energies_use_the_matting_laplacian_of_pymatting(photo: np.ndarray) -> None:
    alpha = np.random.default_rng(0).random((*photo.shape[:2], 4))
    laplacian = cf_laplacian(photo, 1e-7, 1)
    flat = alpha.reshape(-1, 4)
    expected = [[a @ (laplacian @ b) for b in flat.T] for a in flat.T]
    np.testing.assert_allclose(matting_energies(alpha, photo), expected, rtol=1e-4)


def strongest_somewhere(alpha: np.ndarray) -> np.ndarray:
    """The components that are the strongest at some pixel."""
    return alpha[..., np.unique(alpha.argmax(axis=2))]


def test_merge_order_equals_merging_the_components_themselves(photo: np.ndarray) -> None:
    alpha = strongest_somewhere(spectral_matting_components(photo, 12, 20))
    parts = {index: alpha[..., index] for index in range(alpha.shape[2])}
    assert len(parts) > 4
    least = LEAST_AREA * alpha[..., 0].size
    area = {index: np.clip(part, 0, 1).sum() + least for index, part in parts.items()}
    for into, merged in merge_order(alpha, matting_energies(alpha, photo)):
        names = list(parts)
        energies = matting_energies(np.stack([parts[name] for name in names], axis=2), photo)
        best, pair = -np.inf, (-1, -1)
        for i, a in enumerate(names):
            for j, b in enumerate(names[:i]):
                affinity = -energies[i, j] * (1 / area[a] + 1 / area[b])
                if affinity > best:
                    best, pair = affinity, (b, a)
        assert pair == (into, merged)
        parts[into] = parts[into] + parts.pop(merged)
        area[into] += area.pop(merged)
    assert len(parts) == 1


def test_components_without_a_pixel_merge_first_and_with_what_they_are_most_like() -> None:
    alpha = np.zeros((4, 6, 5))
    alpha[:, :2, 0] = alpha[:, 2:4, 1] = alpha[:, 4:, 3] = 1
    alpha[:, 4:, 2] = 0.01
    energies = np.zeros((5, 5))
    energies[0, 1] = energies[1, 0] = -9.0
    energies[1, 3] = energies[3, 1] = -5.0
    energies[2, 3] = energies[3, 2] = -1e-3  # both far below the others
    energies[2, 4] = energies[4, 2] = -1e-6
    energies[3, 4] = energies[4, 3] = -1e-4
    merges = merge_order(alpha, energies)
    assert {merges[0], merges[1]} == {(2, 3), (2, 4)}
    assert merges[2:] == [(0, 1), (0, 2)]


def test_merged_layers_by_hand() -> None:
    alpha = random_components(4)
    merges = [(1, 3), (0, 1), (0, 2)]
    layers = merged_layers(alpha, merges, 2)
    np.testing.assert_allclose(layers[..., 0], 1 - alpha[..., 2])
    np.testing.assert_allclose(layers[..., 1], alpha[..., 2])
    np.testing.assert_allclose(merged_layers(alpha, merges, 9), alpha)
    np.testing.assert_allclose(merged_layers(alpha, merges, 1), 1)


def test_one_component_is_one_layer() -> None:
    assert merge_order(np.ones((4, 5, 1)), np.zeros((1, 1))) == []
