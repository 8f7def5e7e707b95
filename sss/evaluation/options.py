"""What is asked of an evaluation, and the plan that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sss.data.sources import data_root
from sss.evaluation.choose_models import bundled_model, chosen_models
from sss.evaluation.methods.registry import chosen_methods
from sss.evaluation.open_samples import open_samples
from sss.evaluation.plan import Plan


@dataclass(frozen=True)
class EvaluationOptions:
    """What is asked of an evaluation; the attributes are the options of ``evaluate.py``."""

    config: list[str]
    checkpoint: list[Path]
    features: list[str]
    encoder: list[str]
    runs: Path
    method: list[str]
    layers: tuple[int, ...] | None
    data: str
    split: str
    labels: str | None
    root: str | None
    folder: Path | None
    photos: int | None
    max_side: int | None
    out: Path
    cache: Path
    device: str
    seed: int
    jobs: int
    wandb: str
    project: str


def make_plan(options: EvaluationOptions) -> tuple[Plan, list[str]]:
    """Check all that was asked for; the names of the photos come with the plan.

    Raises:
        InputError: Data, models or methods cannot be used.
    """
    methods = chosen_methods(options.method, options.layers)
    data: dict[str, Any] = {
        "name": options.data,
        "root": data_root(options.root),
        "split": options.split,
        "folder": options.folder,
        "labels": options.labels,
        "photos": options.photos,
    }
    dataset = open_samples(**data)
    photos = [dataset.name(index) for index in range(len(dataset))]
    models = chosen_models(
        photos,
        options.config,
        options.checkpoint,
        options.features,
        options.encoder,
        runs=options.runs,
        seed=options.seed,
    )
    if not models and any(method.needs == "embedding" for method in methods):
        models = [bundled_model()]
    plan = Plan(
        data,
        options.max_side,
        tuple(models),
        tuple(methods),
        options.seed,
        options.cache.expanduser(),
        options.device,
    )
    return plan, photos
