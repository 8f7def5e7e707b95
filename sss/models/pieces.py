"""Large layers on several threads, with results that do not depend on how many there are.

Torch's own threads share out a layer in ways that show in the last bits. Here every layer is cut
into the same pieces on any machine, and each piece is computed by one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.threads import map_threads

PIECES = 4
"""Bands of rows that a layer is cut into."""

LEAST_PRODUCTS = 50_000_000
"""Products of a layer that is worth cutting: about a millisecond."""

Item = TypeVar("Item")


def in_pieces(function: Callable[[Item], Tensor], items: Iterable[Item]) -> list[Tensor]:
    """``[function(item) for item in items]`` on several threads, where that is inference.

    Torch must be held to one thread, as :class:`sss.models.torch_predictor.TorchPredictor` does it;
    else, and inside of another piece, one item is done after the other.
    """
    if torch.get_num_threads() > 1 or not torch.is_inference_mode_enabled():
        return [function(item) for item in items]

    def one(item: Item) -> Tensor:
        with torch.inference_mode():  # which is each thread's own
            return function(item)

    return map_threads(one, items)


class BandedConv2d(nn.Module):
    """A convolution whose rows of results are computed in bands.

    Args:
        conv: Padded with zeros, or not at all.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        if conv.kernel_size == (1, 1) and conv.weight.device.type == "cpu":
            # A single tap has no dilation; this has torch leave large layers to oneDNN, which is
            # faster than what it takes for 1×1 on one thread.
            conv.dilation = (2, 2)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', h, w)."""
        conv = self.conv
        (kernel, _), (stride, _), (dilation, _) = conv.kernel_size, conv.stride, conv.dilation
        padding, sideways = (int(side) for side in conv.padding)
        reach = dilation * (kernel - 1) + 1
        rows = (values.shape[2] + 2 * padding - reach) // stride + 1
        products = rows * (values.shape[3] // conv.stride[1]) * conv.weight.numel()
        if values.device.type != "cpu" or rows < PIECES or products < LEAST_PRODUCTS:
            return conv(values)

        columns = values.shape[3] + 2 * sideways - conv.dilation[1] * (conv.kernel_size[1] - 1) - 1
        result = torch.empty(
            (len(values), conv.out_channels, rows, columns // conv.stride[1] + 1),
            dtype=values.dtype,
            memory_format=torch.channels_last,
        )

        def band(piece: int) -> Tensor:
            first, end = rows * piece // PIECES, rows * (piece + 1) // PIECES
            top, bottom = first * stride - padding, (end - 1) * stride - padding + reach
            near = values[:, :, max(top, 0) : bottom]
            above, below = max(-top, 0), max(bottom - values.shape[2], 0)
            if above or below:
                near = F.pad(near, (0, 0, above, below))
            result[:, :, first:end] = F.conv2d(
                near, conv.weight, conv.bias, conv.stride, (0, sideways), conv.dilation, conv.groups
            )
            return result

        in_pieces(band, range(PIECES))
        return result


def cut_convolutions(module: nn.Module) -> None:
    """Put a :class:`BandedConv2d` in place of every plain convolution of a network."""
    for name, child in module.named_children():
        # Not its subclasses, which do more.
        if (
            isinstance(child, nn.Conv2d)
            and type(child) is nn.Conv2d
            and not isinstance(child.padding, str)
            and child.padding_mode == "zeros"
        ):
            setattr(module, name, BandedConv2d(child))
        else:
            cut_convolutions(child)


def uncut(module: nn.Module) -> nn.Conv2d:
    """The convolution itself, whether it has been cut or not."""
    conv = module.conv if isinstance(module, BandedConv2d) else module
    assert isinstance(conv, nn.Conv2d)
    return conv
