"""``last.pt``: everything that a broken-off run needs to go on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sss.errors import InputError
from sss.files import whole_file


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: Optimiser steps done.
        best: Best validation pair AUC so far.
        since_best: Validations since then.
        seconds: Of training so far.
        losses: Of the steps since the last row of metrics.csv.
        finished: The run stopped early and shall not go on.
    """

    step: int = 0
    best: float = float("-inf")
    since_best: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    finished: bool = False


def save_state(path: Path, progress: Progress, parts: dict[str, Any]) -> None:
    """Write the progress and the ``state_dict`` of each part.

    Args:
        path: The file, written whole or not at all.
        progress: How far the run has come.
        parts: By name: whatever has a ``state_dict()``.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    with whole_file(path) as partial:
        torch.save({**state, "progress": asdict(progress)}, partial)


def load_state(path: Path, parts: dict[str, Any], device: torch.device) -> Progress:
    """Give every part its state back.

    Raises:
        InputError: There is no state, or it is that of another network or optimiser.
    """
    if not path.is_file():
        raise InputError(
            f"no training state at {path}; remove {path.parent} and start this run anew"
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return Progress(**state["progress"])
    except Exception as error:  # torch names no type for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is not the training state of this network ({type(error).__name__}: "
            f"{reason}); resume without changing the model, the optimiser, its ema or the precision"
        ) from error
