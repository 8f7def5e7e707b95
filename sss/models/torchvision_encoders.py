"""The VGG encoder of the classical networks, with torchvision's key names."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn
from torchvision.models import vgg

from sss.errors import InputError
from sss.models.base import ModelConfig

_CONFIGURATIONS = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}

VGG = tuple(_CONFIGURATIONS)
VGG_BN = tuple(f"{name}_bn" for name in VGG)

STRIDE = 32
"""Five max-poolings."""


def check_encoder(config: ModelConfig, known: Collection[str]) -> None:
    """Refuse an encoder that a network cannot have.

    Raises:
        InputError: Names those it can.
    """
    if config.encoder not in known:
        raise InputError(
            f"model.encoder '{config.encoder}' does not fit model.name '{config.name}', expected "
            f"{' or '.join(known)}; leave it out for the default"
        )


class VGGEncoder(nn.Module):
    """The convolutions of a VGG (Simonyan & Zisserman 2015), cut at its five max-poolings.

    Args:
        name: Torchvision's name.

    Attributes:
        widths: Per stage, the channels that go into it and those that come out of each of its
            convolutions.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        layers = vgg.cfgs[_CONFIGURATIONS[name.removesuffix("_bn")]]
        self.features = vgg.make_layers(layers, batch_norm=name.endswith("_bn"))
        self.widths: list[list[int]] = [[3]]
        for layer in layers[:-1]:
            if isinstance(layer, int):
                self.widths[-1].append(layer)
            else:
                self.widths.append([self.widths[-1][-1]])
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.MaxPool2d):
                module.return_indices = True

    def forward(self, photos: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The five pooled features, strides 2 to 32, and where each maximum stood."""
        values, pooled = photos, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                values, indices = layer(values)
                pooled.append((values, indices))
            else:
                values = layer(values)
        return pooled
