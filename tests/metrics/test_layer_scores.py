import dataclasses

import numpy as np
import pytest

from sss.errors import InputError
from sss.metrics.boundaries import HumanBoundaries
from sss.metrics.catalogue import METRICS
from sss.metrics.layer_scores import LayerScorer
from sss.metrics.region_metrics import region_scores, soft_covering
from sss.metrics.samples import Matte, Sample

SIZE = (40, 50)


def sample(annotators: int = 0, objects: int = 0) -> Sample:
    rng = np.random.default_rng(0)
    columns = np.arange(SIZE[1])
    regions = [np.tile(columns >= rng.integers(10, 40), (SIZE[0], 1)) for _ in range(annotators)]
    instances = np.zeros((objects, *SIZE), bool)
    for k in range(objects):
        instances[k, 5 : 20 + k, 8 : 20 + 3 * k] = True
    return Sample(
        "one",
        np.zeros((*SIZE, 3), np.uint8),
        np.array(regions, np.int32).reshape(annotators, *SIZE),
        instances,
    )


def soft_layers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (H, W) and alphas (H, W, count)."""
    alpha = np.random.default_rng(count).random((*SIZE, count)).astype(np.float32)
    alpha[:, :25, 0] += 2
    alpha /= alpha.sum(axis=-1, keepdims=True)
    return alpha.argmax(-1), alpha


def test_each_segmentation_is_measured_against_the_regions() -> None:
    truth = sample(annotators=3)
    scorer, human = LayerScorer(truth), HumanBoundaries(truth.regions)
    for count in (2, 3, 5):
        labels, alpha = soft_layers(count)
        sums = scorer.score(labels, alpha)
        assert set(sums) == {n for n, m in METRICS.items() if m.group == "regions" and not m.parts}
        covering, pri, vi = region_scores(labels, truth.regions)
        assert (sums["covering"], sums["pri"], sums["vi"]) == ((covering, 1), (pri, 1), (vi, 1))
        assert sums["soft_covering"] == (soft_covering(alpha, truth.regions), 1)
        assert sums["soft_covering"] != sums["covering"]
        counts = human.match(labels)
        assert sums["boundary_precision"] == (counts.matched_machine, counts.machine)
        assert sums["boundary_recall"] == (counts.matched_human, counts.human)


def test_photos_with_objects_have_no_scores_of_regions() -> None:
    sums = LayerScorer(sample(annotators=1, objects=3)).score(*soft_layers(4))
    assert {METRICS[name].group for name in sums} == {"instances"}
    assert sums["instance_iou"][1] == 3
    assert sums["instance_soft_iou"] != sums["instance_iou"]


def test_hard_regions_have_the_hard_scores_as_soft_ones() -> None:
    labels, _ = soft_layers(4)
    sums = LayerScorer(sample(annotators=2)).score(labels)
    assert sums["soft_covering"] == sums["covering"]
    sums = LayerScorer(sample(objects=2)).score(labels)
    assert sums["instance_soft_iou"] == sums["instance_iou"]


def test_mattes_are_scored_beside_regions_or_alone() -> None:
    labels, alpha = soft_layers(3)
    mattes = (Matte(alpha[..., 1], np.full(SIZE, 128, np.uint8)),)
    with_regions = dataclasses.replace(sample(annotators=1), mattes=mattes)
    groups = {METRICS[name].group for name in LayerScorer(with_regions).score(labels, alpha)}
    assert groups == {"regions", "mattes"}
    sums = LayerScorer(dataclasses.replace(sample(), mattes=mattes)).score(labels, alpha)
    assert {METRICS[name].group for name in sums} == {"mattes"}
    assert sums["matte_sad"] == (pytest.approx(0.0, abs=1e-6), 1)


def test_nothing_known_nothing_measured() -> None:
    assert LayerScorer(sample()).score(*soft_layers(4)) == {}
    blank = sample(annotators=2)
    blank.regions[:] = -1
    assert LayerScorer(blank).score(*soft_layers(4)) == {}


def test_sums_are_plain_numbers() -> None:
    for truth in (sample(annotators=2), sample(objects=2)):
        for found in LayerScorer(truth).score(*soft_layers(3)).values():
            assert [type(value) for value in found] == [float, float]


def test_another_size_is_refused() -> None:
    labels, alpha = soft_layers(3)
    with pytest.raises(InputError, match=r"\(39, 50\).*\(40, 50\)"):
        LayerScorer(sample()).score(labels[1:], alpha[1:])
