"""A vision transformer of timm, by default DINOv2 and frozen, under a light head."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.norms import build_norm, conv_block
from sss.models.weights import fetching, load_encoder_weights, require_timm_weights
from sss.suggest import nearest

LEVELS = 4
"""Blocks whose tokens the head sees, evenly spread, the last one among them."""


class TokenHead(nn.Module):
    """Tokens tell what is where, to a patch; a few convolutions on the photo tell the edges.

    Args:
        tokens: Channels of the token map.
        token_width: Channels that they are brought to, at their own resolution.
        photo_width: Channels of the branch on the photo, at full resolution.
        dim: Dimension of the embedding.
        dropout: Fraction of the joined channels that a training step blanks.
        norm: Normalisation, see :class:`ModelConfig`.
    """

    def __init__(
        self,
        tokens: int,
        token_width: int,
        photo_width: int,
        dim: int,
        dropout: float,
        norm: str,
    ) -> None:
        super().__init__()
        self.token_branch = nn.Sequential(
            nn.Conv2d(tokens, token_width, kernel_size=1, bias=norm == "none"),
            build_norm(norm, token_width),
            nn.ReLU(inplace=True),
        )
        self.photo_branch = nn.Sequential(
            conv_block(3, photo_width, norm), conv_block(photo_width, photo_width, norm)
        )
        self.join = nn.Sequential(
            nn.Conv2d(token_width + photo_width, token_width, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(token_width, dim, kernel_size=1),
        )

    def forward(self, tokens: Tensor, photos: Tensor) -> Tensor:
        """(B, T, h / patch, w / patch) and (B, 3, h, w) to (B, dim, h, w)."""
        coarse = self.token_branch(tokens)
        size = photos.shape[-2:]
        coarse = F.interpolate(coarse, size, mode="bilinear", align_corners=False)
        return self.join(torch.cat([coarse, self.photo_branch(photos)], dim=1))


class HeadedTransformer(nn.Module):
    """A transformer of timm that takes images of any size, and the head on some of its blocks."""

    not_in_onnx = "position embeddings resampled to the size of the photo"

    def __init__(self, transformer: nn.Module, levels: list[int], head: TokenHead) -> None:
        super().__init__()
        self.encoder = transformer
        self.levels = levels
        self.head = head

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of the patch."""
        encoder: Any = self.encoder
        maps = encoder.forward_intermediates(
            photos, indices=self.levels, norm=True, output_fmt="NCHW", intermediates_only=True
        )  # per level (B, C, h / patch, w / patch)
        return self.head(torch.cat(maps, dim=1), photos)


def build_vit(config: ModelConfig) -> EmbeddingNetwork:
    """Light head on a vision transformer of timm."""
    if not config.decoder_channels or min(config.decoder_channels) < 1:
        raise InputError(
            f"model.decoder_channels is {config.decoder_channels}, expected widths above 0 (the "
            "first is that of the token branch, the last that of the photo branch)"
        )
    transformer = _transformer(config)
    if config.weights not in ("imagenet", "none"):
        load_encoder_weights(transformer, Path(config.weights), _converter(transformer))
    blocks = len(transformer.blocks)
    count = min(LEVELS, blocks)
    levels = [blocks * (level + 1) // count - 1 for level in range(count)]
    head = TokenHead(
        tokens=count * transformer.embed_dim,
        token_width=config.decoder_channels[0],
        photo_width=config.decoder_channels[-1],
        dim=config.dim,
        dropout=config.dropout,
        norm=config.decoder_norm,
    )
    return EmbeddingNetwork(
        HeadedTransformer(transformer, levels, head),
        transformer,
        config.dim,
        stride=transformer.patch_embed.patch_size[0],
        mean=transformer.pretrained_cfg["mean"],
        std=transformer.pretrained_cfg["std"],
    )


def _transformer(config: ModelConfig) -> Any:
    """Timm's model without its classifier, with the weights that its name says, or random ones."""
    import timm

    name = str(config.encoder)
    if not timm.is_model(name):
        near = nearest(name, timm.list_models("*vit*"), 3, 0.5)
        raise InputError(
            f"no model.encoder '{name}' in timm; near: {', '.join(near) or 'none, see timm'}"
        )
    options: dict[str, Any] = {"num_classes": 0, "dynamic_img_size": True}
    try:
        model: Any = timm.create_model(name, pretrained=False, **options)
        if len(set(model.patch_embed.patch_size)) > 1:
            raise ValueError("its patches are no squares")
    except Exception as error:  # convolutional networks know no dynamic_img_size, and so on
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"model.encoder '{name}' is no vision transformer that vit can use ({reason}); try "
            "vit_small_patch14_dinov2.lvd142m"
        ) from error
    if config.weights != "imagenet":
        return model
    with fetching(f"the weights of '{name}'"):
        require_timm_weights(name)
        return timm.create_model(name, pretrained=True, **options)


def _converter(transformer: nn.Module) -> Callable[..., dict[str, Tensor]] | None:
    """What timm uses to bring the original authors' files into its own layout."""
    return getattr(inspect.getmodule(type(transformer)), "checkpoint_filter_fn", None)
