"""DeepLab on MobileNetV2 as an encoder: a network that has learnt to label whole scenes.

L.-C. Chen et al., *Rethinking Atrous Convolution for Semantic Image Segmentation*, 2017
(DeepLabV3), and *Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation*, ECCV 2018 (DeepLabV3+), in the authors' form for mobile devices: of the pyramid, the
1×1 convolution and the mean over the photo are left. The outputs of all depths are given, what the
pyramid and the decoder make of them among these; logits of classes are not computed.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v2

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.weights import State, load_encoder_weights

DEEPLABS = {"deeplabv3_mobilenet_v2": False, "deeplabv3plus_mobilenet_v2": True}
"""Names of these encoders, and whether they have the decoder of DeepLabV3+."""

OUTPUT_STRIDES = (8, 16)

INPUT_MEAN = INPUT_STD = (0.5, 0.5, 0.5)
"""Photos are brought to [−1, 1]."""

UNIT_VARIANCE = 1 - 1e-5
"""With this variance (and its ε), no mean and unit weight a batch norm adds its bias only."""

WIDTH = 256
"""Of the pyramid's and the decoder's output."""

LOW_LEVEL_WIDTH = 48


class DeepLabMobileNet(nn.Module):
    """Outputs of all depths of the network; see the module.

    Args:
        decoder: Whether it has the decoder of DeepLabV3+.
        output_stride: 16, or 8 for more detail at nearly twice the time. Deeper blocks of
            MobileNetV2 are dilated in place of being strided.

    Attributes:
        strides: Of the outputs, finest first.
        out_channels: Widths of the photo and of the outputs.
    """

    def __init__(self, decoder: bool, output_stride: int = 16) -> None:
        super().__init__()
        self.features = mobilenet_v2(weights=None).features[:18]
        if output_stride == 8:
            _dilate(self.features[7:], 2)
        _dilate(self.features[14:], 2)
        self.aspp0 = nn.Conv2d(320, WIDTH, 1)
        self.image_pooling = nn.Conv2d(320, WIDTH, 1)
        self.concat_projection = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        if decoder:
            self.low_level_projection = nn.Conv2d(144, LOW_LEVEL_WIDTH, 1)
            self.decoder = nn.Sequential(
                _separable(WIDTH + LOW_LEVEL_WIDTH, WIDTH), _separable(WIDTH, WIDTH)
            )
        self.strides = [stride for stride in (2, 4, 8, 16) if stride <= output_stride]
        widths = {2: 16, 4: 24 + WIDTH * decoder, 8: 32, 16: 0}
        widths[output_stride] += 96 + 320 + WIDTH
        self.out_channels = [3, *(widths[stride] for stride in self.strides)]

    def forward(self, photos: Tensor) -> list[Tensor]:
        """Photos (B, 3, h, w) in [−1, 1], sides multiples of 16, and an output for each stride."""
        blocks = self._blocks(photos)
        pyramid = self._pyramid(blocks[-1])
        parts = {2: [blocks[2]], 4: [blocks[4]], 8: [blocks[7]], 16: []}
        parts[self.strides[-1]] += [blocks[14], blocks[-1], pyramid]
        if hasattr(self, "decoder"):
            parts[4].append(self._decoded(blocks, pyramid))
        outputs = (torch.cat(parts[stride], dim=1) for stride in self.strides)
        return [photos, *(_at_middles(output) for output in outputs)]

    def decode(self, photos: Tensor) -> Tensor:
        """What the decoder alone gives: (B, 256, h / 4, w / 4)."""
        blocks = self._blocks(photos)
        return _at_middles(self._decoded(blocks, self._pyramid(blocks[-1])))

    def _blocks(self, photos: Tensor) -> list[Tensor]:
        """What comes out of each block, the photos first, on the corners of cells."""
        blocks = [_with_last_corner(photos)]
        for block in self.features:
            blocks.append(block(blocks[-1]))
        return blocks

    def _pyramid(self, deepest: Tensor) -> Tensor:
        mean = self.image_pooling(deepest.mean((2, 3), keepdim=True))
        spread = mean.expand(-1, -1, *deepest.shape[2:])
        together = F.relu(torch.cat([spread, self.aspp0(deepest)], dim=1))
        return F.relu(self.concat_projection(together))

    def _decoded(self, blocks: list[Tensor], pyramid: Tensor) -> Tensor:
        expanded, depthwise, *_ = self.features[3].conv
        low_level = F.relu(self.low_level_projection(depthwise(expanded(blocks[3]))))
        size = low_level.shape[-2:]
        enlarged = F.interpolate(pyramid, size, mode="bilinear", align_corners=True)
        decoded: Tensor = self.decoder(torch.cat([enlarged, low_level], dim=1))
        return decoded


def _with_last_corner(photos: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C, h + 1, w + 1): the last row and column once more.

    A convolution of stride two that is padded on both sides has its output i on pixel 2i. After
    several, output i of stride s is on pixel s·i: a corner of the cell of s×s pixels that it is
    taken for. With one more row and column every corner has an output, and sides of s·n + 1 are
    what these networks were trained on.
    """
    return F.pad(photos, (0, 1, 0, 1), mode="replicate")


def _at_middles(corners: Tensor) -> Tensor:
    """Outputs on the corners of n×m cells, (B, C, n + 1, m + 1), to their middles, (B, C, n, m)."""
    return F.avg_pool2d(corners, 2, 1)


def _dilate(blocks: nn.Sequential, rate: int) -> None:
    """Dilate in place of the first block's stride: it keeps the dilation before it."""
    for number, block in enumerate(blocks):
        for layer in block.modules():
            if not isinstance(layer, nn.Conv2d) or layer.kernel_size == (1, 1):
                continue
            if number == 0:
                layer.stride = (1, 1)
            else:
                dilation = rate * layer.dilation[0]
                layer.dilation = layer.padding = (dilation, dilation)


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    """Depthwise 3×3 and pointwise convolution, a ReLU after each."""
    layers = nn.Sequential()
    layers.add_module("depthwise", nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs))
    layers.add_module("relu1", nn.ReLU())
    layers.add_module("pointwise", nn.Conv2d(inputs, outputs, 1))
    layers.add_module("relu2", nn.ReLU())
    return layers


def build_deeplab_encoder(config: ModelConfig) -> DeepLabMobileNet:
    """The encoder of that name with the start that ``config.weights`` asks for."""
    if config.output_stride not in OUTPUT_STRIDES:
        raise InputError(f"model.output_stride is {config.output_stride}, expected 8 or 16")
    encoder = DeepLabMobileNet(DEEPLABS[str(config.encoder)], config.output_stride)
    if config.weights == "imagenet":
        raise InputError(
            f"no download is known of weights for model.encoder '{config.encoder}'; give "
            "--model.weights PATH or none"
        )
    if config.weights != "none":
        load_encoder_weights(encoder, Path(config.weights), _with_folded_norms)
    return encoder


def _with_folded_norms(state: State, encoder: nn.Module) -> State:
    """Fill in what a batch norm lacks whose scale was folded into its convolution."""
    filled = dict(state)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.BatchNorm2d) and f"{name}.bias" in state:
            bias = state[f"{name}.bias"]
            filled.setdefault(f"{name}.weight", torch.ones_like(bias))
            filled.setdefault(f"{name}.running_mean", torch.zeros_like(bias))
            filled.setdefault(f"{name}.running_var", torch.full_like(bias, UNIT_VARIANCE))
            filled.setdefault(f"{name}.num_batches_tracked", torch.zeros((), dtype=torch.long))
    return filled
