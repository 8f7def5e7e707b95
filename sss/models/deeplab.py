"""The network of the paper: a hypercolumn over a dilated ResNet-101.

Aksoy et al. 2018, Sec. 4, with the numbers of the authors' released code: features of five depths
are brought to fixed widths, resized to the photo, and mixed pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.models import ResNet, resnet101

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.torchvision_encoders import check_encoder
from sss.models.weights import start_torchvision

OUTPUT_STRIDE = 8

# (channels in, channels out, kernel) of the photo, pool1, res3b3, res4b22 and res5c.
COLUMNS = ((3, 4, 1), (64, 124, 1), (512, 128, 1), (1024, 256, 3), (2048, 512, 3))
RANK, HIDDEN = 256, 512

BAND = 32
"""Rows of pixels that are mixed at a time."""


class DilatedResNet(nn.Module):
    """A torchvision ResNet of output stride 8 that gives the features of the hypercolumn.

    Res4 has dilation 2 and res5 dilation 4. The first block of each keeps the dilation before it:
    torchvision's ResNet strides in a block's 3×3 convolution, whose own taps lie one step apart at
    the resolution in front of it, so this alone leaves the pretrained filters what they were.
    """

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        # Torchvision's own names, so that its state dicts fit.
        self.conv1, self.bn1, self.relu = resnet.conv1, resnet.bn1, resnet.relu
        self.maxpool = resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4

    def forward(self, photos: Tensor) -> list[Tensor]:
        """Pool1 (stride 4), res3b3, res4b22 and res5c (stride 8), each after its ReLU."""
        pool1 = self.maxpool(self.relu(self.bn1(self.conv1(photos))))
        res3 = self.layer2(self.layer1(pool1))
        res4 = self.layer3(res3)
        return [pool1, res3, res4, self.layer4(res4)]


class HypercolumnHead(nn.Module):
    """Features of all depths at every pixel, mixed by three fully connected layers.

    "Fully connected" means per pixel: 1×1 convolutions at the photo's full size. The first two are
    of low rank, a product of two matrices with nothing between, then bias and ReLU. The third sees
    the outputs of both. The concatenations of 1024 channels (0.4 GB at 321×321) are never made:
    a layer on a concatenation is the sum of layers on its parts. What follows the first matrix is
    computed band by band, and in training all between the columns and the embedding is computed
    again in the backward pass instead of being kept.
    """

    def __init__(self, dim: int, dropout: float, band: int = BAND) -> None:
        super().__init__()
        self.band = band
        self.columns = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            for inputs, outputs, kernel in COLUMNS
        )
        width = sum(outputs for _, outputs, _ in COLUMNS)
        self.down1 = nn.Conv2d(width, RANK, 1, bias=False)
        self.up1 = nn.Conv2d(RANK, HIDDEN, 1)
        self.down2 = nn.Conv2d(HIDDEN, RANK, 1, bias=False)
        self.up2 = nn.Conv2d(RANK, HIDDEN, 1)
        self.embed = nn.Conv2d(2 * HIDDEN, dim, 1)
        self.dropout = nn.Dropout2d(dropout)
        rectified = (*self.columns, self.up1, self.up2)
        for layer in (*rectified, self.down1, self.down2, self.embed):
            nn.init.kaiming_normal_(
                layer.weight, nonlinearity="relu" if layer in rectified else "linear"
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], size: torch.Size) -> Tensor:
        """The photo and the ResNet's features to (B, dim, *size)."""
        if not (self.training or torch.is_grad_enabled()):
            return self._infer(features, size)
        weights = self.down1.weight.split([outputs for _, outputs, _ in COLUMNS], dim=1)
        reduced: Tensor | None = None
        for layer, feature, weight in zip(self.columns, features, weights, strict=True):
            part = self._recomputed(_full_size_product, layer(feature), weight, size)
            reduced = part if reduced is None else reduced + part
        assert reduced is not None  # there are columns
        kept = self.dropout(reduced.new_ones(len(reduced), 2 * HIDDEN, 1, 1))  # for all bands
        bands = [
            self._recomputed(self._mix, band, *kept.split(HIDDEN, dim=1))
            for band in reduced.split(self.band, dim=2)
        ]
        return torch.cat(bands, dim=2)

    def _infer(self, features: Sequence[Tensor], size: torch.Size) -> Tensor:
        """All in bands of pixels; layers on the same values are computed as one."""
        columns = [layer(part) for layer, part in zip(self.columns, features, strict=True)]
        assert self.embed.bias is not None
        weight1, weight2 = self.embed.weight.split(HIDDEN, dim=1)
        weights = torch.cat([self.down2.weight, weight1])
        biases = F.pad(self.embed.bias, (RANK, 0))  # down2 has none

        def mixed(top: int) -> Tensor:
            rectified = [_band(column, top, size).relu_() for column in columns]
            hidden1 = self.up1(self.down1(torch.cat(rectified, dim=1))).relu_()
            both = F.conv2d(hidden1, weights, biases)
            hidden2 = self.up2(both[:, :RANK]).relu_()
            return both[:, RANK:] + F.conv2d(hidden2, weight2)

        return torch.cat([mixed(top) for top in range(0, size[0], OUTPUT_STRIDE)], dim=2)

    def _mix(self, reduced: Tensor, kept1: Tensor, kept2: Tensor) -> Tensor:
        """(B, 256, h, w) of the first layer's middle to (B, dim, h, w)."""
        hidden1 = F.relu(self.up1(reduced), inplace=True)
        hidden2 = F.relu(self.up2(self.down2(hidden1)), inplace=True)
        weight1, weight2 = self.embed.weight.split(HIDDEN, dim=1)
        embedded = F.conv2d(hidden1 * kept1, weight1, self.embed.bias)
        return embedded + F.conv2d(hidden2 * kept2, weight2)

    def _recomputed(self, function: Callable[..., Tensor], *values: object) -> Tensor:
        """Call ``function``; in training, keep nothing of what it computes on its way."""
        if self.training and torch.is_grad_enabled():
            result: Tensor = checkpoint(function, *values, use_reentrant=False)
            return result
        return function(*values)


def _full_size_product(column: Tensor, weight: Tensor, size: torch.Size) -> Tensor:
    """A column resized to the photo and rectified, times its part of the first layer."""
    resized = F.interpolate(column, size, mode="bilinear", align_corners=False)
    return F.conv2d(F.relu(resized, inplace=True), weight)


def _band(column: Tensor, top: int, size: torch.Size) -> Tensor:
    """``OUTPUT_STRIDE`` rows, from ``top`` on, of a column resized to the photo."""
    factor = size[0] // column.shape[2]
    first, last = top // factor, (top + OUTPUT_STRIDE) // factor
    start = max(first - 1, 0)  # with the rows next to it that interpolation looks at
    near = column[:, :, start : last + 1]
    if factor > 1:
        full = (near.shape[2] * factor, size[1])
        near = F.interpolate(near, full, mode="bilinear", align_corners=False)
    return near[:, :, top - start * factor :][:, :, :OUTPUT_STRIDE]


class HypercolumnDeepLab(nn.Module):
    """The ResNet and the hypercolumn over it."""

    not_in_onnx = "as many bands of rows as the photo has"

    def __init__(self, encoder: DilatedResNet, dim: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = HypercolumnHead(dim, dropout)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of 8."""
        return self.head([photos, *self.encoder(photos)], photos.shape[-2:])


def build_deeplab(config: ModelConfig) -> EmbeddingNetwork:
    """The paper's network (there with ``dim: 128`` and ``dropout: 0``)."""
    check_encoder(config, ("resnet101",))
    resnet = resnet101(replace_stride_with_dilation=[False, True, True])
    encoder = DilatedResNet(resnet)
    start_torchvision(encoder, config)
    return EmbeddingNetwork(
        HypercolumnDeepLab(encoder, config.dim, config.dropout),
        encoder,
        config.dim,
        OUTPUT_STRIDE,
    )
