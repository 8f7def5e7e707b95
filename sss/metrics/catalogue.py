"""The list of all metrics: names, groups and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["features", "regions", "instances", "mattes", "masks"]

WeightedSum = tuple[float, float]
"""Total and weight: what a photo adds to a metric, whose value over photos is Σ total / Σ weight.
For most metrics the weight is 1; for instances their number, for boundaries the pixels counted."""


@dataclass(frozen=True)
class Metric:
    """A column of the result tables.

    Attributes:
        name: Key in records and CSV.
        title: For people.
        group: What it is measured on.
        higher: Whether more is better.
        parts: Names of two metrics whose harmonic mean this one is (F-measures); else empty.
        thresholds: Cuts of a map at which it is measured on each photo; its value over photos is
            that of the cut that is best for all of them. 1 for what needs no cut.
    """

    name: str
    title: str
    group: Group
    higher: bool = True
    parts: tuple[str, ...] = ()
    thresholds: int = 1


def _distances(name: str, title: str) -> list[Metric]:
    return [
        Metric(f"{name}_{band}", f"{title}, {band} pairs", "features", name != "eer")
        for band in DISTANCE_BANDS
    ]


DISTANCE_BANDS = {"near": (0.0, 0.05), "middle": (0.05, 0.2), "far": (0.2, 2.0)}
"""Distance between two pixels as a fraction of the photo's diagonal, [low, high)."""

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 10**12)}
"""COCO's classes of object area in pixels, [low, high)."""

_INSTANCES = [
    Metric("instance_iou", "mean best IoU", "instances"),
    Metric("instance_soft_iou", "mean best soft IoU", "instances"),
    Metric("recall_50", "recall at IoU 0.5", "instances"),
    Metric("recall_75", "recall at IoU 0.75", "instances"),
]

_MATTES = [
    Metric("matte_soft_iou", "soft IoU", "mattes"),
    Metric("matte_sad", "SAD / 1000", "mattes", higher=False),
    Metric("matte_mse", "MSE", "mattes", higher=False),
    Metric("matte_gradient", "gradient error / 1000", "mattes", higher=False),
    Metric("matte_connectivity", "connectivity error / 1000", "mattes", higher=False),
]

MASK_THRESHOLDS = 256
"""Cuts of an object's map of 8 bits, as salient-object detection is measured."""

_MASKS = [
    Metric("mask_max_f", "max F", "masks", thresholds=MASK_THRESHOLDS),
    Metric("mask_s", "S-measure", "masks"),
    Metric("mask_max_e", "max E", "masks", thresholds=MASK_THRESHOLDS),
    Metric("mask_mean_e", "mean E", "masks"),
    Metric("mask_mae", "MAE", "masks", higher=False),
]

_ALL = [
    Metric("pair_auc", "pair AUC", "features"),
    *_distances("pair_auc", "pair AUC"),
    Metric("eer", "equal error rate", "features", higher=False),
    *_distances("eer", "equal error rate"),
    Metric("precision_at_1", "precision@1", "features"),
    *_distances("precision_at_1", "precision@1"),
    Metric("r_precision", "R-precision", "features"),
    *_distances("r_precision", "R-precision"),
    Metric("ami", "AMI", "features"),
    Metric("ari", "ARI", "features"),
    *_distances("ari", "ARI"),
    Metric("covering", "covering", "regions"),
    Metric("pri", "PRI", "regions"),
    Metric("vi", "VI (bits)", "regions", higher=False),
    Metric("boundary_f", "boundary F", "regions", parts=("boundary_precision", "boundary_recall")),
    Metric("boundary_precision", "boundary precision", "regions"),
    Metric("boundary_recall", "boundary recall", "regions"),
    Metric("soft_covering", "soft covering", "regions"),
    *_INSTANCES,
    *(
        Metric(f"{metric.name}_{size}", f"{metric.title}, {size}", "instances")
        for size in SIZES
        for metric in _INSTANCES
    ),
    *_MATTES,
    *(
        Metric(f"{metric.name}_unknown", f"{metric.title}, unknown band", "mattes", metric.higher)
        for metric in _MATTES
    ),
    *_MASKS,
]

METRICS = {metric.name: metric for metric in _ALL}
"""All metrics by name, in the order of the tables."""
