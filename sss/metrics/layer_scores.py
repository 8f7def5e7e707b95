"""All metrics of one photo's segmentations, against whatever is known of the photo."""

from __future__ import annotations

import numpy as np

from sss.metrics.boundaries import HumanBoundaries
from sss.metrics.catalogue import WeightedSum
from sss.metrics.instances import Instances
from sss.metrics.masks import score_mask
from sss.metrics.mattes import TrueMatte, score_mattes
from sss.metrics.region_metrics import check_size, region_scores, soft_covering
from sss.metrics.samples import Sample
from sss.metrics.unions import best_unions


class LayerScorer:
    """Measures segmentations of a photo by all metrics that its ground truth allows.

    A photo with objects has no scores of regions: what lies between the objects is unlabelled
    there, and neither covering nor boundaries mean anything. For the same reason boundary scores
    want annotators who labelled all of the photo; what they left out counts as one region.

    Args:
        sample: The photo and its truth.
    """

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._instances = Instances(sample.instances) if len(sample.instances) else None
        labelled = self._instances is None and bool((sample.regions >= 0).any())
        self._boundaries = HumanBoundaries(sample.regions) if labelled else None
        self._mattes = [TrueMatte(matte) for matte in sample.mattes]

    def score(
        self,
        labels: np.ndarray,
        alpha: np.ndarray | None = None,
        foreground: np.ndarray | None = None,
    ) -> dict[str, WeightedSum]:
        """Measure one segmentation.

        Args:
            labels: (H, W) integers from 0: the region, or the strongest layer.
            alpha: (H, W, K) in [0, 1]; without, the soft metrics are those of the regions' masks.
            foreground: (H, W) in [0, 1], from methods that say what the object is: compared with
                the matte of a photo that has one only. Otherwise the best union of layers is.

        Returns:
            Metric of :data:`sss.metrics.catalogue.METRICS` → its sum and weight. Boundary precision
            and recall weigh by pixels, which may be none.

        Raises:
            InputError: The segmentation is not of the photo's size.
        """
        check_size(labels.shape, self._sample.photo.shape[:2])
        sums: dict[str, WeightedSum] = {}
        if self._instances is not None:
            sums |= self._instances.score(labels, alpha)
        elif self._boundaries is not None:
            sums |= _score_regions(self._sample.regions, self._boundaries, labels, alpha)
        if len(self._mattes) == 1 and foreground is not None:
            errors = self._mattes[0].errors(foreground)
            sums |= {metric: (value, 1.0) for metric, value in errors.items()}
        elif self._mattes:
            sums |= score_mattes(self._mattes, labels, alpha)
        return sums

    def score_thresholds(
        self,
        labels: np.ndarray,
        alpha: np.ndarray | None = None,
        foreground: np.ndarray | None = None,
    ) -> dict[str, list[WeightedSum]]:
        """Measure what one segmentation makes of the photo's salient objects.

        Args:
            labels: As of :meth:`score`.
            alpha: As of :meth:`score`.
            foreground: As of :meth:`score`; without it the best union of layers counts.

        Returns:
            Metric → a sum and weight for each of its thresholds; nothing where the photo has no
            mask.

        Raises:
            InputError: The segmentation is not of the photo's size.
        """
        mask = self._sample.mask
        if mask is None:
            return {}
        if foreground is None:
            (foreground,) = best_unions(labels, alpha, [mask.astype(np.float32)])
        return score_mask(foreground, mask)


def _score_regions(
    annotators: np.ndarray,
    boundaries: HumanBoundaries,
    labels: np.ndarray,
    alpha: np.ndarray | None,
) -> dict[str, WeightedSum]:
    covering, pri, vi = region_scores(labels, annotators)
    soft = covering if alpha is None else soft_covering(alpha, annotators)
    matched = boundaries.match(labels)
    return {
        "covering": (covering, 1.0),
        "pri": (pri, 1.0),
        "vi": (vi, 1.0),
        "boundary_precision": (float(matched.matched_machine), float(matched.machine)),
        "boundary_recall": (float(matched.matched_human), float(matched.human)),
        "soft_covering": (soft, 1.0),
    }
