"""What every network that stands on a pretrained encoder has in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class EncoderNetwork(nn.Module):
    """A pretrained encoder and new layers, which training treats in different ways.

    Attributes:
        freeze_statistics: Keep the encoder's batch-norm statistics as they are while training: a
            batch holds too few photos to better those of ImageNet. Of no use on random weights.
        frozen: Whether :meth:`freeze_encoder` was called.

    Args:
        encoder: The pretrained part; it gets a lower learning rate. A subclass registers it where
            it wants it.
        mean: What the encoder's training subtracted from red, green and blue in [0, 1].
        std: What it divided them by.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: registered once, as part of something else
        self.freeze_statistics = False
        self.frozen = False
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def encoder(self) -> nn.Module:
        """The pretrained part; without weights where a network has none."""
        return self._encoder[0]

    def normalize(self, photos: Tensor) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1] to what the encoder takes."""
        return (photos - self.mean) / self.std

    def freeze_encoder(self) -> None:
        """Leave all of the encoder as it is: no gradients, always in evaluation mode."""
        self.frozen = True
        self.encoder.requires_grad_(False)  # then autograd records nothing of it either

    def train(self, mode: bool = True) -> Self:
        """Switch to training; what is frozen goes on as in evaluation."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        elif self.freeze_statistics:
            for module in self.encoder.modules():
                if isinstance(module, BATCH_NORMS):
                    module.eval()
        return self

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """All trainable weights outside the pretrained encoder."""
        pretrained = {id(p) for p in self.encoder.parameters()}
        return (p for p in self.parameters() if p.requires_grad and id(p) not in pretrained)
