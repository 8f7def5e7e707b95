import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from data.scenes import Scene, generate_scene
from sss import segmenter
from sss.errors import InputError
from sss.segmenter import SoftLayers, SoftSegmenter, coarse_size, valid_alpha

COLOURS = np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])


def ideal_features(scene: Scene) -> np.ndarray:
    """What a perfect network would give: one feature per region."""
    return scene.alphas @ COLOURS[: scene.alphas.shape[-1]]


def recovered(alpha: np.ndarray, labels: np.ndarray) -> float:
    """Share of the pixels whose strongest layer is the one matched to their region."""
    overlap = np.zeros((alpha.shape[-1], labels.max() + 1))
    np.add.at(overlap, (alpha.argmax(axis=2).ravel(), labels.ravel()), 1)
    return overlap[linear_sum_assignment(-overlap)].sum() / labels.size


def assert_valid(result: SoftLayers, size: tuple[int, int]) -> None:
    alpha = result.alpha
    assert alpha.shape[:2] == size
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-6)
    assert (np.diff(result.raw.sum(axis=(0, 1))) <= 0).all()
    np.testing.assert_allclose(result.raw.sum(axis=2), 1, atol=1e-4)
    assert result.raw.dtype == np.float64


@pytest.fixture(scope="module")
def scene() -> Scene:
    return generate_scene(1, (64, 80), regions=(2, 3))


@pytest.fixture(scope="module")
def result(scene: Scene) -> SoftLayers:
    return SoftSegmenter()(scene.photo, ideal_features(scene))


def test_layers_are_valid(scene: Scene, result: SoftLayers) -> None:
    assert_valid(result, (64, 80))
    assert set(result.seconds) == {"graph", "eigenvectors", "components", "grouping", "relaxed"}
    assert result.components >= result.alpha.shape[2] >= scene.alphas.shape[2]


def test_layers_are_the_regions(scene: Scene, result: SoftLayers) -> None:
    assert recovered(result.alpha, scene.labels) > 0.98
    share = [float((scene.labels == r).mean()) for r in range(scene.alphas.shape[2])]
    largest = scene.alphas[..., int(np.argmax(share))]
    assert abs(result.alpha[..., 0] - largest).mean() < 0.02


@pytest.mark.parametrize("layers", [3, None])
def test_three_regions(layers: int | None) -> None:
    scene = generate_scene(5, (48, 60), regions=(3, 3))
    result = SoftSegmenter(layers)(scene.photo, ideal_features(scene))
    assert result.alpha.shape == (48, 60, 3)
    assert recovered(result.alpha, scene.labels) > 0.95


def test_same_seed_gives_the_same_bits(scene: Scene, result: SoftLayers) -> None:
    again = SoftSegmenter()(scene.photo, ideal_features(scene))
    np.testing.assert_array_equal(again.raw, result.raw)
    np.testing.assert_array_equal(again.alpha, result.alpha)


def test_single_precision_makes_no_difference() -> None:
    rng = np.random.default_rng(0)
    photo, features = rng.random((2, 20, 24, 3), np.float32)
    single = SoftSegmenter()(photo, features)
    double = SoftSegmenter()(photo.astype(np.float64), features.astype(np.float64))
    np.testing.assert_array_equal(double.raw, single.raw)


def test_inputs_are_left_alone(scene: Scene) -> None:
    photo = scene.photo[:20, :20].astype(np.float64)
    features = ideal_features(scene)[:20, :20].copy()
    before = photo.copy(), features.copy()
    SoftSegmenter()(photo, features)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(features, before[1])


# --- odd photos --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(3, 3), (16, 16), (16, 300), (120, 3)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    result = SoftSegmenter()(rng.random((*size, 3)), rng.random((*size, 3)))
    assert_valid(result, size)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_photo_of_one_colour_is_one_layer(level: float) -> None:
    flat = np.full((24, 30, 3), level)
    result = SoftSegmenter()(flat, flat)
    np.testing.assert_array_equal(result.alpha, np.ones((24, 30, 1), np.float32))


def test_photo_of_one_colour_with_unlike_features() -> None:
    features = np.random.default_rng(0).random((24, 30, 3))
    assert_valid(SoftSegmenter()(np.full((24, 30, 3), 0.5), features), (24, 30))


@pytest.mark.parametrize("layers", [2, 5, None])
def test_two_flat_colours_are_two_layers(layers: int | None) -> None:
    photo = np.full((30, 36, 3), 0.2)
    photo[:, 15:] = (0.9, 0.3, 0.1)
    result = SoftSegmenter(layers)(photo, photo)
    right = np.broadcast_to(np.arange(36) >= 15, (30, 36))
    assert result.alpha.shape == (30, 36, 2)
    np.testing.assert_allclose(result.alpha[..., 0], right, atol=0.01)


def test_one_layer_is_the_photo() -> None:
    rng = np.random.default_rng(0)
    result = SoftSegmenter(layers=1)(rng.random((12, 14, 3)), rng.random((12, 14, 3)))
    np.testing.assert_array_equal(result.alpha, np.ones((12, 14, 1), np.float32))


# --- what is refused ---------------------------------------------------------------------------


def test_no_layers_are_refused() -> None:
    with pytest.raises(InputError, match="0 layers were asked for"):
        SoftSegmenter(layers=0)


def test_unknown_solver_is_refused() -> None:
    with pytest.raises(InputError, match="'magic'; expected coarse or exact"):
        SoftSegmenter(solver="magic")


def test_tiny_photo_is_refused() -> None:
    with pytest.raises(InputError, match="2×40"):
        SoftSegmenter()(np.zeros((2, 40, 3)), np.zeros((2, 40, 3)))


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="features are 10×12, the photo is 10×13"):
        SoftSegmenter()(np.zeros((10, 13, 3)), np.zeros((10, 12, 3)))


# --- coarse grid -------------------------------------------------------------------------------


def test_coarse_solver_agrees_with_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenter, "COARSE_PIXELS", 1500)
    scene = generate_scene(5, (72, 96), regions=(3, 3))
    features = ideal_features(scene)
    coarse, exact = (
        SoftSegmenter(3, solver)(scene.photo, features) for solver in ("coarse", "exact")
    )
    assert "coarse_graph" in coarse.seconds
    assert "coarse_graph" not in exact.seconds
    assert_valid(coarse, (72, 96))
    assert not np.array_equal(coarse.raw, exact.raw)
    assert recovered(coarse.alpha, exact.alpha.argmax(axis=2)) > 0.97


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((160, 160), (160, 160)),
        ((100, 200), (100, 200)),
        ((320, 320), (160, 160)),
        ((480, 640), (139, 185)),
        ((4000, 6000), (131, 196)),
        ((3, 100_000), (3, 29_212)),
    ],
)
def test_coarse_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert coarse_size(size) == expected


def test_narrow_photo_is_averaged_when_it_shrinks() -> None:
    # One row in ten thousand columns: only the width can shrink.
    stripes = np.broadcast_to(np.arange(9000) % 2, (3, 9000))[..., None].astype(float)
    small = segmenter.resize_linearly(stripes, (3, 1000))
    assert small.shape == (3, 1000, 1)
    np.testing.assert_allclose(small, 0.5, atol=0.1)


# --- the rest ----------------------------------------------------------------------------------


def test_progress_names_every_stage_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenter, "COARSE_PIXELS", 150)
    rng = np.random.default_rng(0)
    reports: list[tuple[str, float]] = []
    result = SoftSegmenter()(
        rng.random((15, 18, 3)),
        rng.random((15, 18, 3)),
        progress=lambda stage, share: reports.append((stage, share)),
    )
    stages = list(dict.fromkeys(stage for stage, _ in reports))
    assert stages == [
        "graph",
        "coarse_graph",
        "eigenvectors",
        "components",
        "grouping",
        "relaxed",
    ]
    assert stages == list(result.seconds)
    for stage in stages:
        shares = [share for name, share in reports if name == stage]
        assert shares[0] == 0.0
        assert shares[-1] == 1.0
        assert shares == sorted(shares)
    assert len([name for name, _ in reports if name == "relaxed"]) > 10


def test_alpha_is_clipped_and_scaled() -> None:
    raw = np.array([[[1.05, -0.05], [0.5, 0.75], [0.0, 0.0]]])
    expected = [[[1.0, 0.0], [0.4, 0.6], [0.0, 0.0]]]
    alpha = valid_alpha(raw)
    np.testing.assert_allclose(alpha, expected, atol=1e-7)
    assert alpha.dtype == np.float32
    assert raw[0, 0, 0] == 1.05


def test_alpha_below_the_floor_is_none() -> None:
    raw = np.array([[[0.006, 0.974, 0.006, 0.014], [0.3, 0.7, -0.01, 0.01]]])
    alpha = valid_alpha(raw, floor=0.01)
    np.testing.assert_allclose(alpha[0, 0], [0, 0.964 / 0.968, 0, 0.004 / 0.968], rtol=1e-6)
    np.testing.assert_allclose(alpha[0, 1], [0.29 / 0.98, 0.69 / 0.98, 0, 0], rtol=1e-6)


def test_no_haze_inside_regions(scene: Scene, result: SoftLayers) -> None:
    inside = scene.alphas.max(axis=2) > 0.999
    strongest = result.alpha.max(axis=2)
    assert np.median(strongest[inside]) == 1
    assert np.median(result.raw.max(axis=2)[inside]) < 0.999  # what the relaxed step leaves
