import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from sss.errors import InputError
from sss.metrics.pair_auc import equal_error_rate, pair_auc, pair_scores, roc_auc
from sss.metrics.pixels import pairs_in_band, uniform_pairs
from sss.region_labels import REST


@pytest.fixture
def labels() -> np.ndarray:
    """(1, 12, 20): four unequal regions."""
    rows, columns = np.mgrid[:12, :20]
    return (2 * (rows > 4) + (columns > 12))[None]


@pytest.mark.parametrize("levels", [3, 1000])  # many ties, few ties
@pytest.mark.parametrize("seed", range(5))
def test_roc_auc_equals_scikit_learn(levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(200) < 0.3
    score = rng.integers(levels, size=200) + 0.3 * levels * positive
    score = np.floor(score)
    assert roc_auc(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_near_the_auc_of_all_pairs(labels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    features = labels[0, ..., None] + rng.normal(0, 1.0, (12, 20, 3))
    flat, segments = features.reshape(-1, 3), labels[0].ravel()
    distance = np.sqrt(((flat[:, None] - flat[None]) ** 2).sum(-1)).ravel()
    different = (segments[:, None] != segments[None]).ravel()
    exact = roc_auc_score(different, distance)
    assert 0.6 < exact < 0.9
    assert pair_auc(features, labels, pairs=200_000) == pytest.approx(exact, abs=0.006)


def test_perfect_and_constant_features(labels: np.ndarray) -> None:
    perfect = np.eye(4)[labels[0]]
    assert pair_auc(perfect, labels) == 1.0
    assert pair_auc(np.zeros((12, 20, 5)), labels) == 0.5


def test_closed_form() -> None:
    halves = np.arange(20)[None].repeat(12, 0) // 10  # (12, 20)
    # Left half: 0 and 2 in turn; right half: 1. Pairs of two halves lie at distance 1; pairs of
    # one half at 0 (all of the right, half of the left) or 2: below with probability 3/4.
    features = np.where(halves, 1, 2 * (np.arange(240).reshape(12, 20) % 2))[..., None]
    assert pair_auc(features, halves[None], pairs=100_000) == pytest.approx(0.75, abs=0.01)


def test_integer_and_half_features(labels: np.ndarray) -> None:
    wide = (np.eye(4)[labels[0]] * 200).astype(np.uint8)
    assert pair_auc(wide, labels) == 1.0
    assert pair_auc(wide.astype(np.float16), labels) == 1.0


def test_unlabelled_pixels_are_ignored(labels: np.ndarray) -> None:
    features = np.eye(4)[labels[0]]
    hidden = labels.copy()
    hidden[0, :, 5:9] = -1
    features[:, 5:9] = np.random.default_rng(0).normal(size=(12, 4, 4))  # wrong only where hidden
    assert pair_auc(features, hidden) == 1.0
    assert pair_auc(features, labels) < 0.99


def test_annotators_are_averaged(labels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 20, 2)) + labels[0, ..., None]
    second, third = labels.copy(), np.zeros_like(labels)  # the third sees one segment only
    second[0, :6] = 9
    alone = [pair_auc(features, one, seed=3) for one in (labels, second)]
    assert alone[0] != alone[1]
    together = pair_auc(features, np.concatenate([labels, second, third]), seed=3)
    assert together == pytest.approx(np.mean(alone))


@pytest.mark.parametrize("value", [-1, 0])
def test_no_two_segments_is_nan(value: int) -> None:
    assert np.isnan(pair_auc(np.ones((8, 8, 2)), np.full((2, 8, 8), value)))


def test_seeded(labels: np.ndarray) -> None:
    features = np.random.default_rng(0).normal(size=(12, 20, 2)) + labels[0, ..., None]
    values = [pair_auc(features, labels, seed=s, pairs=500) for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_other_size_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"\(12, 21\).*\(12, 20\)"):
        pair_auc(np.zeros((12, 21, 3)), labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(labels: np.ndarray, bad: float) -> None:
    features = np.zeros((12, 20, 3), np.float32)
    features[:6] = bad
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="diverged"):
        pair_auc(features, labels)


@pytest.mark.parametrize("levels", [2, 3, 1000])  # many ties, few ties
@pytest.mark.parametrize("seed", range(5))
def test_equal_error_rate_is_where_the_roc_curve_of_scikit_learn_crosses(
    levels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    different = rng.random(200) < 0.3
    distance = np.floor(rng.integers(levels, size=200) + 0.3 * levels * different)
    false_rejection, true_rejection, _ = roc_curve(different, distance, drop_intermediate=False)
    crossing = brentq(
        lambda x: 1 - np.interp(x, false_rejection, true_rejection) - x, 0, 1, xtol=1e-13
    )
    assert 0.2 < crossing < 0.6
    assert equal_error_rate(distance, different) == pytest.approx(crossing, abs=1e-9)


def test_equal_error_rate_by_hand() -> None:
    same, different = np.array([1.0, 2, 3, 6]), np.array([4.0, 5, 5, 7])
    distance = np.concatenate([same, different])
    kind = np.repeat([False, True], 4)
    # At a threshold of 4 one of four different pairs is accepted, one of four same rejected.
    assert equal_error_rate(distance, kind) == 0.25
    assert equal_error_rate(-distance, kind) == 0.75
    # Of {1, 2} and {2, 3}: accepted 0 at 1, 1/2 at 2; rejected 1/2 and 0. They meet halfway.
    tied = equal_error_rate(np.array([1, 2, 2, 3]), np.array([False, False, True, True]))
    assert tied == pytest.approx(0.25)
    assert equal_error_rate(np.zeros(5), np.array([False, False, True, True, True])) == 0.5
    assert equal_error_rate(np.array([0.0, 1.0]), np.array([False, True])) == 0.0


def test_equal_error_rate_of_gaussian_scores() -> None:
    # Equal variances: the threshold lies in the middle, the error is Φ(−distance / 2).
    rng = np.random.default_rng(0)
    different = rng.random(400_000) < 0.2
    found = equal_error_rate(rng.normal(size=400_000) + 1.5 * different, different)
    assert found == pytest.approx(norm.cdf(-0.75), abs=0.003)


def test_pair_scores_of_uniform_pairs_are_the_pair_auc(labels: np.ndarray) -> None:
    features = np.random.default_rng(0).normal(size=(12, 20, 2)) + labels[0, ..., None]
    several = np.concatenate([labels, labels // 2, np.zeros_like(labels)])
    auc, error = pair_scores(features, several, uniform_pairs((12, 20), 500, seed=3))
    assert auc == pair_auc(features, several, seed=3, pairs=500)
    alone = [
        pair_scores(features, one[None], uniform_pairs((12, 20), 500, seed=3))[1]
        for one in several[:2]
    ]
    assert alone[0] != alone[1]
    assert error == pytest.approx(np.mean(alone))


def test_scores_of_a_band_near_those_of_all_its_pairs(labels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    features = labels[0, ..., None] + rng.normal(0, 1.0, (12, 20, 3))
    features += np.mgrid[:12, :20].transpose(1, 2, 0)[..., :1] / 4  # so that the bands differ
    flat, segments = features.reshape(-1, 3), labels[0].ravel()
    places = np.stack(np.divmod(np.arange(240), 20), axis=1)
    apart = np.sqrt(((places[:, None] - places) ** 2).sum(-1)) / np.sqrt(12**2 + 20**2)
    exact = {}
    for band in ((0.0, 0.1), (0.1, 0.5), (0.5, 2.0)):
        within = (band[0] <= apart) & (apart < band[1]) & ~np.eye(240, dtype=bool)
        first, second = np.nonzero(within)
        distance = np.sqrt(((flat[first] - flat[second]) ** 2).sum(-1))
        exact[band] = roc_auc_score(segments[first] != segments[second], distance)
        pairs = pairs_in_band((12, 20), band, 100_000, seed=0)
        assert pair_scores(features, labels, pairs)[0] == pytest.approx(exact[band], abs=0.01)
    assert np.ptp(list(exact.values())) > 0.05


def test_two_pixels_of_the_rest_are_no_pair(labels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1.0, (12, 20, 3)) + labels[0, ..., None]
    one = np.where(labels == 0, 1, REST)
    flat, segments = features.reshape(-1, 3), one.ravel()
    distance = np.sqrt(((flat[:, None] - flat[None]) ** 2).sum(-1))
    known = (segments[:, None] >= 0) | (segments[None] >= 0)
    different = segments[:, None] != segments[None]
    exact = roc_auc_score(different[known], distance[known])
    assert pair_auc(features, one, pairs=200_000) == pytest.approx(exact, abs=0.006)
