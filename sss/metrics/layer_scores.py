"""All figures of one photo's segmentations that come from regions and objects."""

from __future__ import annotations

from collections.abc import Iterable

from sss.evaluation.methods.base import Segmentation
from sss.evaluation.records import Figure
from sss.evaluation.samples import Sample
from sss.metrics.boundaries import HumanBoundaries
from sss.metrics.instances import Instances
from sss.metrics.region_metrics import check_size, region_scores, soft_covering


def score_layers(sample: Sample, segmentations: Iterable[Segmentation]) -> dict[str, list[Figure]]:
    """Measure each segmentation by the metrics of the groups ``regions`` and ``instances``.

    A photo with objects has no figures of regions: what lies between the objects is unlabelled
    there, and neither covering nor boundaries mean anything. For the same reason boundary figures
    want annotators who labelled all of the photo; what they left out counts as one region.

    Args:
        sample: The truth.
        segmentations: One per scale; taken one at a time and not kept. For hard regions the soft
            metrics are those of their masks.

    Returns:
        Metric → a figure per segmentation, in their order; the metrics that the sample's truth
        allows. Boundary precision and recall weigh by pixels, which may be none.

    Raises:
        InputError: A segmentation is not of the photo's size.
    """
    instances = Instances(sample.instances) if len(sample.instances) else None
    with_regions = instances is None and bool((sample.regions >= 0).any())
    boundaries = HumanBoundaries(sample.regions) if with_regions else None
    figures: dict[str, list[Figure]] = {}
    for segmentation in segmentations:
        check_size(segmentation.labels.shape, sample.photo.shape[:2])
        scores: dict[str, Figure] = {}
        if instances is not None:
            scores = instances.score(segmentation.labels, segmentation.alpha)
        elif boundaries is not None:
            scores = _regions(sample, boundaries, segmentation)
        for name, figure in scores.items():
            figures.setdefault(name, []).append(figure)
    return figures


def _regions(
    sample: Sample, boundaries: HumanBoundaries, segmentation: Segmentation
) -> dict[str, Figure]:
    covering, pri, vi = region_scores(segmentation.labels, sample.regions)
    alpha = segmentation.alpha
    matched = boundaries.match(segmentation.labels)
    return {
        "covering": (covering, 1.0),
        "pri": (pri, 1.0),
        "vi": (vi, 1.0),
        "boundary_precision": (float(matched.matched_machine), float(matched.machine)),
        "boundary_recall": (float(matched.matched_human), float(matched.human)),
        "soft_covering": (
            covering if alpha is None else soft_covering(alpha, sample.regions),
            1.0,
        ),
    }
