"""What is to be measured on each photo, and under which keys it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from sss.evaluation.cache import code_versions
from sss.evaluation.methods.base import Method
from sss.evaluation.models import Model
from sss.evaluation.records import record_key
from sss.evaluation.samples import sample_hash
from sss.metrics.samples import Sample


@dataclass(frozen=True)
class Plan:
    """A run; can be sent to other processes.

    Attributes:
        data: Arguments of :func:`sss.evaluation.open_samples.open_samples`.
        max_side: Longer photos are shrunk to it first.
        models: Sources of embeddings, measured by themselves and given to methods.
        methods: What is run.
        seed: Of all random choices.
        cache: Folder of the results.
        device: For the networks.
    """

    data: Mapping[str, Any]
    max_side: int | None
    models: tuple[Model, ...]
    methods: tuple[Method, ...]
    seed: int
    cache: Path
    device: str

    def entries(self) -> tuple[str, ...]:
        """All rows of the tables, features first."""
        layers = (
            entry_name(method, model)
            for method in self.methods
            for model in (self.models if method.needs == "embedding" else (None,))
        )
        return (*(model.label for model in self.models), *layers)


@dataclass(frozen=True)
class Job:
    """One entry on one photo.

    Attributes:
        entry: Row of the tables.
        model: Where its embedding comes from; None for methods without one.
        method: What to run; None to measure the embedding itself.
        settings: All that the result depends on.
    """

    entry: str
    model: Model | None
    method: Method | None
    settings: dict[str, Any]

    @property
    def key(self) -> str:
        """Names the result in the cache."""
        return record_key(self.settings)


def jobs_of(plan: Plan, sample: Sample) -> Iterator[Job]:
    """All that is to be measured on a photo, one model after the other."""
    common = {"versions": code_versions(), "sample": sample_hash(sample), "seed": plan.seed}
    labelled = bool((sample.regions >= 0).any())
    for model in plan.models:
        settings = {**common, "features": model.settings(sample.name)}
        if labelled:
            yield Job(model.label, model, None, settings)
        for method in plan.methods:
            if method.needs == "embedding":
                described = {**settings, "method": describe_method(method)}
                yield Job(entry_name(method, model), model, method, described)
    for method in plan.methods:
        if method.needs == "photo" or (method.needs == "trimap" and sample.mattes):
            described = {**common, "features": None, "method": describe_method(method)}
            yield Job(entry_name(method, None), None, method, described)


def describe_method(method: Method) -> dict[str, Any]:
    """All fields of a method but its title, those of settings in it too; its name and scales."""
    fields = asdict(cast(Any, method))
    fields.pop("title", None)
    return {**fields, "name": method.name, "scales": [float(scale) for scale in method.scales]}


def entry_name(method: Method, model: Model | None) -> str:
    """A method's row of the tables."""
    return method.name if model is None else f"{method.name} · {model.label}"
