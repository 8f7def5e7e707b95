from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from sss.errors import InputError
from sss.image.resize import resize_linearly
from sss.spectral import RefinedLayers, Settings, SoftSegmenter
from sss.spectral.grouping import group_as, group_components
from sss.threads import set_thread_count

STAGES = ["graph", "eigenvectors", "components", "grouping", "relaxed"]
SMALL_GRID = Settings(coarse_pixels=588, graph_pixels=588)
"""A coarse grid of (21, 28) for the photo of 42×56; superpixels are found on it, too."""

Draw = Callable[..., Any]
"""See ``draw`` in conftest."""


def on(settings: Settings, **changed: Any) -> SoftSegmenter:
    return SoftSegmenter(replace(settings, **changed))


def recovered(alpha: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of the pixels whose strongest layer is the one matched to their region."""
    overlap = np.zeros((alpha.shape[-1], labels.max() + 1))
    np.add.at(overlap, (alpha.argmax(axis=2).ravel(), labels.ravel()), 1)
    return overlap[linear_sum_assignment(-overlap)].sum() / labels.size


def assert_valid(result: RefinedLayers, size: tuple[int, int]) -> None:
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
def scene(draw: Draw) -> Any:
    return draw(1, (40, 48), regions=(2, 3))


@pytest.fixture(scope="module")
def result(scene: Any) -> RefinedLayers:
    return SoftSegmenter()(scene.photo, scene.features3)


def test_layers_are_valid(result: RefinedLayers) -> None:
    assert_valid(result, (40, 48))
    assert list(result.seconds) == STAGES


def test_layers_are_the_regions(scene: Any, result: RefinedLayers) -> None:
    assert recovered(result.alpha, scene.labels) > 0.98
    area = [float((scene.labels == r).mean()) for r in range(scene.alphas.shape[2])]
    largest = scene.alphas[..., int(np.argmax(area))]
    assert abs(result.alpha[..., 0] - largest).mean() < 0.02


def test_no_haze_inside_regions(scene: Any, result: RefinedLayers) -> None:
    inside = scene.alphas.max(axis=2) > 0.999
    assert np.median(result.alpha.max(axis=2)[inside]) == 1
    assert np.median(result.raw.max(axis=2)[inside]) < 0.999  # what the relaxed step leaves


@pytest.mark.parametrize(("layers", "solver"), [(3, "coarse"), (3, "exact"), (None, "coarse")])
@pytest.mark.slow
def test_three_regions(layers: int | None, solver: str, draw: Draw) -> None:
    scene = draw(5, (40, 50))
    segmenter = SoftSegmenter(Settings(solver=solver))
    result = segmenter(scene.photo, scene.features3, layers=layers)
    assert_valid(result, (40, 50))
    assert result.alpha.shape == (40, 50, 3)
    assert recovered(result.alpha, scene.labels) > 0.95


def test_same_seed_gives_the_same_bits(scene: Any, result: RefinedLayers) -> None:
    again = SoftSegmenter()(scene.photo, scene.features3)
    np.testing.assert_array_equal(again.raw, result.raw)
    np.testing.assert_array_equal(again.alpha, result.alpha)


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.slow
def test_threads_do_not_show(solver: str, draw: Draw) -> None:
    scene = draw(2, (34, 40), many=True)
    segmenter = SoftSegmenter(Settings(solver=solver))
    found = []
    try:
        for count in (1, 2):
            set_thread_count(count)
            found.append(segmenter(scene.photo, scene.features3, layers=4).raw)
    finally:
        set_thread_count(None)
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.slow
def test_single_precision_makes_no_difference() -> None:
    rng = np.random.default_rng(0)
    photo, features3 = rng.random((2, 20, 24, 3), np.float32)
    single = SoftSegmenter()(photo, features3)
    double = SoftSegmenter()(photo.astype(np.float64), features3.astype(np.float64))
    np.testing.assert_array_equal(double.raw, single.raw)


def test_inputs_are_left_alone(scene: Any) -> None:
    photo = scene.photo[:20, :20].astype(np.float64)
    features3 = scene.features3[:20, :20].copy()
    before = photo.copy(), features3.copy()
    SoftSegmenter()(photo, features3)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(features3, before[1])


# --- odd photos --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.parametrize("size", [(3, 3), (16, 16), (3, 450), (450, 3), (31, 43)])
@pytest.mark.slow
def test_odd_sizes(size: tuple[int, int], solver: str) -> None:
    rng = np.random.default_rng(0)
    segmenter = SoftSegmenter(Settings(solver=solver))
    assert_valid(segmenter(rng.random((*size, 3)), rng.random((*size, 3))), size)


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.parametrize("term", ["semantic_weight", "colour_weight"])
@pytest.mark.slow
def test_either_term_may_be_left_out_of_noise(term: str, solver: str) -> None:
    # Superpixels of a pixel each: their couplings lie within the matting Laplacian's reach.
    rng = np.random.default_rng(0)
    segmenter = on(Settings(solver=solver), **{term: 0.0})
    assert_valid(segmenter(rng.random((36, 40, 3)), rng.random((36, 40, 3))), (36, 40))


@pytest.mark.parametrize("solver", ["coarse", "exact"])
def test_flat_colours_without_superpixels(solver: str) -> None:
    photo = np.full((40, 40, 3), 0.2)
    photo[:, 20:] = (0.9, 0.3, 0.1)
    settings = Settings(solver=solver, semantic_weight=0, colour_weight=0)
    result = SoftSegmenter(settings)(photo, photo, layers=2)
    assert_valid(result, (40, 40))
    owner = result.alpha.argmax(axis=2)
    np.testing.assert_array_equal(owner == owner[0, 39], np.indices((40, 40))[1] >= 20)


@pytest.mark.parametrize("solver", ["coarse", "exact"])
@pytest.mark.slow
def test_dots_of_another_colour(solver: str) -> None:
    dots = np.random.default_rng(0).random((40, 50)) < 0.01
    photo = np.where(dots[..., None], (1.0, 0.0, 0.0), 0.5)
    result = SoftSegmenter(Settings(solver=solver))(photo, photo)
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
@pytest.mark.slow
def test_ramp_of_greys(solver: str) -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 45)[:, None], (30, 45, 3))
    assert_valid(SoftSegmenter(Settings(solver=solver))(ramp, ramp, layers=3), (30, 45))


def test_more_layers_than_components(draw: Draw) -> None:
    scene = draw(2, (34, 40), many=True)
    segmenter = SoftSegmenter()
    components = segmenter.decompose(scene.photo, scene.features3)
    result = segmenter.refine(components, segmenter.group(components, 1000))
    assert_valid(result, (34, 40))
    assert result.alpha.shape[2] == components.n_components > 3


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_photo_of_one_colour_is_one_layer(level: float) -> None:
    flat = np.full((24, 30, 3), level)
    result = SoftSegmenter()(flat, flat)
    np.testing.assert_array_equal(result.alpha, np.ones((24, 30, 1), np.float32))


def test_photo_of_one_colour_with_unlike_features() -> None:
    features3 = np.random.default_rng(0).random((24, 30, 3))
    assert_valid(SoftSegmenter()(np.full((24, 30, 3), 0.5), features3), (24, 30))


@pytest.mark.parametrize("layers", [2, 5, None])
def test_two_flat_colours_are_two_layers(layers: int | None) -> None:
    photo = np.full((30, 36, 3), 0.2)
    photo[:, 15:] = (0.9, 0.3, 0.1)
    result = SoftSegmenter()(photo, photo, layers=layers)
    right = np.broadcast_to(np.arange(36) >= 15, (30, 36))
    assert result.alpha.shape == (30, 36, 2)
    np.testing.assert_allclose(result.alpha[..., 0], right, atol=0.01)


@pytest.mark.parametrize("refine", [True, False])
def test_one_layer_is_the_photo(refine: bool) -> None:
    rng = np.random.default_rng(0)
    segmenter = SoftSegmenter(Settings(refine=refine))
    result = segmenter(rng.random((12, 14, 3)), rng.random((12, 14, 3)), layers=1)
    np.testing.assert_array_equal(result.alpha, np.ones((12, 14, 1), np.float32))


# --- what is refused ---------------------------------------------------------------------------


def test_tiny_photo_is_refused() -> None:
    with pytest.raises(InputError, match="2×40"):
        SoftSegmenter().decompose(np.zeros((2, 40, 3)), np.zeros((2, 40, 3)))


@pytest.mark.parametrize(
    "size", [(60, 79), (59, 80), (61, 81), (120, 160), (80, 60), (30, 42), (28, 40), (60, 40)]
)
def test_features_of_another_shape_are_refused(size: tuple[int, int]) -> None:
    photo = np.zeros((60, 80, 3))
    message = f"features are {size[0]}×{size[1]}, the photo is 60×80"
    with pytest.raises(InputError, match=message):
        SoftSegmenter().decompose(photo, np.zeros((*size, 3)))
    with pytest.raises(InputError, match=message):
        SoftSegmenter().decompose(photo, photo, np.zeros((*size, 9)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    photo = np.random.default_rng(0).random((20, 24, 3))
    features3 = photo.copy()
    features3[3, 4, 1] = bad
    for arguments in ((features3, None), (photo, features3)):
        with pytest.raises(InputError, match="features hold NaN or infinite values"):
            SoftSegmenter().decompose(photo, *arguments)


# --- grids -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(draw: Draw) -> Any:
    return draw(5, (42, 56))


@pytest.mark.slow
def test_coarse_solver_agrees_with_the_exact_one(large: Any) -> None:
    coarse = on(SMALL_GRID)(large.photo, large.features3, layers=3)
    assert_valid(coarse, (42, 56))
    assert list(coarse.seconds) == STAGES
    for matched, stages in ((False, STAGES), (True, ["coarse", *STAGES])):
        segmenter = on(SMALL_GRID, solver="exact", match_coarse_grouping=matched)
        exact = segmenter(large.photo, large.features3, layers=3)
        assert_valid(exact, (42, 56))
        assert list(exact.seconds) == stages
        assert not np.array_equal(coarse.raw, exact.raw)
        assert recovered(coarse.alpha, exact.alpha.argmax(axis=2)) > 0.97


@pytest.mark.slow
def test_grouping_of_the_exact_solver(large: Any) -> None:
    exact, coarse = on(SMALL_GRID, solver="exact"), on(SMALL_GRID)
    components = exact.decompose(large.photo, large.features3)
    flat = components.alpha.reshape(42 * 56, -1)
    layers = coarse.group(coarse.decompose(large.photo, large.features3), 3)
    matched = group_as(flat, resize_linearly(layers, (42, 56)))
    np.testing.assert_array_equal(exact.group(components, 3), matched)
    for changed in ({"match_coarse_grouping": False}, {"grouping": "kmeans"}):
        alone = on(SMALL_GRID, solver="exact", **changed)
        expected = group_components(flat, components.embedding, 3, alone.settings, components.parts)
        np.testing.assert_array_equal(alone.group(components, 3), expected)
        assert alone.decompose(large.photo, large.features3).coarse is None


@pytest.mark.parametrize(
    ("grouping", "field", "values"),
    [("linkage", "auto_threshold", (0.9, 0.05)), ("learned", "auto_share", (0.01, 0.99))],
)
def test_threshold_of_the_automatic_number(
    draw: Draw, grouping: str, field: str, values: tuple[float, float]
) -> None:
    scene = draw(2, (34, 40), many=True)
    components = SoftSegmenter().decompose(scene.photo, scene.features3)
    few, many = (
        on(Settings(), grouping=grouping, **{field: value}).group(components, None)
        for value in values
    )
    assert few.shape[2] < many.shape[2]


@pytest.mark.slow
def test_components_are_on_the_solvers_grid(large: Any) -> None:
    coarse, exact = (
        on(SMALL_GRID, solver=solver).decompose(large.photo, large.features3)
        for solver in ("coarse", "exact")
    )
    assert coarse.alpha.shape[:2] == coarse.embedding.shape[:2] == (21, 28)
    assert exact.alpha.shape[:2] == exact.embedding.shape[:2] == (42, 56)
    for components in (coarse, exact):
        cells = components.alpha.shape[0] * components.alpha.shape[1]
        assert components.superpixel_laplacian.shape == (cells, cells)
        assert components.level.gradient.shape == (42, 56)
        np.testing.assert_allclose(components.alpha.sum(axis=2), 1, atol=1e-5)


@pytest.mark.slow
def test_features_of_the_coarse_grid_are_as_good_as_the_photos(large: Any) -> None:
    features3, segmenter = large.features3, on(SMALL_GRID)
    embedding = np.random.default_rng(0).random((*features3.shape[:2], 7)).astype(np.float32)
    small, small_embedding = (resize_linearly(array, (21, 28)) for array in (features3, embedding))
    expected = segmenter(large.photo, features3, embedding).raw
    for given in ((small, small_embedding), (small, embedding), (features3, small_embedding)):
        np.testing.assert_array_equal(segmenter(large.photo, *given).raw, expected)


@pytest.mark.parametrize(
    ("size", "solver"),
    [((33, 44), "coarse"), ((18, 24), "coarse"), ((19, 25), "coarse"), ((18, 24), "exact")],
)
@pytest.mark.slow
def test_smaller_features_lead_to_the_same_regions(
    large: Any, size: tuple[int, int], solver: str
) -> None:
    features3 = resize_linearly(large.features3, size)
    result = on(SMALL_GRID, solver=solver)(large.photo, features3, layers=3)
    assert_valid(result, (42, 56))
    assert recovered(result.alpha, large.labels) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("graph_pixels", [160_000, 10_800])
def test_superpixels_are_found_on_a_finer_grid(graph_pixels: int, draw: Draw) -> None:
    scene = draw(5, (120, 160))
    settings = Settings(coarse_pixels=4800, graph_pixels=graph_pixels, match_coarse_grouping=False)
    exact, coarse = (
        on(settings, solver=solver)(scene.photo, scene.features3, layers=3)
        for solver in ("exact", "coarse")
    )
    assert recovered(coarse.alpha, exact.alpha.argmax(axis=2)) > 0.97


@pytest.mark.slow
def test_large_photos_are_refined_at_a_smaller_size(draw: Draw) -> None:
    scene = draw(5, (84, 112))
    settings = Settings(coarse_pixels=2400, refined_pixels=42 * 56)
    segmenter = SoftSegmenter(settings)
    components = segmenter.decompose(scene.photo, scene.features3)
    assert components.level.gradient.shape == (42, 56)
    assert components.level.stencil.shape == (13, 46, 60)
    result = segmenter.refine(components, segmenter.group(components, 3))
    assert_valid(result, (84, 112))
    assert recovered(result.alpha, scene.labels) > 0.97


def test_without_refinement_layers_are_only_enlarged(large: Any) -> None:
    segmenter = on(SMALL_GRID, refine=False)
    components = segmenter.decompose(large.photo, large.features3)
    grouped = segmenter.group(components, 3)
    raw = segmenter.refine(components, grouped).raw
    np.testing.assert_allclose(raw, resize_linearly(grouped, (42, 56)), atol=1e-6)


@pytest.mark.parametrize("coarse_pixels", [40, 10_000])
@pytest.mark.slow
def test_progress_names_every_stage_in_turn(coarse_pixels: int) -> None:
    rng = np.random.default_rng(0)
    reports: list[tuple[str, float]] = []
    result = SoftSegmenter(Settings(coarse_pixels=coarse_pixels))(
        rng.random((30, 36, 3)),
        rng.random((30, 36, 3)),
        progress=lambda stage, fraction: reports.append((stage, fraction)),
    )
    stages = list(dict.fromkeys(stage for stage, _ in reports))
    assert stages == STAGES == list(result.seconds)
    for stage in stages:
        fractions = [fraction for name, fraction in reports if name == stage]
        assert fractions[0] == 0.0
        assert fractions[-1] == 1.0
        assert fractions == sorted(fractions)
    assert len([name for name, _ in reports if name == "relaxed"]) > 10
