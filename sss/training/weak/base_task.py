"""What the trainings of the weak path share."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.models.encoder_network import EncoderNetwork
from sss.training.task import Task
from sss.training.weak.config import StageRun
from sss.training.weak.crops import Crops


class WeakTask(Task):
    """A training on crops of photos, in a folder of a run of ``python -m sss.weak``.

    Args:
        run: Its configuration.
        samples: Its crops.
        model: What rebuilds the network, for the JSON beside the weights.
    """

    samples: Crops

    def __init__(self, run: StageRun, samples: Crops, model: dict[str, Any]) -> None:
        self.config = run
        self.samples = samples
        self.model = model
        self.network_name = f"{run.name} on {run.model.encoder}"

    def save(self, path: Path, network: EncoderNetwork, training: dict[str, Any]) -> None:
        """Weights, and beside them what they are."""
        save_weights(path, network, {"model": self.model, "training": training})

    def resume_command(self, run_dir: Path) -> str:
        """The whole run goes on, its finished stages are skipped."""
        return f"python -m sss.weak --run_dir {shlex.quote(str(run_dir.parents[1].absolute()))}"


def model_of(run: StageRun, **more: Any) -> dict[str, Any]:
    """What rebuilds a network of this training, but for the start of its weights."""
    return {**asdict(run.model), "weights": "none", "second_weights": "none", **more}


def save_weights(path: Path, network: nn.Module, told: dict[str, Any]) -> None:
    """Write weights as safetensors, and ``told`` beside them as JSON.

    Raises:
        InputError: The files cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with whole_file(path) as partial:
        try:
            save_file(state, partial)
        except SafetensorError as error:  # a full disk, for one
            raise InputError(f"cannot write {path}: {error}") from error
    with whole_file(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")


def load_weights(path: Path, network: nn.Module, device: torch.device) -> None:
    """Give a network the weights of a finished training, and make it ready to be used.

    Raises:
        InputError: They are not there, or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise InputError(f"no weights at {path}; the stage before this one writes them") from error
    except (RuntimeError, SafetensorError, OSError) as error:
        raise InputError(
            f"{path} does not hold the weights of this network ({one_line(error)[:200]}); remove "
            f"{path.parent} and run its stage again"
        ) from error
    network.to(device).eval()
