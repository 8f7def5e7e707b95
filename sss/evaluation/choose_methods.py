"""From the command line to the methods of a run."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from sss.evaluation.methods.base import LAYER_COUNTS, Method
from sss.evaluation.methods.registry import DEFAULT_METHODS, METHODS
from sss.suggest import check_name

log = logging.getLogger(__name__)


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
    return [method if counts is None else with_counts(method, counts) for method in methods]


def with_counts(method: Any, counts: tuple[int, ...]) -> Method:
    """The method at ``counts`` layers if it is told how many to make, else as it is."""
    if tuple(method.scales) != LAYER_COUNTS:
        return method
    return dataclasses.replace(method, scales=counts)
