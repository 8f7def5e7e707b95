"""All methods of segmentation by their names on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sss.evaluation.methods.background_removers import REMOVERS
from sss.evaluation.methods.base import LAYER_COUNTS, Method
from sss.evaluation.methods.clusters import FeatureKMeans, LabKMeans, MeanShift
from sss.evaluation.methods.graphs import Felzenszwalb, NormalisedCuts
from sss.evaluation.methods.hinted import HINTED
from sss.evaluation.methods.matting_components import SpectralMatting
from sss.evaluation.methods.pipeline import PIPELINES, SALIENT
from sss.evaluation.methods.robust_background import RobustBackground
from sss.evaluation.methods.trimap import CLOSED_FORM, KNN
from sss.suggest import check_name

_ALL: tuple[Method, ...] = (
    *PIPELINES,
    FeatureKMeans(),
    LabKMeans(),
    Felzenszwalb(),
    NormalisedCuts(),
    MeanShift(),
    SpectralMatting(),
    CLOSED_FORM,
    KNN,
    *SALIENT,
    *REMOVERS,
    *HINTED,
    RobustBackground(),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}

DEFAULT_METHODS = ("sss",)


def chosen_methods(names: Sequence[str], counts: tuple[int, ...] | None) -> list[Method]:
    """The methods of ``--method``, each once, by default :data:`DEFAULT_METHODS`.

    Args:
        names: Keys of :data:`METHODS`.
        counts: Of layers or clusters, for the methods that are told how many to make.

    Raises:
        InputError: There is no such method.
    """
    for name in names:
        check_name("--method", name, METHODS)
    methods = [METHODS[name] for name in dict.fromkeys(names or DEFAULT_METHODS)]
    return [method if counts is None else _with_counts(method, counts) for method in methods]


def _with_counts(method: Any, counts: tuple[int, ...]) -> Method:
    """The method at ``counts`` layers if it is told how many to make, else as it is."""
    if tuple(method.scales) != LAYER_COUNTS:
        return method
    return dataclasses.replace(method, scales=counts)
