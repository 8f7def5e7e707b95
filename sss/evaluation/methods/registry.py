"""All methods of segmentation by their names on the command line."""

from __future__ import annotations

from sss.evaluation.methods.base import Method
from sss.evaluation.methods.clusters import FeatureKMeans, LabKMeans, MeanShift
from sss.evaluation.methods.graphs import Felzenszwalb, NormalisedCuts
from sss.evaluation.methods.matting_components import SpectralMatting
from sss.evaluation.methods.pipeline import PIPELINES
from sss.evaluation.methods.trimap import TrimapMatting

_ALL: tuple[Method, ...] = (
    *PIPELINES,
    FeatureKMeans(),
    LabKMeans(),
    Felzenszwalb(),
    NormalisedCuts(),
    MeanShift(),
    SpectralMatting(),
    TrimapMatting("closed-form"),
    TrimapMatting("knn"),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}

DEFAULT_METHODS = ("sss",)
