"""Maps against masks of salient objects: closed forms, and sums of many thresholds."""

import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.bootstrap import bootstrap_counts
from sss.evaluation.records import Record
from sss.evaluation.scores import collect_entries, score_metric
from sss.metrics.catalogue import MASK_THRESHOLDS, METRICS
from sss.metrics.layer_scores import LayerScorer
from sss.metrics.masks import BETA_SQUARED, score_mask
from sss.metrics.samples import Sample

MASK = np.zeros((20, 30), bool)
MASK[5:15, 6:18] = True


def values(alpha: np.ndarray, metric: str) -> np.ndarray:
    return np.array([total / weight for total, weight in score_mask(alpha, MASK)[metric]])


def test_every_metric_has_a_value_at_each_of_its_thresholds() -> None:
    found = score_mask(MASK.astype(np.float32), MASK)
    assert list(found) == [name for name, one in METRICS.items() if one.group == "masks"]
    assert {name: len(sums) for name, sums in found.items()} == {
        name: METRICS[name].thresholds for name in found
    }


def test_the_mask_itself_is_perfect() -> None:
    alpha = MASK.astype(np.float64)
    assert values(alpha, "mask_max_f").max() == 1
    assert values(alpha, "mask_s")[0] == pytest.approx(1, abs=1e-3)
    assert values(alpha, "mask_max_e").max() == pytest.approx(1, abs=0.01)
    assert values(alpha, "mask_mae")[0] == 0


def test_f_measure_and_error_by_hand() -> None:
    alpha = np.zeros(MASK.shape)
    alpha[5:15, 12:24] = 1  # half of the object, and as much beside it
    precision = recall = 0.5
    expected = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    assert values(alpha, "mask_max_f")[:255].max() == pytest.approx(expected, abs=1e-5)
    assert values(alpha, "mask_mae")[0] == pytest.approx(120 / 600, abs=1e-5)


def test_a_map_is_stretched_first() -> None:
    weak = np.where(MASK, 0.4, 0.2)
    assert values(weak, "mask_mae")[0] == 0
    assert np.isfinite(values(np.zeros(MASK.shape), "mask_max_f")).all()


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match="a map has 3 × 4 pixels"):
        score_mask(np.zeros((3, 4)), MASK)


def test_the_object_that_a_method_names_counts_and_else_the_best_union() -> None:
    nothing = np.zeros((0, *MASK.shape), np.int32)
    photo = np.zeros((*MASK.shape, 3), np.uint8)
    scorer = LayerScorer(Sample("p", photo, nothing, nothing.astype(bool), mask=MASK))
    labels = MASK.astype(int)
    best = scorer.score_thresholds(labels)
    named = scorer.score_thresholds(labels, None, 1.0 - MASK)
    assert best["mask_mae"] == [(0.0, 1.0)]
    assert named["mask_mae"] == [(1.0, 1.0)]
    assert scorer.score(labels) == {}


def record(photo: str, curve: np.ndarray) -> Record:
    sums = {"mask_max_f": [(float(value), 1.0) for value in curve]}
    return Record(photo, "one", "layers", None, "one", [0.0], sums, [2], [0.1])


def test_the_best_threshold_is_that_of_all_photos_together() -> None:
    first, second = np.zeros(MASK_THRESHOLDS), np.zeros(MASK_THRESHOLDS)
    first[10], second[200] = 1.0, 0.9
    first[100], second[100] = 0.6, 0.7
    (entry,) = collect_entries([record("a", first), record("b", second)])
    score = score_metric(entry, METRICS["mask_max_f"], bootstrap_counts(2))
    assert score.ods.value == pytest.approx(0.65)
    assert (score.scale, score.column, score.curve.tolist()) == (0, 100, [pytest.approx(0.65)])
    assert score.per_photo.tolist() == [0.6, 0.7]
    assert score.ois is None
