"""What the trainings of the weak path share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sss.errors import InputError, one_line
from sss.models.base import ModelConfig, config_as_dict
from sss.models.checkpoints import write_weights
from sss.models.encoder_network import EncoderNetwork
from sss.training.check_step import check_step
from sss.training.task import Share, Task
from sss.training.weak.config import StageRun
from sss.training.weak.crops import Crops, Read

Built = TypeVar("Built", bound=EncoderNetwork)


HOLD_OUT = 10
"""Of so many photos whose labels earlier stages made, one is kept for the validation: by labels as
weak as the others'."""


class WeakTask(Task):
    """A training on crops of photos, in a folder of a run of ``python -m sss.weak``.

    Args:
        run: Its configuration.
        read: Gives a photo and its map.
        targets: (N, C) image labels of the N photos that are trained on.
        held_out: How many others there are.
        **model: What rebuilds the network beside ``run.model``, for the JSON beside the weights.
    """

    samples: Crops

    def __init__(
        self, run: StageRun, read: Read, targets: np.ndarray, held_out: int, **model: Any
    ) -> None:
        self.config = run
        self.samples = Crops(read, targets, run.data, run.optim.steps * run.optim.batch, run.seed)
        self.model = {**config_as_dict(run.model), **model}
        self.held_out_count = held_out
        self.network_name = f"{run.name} on {run.model.encoder}"

    def save(self, path: Path, network: EncoderNetwork, training: dict[str, Any]) -> None:
        """Weights, and beside them what they are."""
        write_weights(path, network.state_dict(), {"model": self.model, "training": training})

    def model_config(self, resume: bool) -> ModelConfig:
        """The network's, with its start unless the weights come from the run's state."""
        model: ModelConfig = self.config.model
        return model.without_start() if resume else model

    def checked(self, network: Built, norms_apart: int) -> Built:
        """A network as :meth:`build_network` gives it, ready to be trained."""
        network.freeze_statistics = self.config.model.weights != "none"
        check_step(network, self.config, norms_apart, self.network_name)
        return network

    def validation_sizes(self) -> list[int]:
        """See :class:`sss.training.task.Task`."""
        return [min(self.config.data.validation_photos, self.held_out_count)]

    def validated(self, share: Share) -> list[int]:
        """Numbers of the held-out photos that a process looks at."""
        return share.of(self.held_out_count, self.config.data.validation_photos)

    def resume_command(self, run_dir: Path) -> str:
        """The whole run goes on, its finished stages are skipped."""
        return f"python -m sss.weak --run_dir {shlex.quote(str(run_dir.parents[1].absolute()))}"


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
