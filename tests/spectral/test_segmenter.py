from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from sss.cuda.backend import NumpyBackend
from sss.data.scenes import Scene, generate_scene
from sss.errors import InputError
from sss.spectral.grids import resize_linearly
from sss.spectral.grouping import group_as, group_components
from sss.spectral.refinement import valid_alpha
from sss.spectral.segmenter import SoftLayers, SoftSegmenter
from sss.spectral.superpixels import SuperpixelGraph, compute_superpixels
from sss.threads import set_thread_count

STAGES = ["graph", "eigenvectors", "components", "grouping", "relaxed"]
COLOURS = np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])


def ideal_features(scene: Scene, seed: int | None = None) -> np.ndarray:
    """What a perfect network would give: one feature per region, random if there are many."""
    count = scene.alphas.shape[-1]
    colours = COLOURS if seed is None else np.random.default_rng(seed).random((count, 3))
    return scene.alphas @ colours[:count]


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
    assert (np.diff(alpha.sum(axis=(0, 1), dtype=np.float64)) <= 0).all()
    assert result.raw.shape == alpha.shape
    assert np.isfinite(result.raw).all()
    np.testing.assert_allclose(result.raw.sum(axis=2), 1, atol=1e-4)
    assert result.raw.dtype == np.float32


@pytest.fixture(scope="module")
def scene() -> Scene:
    return generate_scene(1, (40, 48), regions=(2, 3))


@pytest.fixture(scope="module")
def result(scene: Scene) -> SoftLayers:
    return SoftSegmenter()(scene.photo, ideal_features(scene))


def test_layers_are_valid(scene: Scene, result: SoftLayers) -> None:
    assert_valid(result, (40, 48))
    assert list(result.seconds) == STAGES
    assert result.components >= result.alpha.shape[2] >= scene.alphas.shape[2]


def test_layers_are_the_regions(scene: Scene, result: SoftLayers) -> None:
    assert recovered(result.alpha, scene.labels) > 0.98
    share = [float((scene.labels == r).mean()) for r in range(scene.alphas.shape[2])]
    largest = scene.alphas[..., int(np.argmax(share))]
    assert abs(result.alpha[..., 0] - largest).mean() < 0.02


@pytest.mark.parametrize(("layers", "solver"), [(3, "coarse"), (3, "exact"), (None, "coarse")])
def test_three_regions(layers: int | None, solver: str) -> None:
    scene = generate_scene(5, (40, 50), regions=(3, 3))
    result = SoftSegmenter(layers, solver)(scene.photo, ideal_features(scene))
    assert_valid(result, (40, 50))
    assert result.alpha.shape == (40, 50, 3)
    assert recovered(result.alpha, scene.labels) > 0.95


def test_links_of_the_coarse_grid_grow_with_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    class HaltError(Exception):
        pass

    class Watched(NumpyBackend):
        def smallest_eigenvectors(self, laplacian: csr_array, *_: object, **__: object) -> None:
            seen.append(laplacian)
            raise HaltError

    def far_part(solver: str, power: float) -> np.ndarray:
        """What the matting Laplacian has no part in."""
        monkeypatch.setattr("sss.spectral.segmenter.COARSENING", power)
        with pytest.raises(HaltError):
            SoftSegmenter(solver=solver, backend=Watched())(photo, photo)
        matrix = seen[-1].toarray()
        row, column = np.indices(matrix.shape)
        width = 24 if solver == "coarse" else 48
        return matrix[abs(row - column) > 2 * (width + 1)]

    seen: list[csr_array] = []
    photo = 0.5 + 0.02 * np.random.default_rng(0).random((36, 48, 3))  # like colours are linked
    monkeypatch.setattr("sss.spectral.grids.COARSE_PIXELS", 432)
    plain, grown = far_part("coarse", 0.0), far_part("coarse", 0.5)
    assert (plain != 0).sum() > 100
    np.testing.assert_allclose(grown, np.sqrt(2) * plain)  # the grid's sides are halves
    np.testing.assert_array_equal(far_part("exact", 0.0), far_part("exact", 0.5))


def test_same_seed_gives_the_same_bits(scene: Scene, result: SoftLayers) -> None:
    again = SoftSegmenter()(scene.photo, ideal_features(scene))
    np.testing.assert_array_equal(again.raw, result.raw)
    np.testing.assert_array_equal(again.alpha, result.alpha)


@pytest.mark.parametrize("solver", ["coarse", "exact"])
def test_threads_do_not_show(solver: str) -> None:
    scene = generate_scene(2, (34, 40))
    found = []
    try:
        for count in (1, 2):
            set_thread_count(count)
            found.append(SoftSegmenter(4, solver)(scene.photo, ideal_features(scene, 5)).raw)
    finally:
        set_thread_count(None)
    np.testing.assert_array_equal(found[0], found[1])


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


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.parametrize("size", [(3, 3), (16, 16), (3, 450), (450, 3), (31, 43)])
def test_odd_sizes(size: tuple[int, int], solver: str) -> None:
    rng = np.random.default_rng(0)
    result = SoftSegmenter(solver=solver)(rng.random((*size, 3)), rng.random((*size, 3)))
    assert_valid(result, size)


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.parametrize("term", ["semantic_weight", "colour_weight"])
def test_either_term_may_be_left_out_of_noise(term: str, solver: str) -> None:
    # Superpixels of a pixel each: their couplings lie within the matting Laplacian's reach.
    rng = np.random.default_rng(0)
    changed: dict[str, Any] = {term: 0.0}
    segmenter = SoftSegmenter(solver=solver, **changed)
    assert_valid(segmenter(rng.random((36, 40, 3)), rng.random((36, 40, 3))), (36, 40))


@pytest.mark.parametrize("solver", ["coarse", "exact"])
def test_flat_colours_without_superpixels(solver: str) -> None:
    photo = np.full((40, 40, 3), 0.2)
    photo[:, 20:] = (0.9, 0.3, 0.1)
    result = SoftSegmenter(2, solver, semantic_weight=0, colour_weight=0)(photo, photo)
    assert_valid(result, (40, 40))
    assert (result.alpha[:, :20].argmax(axis=2) != result.alpha[0, 39].argmax()).all()
    assert (result.alpha[:, 20:].argmax(axis=2) == result.alpha[0, 39].argmax()).all()


@pytest.mark.parametrize("solver", ["coarse", "exact"])
def test_dots_of_another_colour(solver: str) -> None:
    dots = np.random.default_rng(0).random((40, 50)) < 0.01
    photo = np.where(dots[..., None], (1.0, 0.0, 0.0), 0.5)
    result = SoftSegmenter(solver=solver)(photo, photo)
    assert_valid(result, (40, 50))
    assert dots.sum() > 10
    assert (result.alpha.argmax(axis=2) == dots).mean() > 0.998


@pytest.mark.parametrize("width", [1, 2])
def test_thin_line_is_a_layer(width: int) -> None:
    photo = np.full((30, 50, 3), 0.5)
    photo[:, 24 : 24 + width] = (1, 0, 0)
    result = SoftSegmenter()(photo, photo)
    assert_valid(result, (30, 50))
    expected = (np.arange(50) >= 24) & (np.arange(50) < 24 + width)
    owner = result.alpha.argmax(axis=2)
    np.testing.assert_array_equal(owner, np.broadcast_to(expected, owner.shape))


@pytest.mark.parametrize("solver", ["coarse", "exact"])
def test_ramp_of_greys(solver: str) -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 45)[:, None], (30, 45, 3))
    assert_valid(SoftSegmenter(3, solver)(ramp, ramp), (30, 45))


def test_more_layers_than_components() -> None:
    scene = generate_scene(2, (34, 40))
    result = SoftSegmenter(1000)(scene.photo, ideal_features(scene, 5))
    assert_valid(result, (34, 40))
    assert result.alpha.shape[2] == result.components


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


@pytest.mark.parametrize(
    "size", [(60, 79), (59, 80), (61, 81), (120, 160), (80, 60), (30, 42), (28, 40), (60, 40)]
)
def test_features_of_another_shape_are_refused(size: tuple[int, int]) -> None:
    photo = np.zeros((60, 80, 3))
    message = f"features are {size[0]}×{size[1]}, the photo is 60×80"
    with pytest.raises(InputError, match=message):
        SoftSegmenter()(photo, np.zeros((*size, 3)))
    with pytest.raises(InputError, match=message):
        SoftSegmenter()(photo, photo, np.zeros((*size, 9)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    photo = np.random.default_rng(0).random((20, 24, 3))
    features = photo.copy()
    features[3, 4, 1] = bad
    for arguments in ((features, None), (photo, features)):
        with pytest.raises(InputError, match="features hold NaN or infinite values"):
            SoftSegmenter()(photo, *arguments)


# --- coarse grid -------------------------------------------------------------------------------


@pytest.fixture
def coarse_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid of 588 pixels: (21, 28) for the photo below; superpixels are found on it, too."""
    monkeypatch.setattr("sss.spectral.grids.COARSE_PIXELS", 588)
    monkeypatch.setattr("sss.spectral.grids.GRAPH_PIXELS", 588)


@pytest.fixture(scope="module")
def large() -> Scene:
    return generate_scene(5, (42, 56), regions=(3, 3))


@pytest.mark.usefixtures("coarse_grid")
def test_coarse_solver_agrees_with_the_exact_one(large: Scene) -> None:
    features = ideal_features(large)
    coarse = SoftSegmenter(3)(large.photo, features)
    assert_valid(coarse, (42, 56))
    assert list(coarse.seconds) == STAGES
    for guided, stages in ((False, STAGES), (True, ["guide", *STAGES])):
        exact = SoftSegmenter(3, "exact", guided=guided)(large.photo, features)
        assert_valid(exact, (42, 56))
        assert list(exact.seconds) == stages
        assert not np.array_equal(coarse.raw, exact.raw)
        assert recovered(coarse.alpha, exact.alpha.argmax(axis=2)) > 0.97


@pytest.mark.usefixtures("coarse_grid")
def test_exact_solver_groups_as_the_coarse_one_does(large: Scene) -> None:
    features = ideal_features(large)
    exact, coarse = SoftSegmenter(3, "exact"), SoftSegmenter(3)
    parts = exact.decompose(large.photo, features)
    layers = coarse.group(coarse.decompose(large.photo, features))
    expected = group_as(parts.components.reshape(42 * 56, -1), resize_linearly(layers, (42, 56)))
    np.testing.assert_array_equal(exact.group(parts), expected)


@pytest.mark.usefixtures("coarse_grid")
@pytest.mark.parametrize("settings", [{"guided": False}, {"grouping": "kmeans"}])
def test_exact_solver_by_itself(large: Scene, settings: dict[str, Any]) -> None:
    features = ideal_features(large)
    segmenter = SoftSegmenter(3, "exact", **settings)
    parts = segmenter.decompose(large.photo, features)
    assert parts.guide is None
    flat = parts.components.reshape(42 * 56, -1)
    expected = group_components(flat, parts.features, 3, segmenter.grouping)
    np.testing.assert_array_equal(segmenter.group(parts), expected)


@pytest.mark.usefixtures("coarse_grid")
def test_components_are_on_the_solvers_grid(large: Scene) -> None:
    features = ideal_features(large)
    coarse, exact = (
        SoftSegmenter(solver=solver).decompose(large.photo, features)
        for solver in ("coarse", "exact")
    )
    assert coarse.components.shape[:2] == coarse.features.shape[:2] == (21, 28)
    assert exact.components.shape[:2] == exact.features.shape[:2] == (42, 56)
    assert coarse.links is None  # it would not fit the photo's pixels
    assert exact.links is not None
    for parts in (coarse, exact):
        assert parts.level.gradient.shape == (42, 56)
        np.testing.assert_allclose(parts.components.sum(axis=2), 1, atol=1e-5)


@pytest.mark.usefixtures("coarse_grid")
def test_features_of_the_coarse_grid_are_as_good_as_the_photos(large: Scene) -> None:
    features = ideal_features(large)
    embedding = np.random.default_rng(0).random((*features.shape[:2], 7)).astype(np.float32)
    small, small_embedding = (resize_linearly(array, (21, 28)) for array in (features, embedding))
    expected = SoftSegmenter()(large.photo, features, embedding).raw
    for given in ((small, small_embedding), (small, embedding), (features, small_embedding)):
        np.testing.assert_array_equal(SoftSegmenter()(large.photo, *given).raw, expected)


@pytest.mark.usefixtures("coarse_grid")
@pytest.mark.parametrize(
    ("size", "solver"),
    [((33, 44), "coarse"), ((18, 24), "coarse"), ((19, 25), "coarse"), ((18, 24), "exact")],
)
def test_smaller_features_lead_to_the_same_regions(
    large: Scene, size: tuple[int, int], solver: str
) -> None:
    features = resize_linearly(ideal_features(large), size)
    result = SoftSegmenter(3, solver)(large.photo, features)
    assert_valid(result, (42, 56))
    assert recovered(result.alpha, large.labels) > 0.95


def test_superpixels_are_found_on_a_finer_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = generate_scene(5, (120, 160), regions=(3, 3))
    features = ideal_features(scene)
    exact = SoftSegmenter(3, "exact", guided=False)(scene.photo, features)
    monkeypatch.setattr("sss.spectral.grids.COARSE_PIXELS", 4800)
    sizes = []

    def compute(photo: np.ndarray) -> SuperpixelGraph:
        sizes.append(photo.shape[:2])
        return compute_superpixels(photo)

    monkeypatch.setattr("sss.spectral.segmenter.compute_superpixels", compute)
    assert recovered(SoftSegmenter(3)(scene.photo, features).alpha, exact.alpha.argmax(2)) > 0.98
    monkeypatch.setattr("sss.spectral.grids.GRAPH_PIXELS", 10_800)
    assert recovered(SoftSegmenter(3)(scene.photo, features).alpha, exact.alpha.argmax(2)) > 0.97
    assert sizes == [(120, 160), (90, 120)]


def test_large_photos_are_refined_at_a_smaller_size(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = generate_scene(5, (84, 112), regions=(3, 3))
    features = ideal_features(scene)
    monkeypatch.setattr("sss.spectral.grids.REFINED_PIXELS", 42 * 56)
    segmenter = SoftSegmenter(3)
    parts = segmenter.decompose(scene.photo, features)
    assert parts.level.gradient.shape == (42, 56)
    assert parts.level.stencil.shape == (13, 46, 60)
    result = segmenter.refine(parts, segmenter.group(parts))
    assert_valid(result, (84, 112))
    assert recovered(result.alpha, scene.labels) > 0.97
    exact = SoftSegmenter(3, "exact").decompose(scene.photo, features)
    assert exact.level.gradient.shape == (84, 112)


@pytest.mark.usefixtures("coarse_grid")
def test_without_refinement_layers_are_only_enlarged(large: Scene) -> None:
    segmenter = SoftSegmenter(3, relaxed=False)
    parts = segmenter.decompose(large.photo, ideal_features(large))
    grouped = segmenter.group(parts)
    raw = segmenter.refine(parts, grouped).raw
    np.testing.assert_allclose(raw, resize_linearly(grouped, (42, 56)), atol=1e-6)


# --- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("coarse_pixels", [40, 150, 10_000])
def test_progress_names_every_stage_in_turn(
    coarse_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sss.spectral.grids.COARSE_PIXELS", coarse_pixels)
    rng = np.random.default_rng(0)
    reports: list[tuple[str, float]] = []
    result = SoftSegmenter()(
        rng.random((30, 36, 3)),
        rng.random((30, 36, 3)),
        progress=lambda stage, share: reports.append((stage, share)),
    )
    stages = list(dict.fromkeys(stage for stage, _ in reports))
    assert stages == STAGES == list(result.seconds)
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
