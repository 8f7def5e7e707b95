"""What an encoder says of a photo by itself, before anything of ours was trained on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.encoder_network import EncoderNetwork
from sss.models.registry import build_network

STRIDE = 32
STAGES = (1, 2, 3, 4, 5)
"""All stages of an encoder, finest first; stage 0 would be the photo itself."""


class RawEncoder:
    """Some of an encoder's stages as the features of a photo.

    Each pixel's outputs of a stage are scaled to length one, so that all stages count the same,
    resized to the photo, and the stages are put one behind the other: hypercolumns (Hariharan,
    Arbeláez, Girshick, Malik, *Hypercolumns for Object Segmentation and Fine-Grained
    Localization*, CVPR 2015).

    Args:
        encoder: segmentation_models_pytorch's name of it; ``tu-NAME`` for any of timm's.
        weights: ``imagenet``, ``none`` (random) or the path of a state dict.
        stages: Which stages.
        device: Where to compute.
        seed: Of random weights.

    Raises:
        InputError: Unknown encoder, or weights that cannot be had.
    """

    def __init__(
        self,
        encoder: str,
        weights: str = "imagenet",
        stages: Sequence[int] = STAGES,
        device: torch.device | None = None,
        seed: int = 0,
    ) -> None:
        config = ModelConfig(name="hypercolumn", encoder=encoder, weights=weights)
        self.stages = tuple(stages)
        self.device = device or torch.device("cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.network = build_network(config).eval().to(self.device)
            except InputError as error:
                advice = str(error).replace("--model.weights PATH", f"{encoder}=PATH")
                raise InputError(f"encoder {encoder}: {advice}") from error

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 photo to (H, W, D) float32, D the widths of the stages together."""
        height, width = photo.shape[:2]
        outputs, size = encoder_outputs(self.network, photo, self.device)
        together = hypercolumns(outputs, size, self.stages)[0, :, :height, :width]
        return together.permute(1, 2, 0).cpu().numpy()


def hypercolumns(
    outputs: Sequence[Tensor], size: tuple[int, int], stages: Sequence[int] = STAGES
) -> Tensor:
    """Stages of :func:`encoder_outputs`, each scaled to length one, resized and put together.

    Args:
        outputs: (1, C, h, w) per stage.
        size: Rows and columns to resize to.
        stages: Which.

    Returns:
        (1, D, rows, columns).
    """
    resized = [
        F.interpolate(F.normalize(outputs[stage], dim=1), size, mode="bilinear") for stage in stages
    ]
    return torch.cat(resized, dim=1)


def encoder_outputs(
    network: EncoderNetwork, photo: np.ndarray, device: torch.device | None = None
) -> tuple[list[Tensor], tuple[int, int]]:
    """The encoder's outputs for a photo padded on the right and below.

    Args:
        network: In evaluation mode; its normalisation and its encoder are used.
        photo: (H, W, 3) uint8.
        device: Where the network is; default: the CPU.

    Returns:
        (1, C, h, w) per stage, the padded photo first, and the padded height and width.
    """
    height, width = photo.shape[:2]
    pixels = torch.from_numpy(photo.transpose(2, 0, 1).copy()).to(device).float()[None] / 255
    normalised = (pixels - network.mean) / network.std
    margin = (0, -width % STRIDE, 0, -height % STRIDE)
    # Torch reflects once only: a much smaller photo is continued by its border instead.
    mode = "reflect" if margin[1] < width and margin[3] < height else "replicate"
    padded = F.pad(normalised, margin, mode=mode)
    with torch.inference_mode():
        outputs: list[Tensor] = network.encoder(padded)
    return outputs, (padded.shape[-2], padded.shape[-1])
