"""Losses, miners, distances and reducers by name and options, as a YAML file gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pytorch_metric_learning import distances, losses, miners, reducers

from sss.errors import InputError, one_line
from sss.suggest import check_name
from sss.training.affinity_loss import DenseAffinityLoss
from sss.training.discriminative import DiscriminativeLoss
from sss.training.pair_losses import ModifiedNPairLoss, SigmoidPairLoss

OWN_LOSSES: dict[str, Callable[..., Any]] = {
    "modified_npair": ModifiedNPairLoss,
    "sigmoid_pair": SigmoidPairLoss,
    "discriminative": DiscriminativeLoss,
    "affinity": DenseAffinityLoss,
}
"""Losses that the library does not have, by name."""

_CLASSES = "learns vectors of fixed classes, and the labels of a photo are no classes"
_BASE = "is only a base class"
_VIEWS = "compares two views of a photo and takes no labels"

REFUSED: dict[str, dict[str, str]] = {
    "loss": {
        "ArcFaceLoss": _CLASSES,
        "CosFaceLoss": _CLASSES,
        "LargeMarginSoftmaxLoss": _CLASSES,
        "ManifoldLoss": _CLASSES,
        "NormalizedSoftmaxLoss": _CLASSES,
        "P2SGradLoss": _CLASSES,
        "ProxyAnchorLoss": _CLASSES,
        "ProxyNCALoss": _CLASSES,
        "SoftTripleLoss": _CLASSES,
        "SphereFaceLoss": _CLASSES,
        "SubCenterArcFaceLoss": _CLASSES,
        "HistogramLoss": "fails where two pixels have one direction",
        "InstanceLoss": "takes the number of a label for the number of a pixel",
        "CrossBatchMemory": "compares with earlier photos, in which the labels mean other regions",
        "DynamicSoftMarginLoss": "keeps a histogram over the steps that no checkpoint holds",
        "MultipleLosses": "is a list of losses; name one of them",
        "SelfSupervisedLoss": _VIEWS,
        "SmoothAPLoss": "is wrong unless there are as many labels as pixels of each",
        "TupletMarginLoss": "is not a number where two pixels have one direction",
        "VICRegLoss": _VIEWS,
        "BaseLossWrapper": _BASE,
        "BaseMetricLossFunction": _BASE,
        "EmbeddingRegularizerMixin": _BASE,
        "GenericPairLoss": _BASE,
        "WeightRegularizerMixin": _BASE,
    },
    "miner": {
        "BaseMiner": _BASE,
        "EmbeddingsAlreadyPackagedAsTriplets": "expects pixels ordered as triplets",
    },
    "distance": {
        "BaseDistance": _BASE,
        "BatchedDistance": "hands its parts to a function, which a file cannot name",
    },
    "reducer": {
        "BaseReducer": _BASE,
        "ClassWeightedReducer": "weights classes, and the labels of a photo are no classes",
        "DoNothingReducer": "gives no single number",
        "MultipleReducers": "is a table of reducers; name one of them",
    },
}
"""Why a class of the library is no choice here."""

_MODULES = {"loss": losses, "miner": miners, "distance": distances, "reducer": reducers}

_NOT_OPTIONS = {
    # Set by the code or by keys of their own.
    *("self", "distance", "reducer", "mat_based_loss", "is_inverted", "collect_stats"),
    # No values that a file can hold, or no use without classes.
    *("embedding_regularizer", "embedding_reg_weight", "aggregation_func"),
    *("learn_beta", "num_classes", "nu"),
}


def library_names(kind: str) -> list[str]:
    """Names of the library's classes of a kind: ``loss``, ``miner``, ``distance``, ``reducer``."""
    members = vars(_MODULES[kind]).items()
    return sorted(name for name, member in members if inspect.isclass(member))


def part_names(kind: str) -> list[str]:
    """The names that :func:`build_part` takes for this kind."""
    own = list(OWN_LOSSES) if kind == "loss" else []
    return own + [name for name in library_names(kind) if name not in REFUSED[kind]]


def option_names(part: Callable[..., Any]) -> dict[str, bool]:
    """Keyword arguments of a class that a configuration may set, and whether each must be set."""
    found: dict[str, bool] = {}
    for ancestor in inspect.getmro(part) if inspect.isclass(part) else ():
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(ancestor.__init__).parameters.values()  # type: ignore[misc]
        for parameter in parameters:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.name not in _NOT_OPTIONS:
                found.setdefault(parameter.name, parameter.default is parameter.empty)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break  # what it does not name, it does not take
    return found


def build_part(kind: str, name: str, options: dict[str, Any], **given: Any) -> Any:
    """An object of the library, or one of our losses, by name.

    Args:
        kind: ``loss``, ``miner``, ``distance`` or ``reducer``.
        name: Of its class, or of one of ``OWN_LOSSES``.
        options: Keyword arguments from a configuration.
        given: Further ones, from the code.

    Raises:
        InputError: The name or an option is unknown, refused or has a value it cannot have.
    """
    key = "loss" if kind == "loss" else f"loss.{kind}"
    if name in REFUSED[kind]:
        raise InputError(f"{key}.name '{name}' cannot be used here: it {REFUSED[kind][name]}")
    check_name(f"{key}.name", name, part_names(kind))
    own = OWN_LOSSES.get(name) if kind == "loss" else None
    for other in given:
        if own and other not in inspect.signature(own).parameters:
            raise InputError(f"{key}.name '{name}' takes no {other}; leave loss.{other} out")
    part = own or getattr(_MODULES[kind], name)
    _check_options(f"{key}.options", name, option_names(part), options)
    try:
        return part(**options, **given)
    except Exception as error:  # the library asserts, and raises what it likes
        raise InputError(f"{key}.name '{name}' cannot be built: {one_line(error)}") from error


def _check_options(key: str, name: str, known: dict[str, bool], options: dict[str, Any]) -> None:
    takes = f"{name} takes {', '.join(known) or 'no options'}"
    for option in options:
        if option not in known:
            raise InputError(f"unknown {key}.{option}; {takes}")
    missing = [option for option, needed in known.items() if needed and option not in options]
    if missing:
        raise InputError(f"{key} must give {' and '.join(missing)}; {takes}")
