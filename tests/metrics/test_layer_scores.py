import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from sss.errors import InputError
from sss.evaluation.methods.base import Segmentation
from sss.evaluation.records import METRICS
from sss.evaluation.samples import Sample
from sss.metrics.boundaries import HumanBoundaries
from sss.metrics.layer_scores import score_layers
from sss.metrics.region_metrics import region_scores, soft_covering

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


def segmentation(layers: int, soft: bool) -> Segmentation:
    alpha = np.random.default_rng(layers).random((*SIZE, layers)).astype(np.float32)
    alpha[:, :25, 0] += 2
    alpha /= alpha.sum(axis=-1, keepdims=True)
    return Segmentation(alpha.argmax(-1), alpha if soft else None, 0.5)


def test_regions_are_measured_at_each_scale() -> None:
    truth = sample(annotators=3)
    segmentations = [segmentation(k, soft=True) for k in (2, 3, 5)]
    figures = score_layers(truth, iter(segmentations))
    stored = {name for name, m in METRICS.items() if m.group == "regions" and not m.parts}
    assert set(figures) == stored
    for k, one in enumerate(segmentations):
        scores = region_scores(one.labels, truth.regions)
        assert [figures[name][k] for name in ("covering", "pri", "vi")] == [
            (value, 1.0) for value in scores
        ]
        assert one.alpha is not None
        assert figures["soft_covering"][k] == (soft_covering(one.alpha, truth.regions), 1.0)
        counts = HumanBoundaries(truth.regions).match(one.labels)
        assert figures["boundary_precision"][k] == (counts.matched_machine, counts.machine)
        assert figures["boundary_recall"][k] == (counts.matched_human, counts.human)
    assert figures["soft_covering"][0] != figures["covering"][0]


def test_photos_with_objects_have_no_figures_of_regions() -> None:
    figures = score_layers(sample(annotators=1, objects=3), [segmentation(4, soft=True)] * 2)
    assert {METRICS[name].group for name in figures} == {"instances"}
    assert all(len(figure) == 2 for figure in figures.values())
    assert figures["instance_iou"][0][1] == 3
    assert figures["instance_soft_iou"][0] != figures["instance_iou"][0]


def test_hard_regions_have_the_hard_figures_as_soft_ones() -> None:
    figures = score_layers(sample(annotators=2), [segmentation(4, soft=False)])
    assert figures["soft_covering"] == figures["covering"]
    figures = score_layers(sample(objects=2), [segmentation(4, soft=False)])
    assert figures["instance_soft_iou"] == figures["instance_iou"]


def test_nothing_known_nothing_measured() -> None:
    assert score_layers(sample(), [segmentation(4, soft=True)]) == {}
    blank = sample(annotators=2)
    blank.regions[:] = -1
    assert score_layers(blank, [segmentation(4, soft=True)]) == {}


def test_figures_are_plain_numbers() -> None:
    for truth in (sample(annotators=2), sample(objects=2)):
        for series in score_layers(truth, [segmentation(3, soft=True)]).values():
            assert [type(value) for value in series[0]] == [float, float]


def test_segmentations_are_not_kept() -> None:
    alive: list[weakref.ref] = []

    def lazily() -> Iterator[Segmentation]:
        for k in (2, 3, 4, 5):
            # The one just measured may still be the loop's own variable, none before it.
            assert sum(ref() is not None for ref in alive) <= 1
            one = segmentation(k, soft=True)
            alive.append(weakref.ref(one))
            yield one
            del one

    assert len(score_layers(sample(annotators=1), lazily())["covering"]) == 4


@pytest.mark.parametrize("truth", [sample(), sample(annotators=1), sample(objects=1)])
def test_another_size_than_the_photo_is_refused(truth: Sample) -> None:
    labels = np.zeros(SIZE[::-1], int)
    with pytest.raises(InputError, match=r"\(50, 40\).*\(40, 50\)"):
        score_layers(truth, [Segmentation(labels, None, 0.0)])
