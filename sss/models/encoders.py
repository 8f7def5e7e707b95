"""Encoders of hypercolumns: one of segmentation_models_pytorch, a DeepLab, or a pair of these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.deeplab_mobilenet import DEEPLABS, INPUT_MEAN, INPUT_STD, build_deeplab_encoder
from sss.models.smp_encoder import input_scale, start_from_file, with_weights


@dataclass(frozen=True)
class Staged:
    """An encoder that gives the outputs of its stages.

    Attributes:
        encoder: Maps normalised photos (B, 3, h, w) to these photos and an output per stride.
            ``out_channels`` are the widths of all of them.
        strides: Of the outputs, each twice the one before, from 2 on; a dilated encoder's no more
            than its output stride.
        mean: What its training subtracted from red, green and blue in [0, 1].
        std: What it divided them by.
    """

    encoder: Any
    strides: list[int]
    mean: Sequence[float]
    std: Sequence[float]


class Renormalise(nn.Module):
    """Brings photos from one encoder's normalisation to another's.

    Args:
        first: Whose photos come in.
        second: Whose go out.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, first: Staged, second: Staged) -> None:
        super().__init__()
        mean1, std1, mean2, std2 = (
            torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)
            for values in (first.mean, first.std, second.mean, second.std)
        )
        self.register_buffer("factor", (std1 / std2).float())
        self.register_buffer("offset", ((mean1 - mean2) / std2).float())

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, h, w) to the same shape."""
        return photos * self.factor + self.offset


class EncoderPair(nn.Module):
    """Two encoders side by side: their outputs of equal stride are put one behind the other.

    Args:
        first: Its normalisation is that of the photos that come in.
        second: They are brought to its normalisation for it.

    Attributes:
        strides: Those of both.
        out_channels: Widths of the photo and of the outputs together.
    """

    def __init__(self, first: Staged, second: Staged) -> None:
        super().__init__()
        self.first, self.second = first.encoder, second.encoder
        self._strides = (first.strides, second.strides)
        widths: dict[int, int] = defaultdict(int)
        for one in (first, second):
            for stride, width in zip(one.strides, one.encoder.out_channels[1:], strict=True):
                widths[stride] += width
        self.strides = sorted(widths)
        self.out_channels = [3, *(widths[stride] for stride in self.strides)]
        self.renormalise = Renormalise(first, second)

    def forward(self, photos: Tensor) -> list[Tensor]:
        """The photos and an output per stride."""
        outputs: dict[int, list[Tensor]] = defaultdict(list)
        inputs = (photos, self.renormalise(photos))
        for encoder, strides, given in zip(
            (self.first, self.second), self._strides, inputs, strict=True
        ):
            for stride, output in zip(strides, encoder(given)[1:], strict=True):
                outputs[stride].append(output)
        return [photos, *(torch.cat(outputs[stride], dim=1) for stride in self.strides)]


def with_second_encoder(first: Staged, config: ModelConfig) -> Staged:
    """The pair of an encoder and the second one of a config, or the encoder, if there is none.

    Raises:
        InputError: An unknown name, an output stride that is not there, weights that cannot be had.
    """
    if not config.second_encoder:
        return first
    pair = EncoderPair(first, second_encoder(config))
    return Staged(pair, pair.strides, first.mean, first.std)


def second_encoder(config: ModelConfig) -> Staged:
    """The second encoder alone; errors as of :func:`with_second_encoder`."""
    return single_encoder(
        replace(config, encoder=config.second_encoder, weights=config.second_weights)
    )


def build_dilated_encoder(config: ModelConfig, output_stride: int) -> Staged:
    """An encoder whose last stages are dilated in place of being strided.

    Args:
        config: Its encoder and the weights to start from.
        output_stride: Of the last stage in pixels, 8, 16 or 32.

    Raises:
        InputError: As :func:`with_second_encoder`; or an encoder that cannot be dilated.
    """
    if output_stride not in (8, 16, 32):
        raise InputError(f"model.stride is {output_stride}, expected 8, 16 or 32")
    return single_encoder(replace(config, output_stride=output_stride), output_stride)


def single_encoder(config: ModelConfig, output_stride: int = 32) -> Staged:
    """The first encoder alone; errors as of :func:`with_second_encoder`."""
    if config.encoder in DEEPLABS:
        deeplab = build_deeplab_encoder(config)
        return Staged(deeplab, deeplab.strides, INPUT_MEAN, INPUT_STD)
    import segmentation_models_pytorch as smp

    def make(weights: str | bool | None) -> Any:
        return smp.encoders.get_encoder(
            config.encoder, depth=5, weights=weights, output_stride=output_stride
        )

    encoder = with_weights(config, make)
    start_from_file(encoder, config)
    strides = [min(2 ** (s + 1), output_stride) for s in range(len(encoder.out_channels) - 1)]
    return Staged(encoder, strides, *input_scale(config))
