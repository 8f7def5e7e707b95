"""What can be asked of an evaluation. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    common_photos: bool
    wandb: str
    project: str
    weights: tuple[Path, ...] = ()
    only_every: int = 1
    instances: tuple[str, ...] = ()
