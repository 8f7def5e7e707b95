import itertools

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

from sss.errors import InputError
from sss.spectral.contrasts import energy_distances
from sss.spectral.grouping import (
    average_linkage,
    group_as,
    group_components,
    kmeans_groups,
)
from sss.spectral.parts import measure_parts
from sss.spectral.settings import Settings

BY_FEATURES = Settings(grouping="linkage")

CORNERS = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=float)


def striped(means: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components (10·W, C) and features (10, W, 3): one crisp stripe of columns per mean."""
    stripe = np.repeat(np.arange(len(means)), widths)
    owner = np.repeat(stripe[None], 10, axis=0)
    return np.eye(len(means))[owner.ravel()], means[owner]


def planted(groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components and features of 24 stripes around ``groups`` corners, and each stripe's group."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.arange(24) % groups)
    means = CORNERS[group] + rng.uniform(-0.03, 0.03, (24, 3))
    return *striped(means, rng.integers(2, 6, 24)), group


def groups_of(layers: np.ndarray, components: np.ndarray) -> list[set[int]]:
    """Which crisp components make up each layer."""
    owner = layers.reshape(len(components), -1).argmax(axis=1)
    return [
        set(np.flatnonzero(components[owner == layer].any(axis=0)).tolist())
        for layer in range(layers.shape[-1])
    ]


@pytest.mark.parametrize("groups", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("way", ["linkage", "kmeans", "automatic"])
def test_components_of_like_features_form_a_layer(groups: int, way: str) -> None:
    components, features, group = planted(groups, seed=groups)
    if way == "automatic":
        layers = group_components(components, features, None, BY_FEATURES)
    else:
        layers = group_components(components, features, groups, Settings(grouping=way))
    assert layers.shape == (*features.shape[:2], groups)
    expected = [set(np.flatnonzero(group == g).tolist()) for g in range(groups)]
    assert sorted(map(sorted, groups_of(layers, components))) == sorted(map(sorted, expected))
    np.testing.assert_array_equal(layers.sum(axis=2), 1)


def test_layers_are_sums_of_soft_components() -> None:
    rng = np.random.default_rng(0)
    components = rng.random((40, 4))
    components /= components.sum(axis=1, keepdims=True)
    features = (components @ np.array([[0.0], [10], [0.1], [10.1]])).reshape(5, 8, 1)
    # Mean features follow the components' order 0 < 2 < 1 < 3 too weakly to rely on; two layers
    # must still be sums of disjoint sets of components.
    layers = group_components(components, features, 2, BY_FEATURES).reshape(40, 2)
    subsets = [[c for c in range(4) if bits >> c & 1] for bits in range(1, 15)]
    matches = [
        subset for subset in subsets if np.allclose(components[:, subset].sum(axis=1), layers[:, 0])
    ]
    assert len(matches) == 1


def test_layers_are_sorted_by_area() -> None:
    widths = np.array([3, 20, 7, 12, 5])
    components, features = striped(CORNERS[:5], widths)
    layers = group_components(components, features, 5, BY_FEATURES)
    np.testing.assert_allclose(layers.sum(axis=(0, 1)), 10 * np.sort(widths)[::-1])
    np.testing.assert_array_equal(layers[..., 0].ravel(), components[:, 1])


@pytest.mark.slow
def test_kmeans_is_the_same_from_seed_to_seed() -> None:
    # No planted groups: a cloud of two dozen points with many local optima.
    means = np.random.default_rng(7).random((24, 3))

    def found(seed: int, **options: int) -> frozenset[frozenset[int]]:
        groups = kmeans_groups(means, 5, seed, **options)
        return frozenset(frozenset(np.flatnonzero(groups == g).tolist()) for g in range(5))

    assert len({found(seed) for seed in range(6)}) == 1
    assert len({found(seed, restarts=1) for seed in range(6)}) > 1  # what the restarts are for


@pytest.mark.parametrize("layers", [3, 5, None])
def test_fewer_components_than_layers_stay_as_they_are(layers: int | None) -> None:
    components, features = striped(CORNERS[:3], np.array([4, 9, 6]))
    grouped = group_components(components, features, layers, BY_FEATURES)
    assert grouped.shape == (10, 19, 3)
    np.testing.assert_array_equal(grouped.reshape(190, 3), components[:, [1, 2, 0]])


@pytest.mark.parametrize("layers", [1, 5, None])
def test_one_component_is_one_layer(layers: int | None) -> None:
    grouped = group_components(np.ones((12, 1)), np.full((3, 4, 3), 0.5), layers, BY_FEATURES)
    np.testing.assert_array_equal(grouped, np.ones((3, 4, 1)))


def test_one_layer_holds_everything() -> None:
    components, features, _ = planted(4, seed=0)
    layers = group_components(components, features, 1, BY_FEATURES)
    np.testing.assert_array_equal(layers, np.ones((*features.shape[:2], 1)))


def test_empty_component_does_no_harm() -> None:
    components, features = striped(CORNERS[:3], np.array([4, 9, 6]))
    components = np.column_stack([components, np.zeros(len(components))])
    layers = group_components(components, features, 3, BY_FEATURES)
    assert np.isfinite(layers).all()
    np.testing.assert_allclose(layers.sum(axis=2), 1)


def test_a_scrap_takes_no_layer_from_the_rest() -> None:
    # Two halves of a photo that are alike, and a stripe of one column unlike both.
    means = np.array([[0.0, 0, 0], [0.2, 0, 0], [0.3, 0.25, 0], [1, 1, 1]])
    components, features = striped(means, np.array([30, 1, 1, 30]))
    assert groups_of(group_components(components, features, 2, BY_FEATURES), components) == [
        {0, 1, 2},
        {3},
    ]


def test_area_decides_which_groups_are_near() -> None:
    # From 3.0 the group {0, 1} is 2.0 or 2.9 away, as point 0 or 1 has more of its area.
    means = np.array([[1.0], [0.0], [3.0], [5.4]])
    for widths, expected in (([20, 1, 5, 5], {0, 1, 2}), ([1, 20, 5, 5], {2, 3})):
        components, features = striped(means, np.array(widths))
        assert expected in groups_of(
            group_components(components, features, 2, BY_FEATURES), components
        )


@pytest.mark.parametrize("rows", [7, 1000])
def test_energy_distances_are_those_of_the_definition(rows: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.random((6, 8, 5)).astype(np.float32)
    components = rng.random((48, 3)) - 0.2  # alphas may leave [0, 1]
    weights = np.clip(components, 0, 1)
    weights /= weights.sum(axis=0)
    between = squareform(pdist(features.reshape(48, 5)))
    expected = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            mean = [weights[:, i] @ between @ weights[:, j] for i, j in ((a, b), (a, a), (b, b))]
            expected[a, b] = mean[0] - (mean[1] + mean[2]) / 2
    found = energy_distances(components, features, rows=rows)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    assert expected[0, 1] > 0


def test_energy_distances_of_plain_components_are_those_of_their_features() -> None:
    means = CORNERS[:4] + 0.1
    components, features = striped(means, np.array([3, 5, 4, 8]))
    found = energy_distances(components, features)
    np.testing.assert_allclose(found, squareform(pdist(means)), atol=2e-3)


def test_energy_distances_of_many_pixels_are_estimated() -> None:
    rng = np.random.default_rng(0)
    features = rng.random((60, 80, 3)).astype(np.float32)
    features[:, 50:] += 1
    components = np.eye(2)[(np.arange(80) >= 50).astype(int)]
    components = np.broadcast_to(components, (60, 80, 2)).reshape(-1, 2)
    exact = energy_distances(components, features)
    estimate = energy_distances(components, features, sampled_pixels=800)
    assert 0 < abs(estimate - exact).max() < 0.03 * exact.max()


@pytest.mark.parametrize("seed", range(4))
def test_average_linkage_is_scipys_on_repeated_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, weights = rng.random((9, 3)), rng.integers(1, 6, 9)
    merges, heights = average_linkage(squareform(pdist(points)), weights)
    expected = linkage(pdist(np.repeat(points, weights, axis=0)), "average")
    # Copies of a point merge first, at distance zero.
    np.testing.assert_allclose(heights, expected[-8:, 2])
    sizes = weights.astype(float)
    for (into, merged), row in zip(merges, expected[-8:], strict=True):
        sizes[into] += sizes[merged]
        assert sizes[into] == row[3]


@pytest.mark.parametrize(("threshold", "expected"), [(0.2, 3), (0.5, 2), (0.9, 2)])
def test_automatic_number_keeps_apart_what_is_far_apart(threshold: float, expected: int) -> None:
    means = np.array([[0.0], [0.06], [1.0], [1.3], [4.0]])
    components, features = striped(means, np.full(5, 8))
    layers = group_components(
        components, features, None, Settings(grouping="linkage", auto_threshold=threshold)
    )
    # Merging heights, with equal areas: 0.06, 0.3, about 1.1 and 3.4.
    assert layers.shape[2] == expected


def test_automatic_number_has_bounds() -> None:
    means = 10 * np.eye(12)
    components, features = striped(means, np.full(12, 3))
    assert group_components(components, features, None, BY_FEATURES).shape[2] == 8
    components, features = striped(np.array([[0.0], [0.1], [9.0]]), np.full(3, 4))
    threshold = Settings(grouping="linkage", auto_threshold=5.0)
    assert group_components(components, features, None, threshold).shape[2] == 2
    at_least_three = Settings(grouping="linkage", auto_threshold=5.0, auto_layers=(3, 8))
    assert group_components(components, features, None, at_least_three).shape[2] == 3


def test_numbers_of_layers_that_cannot_be_are_refused() -> None:
    components, features = striped(CORNERS[:3], np.array([4, 9, 6]))
    with pytest.raises(InputError, match="0 layers were asked for; give 1 or more"):
        group_components(components, features, 0, BY_FEATURES)
    with pytest.raises(InputError, match="needs a number of layers"):
        group_components(components, features, None, Settings(grouping="kmeans"))


# --- grouping as given layers do ------------------------------------------------------------------


def test_components_follow_the_layer_they_overlap_most() -> None:
    components, _ = striped(np.zeros((5, 3)), np.array([4, 3, 2, 2, 1]))
    layers = np.zeros((10, 12, 2))
    layers[:, :6, 0] = layers[:, 6:, 1] = 1  # two of the second stripe's three columns in the left
    grouped = group_as(components, layers)
    assert groups_of(grouped, components) == [{0, 1}, {2, 3, 4}]
    np.testing.assert_array_equal(grouped.sum(axis=2), 1)


def test_overlaps_count_alphas_not_strongest_components() -> None:
    # The second is strongest in the right layer alone, and yet has most of its alpha in the left.
    components = np.array([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [0.4, 0.6]])
    layers = np.array([[[1.0, 0], [1, 0], [1, 0], [0, 1]]])
    overlap = np.array([[1.8, 0.4], [1.2, 0.6]])
    assert (overlap.argmax(axis=1) == 0).all()
    grouped = group_as(components, layers)  # so one must move, and the second loses less
    np.testing.assert_allclose(grouped, components.reshape(1, 4, 2))


@pytest.mark.parametrize("seed", range(5))
def test_no_layer_is_left_without_a_component_at_the_least_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    components = rng.dirichlet(np.full(6, 0.3), 60)
    layers = rng.dirichlet([9, 0.5, 0.2, 0.1], (6, 10))
    strongest = layers.argmax(axis=2).ravel()
    overlap = np.stack([components[strongest == k].sum(axis=0) for k in range(4)], axis=1)
    best = max(
        sum(overlap[c, k] for c, k in enumerate(choice))
        for choice in itertools.product(range(4), repeat=6)
        if len(set(choice)) == 4
    )
    grouped = group_as(components, layers)
    assert grouped.shape == (6, 10, 4)
    found = max(
        sum(overlap[c, k] for c, k in enumerate(choice))
        for choice in itertools.product(range(4), repeat=6)
        if len(set(choice)) == 4 and same_layers(components, choice, grouped)
    )
    assert found == pytest.approx(best)


def same_layers(components: np.ndarray, choice: tuple[int, ...], grouped: np.ndarray) -> bool:
    """Whether the layers are the components added up by ``choice``, in some order."""
    sums = components @ np.eye(max(choice) + 1)[list(choice)]
    ordered = sums[:, np.argsort(-sums.sum(axis=0), kind="stable")]
    return np.allclose(ordered, grouped.reshape(ordered.shape))


def test_fewer_components_than_layers() -> None:
    components, _ = striped(np.zeros((2, 3)), np.array([3, 5]))
    layers = np.eye(4)[np.arange(8) // 2][None].repeat(10, axis=0)
    assert groups_of(group_as(components, layers), components) == [{1}, {0}]


# --- learned grouping and scraps ------------------------------------------------------------------


def test_scraps_join_what_they_are_nearest_to_first() -> None:
    distances = squareform(pdist(np.array([[0.0], [1.0], [5.0], [9.0]])))
    weights = np.array([10.0, 0.5, 10.0, 0.2])
    merges, heights = average_linkage(distances, weights, scrap=1.0)
    assert merges[:2] == [(2, 3), (0, 1)]
    assert (heights[:2] == -np.inf).all()
    # Of (0, 1) and (2, 3), pixels counting the same.
    expected = (10 * (10 * 5 + 0.2 * 9) + 0.5 * (10 * 4 + 0.2 * 8)) / (10.5 * 10.2)
    assert heights[2] == pytest.approx(expected)
    assert average_linkage(distances, weights)[0][0] == (0, 1)


def test_learned_grouping_leaves_no_scraps_and_needs_parts() -> None:
    widths = np.array([40, 40, 1, 40])
    components, features = striped(CORNERS[[1, 2, 3, 4]], widths)
    settings = Settings(least_area=0.05)
    parts = measure_parts(components, features, features)
    layers = group_components(components, features, 4, settings, parts)
    assert layers.shape[2] == 4  # as many as were asked for, although one is a scrap
    layers = group_components(components, features, 3, settings, parts)
    assert layers.shape[2] == 3
    assert layers.mean(axis=(0, 1)).min() > 0.3
    np.testing.assert_allclose(layers.sum(axis=2), 1)
    with pytest.raises(InputError, match="'learned' needs parts"):
        group_components(components, features, 3, settings)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_the_automatic_number_follows_the_share(share: float) -> None:
    components, features, _ = planted(5, seed=3)
    settings = Settings(auto_share=share)
    parts = measure_parts(components, features, features)
    count = group_components(components, features, None, settings, parts).shape[2]
    fewest, most = settings.auto_layers
    assert count == {0.0: fewest, 1.0: most}.get(share, count)
    assert fewest <= count <= most
