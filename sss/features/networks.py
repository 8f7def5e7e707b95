"""The registry of networks: each name has one builder, which holds the numbers of its variant."""

from __future__ import annotations

from collections.abc import Callable

from sss.errors import InputError
from sss.features.embedding import EmbeddingNetwork, ModelConfig
from sss.features.unet import build_unet

NETWORKS: dict[str, Callable[[ModelConfig], EmbeddingNetwork]] = {"unet": build_unet}
"""Builders by name."""


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
