"""Networks that give every pixel an embedding, by name.

One contract for all: ``(B, 3, H, W)`` float RGB in [0, 1] in, ``(B, dim, H, W)`` out, for any H, W
of at least 16. Normalisation and padding are part of the network, so training and inference
cannot disagree on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class ModelConfig:
    """What defines a network; stored in its checkpoint.

    Attributes:
        name: Entry of the registry ``NETWORKS``.
        encoder: Encoder of ``unet``, by segmentation_models_pytorch's name.
        decoder_channels: Width of the U-Net's five decoder blocks, coarsest first.
        dim: Dimension of the embedding, 64 to 256.
        weights: Start of the encoder: ``none`` (random), ``imagenet`` (downloaded), or the path
            of a torchvision state dict.
    """

    name: str = "unet"
    encoder: str = "mobilenet_v2"
    decoder_channels: list[int] = field(default_factory=lambda: [256, 128, 64, 32, 16])
    dim: int = 64
    weights: str = "imagenet"


class EmbeddingNetwork(nn.Module):
    """Wraps a backbone into the contract of this module.

    Args:
        backbone: Maps normalised (B, 3, h, w), h and w multiples of ``stride``, to
            (B, dim, h, w).
        encoder: The pretrained part of ``backbone``; it gets a lower learning rate.
        dim: Dimension of the embedding.
        stride: What the backbone needs its input's sides to be divisible by.
        freeze_statistics: Keep the encoder's batch-norm statistics as they are while training: a
            batch holds too few photos to better those of ImageNet. Of no use on random weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        encoder: nn.Module,
        dim: int,
        stride: int,
        freeze_statistics: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self._encoder = [encoder]  # in a list: registered once, as part of the backbone
        self.dim = dim
        self.stride = stride
        self.freeze_statistics = freeze_statistics
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    @property
    def encoder(self) -> nn.Module:
        """The pretrained part."""
        return self._encoder[0]

    def forward(self, photos: Tensor) -> Tensor:
        """Embed every pixel.

        Args:
            photos: (B, 3, H, W) float RGB in [0, 1], H and W at least 16.

        Returns:
            (B, dim, H, W) embeddings, unbounded; their Euclidean distance is what was trained.
        """
        height, width = photos.shape[-2:]
        top, bottom = _split_padding(height, self.stride)
        left, right = _split_padding(width, self.stride)
        normalised = (photos - self.mean) / self.std
        padded = F.pad(normalised, (left, right, top, bottom), mode="reflect")
        embeddings = self.backbone(padded)
        return embeddings[..., top : top + height, left : left + width]

    def train(self, mode: bool = True) -> EmbeddingNetwork:
        """Switch to training; frozen batch norms go on using their stored statistics."""
        super().train(mode)
        if self.freeze_statistics:
            for module in self.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """All trainable weights outside the pretrained encoder."""
        pretrained = {id(p) for p in self.encoder.parameters()}
        return (p for p in self.parameters() if p.requires_grad and id(p) not in pretrained)


def _split_padding(side: int, stride: int) -> tuple[int, int]:
    """Pixels to add on both ends so that ``side`` becomes a multiple of ``stride``."""
    total = -side % stride
    return total // 2, total - total // 2


def _unet(config: ModelConfig) -> EmbeddingNetwork:
    """U-Net (Ronneberger et al. 2015) on an encoder of segmentation_models_pytorch."""
    import segmentation_models_pytorch as smp

    if len(config.decoder_channels) != 5:
        raise InputError(
            f"model.decoder_channels has {len(config.decoder_channels)} entries, expected 5 "
            "(one per decoder block, coarsest first)"
        )
    from_hub = config.weights == "imagenet"
    try:
        unet = smp.Unet(
            config.encoder,
            encoder_weights="imagenet" if from_hub else None,
            decoder_channels=config.decoder_channels,
            classes=config.dim,
        )
    except KeyError as error:
        raise InputError(
            f"unknown model.encoder '{config.encoder}': {' '.join(str(error.args[0]).split())}"
        ) from error
    except Exception as error:
        if not from_hub:
            raise
        raise InputError(
            f"cannot download the ImageNet weights of '{config.encoder}' "
            f"({type(error).__name__}); give --model.weights PATH to a file you have, or none"
        ) from error
    network = EmbeddingNetwork(
        unet, unet.encoder, config.dim, stride=32, freeze_statistics=config.weights != "none"
    )
    if config.weights not in ("imagenet", "none"):
        load_encoder_weights(unet.encoder, Path(config.weights).expanduser())
    return network


NETWORKS: dict[str, Callable[[ModelConfig], EmbeddingNetwork]] = {"unet": _unet}
"""Builders by name; each holds the numbers of one variant."""


def build_network(config: ModelConfig) -> EmbeddingNetwork:
    """Build the network that ``config`` describes.

    Raises:
        InputError: Unknown name or encoder, a dimension outside 8–512, weights that cannot be
            read or do not fit.
    """
    if config.name not in NETWORKS:
        raise InputError(f"unknown model.name '{config.name}'; known: {', '.join(NETWORKS)}")
    if not 8 <= config.dim <= 512:
        raise InputError(f"model.dim is {config.dim}, expected 8 to 512")
    return NETWORKS[config.name](config)


def load_encoder_weights(encoder: nn.Module, path: Path) -> None:
    """Load a torchvision classifier's state dict into an encoder, the classifier left out.

    Raises:
        InputError: No such file, not a state dict, or weights of another architecture.
    """
    if not path.is_file():
        raise InputError(
            f"no encoder weights at {path}; give --model.weights PATH, or 'none' for random ones"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        wanted = encoder.state_dict().keys()
        state = {key: value for key, value in state.items() if key in wanted}
        # Encoders of segmentation_models_pytorch override this to drop the classifier's keys.
        nn.Module.load_state_dict(encoder, state, strict=True)
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} does not hold weights of this encoder ({reason})") from error


def config_as_dict(config: ModelConfig) -> dict[str, Any]:
    """The part of ``config`` that a checkpoint needs: all but the start of the weights."""
    return {**asdict(config), "weights": "none"}
