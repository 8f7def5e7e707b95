"""Networks that give every pixel an embedding, by name.

One contract for all: ``(B, 3, H, W)`` float RGB in [0, 1] in, ``(B, dim, H, W)`` out, for any H, W
of at least 16. Normalisation and padding are part of the network, so training and inference
cannot disagree on them.
"""

from __future__ import annotations

import difflib
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

MIN_SIDE = 16
"""Least height and width of a photo in pixels: a reflection cannot pad a smaller one."""


@dataclass
class ModelConfig:
    """What defines a network; stored in its checkpoint.

    Attributes:
        name: Entry of the registry ``NETWORKS``.
        encoder: Encoder of ``unet``, by segmentation_models_pytorch's name.
        decoder_channels: Width of the U-Net's decoder blocks, coarsest first; as many encoder
            stages are used as there are widths, 3 to 5.
        dim: Dimension of the embedding, 64 to 256.
        dropout: Share of the decoder's output channels that a training step blanks.
        weights: Start of the encoder: ``none`` (random), ``imagenet`` (downloaded), or the path
            of a torchvision state dict.
    """

    name: str = "unet"
    encoder: str = "mobilenet_v2"
    decoder_channels: list[int] = field(default_factory=lambda: [128, 96, 64, 32])
    dim: int = 64
    dropout: float = 0.1
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

        Raises:
            InputError: A side is shorter than 16 pixels.
        """
        height, width = photos.shape[-2:]
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"the photo has {height} × {width} pixels, expected {MIN_SIDE} or more on each "
                "side; enlarge it"
            )
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
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
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


class PhotoPyramidUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) whose decoder also sees the photo at each of its scales.

    Colour, and the mean colour around a pixel, tell segments apart almost as well as deep features
    do; handing them to the decoder spares it from recovering them from the encoder's first layers.

    Args:
        encoder: Encoder of segmentation_models_pytorch.
        decoder_channels: Width of each decoder block, coarsest first, one per encoder stage.
        dim: Dimension of the embedding.
        dropout: Share of the decoder's output channels that a training step blanks.
    """

    def __init__(
        self, encoder: nn.Module, decoder_channels: list[int], dim: int, dropout: float
    ) -> None:
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        super().__init__()
        self.encoder = encoder
        widths: Any = encoder.out_channels  # of the photo and of every stage
        self.decoder = UnetDecoder(
            encoder_channels=[width + 3 for width in widths],
            decoder_channels=decoder_channels,
            n_blocks=len(decoder_channels),
        )
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(decoder_channels[-1] + 3, dim, kernel_size=1)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of the stride."""
        skips = [
            torch.cat([skip, F.adaptive_avg_pool2d(photos, skip.shape[-2:])], dim=1)
            for skip in self.encoder(photos)
        ]
        decoded = self.dropout(self.decoder(skips))
        return self.head(torch.cat([decoded, photos], dim=1))


def _unet(config: ModelConfig) -> EmbeddingNetwork:
    """U-Net with the photo at every scale, on an encoder of segmentation_models_pytorch."""
    depth = len(config.decoder_channels)
    if not 3 <= depth <= 5 or min(config.decoder_channels) < 1:
        raise InputError(
            f"model.decoder_channels is {config.decoder_channels}, expected 3 to 5 widths above 0 "
            "(one per encoder stage that is used, coarsest first)"
        )
    encoder = _smp_encoder(config, depth)
    drop_unused_layers(encoder, stride=2**depth)
    unet = PhotoPyramidUNet(encoder, config.decoder_channels, config.dim, config.dropout)
    network = EmbeddingNetwork(
        unet, encoder, config.dim, stride=2**depth, freeze_statistics=config.weights != "none"
    )
    if config.weights not in ("imagenet", "none"):
        load_encoder_weights(encoder, Path(config.weights).expanduser())
    return network


def drop_unused_layers(encoder: nn.Module, stride: int) -> None:
    """Replace layers that the encoder's outputs do not depend on by identities.

    A U-Net of few stages leaves an encoder's last ones unused, and not every encoder of
    segmentation_models_pytorch drops them: they would be computed, stored and shipped for nothing.
    """
    was_training = encoder.training
    with torch.enable_grad():
        outputs = encoder.eval()(torch.zeros(1, 3, 2 * stride, 2 * stride))
        torch.stack([output.sum() for output in outputs]).sum().backward()
    encoder.train(was_training)
    _replace_untouched(encoder)
    encoder.zero_grad(set_to_none=True)


class _Skipped(nn.Module):
    """Passes its input on, whatever options the layer in its place used to take."""

    def forward(self, values: Tensor, *_: object, **__: object) -> Tensor:
        return values


def _replace_untouched(module: nn.Module) -> None:
    """Put an identity in place of each largest part none of whose weights has a gradient."""
    for name, child in module.named_children():
        weights = list(child.parameters())
        if weights and all(weight.grad is None for weight in weights):
            setattr(module, name, _Skipped())
        else:
            _replace_untouched(child)


def _smp_encoder(config: ModelConfig, depth: int) -> nn.Module:
    """The first ``depth`` stages of an encoder, with ImageNet weights if the hub gives them."""
    import segmentation_models_pytorch as smp

    from_hub = config.weights == "imagenet"
    try:
        return smp.encoders.get_encoder(
            config.encoder, depth=depth, weights="imagenet" if from_hub else None
        )
    except KeyError as error:
        near = difflib.get_close_matches(config.encoder, smp.encoders.get_encoder_names(), 3, 0.5)
        raise InputError(
            f"no model.encoder '{config.encoder}' (with weights '{config.weights}') in "
            f"segmentation_models_pytorch; near: {', '.join(near) or 'none, see its documentation'}"
        ) from error
    except Exception as error:  # whatever the hub, its HTTP library or timm may raise
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        if not from_hub:
            raise InputError(
                f"model.encoder '{config.encoder}' fits no U-Net ({reason})"
            ) from error
        raise InputError(
            f"cannot download the ImageNet weights of '{config.encoder}' ({reason}); give "
            "--model.weights PATH to a file you have, or none"
        ) from error


NETWORKS: dict[str, Callable[[ModelConfig], EmbeddingNetwork]] = {"unet": _unet}
"""Builders by name; each holds the numbers of one variant."""


def build_network(config: ModelConfig) -> EmbeddingNetwork:
    """Build the network that ``config`` describes.

    Raises:
        InputError: Unknown name or encoder, a dimension outside 8–512, a dropout outside 0–1,
            weights that cannot be read or do not fit.
    """
    if config.name not in NETWORKS:
        raise InputError(f"unknown model.name '{config.name}'; known: {', '.join(NETWORKS)}")
    if not 8 <= config.dim <= 512:
        raise InputError(f"model.dim is {config.dim}, expected 8 to 512")
    if not 0 <= config.dropout < 1:
        raise InputError(f"model.dropout is {config.dropout}, expected 0 up to below 1")
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
    except Exception as error:  # torch names no type for "this is not a state dict"
        # The first line of torch's message about keys says nothing; the second names them.
        lines = str(error).splitlines() or [type(error).__name__]
        reason = " ".join(lines[:2])[:200]
        raise InputError(f"{path} does not hold weights of this encoder ({reason})") from error


def config_as_dict(config: ModelConfig) -> dict[str, Any]:
    """The part of ``config`` that a checkpoint needs: all but the start of the weights."""
    return {**asdict(config), "weights": "none"}
