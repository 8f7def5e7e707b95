"""``last.pt``: everything that a broken-off run needs to go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sss.errors import InputError, one_line
from sss.files import whole_file


@dataclass
class RunProgress:
    """How far a run has come.

    Attributes:
        step: Optimiser steps done.
        best: Best figure of a validation so far, of the one that chooses checkpoints.
        since_best: Validations since then.
        seconds: Of training so far.
        losses: Of the steps since the last row of metrics.csv.
        parts: Each of the task's losses in these steps, where it has several.
        pending: The validation of this step is still to be made.
    """

    step: int = 0
    best: float = float("-inf")
    since_best: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    pending: bool = False


def save_state(path: Path, progress: RunProgress, parts: dict[str, Any]) -> None:
    """Write the progress and the ``state_dict`` of each part.

    Args:
        path: The file, written whole or not at all.
        progress: How far the run has come.
        parts: By name: whatever has a ``state_dict()``.

    Raises:
        InputError: The file cannot be written.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    save_tensors(path, {**state, "progress": asdict(progress)})


def save_tensors(path: Path, content: Any) -> None:
    """Write what ``torch.load(path, weights_only=True)`` reads, whole or not at all.

    Raises:
        InputError: The file cannot be written.
    """
    with whole_file(path) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as error:  # which is what torch makes of a full disk
            reason = one_line(error)[:120]
            raise InputError(f"cannot write {path}: is the disk full? ({reason})") from error


def load_state(path: Path, parts: dict[str, Any]) -> RunProgress:
    """Give every part its state back.

    Args:
        path: What :func:`save_state` wrote, on any device.
        parts: By name: whatever has a ``load_state_dict(state)`` that copies to its own device.

    Raises:
        InputError: The file is damaged, or is the state of other parts.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = RunProgress(**state.pop("progress"))
    except Exception as error:  # torch names no type for a damaged file
        raise InputError(
            f"{path} is not a training state ({_reason(error)}); remove {path.parent} and start "
            "this run anew"
        ) from error
    if set(state) != set(parts):
        raise InputError(
            f"{path} is the state of {_names(state)}, expected that of {_names(parts)}; resume "
            "with the optim.ema (on or off) and the precision that the run had"
        )
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not the training state of this {name} ({_reason(error)}); resume "
                "without changing the model or the optimiser"
            ) from error
    return progress


def _names(parts: Iterable[str]) -> str:
    return ", ".join(sorted(parts))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
