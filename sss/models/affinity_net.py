"""AffinityNet: features whose distance says whether two near pixels show the same class.

J. Ahn, S. Kwak, *Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly
Supervised Semantic Segmentation*, CVPR 2018, Sec. 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.encoder_network import EncoderNetwork
from sss.models.encoders import Staged, build_dilated_encoder

STAGES = 3
"""The last stages of the encoder that are used, as in the paper's network."""


class AffinityNetwork(EncoderNetwork):
    """The encoder's last stages, each through a 1×1 convolution, side by side, and a last 1×1 one.

    Args:
        staged: The encoder.
        widths: Channels that each of the last stages is brought to, finest first (paper: 128, 256,
            512).
        grid: Pixels from one feature to the next: the stages are resized to this stride.
    """

    def __init__(self, staged: Staged, widths: list[int], grid: int) -> None:
        super().__init__(staged.encoder, staged.mean, staged.std)
        self.backbone = staged.encoder
        self.grid = grid
        channels = staged.encoder.out_channels[-len(widths) :]
        self.reduce = nn.ModuleList(
            # Stages of an encoder differ in scale by orders of magnitude.
            nn.Sequential(nn.GroupNorm(1, inputs), nn.Conv2d(inputs, width, 1, bias=False))
            for inputs, width in zip(channels, widths, strict=True)
        )
        self.affinity = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        # The L1 distance adds up hundreds of channels; it shall begin at about one.
        nn.init.xavier_uniform_(self.affinity.weight, gain=4 / sum(widths))

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1], sides multiples of 32, to (B, D, h / grid, w / grid)."""
        return self.features(self.backbone(self.normalize(photos)))

    def features(self, outputs: list[Tensor]) -> Tensor:
        """Affinity features of the encoder's outputs, the photos first among them."""
        size = [side // self.grid for side in outputs[0].shape[2:]]
        parts = []
        for reduce, output in zip(self.reduce, outputs[-len(self.reduce) :], strict=True):
            part = F.relu(reduce(output))
            if list(part.shape[2:]) != size:
                part = F.interpolate(part, size, mode="bilinear", align_corners=False)
            parts.append(part)
        found: Tensor = F.relu(self.affinity(torch.cat(parts, dim=1)))
        return found


def build_affinity_network(
    config: ModelConfig, widths: list[int], stride: int, grid: int
) -> AffinityNetwork:
    """An AffinityNet on the encoder that ``config`` names.

    Args:
        config: Its ``encoder`` and ``weights`` count.
        widths: See :class:`AffinityNetwork`.
        stride: Of the encoder's last stage.
        grid: Of the features, in pixels.

    Raises:
        InputError: Encoder or weights cannot be had, or a width or the grid makes no sense.
    """
    if not 1 <= len(widths) <= 5 or not all(1 <= width <= 1024 for width in widths):
        raise InputError(f"widths is {widths}, expected one to five widths of 1 to 1024")
    if grid not in (4, 8, 16):
        raise InputError(f"grid is {grid}, expected 4, 8 or 16 pixels")
    network = AffinityNetwork(build_dilated_encoder(config, stride), widths, grid)
    network.freeze_statistics = config.weights != "none"
    if config.freeze_encoder:
        network.freeze_encoder()
    return network
