import math
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab
from sklearn.metrics import roc_auc_score

from sss.errors import InputError
from sss.metrics.catalogue import DISTANCE_BANDS, METRICS
from sss.metrics.clustering import cluster_agreement
from sss.metrics.embedding_scores import score_embedding
from sss.metrics.pair_auc import pair_auc
from sss.metrics.pixels import draw_labelled_pixels
from sss.metrics.ranking import neighbour_order, ranking_scores

FEATURE_METRICS = [name for name, metric in METRICS.items() if metric.group == "features"]


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(60, 80, 5) features and the labels of two annotators who see different segments."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:60, :80]
    first = 3 * (rows // 20) + columns // 30
    second = (columns > 33).astype(int)
    return rng.normal(size=(60, 80, 5)) + first[..., None] / 2, np.stack([first, second])


def test_every_metric_of_the_features_has_a_figure_of_weight_one() -> None:
    scores = score_embedding(*scene())
    assert set(scores) == set(FEATURE_METRICS)
    assert all(weight == 1.0 for _, weight in scores.values())
    assert all(type(value) is float for value, _ in scores.values())


@pytest.mark.parametrize("seed", [0, 7])
def test_overall_metrics_are_those_of_the_single_functions(seed: int) -> None:
    features, labels = scene()
    found = score_embedding(features, labels, seed)
    assert found["pair_auc"][0] == pair_auc(features, labels, seed)
    sample = draw_labelled_pixels(features, labels, seed)
    order = neighbour_order(sample.points)
    ranked = np.mean([ranking_scores(order, one) for one in sample.annotators], axis=0)
    assert (found["precision_at_1"][0], found["r_precision"][0]) == tuple(ranked)
    assert found["ami"][0] == cluster_agreement(sample.points, sample.annotators, seed)


@pytest.mark.slow
def test_annotators_are_averaged() -> None:
    features, labels = scene()
    alone = [score_embedding(features, one[None]) for one in labels]
    together = score_embedding(features, labels)
    for metric, (value, _) in together.items():
        assert alone[0][metric] != alone[1][metric]
        assert value == pytest.approx(np.mean([one[metric][0] for one in alone])), metric


def test_perfect_features_are_perfect_at_every_distance() -> None:
    _, labels = scene()
    scores = score_embedding(np.eye(9)[labels[0]], labels[:1])
    expected = {metric: 1.0 if METRICS[metric].higher else 0.0 for metric in FEATURE_METRICS}
    assert {metric: value for metric, (value, _) in scores.items()} == pytest.approx(expected)


def test_features_that_repeat_fail_far_away_only() -> None:
    columns = np.mgrid[:90, :90][1]
    labels = columns // 15  # six stripes
    scores = score_embedding(np.eye(2)[labels % 2], labels[None])  # of two colours in turn
    for metric in ("pair_auc", "precision_at_1", "r_precision", "ari"):
        assert scores[f"{metric}_near"][0] == pytest.approx(1.0)
        assert scores[f"{metric}_far"][0] < scores[f"{metric}_middle"][0] < 1.0
    assert scores["eer_near"][0] == 0.0
    assert scores["eer_far"][0] > scores["eer_middle"][0] > 0.0


def test_features_without_information_are_chance() -> None:
    _, labels = scene()
    noise = np.random.default_rng(1).normal(size=(60, 80, 3))
    scores = {metric: value for metric, (value, _) in score_embedding(noise, labels).items()}
    for suffix in ("", "_near", "_middle", "_far"):
        assert scores[f"pair_auc{suffix}"] == pytest.approx(0.5, abs=0.02)
        assert scores[f"eer{suffix}"] == pytest.approx(0.5, abs=0.02)
        assert scores[f"ari{suffix}"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("annotators", [0, 2])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_photo_without_two_segments_has_no_figures(annotators: int, label: int) -> None:
    assert score_embedding(np.ones((8, 8, 2)), np.full((annotators, 8, 8), label)) == {}


def test_bands_that_a_tiny_photo_does_not_have_are_left_out() -> None:
    labels = np.repeat([0, 1], 32).reshape(1, 8, 8)
    scores = score_embedding(np.random.default_rng(0).normal(size=(8, 8, 2)), labels)
    assert set(scores) == {metric for metric in FEATURE_METRICS if not metric.endswith("_near")}


@pytest.mark.slow
def test_seeded() -> None:
    features, labels = scene()
    runs = [score_embedding(features, labels, seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert all(runs[0][metric] != runs[2][metric] for metric in FEATURE_METRICS)


def test_features_of_another_size_or_not_finite_are_refused() -> None:
    features, labels = scene()
    with pytest.raises(InputError, match=r"\(59, 80\).*\(60, 80\)"):
        score_embedding(features[1:], labels)
    features[20:50] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="NaN or infinite"):
        score_embedding(features, labels)


def ranking_by_loops(
    points: np.ndarray, labels: np.ndarray, apart: np.ndarray, band: tuple[float, float]
) -> tuple[float, float]:
    first, share = [], []
    for query, distances in enumerate(apart):
        others = np.flatnonzero((distances >= band[0]) & (distances < band[1]))
        others = others[others != query]
        mates = int((labels[others] == labels[query]).sum())
        if mates in (0, len(others)):
            continue
        nearest = others[np.argsort(((points[others] - points[query]) ** 2).sum(1), kind="stable")]
        first.append(labels[nearest[0]] == labels[query])
        share.append((labels[nearest[:mates]] == labels[query]).mean())
    return float(np.mean(first)), float(np.mean(share))


@pytest.fixture
def bsds_photo(reference: Path) -> tuple[np.ndarray, np.ndarray]:
    from sss.data.bsds500 import Bsds500

    return Bsds500(reference / "bsds500", "val")[10]


@pytest.mark.slow
@pytest.mark.reference
def test_bands_of_a_real_photo_equal_independent_ways(
    bsds_photo: tuple[np.ndarray, np.ndarray],
) -> None:
    photo, labels = bsds_photo
    features, labels = rgb2lab(photo), labels[:1]
    scores = score_embedding(features, labels, seed=2)

    sample = draw_labelled_pixels(features, labels, seed=2)
    points, segments = sample.points.astype(float), sample.annotators[0]
    diagonal = math.dist((0, 0), photo.shape[:2])
    apart = np.sqrt(((sample.positions[:, None] - sample.positions) ** 2).sum(-1)) / diagonal
    # Uniform pairs, of which a band keeps its own, instead of pairs drawn within it.
    rng = np.random.default_rng(99)
    places = rng.integers(photo.shape[:2], size=(2, 600_000, 2))
    lengths = np.sqrt(((places[0] - places[1]) ** 2).sum(-1)) / diagonal
    for name, band in DISTANCE_BANDS.items():
        expected = ranking_by_loops(points, segments, apart, band)
        found = scores[f"precision_at_1_{name}"][0], scores[f"r_precision_{name}"][0]
        # Rounding may swap a few neighbours that are equally near.
        assert found == pytest.approx(expected, abs=2e-3)
        one, other = places[:, (band[0] <= lengths) & (lengths < band[1])][:, :30_000]
        (a, b), (c, d) = one.T, other.T
        auc = roc_auc_score(
            labels[0][a, b] != labels[0][c, d],
            np.linalg.norm(features[a, b] - features[c, d], axis=1),
        )
        assert scores[f"pair_auc_{name}"][0] == pytest.approx(auc, abs=0.02)


@pytest.mark.slow
@pytest.mark.reference
def test_a_persons_segments_as_features_beat_colour_and_colour_beats_noise(
    bsds_photo: tuple[np.ndarray, np.ndarray],
) -> None:
    photo, labels = bsds_photo
    random = np.random.default_rng(0).normal(size=(*photo.shape[:2], 3))
    person = score_embedding(np.eye(labels[0].max() + 1)[labels[0]], labels[1:3])
    colour = score_embedding(rgb2lab(photo), labels[1:3])
    noise = score_embedding(random, labels[1:3])
    for metric in FEATURE_METRICS:
        values = [scores[metric][0] for scores in (noise, colour, person)]
        expected = sorted(values, reverse=not METRICS[metric].higher)
        if metric in ("pair_auc_near", "eer_near", "precision_at_1_near", "r_precision_near"):
            # Edges of two people lie some pixels apart, so near them colour can be the better one.
            assert values[0] == expected[0]
        else:
            assert values == expected, metric
