"""The U-Net: any encoder of segmentation_models_pytorch, the photo at every scale."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.features.embedding import EmbeddingNetwork, ModelConfig


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


def build_unet(config: ModelConfig) -> EmbeddingNetwork:
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
