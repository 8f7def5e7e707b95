"""U-Nets on the encoders of segmentation_models_pytorch, and its other architectures."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.norms import replace_batch_norms
from sss.models.smp_encoder import (
    drop_unused_layers,
    input_scale,
    start_from_file,
    with_weights,
)
from sss.suggest import nearest

_STAGED = ("unet", "unetplusplus", "manet")
"""Architectures whose decoder has a width per stage of the encoder."""

_NORM_FREE = (*_STAGED, "linknet", "pspnet", "upernet")
"""Architectures that the library can build without norms."""

_DROPOUTS = {
    "fpn": "decoder_dropout",
    "pspnet": "psp_dropout",
    "deeplabv3": "decoder_aspp_dropout",
    "deeplabv3plus": "decoder_aspp_dropout",
}
"""Dropouts of the library's own, switched off: ``model.dropout`` is the only one."""

_DPT_STRIDE = 32
"""Of the coarsest features that ``dpt`` makes of a transformer's tokens."""

_PAN_LEAST = 256
"""``pan`` halves features of stride 16 three times; a norm needs more than one value."""


class PhotoPyramidUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) whose decoder also sees the photo at each of its scales.

    Colour, and the mean colour around a pixel, tell segments apart almost as well as deep features
    do; handing them to the decoder spares it from recovering them from the encoder's first layers.

    Args:
        encoder: Encoder of segmentation_models_pytorch.
        decoder_channels: Width of each decoder block, coarsest first, one per encoder stage.
        dim: Dimension of the embedding.
        dropout: Fraction of the decoder's output channels that a training step blanks.
        norm: Normalisation of the decoder, see :class:`ModelConfig`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder_channels: list[int],
        dim: int,
        dropout: float,
        norm: str = "batch",
    ) -> None:
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        self.encoder = encoder
        widths: Any = encoder.out_channels  # of the photo and of every stage
        self.decoder = UnetDecoder(
            encoder_channels=[width + 3 for width in widths],
            decoder_channels=decoder_channels,
            n_blocks=len(decoder_channels),
            use_norm="identity" if norm == "none" else "batchnorm",
        )
        replace_batch_norms(self.decoder, norm)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(decoder_channels[-1] + 3, dim, kernel_size=1)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of the stride."""
        skips = [
            torch.cat([skip, F.avg_pool2d(photos, 2**stage)], dim=1)
            for stage, skip in enumerate(self.encoder(photos))
        ]
        decoded = self.dropout(self.decoder(skips))
        return self.head(torch.cat([decoded, photos], dim=1))


def build_photo_unet(config: ModelConfig) -> EmbeddingNetwork:
    """U-Net with the photo at every scale."""
    import segmentation_models_pytorch as smp

    depth = _depth(config)

    def make(weights: str | bool | None) -> PhotoPyramidUNet:
        encoder = smp.encoders.get_encoder(config.encoder, depth=depth, weights=weights)
        drop_unused_layers(encoder, side=2 * 2**depth)
        return PhotoPyramidUNet(
            encoder, config.decoder_channels, config.dim, config.dropout, config.decoder_norm
        )

    unet = with_weights(config, make)
    encoder = unet.encoder
    start_from_file(encoder, config)
    return _embedding_network(unet, encoder, config, stride=2**depth)


def build_unet(config: ModelConfig) -> EmbeddingNetwork:
    """Any architecture of segmentation_models_pytorch on any encoder that it takes.

    Some architectures (deeplabv3, pan and upernet among them) pool a photo into one pixel, whose
    batch norm needs two photos per step at least; ``decoder_norm: group`` does not.
    """
    import segmentation_models_pytorch as smp

    name = config.architecture.lower()
    if name not in smp.MODEL_ARCHITECTURES_MAPPING:
        known = list(smp.MODEL_ARCHITECTURES_MAPPING)
        near = nearest(name, known, cutoff=0.4) or ["unet"]
        raise InputError(
            f"unknown model.architecture '{config.architecture}'; did you mean '{near[0]}'? "
            f"Known: {', '.join(known)}"
        )
    if name in _STAGED:
        _depth(config)
    if config.decoder_norm == "none" and name not in _NORM_FREE:
        raise InputError(
            f"model.decoder_norm none: {name} has norms of its own; expected batch, group or layer"
        )
    least = _PAN_LEAST if name == "pan" else 0

    def make(weights: str | bool | None) -> Any:
        model = smp.create_model(
            name, config.encoder, weights, classes=config.dim, **_options(config, name)
        )
        replace_batch_norms(model.decoder, config.decoder_norm)
        drop_unused_layers(model, max(2 * _stride(model, name), least))
        return model

    model = with_weights(config, make)
    model.segmentation_head = nn.Sequential(nn.Dropout2d(config.dropout), model.segmentation_head)
    start_from_file(model.encoder, config)
    return _embedding_network(model, model.encoder, config, _stride(model, name), least)


def _options(config: ModelConfig, architecture: str) -> dict[str, Any]:
    """Arguments of the library's constructor beside encoder and classes."""
    options: dict[str, Any] = {}
    if architecture in _DROPOUTS:
        options[_DROPOUTS[architecture]] = 0.0
    if architecture in _STAGED:
        options.update(
            encoder_depth=len(config.decoder_channels), decoder_channels=config.decoder_channels
        )
    if architecture == "dpt":
        options["dynamic_img_size"] = True
    if config.decoder_norm == "none":
        options["decoder_use_norm"] = False
    return options


def _stride(model: Any, architecture: str) -> int:
    stride: int = model.encoder.output_stride
    return math.lcm(stride, _DPT_STRIDE) if architecture == "dpt" else stride


def _depth(config: ModelConfig) -> int:
    """How many stages of the encoder are used."""
    depth = len(config.decoder_channels)
    if not 3 <= depth <= 5 or min(config.decoder_channels) < 1:
        raise InputError(
            f"model.decoder_channels is {config.decoder_channels}, expected 3 to 5 widths above 0 "
            "(one per encoder stage that is used, coarsest first)"
        )
    return depth


def _embedding_network(
    backbone: nn.Module, encoder: nn.Module, config: ModelConfig, stride: int, least_side: int = 0
) -> EmbeddingNetwork:
    mean, std = input_scale(config)
    return EmbeddingNetwork(
        backbone,
        encoder,
        config.dim,
        stride,
        mean=mean,
        std=std,
        least_side=least_side,
    )
